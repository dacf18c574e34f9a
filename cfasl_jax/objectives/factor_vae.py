"""FactorVAE."""

import dataclasses
from collections.abc import Mapping

import chex
import jax
import jax.numpy as jnp
import optax

from cfasl_jax.losses import density_ratio
from cfasl_jax.models.discriminator import Discriminator
from cfasl_jax.objectives.base import (
    Base,
    Batch,
    Entry,
    Losses,
    NetworkPath,
    Term,
    apply,
)
from cfasl_jax.settings import Hyper
from cfasl_jax.types import Params


@dataclasses.dataclass(frozen=True)
class FactorVAE(Base):
    """KL + gamma TC, where a discriminator estimates TC (Kim & Mnih, ICML 2018).

    VAE and discriminator are updated from the same batch: its latents are shuffled,
    whereas Kim & Mnih draw a second batch for that.

    Attributes:
        discriminator: maps z [B, D] to logits [B].
    """

    discriminator: Discriminator

    def losses(self, batch: Batch) -> Losses:
        """KL, TC as estimated by the discriminator, and the discriminator's loss."""
        params = batch.params["discriminator"]
        # The VAE's loss sends no gradient to the discriminator, nor the discriminator's
        # to the VAE, so that one backward pass of their sum trains both.
        fixed = jax.lax.stop_gradient(params)
        z = jax.lax.stop_gradient(batch.z)
        shuffled = density_ratio.shuffle(z, batch.noise.permutation, batch.axis_name)
        return {
            "kl": Term(batch.kl(), 1.0),
            "tc": Term(
                density_ratio.total_correlation(self._logit(fixed, batch.z)),
                batch.hyper.factor.gamma,
            ),
            "discriminator": Term(
                density_ratio.discriminator_loss(
                    self._logit(params, z), self._logit(params, shuffled)
                ),
                1.0,
            ),
        }

    def init(self, key: jax.Array, latent_dim: int) -> Params:
        """Parameters of the discriminator."""
        params = self.discriminator.init(key, jnp.zeros((1, latent_dim)))["params"]
        return {"discriminator": params}

    def optimizers(self) -> Mapping[str, optax.GradientTransformation]:
        """The discriminator has an optimiser of its own.

        Its gradient is neither clipped nor counted in the norm of the others, and its
        Adam has shorter averages (Kim & Mnih 2018).
        """
        return {"discriminator": optax.scale_by_adam(b1=0.5, b2=0.9, eps=1e-8)}

    def learning_rates(self, hyper: Hyper) -> Mapping[NetworkPath, chex.Numeric]:
        """Learning rate of the discriminator."""
        return {("discriminator",): hyper.factor.learning_rate}

    def _logit(self, params: Params, z: jax.Array) -> jax.Array:
        logit: jax.Array = apply(self.discriminator, params, z)
        chex.assert_rank(logit, 1)
        return logit


FACTOR_VAE = Entry(
    name="factor_vae",
    label="FactorVAE",
    reference="Kim & Mnih 2018",
    fields=("factor",),
    make=lambda config, spec: FactorVAE(Discriminator()),
)
