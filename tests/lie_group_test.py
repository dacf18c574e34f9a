"""The matrix exponential against scipy in float64, in both ways of computing it."""

import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from cfasl_jax import forms, lie_group
from cfasl_jax.errors import ConfigError
from cfasl_jax.lie_group import EXPMS, group_element, resolve


def generators(norm, size, count=5):
    """Random matrices [count, size, size] of one L1 norm, float32."""
    A = np.random.default_rng(size).normal(size=(count, size, size))
    largest = np.abs(A).sum(axis=1).max(axis=1)
    return np.float32(A * norm / largest[:, None, None])


def exact(function, A):
    """A function of one matrix for each of several, in float64."""
    return np.stack([function(a.astype(np.float64)) for a in A])


@pytest.mark.parametrize("expm", EXPMS)
@pytest.mark.parametrize("size", [1, 2, 6, 10])
@pytest.mark.parametrize("norm", [1e-6, 0.1, 1.0, 2.9, 3.1, 3.8, 4.0, 7.5, 15.0, 60.0])
def test_agrees_with_scipy_in_float64(expm, norm, size):
    A = generators(norm, size)
    got = group_element(A, expm)
    assert got.dtype == jnp.float32
    expected = exact(scipy.linalg.expm, A)
    # The terms of a polynomial cancel where the exponential is below 1.
    largest = np.maximum(np.abs(expected).max(axis=(1, 2)), 1.0)
    error = np.abs(got - expected).max(axis=(1, 2)) / largest
    # Each squaring doubles the relative error that was there before.
    assert error.max() < 1.5e-6 * max(1.0, norm / 4)


@pytest.mark.parametrize("expm", EXPMS)
@pytest.mark.parametrize("angle", [1e-4, 0.1, 1.0, 3.0, 7.0, 30.0])
def test_a_rotation_is_exact_at_every_angle(expm, angle):
    A = np.array([[[0, angle], [-angle, 0]]], np.float32)
    c, s = np.cos(angle), np.sin(angle)
    got = group_element(A, expm)[0]
    np.testing.assert_allclose(got, [[c, s], [-s, c]], atol=2e-5)


@pytest.mark.parametrize("expm", EXPMS)
@pytest.mark.parametrize("norm", [1e-3, 2.0, 9.0])
def test_gradient_is_the_adjoint_of_scipys_frechet_derivative(expm, norm):
    """The gradient of <W, expm(A)> is the derivative at A^T in the direction W."""
    A = generators(norm, 6)
    W = np.random.default_rng(0).normal(size=A.shape).astype(np.float32)
    got = jax.grad(lambda A: (group_element(A, expm) * W).sum())(A)
    for a, w, gradient in zip(np.float64(A), np.float64(W), got, strict=True):
        expected = scipy.linalg.expm_frechet(a.T, w, compute_expm=False)
        error = np.abs(gradient - expected).max() / np.abs(expected).max()
        assert error < 5e-6


@pytest.mark.parametrize("expm", EXPMS)
def test_a_norm_beyond_all_squarings_gives_nan_not_a_wrong_number(expm):
    A = jnp.stack([jnp.eye(2), jnp.full((2, 2), 1e4)])
    got = group_element(A, expm)
    np.testing.assert_allclose(got[0], np.exp(1) * np.eye(2), rtol=1e-6)
    assert np.isnan(got[1]).all()


def test_the_polynomial_needs_no_solver_and_few_products():
    def gradient(A):
        return jax.grad(lambda A: group_element(A, "taylor").sum())(A)

    A = jax.ShapeDtypeStruct((7, 5, 5), jnp.float32)
    text = jax.jit(gradient).trace(A).lower(lowering_platforms=("cuda",)).as_text()
    # Five products and eight squarings; the gradient doubles each.
    assert len(re.findall("stablehlo.dot_general", text)) <= 3 * (5 + 8)
    for operation in ("custom_call", "triangular_solve", "sort", "while"):
        assert f"stablehlo.{operation}" not in text


def test_runs_are_squared_as_often_as_each_needs():
    A = np.stack([generators(norm, 6) for norm in (0.5, 5.0, 60.0)])
    W = np.random.default_rng(1).normal(size=A.shape).astype(np.float32)

    def value(A, W):
        return (group_element(A, "taylor") * W).sum()

    together = jax.jit(jax.vmap(jax.value_and_grad(value)))(A, W)
    for run, (a, w) in enumerate(zip(A, W, strict=True)):
        got = jax.tree.map(lambda leaf, run=run: leaf[run], together)
        chex.assert_trees_all_close(got, jax.value_and_grad(value)(a, w), rtol=1e-5)
        expected = (exact(scipy.linalg.expm, a) * w).sum()
        assert got[0] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("platform", ["cpu", "default"])
def test_only_a_cpu_branches_and_only_if_all_runs_branch_alike(monkeypatch, platform):
    """Compiled on the CPU as its own program, and as that of an accelerator."""
    monkeypatch.setattr(
        jax.lax, "platform_dependent", lambda *args, **forms: forms[platform](*args)
    )
    gradient = jax.grad(lambda A: group_element(A, "taylor").sum())
    A = jax.ShapeDtypeStruct((3, 7, 5, 5), jnp.float32)
    # JAX would take the other platform's program from its cache, or leave it there.
    group_element.clear_cache()
    compiled = jax.jit(jax.vmap(gradient)).lower(A).compile().as_text()
    group_element.clear_cache()
    branches = len(re.findall(r" conditional\(", compiled))
    assert branches == (2 * 8 if platform == "cpu" else 0)


def test_a_measurement_decides_unless_devices_share_a_processor(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(lie_group.jax, "local_device_count", lambda: 1)
    assert resolve("auto") == "taylor"
    forms.remember({"expm": "scipy"})
    assert resolve("auto") == resolve("scipy") == "scipy"
    monkeypatch.setattr(lie_group.jax, "local_device_count", lambda: 2)
    assert resolve("auto") == "taylor"
    with pytest.raises(ConfigError, match="can wait for ever"):
        resolve("scipy")


def test_an_unknown_way_names_the_choices():
    with pytest.raises(ConfigError, match="'pade': one of scipy, taylor"):
        group_element(jnp.zeros((1, 2, 2)), "pade")
