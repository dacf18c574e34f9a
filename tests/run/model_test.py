"""What the functions of a loaded model take, and one sentence for what they do not."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import golden
import jax
import numpy as np
import pytest
import scipy.linalg
import tiny

import cfasl_jax
from cfasl_jax.errors import ConfigError
from cfasl_jax.run.model import Model, section_generators
from cfasl_jax.settings import Ours

OLD = Path(golden.__file__).parent / "old_run"
IMAGES = np.asarray(tiny.dataset().store)[:4]
Z = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    objective = tiny.objective()
    params = objective.init(jax.random.key(0), tiny.dataset().image_shape)
    return Model(objective, params, seed=4, step=7)


def test_bytes_and_floats_are_the_same_images(model):
    expected = model.encode(IMAGES)
    floats = (IMAGES / 255).astype(np.float32)
    for images in (floats, floats.tolist(), jax.numpy.asarray(floats), IMAGES / 255):
        np.testing.assert_allclose(model.encode(images).mu, expected.mu, rtol=1e-5)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES * 1.0, r"float64 must be in \[0, 1\], not in \[0, 255\]"),
        (IMAGES / 255 - 0.5, r"not in \[-0.5, 0.5\]"),
        (np.full(IMAGES.shape, np.nan), "NaN"),
        (np.full(IMAGES.shape, np.inf), r"not in \[inf, inf\]"),
        (IMAGES.repeat(3, axis=3), r"\[n, 6, 6, 1\], not \[4, 6, 6, 3\]"),
        (IMAGES[:, :5], r"\[n, 6, 6, 1\], not \[4, 5, 6, 1\]"),
        (IMAGES[0], r"\[n, 6, 6, 1\], not \[6, 6, 1\]"),
        (IMAGES.astype(int), "not of type int64"),
        (IMAGES.astype(str), "not of type <U"),
        ([[1], [2, 3]], "must be an array"),
        (None, r"not \[\]"),
    ],
)
def test_what_is_no_image_is_refused(model, images, message):
    with pytest.raises(ValueError, match=message) as caught:
        model.encode(images)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=f"x2.*{message}"):
        model.symmetry(IMAGES, images)


@pytest.mark.parametrize(
    ("z", "message"),
    [
        (np.zeros((2, 4)), r"\[n, 3\], not \[2, 4\]"),
        (np.zeros(3), r"\[n, 3\], not \[3\]"),
        (np.full((2, 3), np.nan), "must be finite"),
        (np.full((2, 3), 1e300), "must be finite"),
        (np.zeros((2, 3), bool), "real numbers, not of type bool"),
        (np.zeros((2, 3), complex), "real numbers, not of type complex128"),
    ],
)
def test_what_is_no_latent_is_refused(model, z, message):
    for function in (model.decode, lambda z: model.transform(z, 0, 0.5)):
        with pytest.raises(ValueError, match=message):
            function(z)


def test_latents_beyond_the_decoders_numbers_are_refused(model):
    params = jax.tree.map(lambda leaf: np.full_like(leaf, 2.0), model.params)
    doubling = dataclasses.replace(model, params=params)
    assert doubling.decode([[3e38, 3e38, 3e38]]).max() == 1
    with pytest.raises(ValueError, match="z is too large for the decoder"):
        doubling.decode([[3e38, 3e38, -3e38]])


def test_a_section_moves_latents_by_its_generator(model):
    G = np.asarray(section_generators(model.generators())[2])
    amount = 1e-3
    moved = model.transform(Z, np.int64(2), np.float32(amount))
    np.testing.assert_allclose((moved - Z) / amount, Z @ G, atol=1e-3)


def test_an_affine_section_translates():
    objective = tiny.objective(ours=Ours(action="affine"))
    params = objective.init(jax.random.key(0), tiny.dataset().image_shape)
    model = Model(objective, params, seed=4, step=7)
    G = np.asarray(section_generators(model.generators())[2])
    expected = np.pad(Z, ((0, 0), (0, 1)), constant_values=1) @ scipy.linalg.expm(G)
    np.testing.assert_allclose(model.transform(Z, 2, 1.0), expected[:, :3], rtol=1e-5)
    assert np.abs(model.transform(0 * Z, 2, 1.0)).min() > 1e-3


def test_a_second_move_compiles_nothing(model, caplog):
    model.transform(Z, section=0, amount=0.5)
    with jax.log_compiles(), caplog.at_level("WARNING"):
        model.transform(Z, section=1, amount=0.25)
    assert "Compiling" not in caplog.text
    with jax.log_compiles(), caplog.at_level("WARNING"):
        model.transform(np.tile(Z, (7, 1)), section=1, amount=0.25)
    assert "Compiling jit(group_element)" in caplog.text


@pytest.mark.parametrize("section", [3, 99, -1, 1.5, "0", None])
def test_there_is_no_such_section(model, section):
    message = f"whole number from 0 to 2, not {re.escape(repr(section))}"
    with pytest.raises(ValueError, match=message):
        model.transform(Z, section, 0.5)


@pytest.mark.parametrize("amount", [np.nan, 1e300, 10**400, "1", None, np.zeros(3)])
def test_an_amount_is_one_finite_number(model, amount):
    with pytest.raises(ValueError, match="amount must be one finite number"):
        model.transform(Z, 0, amount)


def test_an_amount_whose_exponential_overflows_is_refused(model):
    with pytest.raises(ValueError, match="beyond what float32 holds"):
        model.transform(Z, 0, 1e30)


def test_pairs_are_equal_in_number(model):
    with pytest.raises(ValueError, match=r"x1 and x2 .* not 4 and 1"):
        model.symmetry(IMAGES, IMAGES[:1])


def test_nothing_in_gives_nothing_out(model):
    assert model.encode(IMAGES[:0]).mu.shape == (0, 3)
    assert model.encode(IMAGES[:0] / 255).logvar.shape == (0, 3)
    assert model.decode(Z[:0]).shape == (0, 6, 6, 1)
    assert model.transform(Z[:0], 1, 0.5).shape == (0, 3)
    symmetry = model.symmetry(IMAGES[:0], IMAGES[:0])
    assert symmetry.generator.shape == (0, 3, 3)
    assert symmetry.attention.shape == (0, 3, 2)


def test_the_functions_can_be_transformed_by_jax(model):
    mu = jax.jit(model.encode)(IMAGES / 255).mu
    np.testing.assert_allclose(mu, model.encode(IMAGES).mu, rtol=1e-5)
    decoded = jax.vmap(model.decode)(Z.reshape(2, 2, 3))
    np.testing.assert_allclose(decoded.reshape(4, 6, 6, 1), model.decode(Z), rtol=1e-5)
    slope = jax.grad(lambda amount: model.transform(Z, 1, amount).sum())(0.0)
    G = np.asarray(section_generators(model.generators())[1])
    np.testing.assert_allclose(slope, (Z @ G).sum(), rtol=1e-4)


def test_it_shows_itself_in_one_line(model):
    assert repr(model) == (
        "Model(images 6x6x1, 3 latent dimensions, with a codebook, seed 4, step 7)"
    )


@pytest.mark.parametrize("run", ["0", 0.5, None, 1, -1])
def test_there_is_no_such_run(run):
    with pytest.raises(ConfigError, match=r"run must be a whole|has no run"):
        cfasl_jax.load(OLD, run=run)


def test_a_checkpoint_is_named_by_its_step():
    assert cfasl_jax.load(OLD, step=20).step == 20
    with pytest.raises(ConfigError, match="no checkpoint of step 10, only of 20 "):
        cfasl_jax.load(OLD, step=10)
    with pytest.raises(ConfigError, match="step must be a whole number, not '20'"):
        cfasl_jax.load(OLD, step="20")
    with pytest.raises(ConfigError, match="of step 10000: it has no step 5"):
        cfasl_jax.load("dsprites/beta_tcvae", step=5)


def test_no_text_is_too_long_for_the_name_of_a_model():
    with pytest.raises(ConfigError, match="xxx is neither a directory nor the name"):
        cfasl_jax.load("x" * 400)


def test_the_version_is_that_of_the_package():
    command = [sys.executable, "setup.py", "--version"]
    told = subprocess.run(command, cwd=OLD.parents[2], capture_output=True, text=True)
    assert told.stdout.strip().splitlines()[-1] == cfasl_jax.__version__
