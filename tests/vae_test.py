"""Shapes, sizes, initialisers and values of the encoder and the decoder."""

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


def init(module: flax.linen.Module, x: chex.Array, seed: int = 0) -> chex.ArrayTree:
    return jax.jit(module.init)(jax.random.key(seed), x)["params"]


def size(params: chex.ArrayTree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def images(n: int, channels: int) -> chex.Array:
    return jax.random.uniform(jax.random.key(9), (n, 64, 64, channels))


@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_and_parameter_counts(channels: int):
    encoder, decoder = Encoder(HIDDEN, D), Decoder(HIDDEN, channels)
    x, z = images(2, channels), jnp.ones((2, D))
    encoder_params, decoder_params = init(encoder, x), init(decoder, z)
    mu, logvar = encoder.apply({"params": encoder_params}, x)
    chex.assert_shape([mu, logvar], (2, D))
    logits = decoder.apply({"params": decoder_params}, z)
    chex.assert_shape(logits, (2, 64, 64, channels))
    leaves = jax.tree.leaves((encoder_params, decoder_params, mu, logvar, logits))
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype("float32")}

    def count(widths: list[int], weights: int) -> int:
        pairs = zip(widths[:-1], widths[1:], strict=True)
        return sum(weights * i * o + o for i, o in pairs)

    convs = count([channels, 32, 32, 64, 64], 16)
    heads = 2 * (HIDDEN * D + D)
    assert size(encoder_params) == convs + count([2 * 2 * 64, HIDDEN], 1) + heads
    transposed = count([64, 64, 32, 32, channels], 16)
    assert size(decoder_params) == transposed + count([D, HIDDEN, 4 * 4 * 64], 1)


def test_parameters_are_a_plain_nested_dict():
    params = init(Encoder(HIDDEN, D), images(1, 1))
    assert type(params) is dict
    assert set(params) == {"features", "hidden", "mu", "logvar"}
    assert set(params["features"]) == {f"conv_{i}" for i in range(4)}
    assert set(params["features"]["conv_0"]) == {"kernel", "bias"}


def test_weights_fill_the_xavier_interval_and_biases_are_zero():
    params = init(Decoder(HIDDEN, 1), jnp.ones((1, D)))
    for path, leaf in flax.traverse_util.flatten_dict(params).items():
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

    init(Encoder(HIDDEN, D, bias_init=spy), images(1, 3))
    assert seen == [*ENCODER_FAN_IN.values(), 256, HIDDEN, HIDDEN]
    seen.clear()
    init(Decoder(HIDDEN, 3, bias_init=spy), jnp.ones((1, D)))
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
    x = images(2, 3)
    params = init(Encoder(HIDDEN, D, form="lax"), x)
    decoder_params = init(Decoder(HIDDEN, 3, form="lax"), jnp.ones((1, D)))

    def gradients(form: str) -> chex.ArrayTree:
        encoder = Encoder(HIDDEN, D, form=form)
        decoder = Decoder(HIDDEN, 3, form=form)

        def loss(params: chex.ArrayTree, decoder_params: chex.ArrayTree) -> chex.Array:
            mu, logvar = encoder.apply({"params": params}, x)
            logits = decoder.apply({"params": decoder_params}, mu + logvar)
            return jnp.mean(jnp.square(logits - x))

        return jax.jit(jax.value_and_grad(loss, (0, 1)))(params, decoder_params)

    chex.assert_trees_all_close(
        gradients("matmul"), gradients("lax"), rtol=1e-3, atol=1e-6
    )


def test_jit_equals_no_jit():
    encoder, x = Encoder(HIDDEN, D), images(2, 1)
    params = init(encoder, x)
    plain = encoder.apply({"params": params}, x)
    jitted = jax.jit(encoder.apply)({"params": params}, x)
    chex.assert_trees_all_close(plain, jitted, rtol=1e-4, atol=1e-5)


def test_samples_do_not_mix():
    encoder, decoder = Encoder(HIDDEN, D), Decoder(HIDDEN, 1)
    x, z = images(3, 1), jax.random.normal(jax.random.key(1), (3, D))
    encode, decode = jax.jit(encoder.apply), jax.jit(decoder.apply)
    variables = {"params": init(encoder, x)}
    np.testing.assert_allclose(
        encode(variables, x)[0][1:2], encode(variables, x[1:2])[0], rtol=1e-4, atol=1e-5
    )
    variables = {"params": init(decoder, z)}
    np.testing.assert_allclose(
        decode(variables, z)[1:2], decode(variables, z[1:2]), rtol=1e-4, atol=1e-5
    )


def test_heads_are_linear_in_the_features():
    """No activation between the convolutions' features and mu, logvar."""
    encoder, x = Encoder(HIDDEN, D), images(4, 1)
    params = init(encoder, x)
    features = ConvFeatures().apply({"params": params["features"]}, x)
    assert features.min() >= 0
    kernel = {name: params[name]["affine"]["kernel"] for name in ("hidden", "logvar")}
    _, logvar = encoder.apply({"params": params}, x)
    expected = np.asarray(features) @ kernel["hidden"] @ kernel["logvar"]
    np.testing.assert_allclose(logvar, expected, rtol=1e-3, atol=1e-5)


def test_refuses_images_of_another_size():
    with pytest.raises(AssertionError):
        init(Encoder(HIDDEN, D), jnp.zeros((1, 32, 32, 1)))
