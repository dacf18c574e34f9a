"""The VAE's encoder and decoder for 64x64 images: Flax modules without losses.

The networks are those of the CFASL experiments (Jung et al., TMLR 2024), float32, with
Xavier-uniform weights. Shapes: n images, C channels, D latent dimensions.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import TypeAlias

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from cfasl_jax.models.conv import Form, conv, conv_transpose, default_form

IMAGE_SIZE = 64
_ENCODER_CHANNELS = (32, 32, 64, 64)
_DECODER_CHANNELS = (64, 32, 32)
_DECODER_START = (4, 4, 64)
_KERNEL = (4, 4)

Initializer: TypeAlias = Callable[..., jax.Array]  # of (key, shape, dtype)
# A bias initialiser, given the layer's fan-in as PyTorch counts it.
BiasInit: TypeAlias = Callable[[int], Initializer]


def zero_bias(fan_in: int) -> Initializer:
    """Biases of 0, whatever the fan-in."""
    del fan_in
    return nn.initializers.zeros


# Kept, so that two objectives of one configuration are equal and compiled once.
@functools.cache
def unit_bias(fan_in: int) -> Initializer:
    """Biases drawn from U(0, 1), whatever the fan-in."""
    del fan_in
    return nn.initializers.uniform(1.0)


@functools.cache
def fan_in_bias(fan_in: int) -> Initializer:
    """Biases drawn from U(-b, b), b = 1 / sqrt(fan_in): PyTorch's default."""
    bound = fan_in**-0.5

    def init(
        key: chex.PRNGKey, shape: Sequence[int], dtype: DTypeLike = jnp.float32
    ) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


class Dense(nn.Module):
    """A dense layer, [n, I] -> [n, features], with fan-in I."""

    features: int
    bias_init: BiasInit = zero_bias

    @nn.compact
    def __call__(self, x: chex.Array) -> chex.Array:
        """Maps x [n, I] to [n, features]."""
        chex.assert_rank(x, 2)
        return nn.Dense(
            self.features,
            kernel_init=nn.initializers.xavier_uniform(),
            bias_init=self.bias_init(x.shape[1]),
            name="affine",
        )(x)


class Conv(nn.Module):
    """A 4x4 convolution with stride 2, or its transpose, and a bias.

    The Xavier bound sqrt(6 / (16 I + 16 O)) of I input and O output channels is the
    same for both. The fan-in that sets the bias is not: PyTorch takes it from the
    second axis of its weight, which gives 16 I for a convolution, [O, I, 4, 4], and
    16 O for a transposed one, [I, O, 4, 4].
    """

    features: int
    transpose: bool = False
    bias_init: BiasInit = zero_bias
    form: Form = dataclasses.field(default_factory=default_form)

    @nn.compact
    def __call__(self, x: chex.Array) -> chex.Array:
        """Maps x [n, h, w, I] to [n, h', w', features]."""
        channels = x.shape[-1]
        shape = (*_KERNEL, channels, self.features)
        kernel = self.param("kernel", nn.initializers.xavier_uniform(), shape)
        fan_in = 16 * (self.features if self.transpose else channels)
        bias = self.param("bias", self.bias_init(fan_in), (self.features,))
        apply = conv_transpose if self.transpose else conv
        return apply(x, kernel, self.form) + bias.reshape(1, 1, 1, -1)


class ConvFeatures(nn.Module):
    """The encoder's four convolutions: 64 -> 31 -> 14 -> 6 -> 2 pixels, 64 channels."""

    bias_init: BiasInit = zero_bias
    form: Form = dataclasses.field(default_factory=default_form)

    @nn.compact
    def __call__(self, images: chex.Array) -> chex.Array:
        """Maps images [n, 64, 64, C] in [0, 1] to features [n, 256]."""
        chex.assert_shape(images, (None, IMAGE_SIZE, IMAGE_SIZE, None))
        x = images
        for i, features in enumerate(_ENCODER_CHANNELS):
            layer = Conv(features, False, self.bias_init, self.form, name=f"conv_{i}")
            x = nn.relu(layer(x))
        return x.reshape(x.shape[0], -1)


class Encoder(nn.Module):
    """q(z | x): convolutions, a dense layer without activation, and two heads."""

    hidden: int
    latent_dim: int
    bias_init: BiasInit = zero_bias
    form: Form = dataclasses.field(default_factory=default_form)

    @nn.compact
    def __call__(self, images: chex.Array) -> tuple[chex.Array, chex.Array]:
        """Maps images [n, 64, 64, C] in [0, 1] to mu and logvar, each [n, D]."""
        x = ConvFeatures(self.bias_init, self.form, name="features")(images)
        x = Dense(self.hidden, self.bias_init, name="hidden")(x)
        mu = Dense(self.latent_dim, self.bias_init, name="mu")(x)
        logvar = Dense(self.latent_dim, self.bias_init, name="logvar")(x)
        return mu, logvar


class Decoder(nn.Module):
    """p(x | z): two dense layers, then four transposed convolutions from 4x4 pixels."""

    hidden: int
    channels: int
    bias_init: BiasInit = zero_bias
    form: Form = dataclasses.field(default_factory=default_form)

    @nn.compact
    def __call__(self, z: chex.Array) -> chex.Array:
        """Maps z [n, D] to logits [n, 64, 64, C]; images are their sigmoid."""
        height, width, channels = _DECODER_START
        x = nn.relu(Dense(self.hidden, self.bias_init, name="hidden")(z))
        x = Dense(height * width * channels, self.bias_init, name="start")(x)
        x = x.reshape(-1, height, width, channels)
        for i, features in enumerate((*_DECODER_CHANNELS, self.channels)):
            layer = Conv(features, True, self.bias_init, self.form, name=f"conv_{i}")
            x = layer(nn.relu(x))
        return x
