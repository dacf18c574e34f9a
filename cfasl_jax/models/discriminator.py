"""FactorVAE's discriminator (Kim & Mnih, ICML 2018)."""

import chex
import jax
from flax import linen as nn

from cfasl_jax.models.vae import Dense

_SLOPE = 0.2


class Discriminator(nn.Module):
    """Tells latents of the aggregate posterior from those with shuffled dimensions.

    Attributes:
        layers: dense layers with leaky ReLU.
        hidden: width of these layers.
    """

    layers: int = 6
    hidden: int = 1_000

    @nn.compact
    def __call__(self, z: chex.Array) -> jax.Array:
        """Maps z [n, D] to the logit of "from the aggregate posterior", [n]."""
        for _ in range(self.layers):
            z = nn.leaky_relu(Dense(self.hidden)(z), _SLOPE)
        return Dense(1)(z)[:, 0]
