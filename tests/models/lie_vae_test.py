"""CLG-VAE's networks and FactorVAE's discriminator, at their published sizes."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from cfasl_jax.models import vae
from cfasl_jax.models.discriminator import Discriminator
from cfasl_jax.models.lie_vae import MATRIX_SIDE, LieDecoder, LieEncoder

D = 3
IMAGES = np.random.default_rng(0).uniform(size=(2, 64, 64, 1)).astype(np.float32)
Z = np.random.default_rng(1).normal(size=(2, D)).astype(np.float32)


def sizes(params):
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf.shape
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
        if leaf.ndim > 1 and "conv" not in str(path)
    }


def test_encoder_has_the_published_sizes():
    encoder = LieEncoder(D)
    params = jax.jit(encoder.init)(jax.random.key(0), IMAGES)
    assert sizes(params["params"]) == {
        "hidden/affine/kernel": (256, 256),
        "matrix/affine/kernel": (256, 100),
        "mu_hidden/affine/kernel": (100, 400),
        "mu/affine/kernel": (400, D),
        "logvar_hidden/affine/kernel": (100, 400),
        "logvar/affine/kernel": (400, D),
    }
    mu, logvar, features = encoder.apply(params, IMAGES)
    chex.assert_shape([mu, logvar], (2, D))
    chex.assert_shape(features, (2, 100))
    assert (features > 0).all()
    assert (features < 1).all()

    def dense(name, x):
        layer = params["params"][name]["affine"]
        return x @ np.float64(layer["kernel"]) + np.float64(layer["bias"])

    by_hand = dense("mu", np.maximum(dense("mu_hidden", np.float64(features)), 0))
    np.testing.assert_allclose(mu, by_hand, rtol=1e-4, atol=1e-6)


def test_decoder_reads_the_matrix_that_z_becomes():
    decoder = LieDecoder(D, channels=3, generator_init="xavier")
    params = jax.jit(decoder.init)(jax.random.key(0), Z)
    assert sizes(params["params"]) == {
        "generators": (D, 10, 10),
        "reader/hidden/affine/kernel": (100, 256),
        "reader/start/affine/kernel": (256, 1024),
    }
    code = decoder.apply(params, Z, method="code")
    expected = reference.lie_code(params["params"]["generators"], np.float64(Z))
    np.testing.assert_allclose(code, expected, rtol=1e-5, atol=1e-6)
    plain = vae.Decoder(256, 3)
    logits = plain.apply({"params": params["params"]["reader"]}, code)
    chex.assert_shape(logits, (2, 64, 64, 3))
    chex.assert_trees_all_close(decoder.apply(params, Z), logits)
    np.testing.assert_allclose(
        decoder.apply(params, jnp.zeros((1, D)), method="code")[0],
        np.eye(MATRIX_SIDE).ravel(),
    )


@pytest.mark.parametrize("dims", [6, 10])
@pytest.mark.parametrize(("start", "bound"), [("small", 5e-3), ("xavier", 0.2335)])
def test_generators_start_where_they_should(start, bound, dims):
    decoder = LieDecoder(dims, channels=1, generator_init=start)
    params = jax.jit(decoder.init)(jax.random.key(0), jnp.zeros((1, dims)))
    generators = np.asarray(params["params"]["generators"])
    if start == "small":
        np.testing.assert_allclose(generators.std(), 1e-3, rtol=0.1)
    else:
        np.testing.assert_allclose(generators.std(), bound / np.sqrt(3), rtol=0.1)
        assert np.abs(generators).max() > 0.9 * bound
    assert np.abs(generators).max() < bound


def test_discriminator_has_six_layers_of_a_thousand():
    network = Discriminator()
    params = jax.eval_shape(network.init, jax.random.key(0), Z)["params"]
    kernels = [shape for name, shape in sizes(params).items() if "kernel" in name]
    assert sorted(kernels) == sorted([(D, 1000), *[(1000, 1000)] * 5, (1000, 1)])
    small = Discriminator(layers=2, hidden=5)
    chex.assert_shape(small.init_with_output(jax.random.key(0), Z)[0], (2,))
