"""The commutative Lie group VAE's networks (Zhu et al., ICML 2021) for 64x64 images.

A latent z becomes a matrix of the group, expm(sum_i z_i G_i), and the decoder reads
this matrix, flattened. The encoder's features have the same shape, so that the decoder
can read either of them. Shapes: n images, C channels, D latent dimensions, m = 10 rows
of a matrix.
"""

from typing import Literal

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn

from cfasl_jax.lie_group import Expm, group_element
from cfasl_jax.models.vae import BiasInit, ConvFeatures, Decoder, Dense, zero_bias

MATRIX_SIDE = 10
_HIDDEN = 256
_LATENT_HIDDEN = 400
_SMALL_SCALE = 1e-3

# How the generators start: near the identity, as Zhu et al. do, or Xavier-uniform.
GeneratorInit = Literal["small", "xavier"]


class LieEncoder(nn.Module):
    """q(z | x), computed from features that represent a matrix of the group."""

    latent_dim: int
    bias_init: BiasInit = zero_bias

    def setup(self) -> None:
        """Two dense layers to the features, then two networks to mu and logvar."""
        self.convolutions = ConvFeatures(self.bias_init)
        self.hidden = Dense(_HIDDEN, self.bias_init)
        self.matrix = Dense(MATRIX_SIDE**2, self.bias_init)
        self.mu_hidden = Dense(_LATENT_HIDDEN, self.bias_init)
        self.mu = Dense(self.latent_dim, self.bias_init)
        self.logvar_hidden = Dense(_LATENT_HIDDEN, self.bias_init)
        self.logvar = Dense(self.latent_dim, self.bias_init)

    def __call__(self, images: chex.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Maps images [n, 64, 64, C] in [0, 1] to mu and logvar, each [n, D].

        The third output are the features, in [0, 1], [n, m^2].
        """
        x = nn.relu(self.hidden(self.convolutions(images)))
        features = nn.sigmoid(self.matrix(x))
        mu = self.mu(nn.relu(self.mu_hidden(features)))
        logvar = self.logvar(nn.relu(self.logvar_hidden(features)))
        return mu, logvar, features


class LieDecoder(nn.Module):
    """p(x | z), computed from a matrix of the group."""

    latent_dim: int
    channels: int
    generator_init: GeneratorInit = "small"
    bias_init: BiasInit = zero_bias
    expm: Expm = "scipy"

    def setup(self) -> None:
        """The generators, and the plain VAE's decoder to read the matrix."""
        self.generators = self.param(
            "generators", self._initial, (self.latent_dim, MATRIX_SIDE, MATRIX_SIDE)
        )
        self.reader = Decoder(_HIDDEN, self.channels, self.bias_init)

    def __call__(self, z: chex.Array) -> jax.Array:
        """Maps z [n, D] to logits [n, 64, 64, C]; images are their sigmoid."""
        return self.read(self.code(z))

    def code(self, z: chex.Array) -> jax.Array:
        """expm(sum_i z_i G_i), flattened, [n, D] -> [n, m^2]."""
        chex.assert_shape(z, (None, self.latent_dim))
        algebra = jnp.einsum(
            "nd,dij->nij", z, self.generators, precision=jax.lax.Precision.HIGHEST
        )
        return group_element(algebra, self.expm).reshape(len(z), -1)

    def read(self, code: chex.Array) -> jax.Array:
        """Maps flattened matrices, or an encoder's features, [n, m^2] to logits."""
        return self.reader(code)

    def _initial(self, key: jax.Array, shape: tuple[int, int, int]) -> jax.Array:
        if self.generator_init == "small":
            return _SMALL_SCALE * jax.random.normal(key, shape)
        # The published code stores each generator as [1, m, m], which PyTorch takes for
        # a kernel with m inputs, one output and m positions.
        m = shape[-1]
        bound = (6 / (m * m + m)) ** 0.5
        return jax.random.uniform(key, shape, minval=-bound, maxval=bound)
