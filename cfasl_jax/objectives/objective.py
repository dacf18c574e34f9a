"""Networks and loss of one run: a base objective, alone or with CFASL."""

import dataclasses
from collections.abc import Mapping

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from cfasl_jax.losses import control, elbo
from cfasl_jax.losses.control import Controller
from cfasl_jax.objectives import base as base_lib
from cfasl_jax.objectives.base import Base, Batch, Losses, NetworkPath, Noise, Term
from cfasl_jax.objectives.cfasl import CFASL, Moved, ramped
from cfasl_jax.settings import Hyper
from cfasl_jax.types import Likelihood, Params, Posterior, Terms


@dataclasses.dataclass(frozen=True)
class Objective:
    """Networks and loss of one run; hashable, so that it can be a static argument.

    Attributes:
        encoder: images [B, H, W, C] -> (mu, logvar), each [B, D].
        decoder: z [B, D] -> logits [B, H, W, C].
        base: the base objective, which knows how both networks are called.
        cfasl: the symmetry codebook and its losses, or None for a baseline.
        likelihood: likelihood of a pixel, see `elbo.reconstruction`.
        latent_dim: D.
    """

    encoder: nn.Module
    decoder: nn.Module
    base: Base
    cfasl: CFASL | None
    likelihood: Likelihood
    latent_dim: int

    def init(self, key: jax.Array, image_shape: tuple[int, int, int]) -> Params:
        """Initial parameters, a dict with one entry for each network."""
        D = self.latent_dim
        keys = jax.random.split(key, 4)
        image, z = jnp.zeros((1, *image_shape)), jnp.zeros((1, D))
        params = {
            "encoder": self.encoder.init(keys[0], image)["params"],
            "decoder": self.decoder.init(keys[1], z)["params"],
            **self.base.init(keys[3], D),
        }
        if self.cfasl is not None:
            params["codebook"] = self.cfasl.init(keys[2])
        return params

    def encode(self, params: Params, images: jax.Array) -> Posterior:
        """Images in [0, 1], [B, H, W, C] -> posterior, [B, D]."""
        return self.base.encode(self.encoder, params, images)[0]

    def decode(self, params: Params, z: jax.Array) -> jax.Array:
        """Latents [B, D] -> logits [B, H, W, C]; images are their sigmoid."""
        return base_lib.apply(self.decoder, params["decoder"], z)

    def loss(
        self,
        params: Params,
        images: jax.Array,
        noise: Noise,
        hyper: Hyper,
        step: chex.Numeric = 0,
        controller: Controller | None = None,
        axis_name: str | None = None,
    ) -> tuple[jax.Array, Terms]:
        """The loss of a batch; the arguments are those of `losses`.

        Returns:
            The weighted total, and each term without its weight.
        """
        losses = self.losses(params, images, noise, hyper, step, controller, axis_name)
        total = sum(base_lib.weighted(losses).values(), start=jnp.zeros(()))
        return total, {name: term.value for name, term in losses.items()}

    def losses(
        self,
        params: Params,
        images: jax.Array,
        noise: Noise,
        hyper: Hyper,
        step: chex.Numeric = 0,
        controller: Controller | None = None,
        axis_name: str | None = None,
    ) -> Losses:
        """All terms of the loss of a batch, with their weights.

        Args:
            params: see `init`.
            images: in [0, 1], [B, H, W, C]; the first half holds the pairs' first
                samples, the second half their second samples.
            noise: see `Noise`.
            hyper: hyperparameters of this run, leaves [].
            step: number of steps before this one.
            controller: state of Control-VAE's controller; by default its initial state.
            axis_name: device axis over which the batch is divided; the mean over
                devices of the result is then that of the global batch.

        Returns:
            The terms. Some are only logged, such as the KL divergence of an objective
            that decomposes it.
        """
        chex.assert_rank(images, 4)
        posterior, extra = self.base.encode(self.encoder, params, images)
        z = posterior.sample(noise.eps)
        batch = Batch(
            posterior=posterior,
            z=z,
            extra=extra,
            code=self.base.code(self.decoder, params, z),
            params=params,
            noise=noise,
            hyper=hyper,
            step=jnp.asarray(step, jnp.int32),
            controller=control.start() if controller is None else controller,
            axis_name=axis_name,
        )
        losses = self.base.losses(batch)
        moved = None
        if self.cfasl is not None:
            symmetry_losses, moved = self.cfasl.losses(batch, images)
            losses |= symmetry_losses
        return losses | self._reconstructions(batch, images, moved)

    def _reconstructions(
        self, batch: Batch, images: jax.Array, moved: Moved | None
    ) -> Losses:
        """Reconstruction losses of the latents and, with CFASL, of moved latents."""
        B, codes = len(images), [self.base.reconstructed_code(batch)]
        if moved is not None:
            if self.base.decodes_moved_latents:
                codes.append(self.base.code(self.decoder, batch.params, moved.z))
            else:
                codes.append(batch.code)
                moved = moved._replace(images=images)
        # One call of the decoder for both is faster, since its products are larger.
        logits = self.base.decode(self.decoder, batch.params, jnp.concatenate(codes))
        losses = {"reconstruction": Term(self._reconstruction(logits[:B], images), 1.0)}
        if moved is not None:
            equivariance = self._reconstruction(logits[B:], moved.images)
            epsilon = ramped(batch.hyper.weights.epsilon, batch)
            losses["decoder_equivariance"] = Term(equivariance, epsilon)
        return losses

    def _reconstruction(self, logits: jax.Array, images: jax.Array) -> jax.Array:
        return elbo.reconstruction(logits, images, self.likelihood).mean()

    @property
    def drawn_elements(self) -> int:
        """The perpendicular loss draws element indices below this number."""
        return 1 if self.cfasl is None else self.cfasl.drawn_elements

    def learning_rates(self, hyper: Hyper) -> Mapping[NetworkPath, chex.Numeric]:
        """Learning rates of networks that do not use hyper.learning_rate."""
        heads = {("codebook", "heads"): hyper.codebook.learning_rate}
        return heads | dict(self.base.learning_rates(hyper))
