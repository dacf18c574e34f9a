"""Shapes, sizes, initialisers and values of the encoder and the decoder."""

import functools
import itertools
from collections.abc import Callable

import chex
import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cfasl_jax.models.vae import (
    ConvFeatures,
    Decoder,
    Encoder,
    fan_in_bias,
    unit_bias,
    zero_bias,
)

D = 3
HIDDEN = 16


def images(n: int, channels: int = 1) -> chex.Array:
    return jax.random.uniform(jax.random.key(9), (n, 64, 64, channels))


@functools.cache
def encoder_params() -> chex.ArrayTree:
    return jax.jit(Encoder(HIDDEN, D).init)(jax.random.key(0), images(1))["params"]


@functools.cache
def decoder_params() -> chex.ArrayTree:
    return jax.jit(Decoder(HIDDEN, 1).init)(jax.random.key(1), jnp.ones((1, D)))[
        "params"
    ]


@functools.cache
def encode() -> Callable:
    encoder = Encoder(HIDDEN, D)
    return jax.jit(lambda x: encoder.apply({"params": encoder_params()}, x))


@functools.cache
def decode() -> Callable:
    decoder = Decoder(HIDDEN, 1)
    return jax.jit(lambda z: decoder.apply({"params": decoder_params()}, z))


def size(params: chex.ArrayTree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_and_parameter_counts(channels: int):
    key = jax.random.key(0)
    encoder, decoder = Encoder(HIDDEN, D), Decoder(HIDDEN, channels)
    x, z = jnp.ones((2, 64, 64, channels)), jnp.ones((2, D))
    (mu, logvar), encoder_vars = jax.eval_shape(encoder.init_with_output, key, x)
    logits, decoder_vars = jax.eval_shape(decoder.init_with_output, key, z)
    assert mu.shape == logvar.shape == (2, D)
    assert logits.shape == (2, 64, 64, channels)
    leaves = jax.tree.leaves((encoder_vars, decoder_vars, mu, logvar, logits))
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype("float32")}

    def count(widths: list[int], taps: int) -> int:
        return sum(taps * i * o + o for i, o in itertools.pairwise(widths))

    convs = count([channels, 32, 32, 64, 64], 16)
    heads = 2 * (HIDDEN * D + D)
    assert size(encoder_vars) == convs + count([2 * 2 * 64, HIDDEN], 1) + heads
    transposed = count([64, 64, 32, 32, channels], 16)
    assert size(decoder_vars) == transposed + count([D, HIDDEN, 4 * 4 * 64], 1)


def test_parameters_are_a_plain_nested_dict():
    params = encoder_params()
    assert type(params) is dict
    assert set(params) == {"features", "hidden", "mu", "logvar"}
    assert set(params["features"]) == {f"conv_{i}" for i in range(4)}
    assert set(params["features"]["conv_0"]) == {"kernel", "bias"}


def test_weights_fill_the_xavier_interval_and_biases_are_zero():
    both = {"encoder": encoder_params(), "decoder": decoder_params()}
    for path, leaf in flax.traverse_util.flatten_dict(both).items():
        if path[-1] == "bias":
            np.testing.assert_array_equal(leaf, 0)
            continue
        taps = 16 if leaf.ndim == 4 else 1
        bound = np.sqrt(6 / (taps * (leaf.shape[-2] + leaf.shape[-1])))
        assert np.abs(leaf).max() <= bound, path
        assert np.abs(leaf).max() > 0.8 * bound, path
        np.testing.assert_allclose(leaf.std(), bound / np.sqrt(3), rtol=0.25)


# PyTorch's fan-in of each bias: 16 I of a convolution, 16 O of a transposed one.
ENCODER_FAN_IN = {
    "conv_0": 16 * 3,
    "conv_1": 16 * 32,
    "conv_2": 16 * 32,
    "conv_3": 1024,
}
DECODER_FAN_IN = {
    "conv_0": 1024,
    "conv_1": 16 * 32,
    "conv_2": 16 * 32,
    "conv_3": 16 * 3,
}


def test_bias_initialisers_get_the_layer_s_fan_in():
    seen: list[int] = []

    def spy(fan_in: int) -> Callable:
        seen.append(fan_in)
        return zero_bias(fan_in)

    key = jax.random.key(0)
    jax.eval_shape(Encoder(HIDDEN, D, bias_init=spy).init, key, images(1, 3))
    assert seen == [*ENCODER_FAN_IN.values(), 256, HIDDEN, HIDDEN]
    seen.clear()
    jax.eval_shape(Decoder(HIDDEN, 3, bias_init=spy).init, key, jnp.ones((1, D)))
    assert seen == [D, HIDDEN, *DECODER_FAN_IN.values()]


def test_bias_initialisers_draw_from_their_intervals():
    key, shape = jax.random.key(0), (4000,)
    draws = fan_in_bias(25)(key, shape, jnp.float32)
    assert -0.2 <= draws.min() < -0.19
    assert 0.19 < draws.max() <= 0.2
    draws = unit_bias(25)(key, shape, jnp.float32)
    assert 0 <= draws.min() < 0.01
    assert 0.99 < draws.max() <= 1
    np.testing.assert_array_equal(zero_bias(25)(key, shape, jnp.float32), 0)


def test_both_forms_give_the_same_values_and_gradients():
    x = images(2)

    def gradients(form: str) -> chex.ArrayTree:
        encoder = Encoder(HIDDEN, D, form=form)
        decoder = Decoder(HIDDEN, 1, form=form)

        def loss(params: tuple[chex.ArrayTree, chex.ArrayTree]) -> chex.Array:
            mu, logvar = encoder.apply({"params": params[0]}, x)
            logits = decoder.apply({"params": params[1]}, mu + logvar)
            return jnp.mean(jnp.square(logits - x))

        return jax.jit(jax.value_and_grad(loss))((encoder_params(), decoder_params()))

    chex.assert_trees_all_close(
        gradients("matmul"), gradients("lax"), rtol=1e-3, atol=1e-6
    )


def test_jit_equals_no_jit():
    x = images(3)
    plain = Encoder(HIDDEN, D).apply({"params": encoder_params()}, x)
    chex.assert_trees_all_close(plain, encode()(x), rtol=1e-4, atol=1e-5)


def test_samples_do_not_mix():
    x, z = images(3), jax.random.normal(jax.random.key(1), (3, D))
    others = jnp.array([2, 1, 0])
    mu, logvar = encode()(x)
    chex.assert_trees_all_close(
        encode()(x[others]), (mu[others], logvar[others]), rtol=1e-4, atol=1e-5
    )
    logits = decode()(z)
    assert jnp.abs(logits[0] - logits[2]).max() > 1e-3
    np.testing.assert_allclose(
        decode()(z[others]), logits[others], rtol=1e-4, atol=1e-5
    )


def test_heads_are_linear_in_the_features():
    """No activation between the convolutions' features and mu, logvar."""
    x, params = images(3), encoder_params()
    features = ConvFeatures().apply({"params": params["features"]}, x)
    assert features.shape == (3, 256)
    assert features.min() >= 0
    kernel = {
        name: params[name]["affine"]["kernel"] for name in ("hidden", "mu", "logvar")
    }
    hidden = np.asarray(features) @ kernel["hidden"]
    mu, logvar = encode()(x)
    np.testing.assert_allclose(mu, hidden @ kernel["mu"], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(logvar, hidden @ kernel["logvar"], rtol=1e-3, atol=1e-5)


def test_refuses_images_of_another_size():
    with pytest.raises(AssertionError):
        Encoder(HIDDEN, D).init(jax.random.key(0), jnp.zeros((1, 32, 32, 1)))
