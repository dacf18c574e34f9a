"""Networks and loss of one run: a base objective, alone or with CFASL."""

import dataclasses
from collections.abc import Mapping

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from cfasl_jax.losses import elbo
from cfasl_jax.losses.control import Controller
from cfasl_jax.objectives import base as base_lib
from cfasl_jax.objectives.base import Base, Batch, Losses, Noise, Path, Term
from cfasl_jax.objectives.cfasl import CFASL
from cfasl_jax.settings import Hyper
from cfasl_jax.types import Likelihood, Params, Posterior, Terms


@dataclasses.dataclass(frozen=True)
class Objective:
    """Networks and loss of one run; hashable, so that it can be a static argument.

    Attributes:
        encoder: images [B, H, W, C] -> (mu, logvar), each [B, D].
        decoder: z [B, D] -> logits [B, H, W, C].
        base: the base objective, which knows the way through both networks.
        cfasl: the symmetry codebook and its losses, or None for a baseline.
        likelihood: of the pixels, see `elbo.reconstruction`.
        latent_dim: D.
    """

    encoder: nn.Module
    decoder: nn.Module
    base: Base
    cfasl: CFASL | None
    likelihood: Likelihood
    latent_dim: int

    def init(self, key: jax.Array, image_shape: tuple[int, int, int]) -> Params:
        """Initial parameters, a dict with one entry a network."""
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
        return Posterior(*base_lib.apply(self.encoder, params["encoder"], images))

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
        """The loss of a batch.

        Args:
            params: see `init`.
            images: in [0, 1], [B, H, W, C]; halves are the pairs' samples.
            noise: see `Noise`.
            hyper: of this run, leaves [].
            step: steps taken before this one.
            controller: Control-VAE's; by default that before the first step.
            axis_name: device axis over which the batch is shared out; the mean over
                devices of the result is then the loss of the global batch.

        Returns:
            The weighted total, and each term without its weight. Some terms are only
            logged, such as a KL divergence that the objective takes apart.
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
            controller=base_lib.start() if controller is None else controller,
            axis_name=axis_name,
        )
        losses = self.base.losses(batch)
        moved = None
        if self.cfasl is not None:
            symmetry_losses, moved = self.cfasl.losses(batch)
            losses |= symmetry_losses
        losses |= self._reconstructions(batch, images, moved)
        weighted = [t.weight * t.value for t in losses.values() if t.weight is not None]
        terms = {name: term.value for name, term in losses.items()}
        return sum(weighted, start=jnp.zeros(())), terms

    def _reconstructions(
        self, batch: Batch, images: jax.Array, moved: jax.Array | None
    ) -> Losses:
        """The images from their own latents and, with CFASL, from their partners'."""
        B, code = len(images), self.base.reconstructed_code(batch)
        if moved is not None and self.base.decodes_moved_latents:
            # One call of the decoder for both: larger products.
            moved_code = self.base.code(self.decoder, batch.params, moved)
            code = jnp.concatenate([code, moved_code])
        logits = self.base.decode(self.decoder, batch.params, code)
        reconstruction = self._reconstruction(logits[:B], images)
        losses = {"reconstruction": Term(reconstruction, 1.0)}
        if moved is not None:
            equivariance = (
                self._reconstruction(logits[B:], images)
                if self.base.decodes_moved_latents
                else reconstruction
            )
            epsilon = batch.hyper.weights.epsilon
            losses["decoder_equivariance"] = Term(equivariance, epsilon)
        return losses

    def _reconstruction(self, logits: jax.Array, images: jax.Array) -> jax.Array:
        return elbo.reconstruction(logits, images, self.likelihood).mean()

    @property
    def drawn_elements(self) -> int:
        """The perpendicular loss draws its element indices below this."""
        return 1 if self.cfasl is None else self.cfasl.drawn_elements

    def optimizers(self) -> Mapping[str, optax.GradientTransformation]:
        """Of networks that are not trained with the others, by their entry."""
        return self.base.optimizers()

    def learning_rates(self, hyper: Hyper) -> Mapping[Path, chex.Numeric]:
        """Of networks that do not take hyper.learning_rate."""
        heads = {("codebook", "heads"): hyper.codebook.learning_rate}
        return heads | dict(self.base.learning_rates(hyper))
