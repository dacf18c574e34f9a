"""KL and reconstruction against plain loops, closed forms and Monte Carlo."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from jax.test_util import check_grads

from cfasl_jax.losses import elbo

RNG = np.random.default_rng(0)
MU, LOGVAR = RNG.normal(size=(2, 5, 3)).astype(np.float32)
LOGITS = RNG.normal(size=(3, 4, 4, 2)).astype(np.float32)
IMAGES = RNG.uniform(size=(3, 4, 4, 2)).astype(np.float32)
LIKELIHOODS = ["bernoulli", "gaussian"]


@pytest.mark.parametrize("variant", [jax.jit, lambda f: f], ids=["jit", "plain"])
def test_kl_agrees_with_the_plain_loop(variant):
    got = variant(elbo.kl)(MU, LOGVAR)
    np.testing.assert_allclose(got, reference.kl(MU, LOGVAR), rtol=1e-5)


def test_kl_is_the_mean_log_ratio_of_the_densities():
    mu, logvar = 0.7, -0.5
    sigma = np.exp(logvar / 2)
    z = mu + sigma * RNG.normal(size=200_000)
    log_ratio = -0.5 * ((z - mu) / sigma) ** 2 - np.log(sigma) + 0.5 * z**2
    got = elbo.kl(jnp.full((1, 1), mu), jnp.full((1, 1), logvar))
    np.testing.assert_allclose(got[0], log_ratio.mean(), rtol=0.02)


def test_kl_is_exact_near_the_prior():
    logvar = np.float32(1e-4)
    got = elbo.kl(jnp.zeros((1, 1)), jnp.full((1, 1), logvar))
    # exp(v) - 1 - v = v^2 / 2 + v^3 / 6 + ...
    np.testing.assert_allclose(got[0], 0.25e-8 * (1 + 1e-4 / 3), rtol=2e-2)
    assert elbo.kl(jnp.zeros((1, 1)), jnp.zeros((1, 1)))[0] == 0


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_reconstruction_agrees_with_the_plain_loop(likelihood):
    got = elbo.reconstruction(LOGITS, IMAGES, likelihood)
    expected = reference.reconstruction(LOGITS, IMAGES, likelihood)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_extreme_logits_stay_finite(likelihood):
    logits = jnp.array([-200.0, 200.0]).reshape(1, 1, 2, 1)
    images = jnp.array([0.0, 1.0]).reshape(1, 1, 2, 1)
    value, gradient = jax.value_and_grad(
        lambda x: elbo.reconstruction(x, images, likelihood).sum()
    )(logits)
    np.testing.assert_allclose(value, 0, atol=1e-6)
    assert np.isfinite(gradient).all()
    if likelihood == "bernoulli":
        np.testing.assert_allclose(
            elbo.reconstruction(logits, 1 - images, likelihood), 400.0
        )


def test_gradients():
    with jax.enable_x64(True):
        x = [jnp.float64(a) for a in (MU, LOGVAR, LOGITS, IMAGES)]
        check_grads(elbo.kl, (x[0], x[1]), 1, ["rev"])
        for likelihood in LIKELIHOODS:
            check_grads(
                lambda logits, kind=likelihood: elbo.reconstruction(logits, x[3], kind),
                (x[2],),
                1,
                ["rev"],
            )


def test_unknown_likelihood_is_named():
    with pytest.raises(ValueError, match="unknown likelihood 'poisson'"):
        elbo.reconstruction(LOGITS, IMAGES, "poisson")
