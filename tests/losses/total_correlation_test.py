"""The decomposition against sums of densities and against Gaussians' closed form."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from jax.test_util import check_grads

from cfasl_jax.losses import total_correlation
from cfasl_jax.losses.total_correlation import decompose

RNG = np.random.default_rng(0)
B, D, N = 6, 3, 50
MU, LOGVAR, EPS = RNG.normal(size=(3, B, D)) * np.array([1.0, 0.5, 1.0])[:, None, None]
Z = MU + np.exp(LOGVAR / 2) * EPS


@pytest.mark.parametrize("official", [False, True])
def test_agrees_with_plain_loops_in_float64(official):
    function = partial(decompose, dataset_size=N, official=official)
    with jax.enable_x64(True):
        got = jax.jit(function)(Z, MU, LOGVAR)
    expected = reference.decompose(Z, MU, LOGVAR, N, official)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_published_weights_stand_elsewhere():
    ours = decompose(Z, MU, LOGVAR, N)
    theirs = decompose(Z, MU, LOGVAR, N, official=True)
    assert abs(ours.tc - theirs.tc) > 1.0


@pytest.mark.parametrize("official", [False, True])
def test_terms_sum_to_the_sampled_kl(official):
    parts = decompose(Z, MU, LOGVAR, N, official=official)
    log_ratio = sum(
        reference.log_normal(Z[b, d], MU[b, d], LOGVAR[b, d])
        - reference.log_normal(Z[b, d], 0.0, 0.0)
        for b in range(B)
        for d in range(D)
    )
    np.testing.assert_allclose(sum(parts), log_ratio / B, rtol=1e-4)


def gaussian_batch(covariance, sigma, count, seed=0):
    """Posteriors whose means are Gaussian, so that q(z) is Gaussian too."""
    rng = np.random.default_rng(seed)
    mu = rng.multivariate_normal(np.zeros(len(covariance)), covariance, count)
    z = mu + sigma * rng.normal(size=mu.shape)
    logvar = np.full(mu.shape, 2 * np.log(sigma))
    return [np.float32(x) for x in (z, mu, logvar)]


def test_agrees_with_the_closed_form_of_gaussians():
    """With means of covariance C, z is Gaussian with C + sigma^2 I."""
    C, sigma, count = np.array([[1.0, 0.8], [0.8, 1.5]]), 0.7, 2_000
    total = C + sigma**2 * np.eye(2)
    tc = 0.5 * np.log(np.prod(np.diag(total)) / np.linalg.det(total))
    mi = 0.5 * np.log(np.linalg.det(total) / sigma**4)
    dwkl = 0.5 * np.sum(np.diag(total) - 1 - np.log(np.diag(total)))
    got = decompose(*gaussian_batch(C, sigma, count), count)
    np.testing.assert_allclose(got, [mi, tc, dwkl], atol=0.08)


def test_total_correlation_of_independent_latents_is_near_zero():
    batch = gaussian_batch(np.diag([1.0, 2.0, 0.5]), 0.8, 2_000)
    assert abs(decompose(*batch, 2_000).tc) < 0.03
    dependent = gaussian_batch(np.full((3, 3), 0.9) + 0.1 * np.eye(3), 0.3, 2_000)
    assert decompose(*dependent, 2_000).tc > 0.5


@pytest.mark.parametrize("weights", ["_log_weights", "_log_weights_official"])
def test_weights_agree_with_their_definition(weights):
    got = np.exp(getattr(total_correlation, weights)(B, N))
    expected = (
        reference.stratified_weights_official(B, N)
        if "official" in weights
        else reference.stratified_weights(B, N)
    )
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    if weights == "_log_weights":
        np.testing.assert_allclose(got.sum(axis=1), 1.0, rtol=1e-6)


@pytest.mark.parametrize("official", [False, True])
@pytest.mark.parametrize("term", ["mi", "tc", "dwkl"])
def test_gradients(term, official):
    """Of each term: in their sum the densities q cancel."""

    def value(*arrays):
        return getattr(decompose(*arrays, N, official=official), term)

    arrays = [jnp.asarray(x, jnp.float32) for x in (Z, MU, LOGVAR)]
    check_grads(value, arrays, 1, modes="rev", rtol=2e-2)


def test_distant_posteriors_stay_finite():
    mu = jnp.linspace(-40.0, 40.0, 2 * D).reshape(2, D)
    logvar = jnp.full((2, D), -8.0)
    value, gradient = jax.value_and_grad(
        lambda m: sum(decompose(m, m, logvar, N)), has_aux=False
    )(mu)
    chex.assert_tree_all_finite((value, gradient))


@pytest.mark.parametrize("size", [B - 1, 1])
def test_a_batch_beyond_the_data_set_is_refused(size):
    with pytest.raises(ValueError, match=f"data set's {size}"):
        decompose(Z, MU, LOGVAR, size)
