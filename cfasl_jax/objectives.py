"""What is minimised: a base objective, alone or with CFASL, behind one signature.

An `Objective` bundles Flax modules and choices that are fixed for a run; all arrays
are arguments. Hyperparameters that a sweep varies are traced, so that one compiled
program serves every setting; noise is an argument too, so that a loss is a pure
function that an independent implementation can be held against.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from cfasl_jax import codebook as codebook_lib
from cfasl_jax.codebook import Codebook
from cfasl_jax.config import Config, Fidelity
from cfasl_jax.losses import elbo, symmetry
from cfasl_jax.models import vae
from cfasl_jax.types import Likelihood, Params, Posterior, Terms

_PUBLISHED_TEMPERATURE = 1e-4

_Loss = Callable[..., jax.Array]


class Hyper(NamedTuple):
    """Traced hyperparameters, a scalar each a run; names as in configs/default.py."""

    beta: chex.Numeric
    alpha: chex.Numeric
    gamma: chex.Numeric
    lamb: chex.Numeric
    epsilon: chex.Numeric
    threshold: chex.Numeric
    temperature: chex.Numeric
    learning_rate: chex.Numeric
    codebook_learning_rate: chex.Numeric


class Noise(NamedTuple):
    """All that is random in one step.

    Attributes:
        eps: standard normal, of the posterior's sample, [B, D].
        gumbel: standard Gumbel, of the switch, [P, S, 2].
        element: the element that perpendicular looks at in each section, int [S].
    """

    eps: jax.Array
    gumbel: jax.Array
    element: jax.Array


@dataclasses.dataclass(frozen=True)
class Objective:
    """Networks and loss of one run; hashable, so that it can be a static argument.

    Attributes:
        encoder: images [B, H, W, C] -> (mu, logvar), each [B, D].
        decoder: z [B, D] -> logits [B, H, W, C].
        codebook: the symmetry codebook, or None for a baseline.
        likelihood: of the pixels, see `elbo.reconstruction`.
        fidelity: which departures of the published code are reproduced.
    """

    encoder: vae.Encoder
    decoder: vae.Decoder
    codebook: Codebook | None
    likelihood: Likelihood
    fidelity: Fidelity

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
        keys = jax.random.split(key, 3)
        image, z = jnp.zeros((1, *image_shape)), jnp.zeros((1, D))
        params = {
            "encoder": self.encoder.init(keys[0], image)["params"],
            "decoder": self.decoder.init(keys[1], z)["params"],
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
        axis_name: str | None = None,
    ) -> tuple[jax.Array, Terms]:
        """The loss of a batch.

        Args:
            params: see `init`.
            images: in [0, 1], [B, H, W, C]; halves are the pairs' samples.
            noise: see `Noise`.
            hyper: see `Hyper`.
            axis_name: device axis over which the batch is shared out; the mean over
                devices of the result is then the loss of the global batch.

        Returns:
            The weighted total, and each term without its weight.
        """
        chex.assert_rank(images, 4)
        posterior = self.encode(params, images)
        z = posterior.sample(noise.eps)
        terms: Terms = {}
        weights: dict[str, chex.Numeric] = {"reconstruction": 1.0, "kl": hyper.beta}
        decoded_from = z
        if self.codebook is not None:
            terms, carried = self._symmetry(
                params, posterior, z, noise, hyper, axis_name
            )
            weights |= _symmetry_weights(hyper)
            # One call of the decoder for both reconstructions: larger products.
            decoded_from = jnp.concatenate([z, carried])
        logits = self.decode(params, decoded_from)
        B = images.shape[0]
        terms["reconstruction"] = self._reconstruction(logits[:B], images)
        terms["kl"] = elbo.kl(*posterior).mean()
        if self.codebook is not None:
            terms["decoder_equivariance"] = self._reconstruction(logits[B:], images)
        weighted = [weights[name] * term for name, term in terms.items()]
        return sum(weighted, start=jnp.zeros(())), terms

    def _reconstruction(self, logits: jax.Array, images: jax.Array) -> jax.Array:
        return elbo.reconstruction(logits, images, self.likelihood).mean()

    def _symmetry(
        self,
        params: Params,
        posterior: Posterior,
        z: jax.Array,
        noise: Noise,
        hyper: Hyper,
        axis_name: str | None,
    ) -> tuple[Terms, jax.Array]:
        """CFASL's terms but the decoder's, and the latents it decodes, [B, D]."""
        first, second = (Posterior(*half) for half in _halves(posterior))
        z1, z2 = jnp.split(z, 2)
        generators, prediction = self.read_pairs(params, first, second)
        fidelity = self.fidelity
        compared = (z1, z2) if fidelity.targets_from_sample else (first.mu, second.mu)
        changed = jnp.abs(compared[0] - compared[1]) > hyper.threshold
        sw = self.switch(prediction.logits, noise.gumbel, hyper.temperature)
        M = codebook_lib.composite(generators, sw, prediction.attention)
        forth, back = symmetry.carry(z1, z2, M)
        delta = codebook_lib.displacement(generators, z)
        terms = {
            "parallel": symmetry.parallel(delta, axis_name),
            "perpendicular": symmetry.perpendicular(delta, noise.element, axis_name),
            "commutator": _either(
                fidelity.commutator_memory_order,
                symmetry.commutator_official,
                symmetry.commutator,
            )(generators),
            "sparsity": symmetry.sparsity(delta),
            "factor_prediction": _either(
                fidelity.double_softmax,
                symmetry.factor_prediction_official,
                symmetry.factor_prediction,
            )(prediction.logits, changed),
            "encoder_equivariance": symmetry.carried_error(z1, z2, forth, back),
        }
        return terms, jnp.concatenate([back, forth])


def _apply(module: nn.Module, params: Params, *inputs: jax.Array) -> Any:
    """Run a Flax module on its own parameters."""
    return module.apply({"params": params}, *inputs)


def _either(official: bool, published: _Loss, intended: _Loss) -> _Loss:
    return published if official else intended


def _halves(posterior: Posterior) -> list[tuple[jax.Array, jax.Array]]:
    """Mean and log-variance of the pairs' first and of their second samples."""
    return list(zip(*(jnp.split(x, 2) for x in posterior), strict=True))


def _symmetry_weights(hyper: Hyper) -> dict[str, chex.Numeric]:
    biases = ("parallel", "perpendicular", "commutator", "sparsity")
    return {
        **dict.fromkeys(biases, hyper.alpha),
        "factor_prediction": hyper.gamma,
        "encoder_equivariance": hyper.lamb,
        "decoder_equivariance": hyper.epsilon,
    }


def build(config: Config, channels: int, likelihood: Likelihood) -> Objective:
    """The objective that a configuration asks for, for images of C channels."""
    published = config.fidelity.published_init
    bias_init = vae.zero_bias
    if published:
        bias_init = vae.unit_bias if config.cfasl else vae.fan_in_bias
    codebook = None
    if config.cfasl:
        codebook = Codebook(
            latent_dim=config.latent_dim,
            elements=config.codebook.elements,
            scale=1.0 if published else config.codebook.scale,
            bias_init=bias_init(4 * config.latent_dim),
        )
    return Objective(
        encoder=vae.Encoder(config.hidden, config.latent_dim, bias_init),
        decoder=vae.Decoder(config.hidden, channels, bias_init),
        codebook=codebook,
        likelihood=likelihood,
        fidelity=config.fidelity,
    )


def hyper(config: Config) -> Hyper:
    """The hyperparameters that are traced, as float32 scalars."""
    values = Hyper(
        beta=config.beta,
        alpha=config.weights.alpha,
        gamma=config.weights.gamma,
        lamb=config.weights.lamb,
        epsilon=config.weights.epsilon,
        threshold=config.threshold,
        temperature=config.codebook.temperature,
        learning_rate=config.learning_rate,
        codebook_learning_rate=config.codebook.learning_rate,
    )
    return jax.tree.map(jnp.float32, values)
