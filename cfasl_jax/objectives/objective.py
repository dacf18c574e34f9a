"""Networks and loss of one run: a base objective, alone or with CFASL."""

import dataclasses
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from cfasl_jax import codebook as codebook_lib
from cfasl_jax.codebook import Codebook
from cfasl_jax.fidelity import Fidelity
from cfasl_jax.losses import elbo, symmetry
from cfasl_jax.models import lie_vae, vae
from cfasl_jax.objectives import arguments
from cfasl_jax.objectives.arguments import Hyper, Noise, Progress
from cfasl_jax.objectives.bases import Base, Seen, Weighted
from cfasl_jax.types import Likelihood, Params, Posterior, Terms

_PUBLISHED_TEMPERATURE = 1e-4


class Carried(NamedTuple):
    """A batch's latents after each pair's composite symmetry.

    Attributes:
        terms: CFASL's, but for the decoder's equivariance.
        z: z2 carried back to x1 for the first samples, z1 forth to x2 for the second
            ones, [B, D].
    """

    terms: Terms
    z: jax.Array


@dataclasses.dataclass(frozen=True)
class Objective:
    """Networks and loss of one run; hashable, so that it can be a static argument.

    Attributes:
        encoder: images [B, H, W, C] -> (mu, logvar), each [B, D]; its `with_features`
            adds what the decoder could read instead of z's code, or None.
        decoder: z [B, D] -> logits [B, H, W, C], by `read` of `code` of z.
        codebook: the symmetry codebook, or None for a baseline.
        likelihood: of the pixels, see `elbo.reconstruction`.
        fidelity: which departures of the published code are reproduced.
        base: the base objective. CLG-VAE needs the encoder and the decoder of
            `models.lie_vae`.
    """

    encoder: vae.Encoder | lie_vae.LieEncoder
    decoder: vae.Decoder | lie_vae.LieDecoder
    codebook: Codebook | None
    likelihood: Likelihood
    fidelity: Fidelity
    base: Base

    @property
    def latent_dim(self) -> int:
        """D."""
        return self.encoder.latent_dim

    @property
    def drawn_elements(self) -> int:
        """Perpendicular draws its elements below this."""
        if self.codebook is None:
            return 1
        if self.fidelity.perpendicular_below_sections:
            return self.latent_dim
        return self.codebook.elements

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
        if self.codebook is not None:
            features = jnp.zeros((1, 4 * D))
            params["codebook"] = self.codebook.init(keys[2], features)["params"]
        return params

    def encode(self, params: Params, images: jax.Array) -> Posterior:
        """Images in [0, 1], [B, H, W, C] -> posterior, [B, D]."""
        return Posterior(*_apply(self.encoder, params["encoder"], images))

    def decode(self, params: Params, z: jax.Array) -> jax.Array:
        """Latents [B, D] -> logits [B, H, W, C]; images are their sigmoid."""
        return _apply(self.decoder, params["decoder"], z)

    def read_pairs(
        self, params: Params, first: Posterior, second: Posterior
    ) -> tuple[jax.Array, codebook_lib.PairPrediction]:
        """Generators [S, L, D, D] and what the heads predict for pairs, [P, D] each."""
        features = codebook_lib.pair_features(
            first, second, sigma2_from_mu=self.fidelity.sigma2_from_mu
        )
        return _apply(self.require_codebook(), params["codebook"], features)

    def require_codebook(self) -> Codebook:
        """The codebook; a ValueError for a baseline, which has none."""
        if self.codebook is None:
            raise ValueError("a baseline has no symmetry codebook")
        return self.codebook

    def switch(
        self,
        logits: jax.Array,
        gumbel: jax.Array,
        temperature: float | jax.Array = 1.0,
    ) -> jax.Array:
        """Switches of P pairs in training, [P, S]; see `codebook.switch`."""
        soft = self.fidelity.soft_noisy_switch
        return codebook_lib.switch(
            logits,
            gumbel,
            temperature=_PUBLISHED_TEMPERATURE if soft else temperature,
            straight_through=not soft,
        )

    def loss(
        self,
        params: Params,
        images: jax.Array,
        noise: Noise,
        hyper: Hyper,
        progress: Progress | None = None,
        axis_name: str | None = None,
    ) -> tuple[jax.Array, Terms]:
        """The loss of a batch.

        Args:
            params: see `init`.
            images: in [0, 1], [B, H, W, C]; halves are the pairs' samples.
            noise: see `Noise`.
            hyper: see `Hyper`.
            progress: see `Progress`; by default that before the first step.
            axis_name: device axis over which the batch is shared out; the mean over
                devices of the result is then the loss of the global batch.

        Returns:
            The weighted total, and each term without its weight. Some terms are only
            logged, such as a KL divergence that the objective takes apart.
        """
        chex.assert_rank(images, 4)
        progress = progress or arguments.start()
        mu, logvar, features = _apply(
            self.encoder, params["encoder"], images, method="with_features"
        )
        posterior = Posterior(mu, logvar)
        z = posterior.sample(noise.eps)
        code = self._code(params, z)
        seen = Seen(
            posterior, z, features, code, params, noise, hyper, progress, axis_name
        )
        terms, weights = self.base.terms(seen)
        carried = None
        if self.codebook is not None:
            carried = self._carry(seen)
            terms, weights = terms | carried.terms, weights | _symmetry_weights(hyper)
        reconstruction = self._reconstructions(seen, images, carried)
        terms |= reconstruction.terms
        weights |= reconstruction.weights
        weighted = [weight * terms[name] for name, weight in weights.items()]
        return sum(weighted, start=jnp.zeros(())), terms

    def _code(self, params: Params, z: jax.Array) -> jax.Array:
        """What the decoder reads for z."""
        code: jax.Array = _apply(self.decoder, params["decoder"], z, method="code")
        return code

    def _reconstructions(
        self, seen: Seen, images: jax.Array, carried: Carried | None
    ) -> Weighted:
        """The images again, from their own latents and from their partners'."""
        params, read = seen.params, seen.code
        if seen.features is not None:
            instead = seen.noise.coin < seen.hyper.feature_probability
            read = jnp.where(instead, seen.features, seen.code)
        has_features = seen.features is not None
        again = has_features and self.fidelity.lie_decoder_not_equivariant
        B = len(images)
        if carried is not None and not again:
            # One call of the decoder for both: larger products.
            read = jnp.concatenate([read, self._code(params, carried.z)])
        logits = _apply(self.decoder, params["decoder"], read, method="read")
        terms = {"reconstruction": self._reconstruction(logits[:B], images)}
        weights: dict[str, chex.Numeric] = {"reconstruction": 1.0}
        if carried is not None:
            terms["decoder_equivariance"] = (
                terms["reconstruction"]
                if again
                else self._reconstruction(logits[B:], images)
            )
            weights["decoder_equivariance"] = seen.hyper.epsilon
        return Weighted(terms, weights)

    def _reconstruction(self, logits: jax.Array, images: jax.Array) -> jax.Array:
        return elbo.reconstruction(logits, images, self.likelihood).mean()

    def _carry(self, seen: Seen) -> Carried:
        """Each pair's composite symmetry, and what it says about the codebook."""
        first, second = (Posterior(*half) for half in _halves(seen.posterior))
        z1, z2 = jnp.split(seen.z, 2)
        hyper, noise, fidelity = seen.hyper, seen.noise, self.fidelity
        generators, prediction = self.read_pairs(seen.params, first, second)
        compared = (z1, z2) if fidelity.targets_from_sample else (first.mu, second.mu)
        changed = jnp.abs(compared[0] - compared[1]) > hyper.threshold
        sw = self.switch(prediction.logits, noise.gumbel, hyper.temperature)
        M = codebook_lib.composite(generators, sw, prediction.attention)
        forth, back = symmetry.carry(z1, z2, M)
        delta = codebook_lib.displacement(generators, seen.z)
        commutator = (
            symmetry.commutator_official
            if fidelity.commutator_memory_order
            else symmetry.commutator
        )
        factor_prediction = (
            symmetry.factor_prediction_official
            if fidelity.double_softmax
            else symmetry.factor_prediction
        )
        terms = {
            "parallel": symmetry.parallel(delta, seen.axis_name),
            "perpendicular": symmetry.perpendicular(
                delta, noise.element, seen.axis_name
            ),
            "commutator": commutator(generators),
            "sparsity": symmetry.sparsity(delta),
            "factor_prediction": factor_prediction(prediction.logits, changed),
            "encoder_equivariance": symmetry.carried_error(z1, z2, forth, back),
        }
        return Carried(terms, jnp.concatenate([back, forth]))


def _apply(
    module: nn.Module, params: Params, *inputs: jax.Array, method: str | None = None
) -> Any:
    """Run a Flax module on its own parameters."""
    return module.apply({"params": params}, *inputs, method=method)


def _halves(posterior: Posterior) -> list[tuple[jax.Array, jax.Array]]:
    """Mean and log-variance of the pairs' first and of their second samples."""
    return list(zip(*(jnp.split(x, 2) for x in posterior), strict=True))


def _symmetry_weights(hyper: Hyper) -> dict[str, chex.Numeric]:
    biases = ("parallel", "perpendicular", "commutator", "sparsity")
    return {
        **dict.fromkeys(biases, hyper.alpha),
        "factor_prediction": hyper.gamma,
        "encoder_equivariance": hyper.lamb,
    }
