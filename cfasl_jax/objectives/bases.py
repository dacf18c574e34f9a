"""The base objectives: what each adds to the reconstruction loss.

A base objective sees the posterior of a batch and returns its terms with their weights.
CFASL's terms come on top of any of them, in `objective`.
"""

import dataclasses
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from cfasl_jax.losses import control, density_ratio, dip, elbo, lie, total_correlation
from cfasl_jax.losses.control import Controller
from cfasl_jax.models.discriminator import Discriminator
from cfasl_jax.objectives.arguments import Hyper, Noise, Progress
from cfasl_jax.types import Params, Posterior, Terms

Weights = dict[str, chex.Numeric]


class Seen(NamedTuple):
    """What a base objective sees of a batch.

    Attributes:
        posterior: of the images, [B, D].
        z: its sample, [B, D].
        features: CLG-VAE's, of the encoder, [B, m^2]; None for the others.
        code: what the decoder reads for z: z, or CLG-VAE's matrix, [B, m^2].
        params: of all networks.
        noise: see `Noise`.
        hyper: see `Hyper`.
        progress: see `Progress`.
        axis_name: device axis over which the batch is shared out, or None.
    """

    posterior: Posterior
    z: jax.Array
    features: jax.Array | None
    code: jax.Array
    params: Params
    noise: Noise
    hyper: Hyper
    progress: Progress
    axis_name: str | None

    def kl(self) -> jax.Array:
        """Mean KL divergence of this device's samples, []."""
        return elbo.kl(*self.posterior).mean()

    def global_kl(self) -> jax.Array:
        """Mean KL divergence of the global batch, []."""
        kl = self.kl()
        return kl if self.axis_name is None else jax.lax.pmean(kl, self.axis_name)


class Weighted(NamedTuple):
    """Terms, and the weights of those that enter the total; the others are logged."""

    terms: Terms
    weights: Weights


@dataclasses.dataclass(frozen=True)
class Base:
    """A base objective. Most have no parameters and no memory of their own."""

    def init(self, key: jax.Array, latent_dim: int) -> Params:
        """Parameters of networks beyond encoder and decoder, an entry a network."""
        del key, latent_dim
        return {}

    def terms(self, seen: Seen) -> Weighted:
        """All terms but the reconstruction's."""
        raise NotImplementedError

    def advance(self, progress: Progress, kl: jax.Array, hyper: Hyper) -> Controller:
        """The controller after a step with this KL of the global batch, []."""
        del kl, hyper
        return progress.controller


@dataclasses.dataclass(frozen=True)
class BetaVAE(Base):
    """beta KL (Higgins et al., ICLR 2017)."""

    def terms(self, seen: Seen) -> Weighted:
        """KL."""
        return Weighted({"kl": seen.kl()}, {"kl": seen.hyper.beta})


@dataclasses.dataclass(frozen=True)
class BetaTCVAE(Base):
    """MI + beta TC + dimension-wise KL (Chen et al., NeurIPS 2018).

    Attributes:
        dataset_size: N.
        official: whether the weights are those of the published code.
    """

    dataset_size: int
    official: bool = False

    def terms(self, seen: Seen) -> Weighted:
        """MI, TC and dimension-wise KL; the KL itself is only logged."""
        decompose = (
            total_correlation.decompose_official
            if self.official
            else total_correlation.decompose
        )
        parts = decompose(seen.z, *seen.posterior, self.dataset_size, seen.axis_name)
        return Weighted(
            {"kl": seen.kl(), **parts._asdict()},
            {"mi": 1.0, "tc": seen.hyper.beta, "dwkl": 1.0},
        )


@dataclasses.dataclass(frozen=True)
class ControlVAE(Base):
    """beta_t KL, with beta_t from a controller (Shao et al., ICML 2020).

    Attributes:
        official: whether the controller is that of the published code, which never
            integrates and is differentiated through. That its set point moves in
            evaluation too has no counterpart here, where nothing is evaluated between
            steps.
    """

    official: bool = False

    def terms(self, seen: Seen) -> Weighted:
        """KL, weighted by the controller's beta, which is logged beside it."""
        error = _control_error(seen.progress, seen.global_kl(), seen.hyper)
        gains = seen.hyper.gains
        if self.official:
            beta = control.proportional(error, gains)
        else:
            error = jax.lax.stop_gradient(error)
            _, beta = control.advance(seen.progress.controller, error, gains)
        return Weighted({"kl": seen.kl(), "beta": beta}, {"kl": beta})

    def advance(self, progress: Progress, kl: jax.Array, hyper: Hyper) -> Controller:
        """The PI controller's step; the published one never changes."""
        if self.official:
            return progress.controller
        error = _control_error(progress, kl, hyper)
        return control.advance(progress.controller, error, hyper.gains)[0]


def _control_error(progress: Progress, kl: jax.Array, hyper: Hyper) -> jax.Array:
    target = control.set_point(progress.step, hyper.ramp_steps, hyper.capacity)
    return target - kl


@dataclasses.dataclass(frozen=True)
class CLGVAE(Base):
    """KL, and generators of the decoder's group that commute (Zhu et al., ICML 2021).

    Attributes:
        official: whether the commutator is that of the published code.
    """

    official: bool = False

    def terms(self, seen: Seen) -> Weighted:
        """KL, the generators' two losses and the features' error."""
        generators = seen.params["decoder"]["generators"]
        commutator = lie.commutator_official if self.official else lie.commutator
        if seen.features is None:
            raise ValueError("CLG-VAE needs an encoder with features: models.lie_vae")
        return Weighted(
            {
                "kl": seen.kl(),
                "hessian": lie.hessian(generators),
                "lie_commutator": commutator(generators),
                "features": lie.feature_error(seen.features, seen.code),
            },
            {
                "kl": 1.0,
                "hessian": seen.hyper.hessian,
                "lie_commutator": seen.hyper.lie_commutator,
                "features": seen.hyper.feature_weight,
            },
        )


@dataclasses.dataclass(frozen=True)
class FactorVAE(Base):
    """KL + gamma TC, by a discriminator trained beside (Kim & Mnih, ICML 2018).

    Both are updated from the same batch, whose latents are shuffled where Kim & Mnih
    draw a second batch.

    Attributes:
        discriminator: z [B, D] -> logit [B].
    """

    discriminator: Discriminator

    def init(self, key: jax.Array, latent_dim: int) -> Params:
        """The discriminator's."""
        params = self.discriminator.init(key, jnp.zeros((1, latent_dim)))["params"]
        return {"discriminator": params}

    def terms(self, seen: Seen) -> Weighted:
        """KL, TC by the discriminator, and the discriminator's own loss."""
        params = seen.params["discriminator"]
        # Neither player moves the other's parameters: one gradient serves both.
        fixed = jax.lax.stop_gradient(params)
        z = jax.lax.stop_gradient(seen.z)
        shuffled = density_ratio.shuffle(z, seen.noise.permutation, seen.axis_name)
        return Weighted(
            {
                "kl": seen.kl(),
                "tc": density_ratio.total_correlation(self._logit(fixed, seen.z)),
                "discriminator": density_ratio.discriminator_loss(
                    self._logit(params, z), self._logit(params, shuffled)
                ),
            },
            {"kl": 1.0, "tc": seen.hyper.factor_gamma, "discriminator": 1.0},
        )

    def _logit(self, params: Params, z: jax.Array) -> jax.Array:
        logit = self.discriminator.apply({"params": params}, z)
        chex.assert_rank(logit, 1)
        return jnp.asarray(logit)


@dataclasses.dataclass(frozen=True)
class DIPVAE(Base):
    """KL, and a covariance of latents near the identity (Kumar et al., ICLR 2018).

    Attributes:
        of_samples: DIP-VAE II, the covariance of z; otherwise I, that of its mean.
    """

    of_samples: bool

    def terms(self, seen: Seen) -> Weighted:
        """KL, and the covariance's distance from the identity."""
        mu, logvar = seen.posterior
        penalties = (
            dip.of_samples(mu, logvar, seen.axis_name)
            if self.of_samples
            else dip.of_means(mu, seen.axis_name)
        )
        return Weighted(
            {"kl": seen.kl(), **penalties._asdict()},
            {
                "kl": 1.0,
                "off_diagonal": seen.hyper.lambda_od,
                "diagonal": seen.hyper.lambda_d,
            },
        )


@dataclasses.dataclass(frozen=True)
class AnnealedVAE(Base):
    """gamma |KL - C_t|, with a capacity that rises from 0 (Burgess et al., 2018)."""

    def terms(self, seen: Seen) -> Weighted:
        """The distance from the capacity; the KL itself is only logged."""
        hyper = seen.hyper
        share = jnp.minimum(seen.progress.step / hyper.ramp_steps, 1.0)
        gap = jnp.abs(seen.global_kl() - share * hyper.capacity)
        return Weighted(
            {"kl": seen.kl(), "capacity_gap": gap},
            {"capacity_gap": hyper.annealed_gamma},
        )
