"""Control-VAE's controller against its definition, step by step."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from cfasl_jax.losses import control
from cfasl_jax.settings import Control

GAINS = Control(kp=0.5, ki=0.2, beta_min=1.0, beta_max=3.0)


def betas(errors, gains=GAINS):
    """Beta at each step of a sequence of errors, by one compiled scan."""

    def body(controller, error):
        return control.advance(controller, error, gains)

    return jax.lax.scan(body, control.start(), jnp.asarray(errors, jnp.float32))


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_the_published_rule(seed):
    """On errors large enough to reach both bounds and to leave them again."""
    rng = np.random.default_rng(seed)
    errors = rng.normal(size=60) * 2 + 4 * np.sin(np.arange(60) / 6)
    _, got = betas(errors)
    expected = reference.controlled(errors.tolist(), *dataclasses.astuple(GAINS))
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    assert (np.asarray(got) == GAINS.beta_max).any()
    assert (np.asarray(got) == GAINS.beta_min).any()


def test_beta_grows_while_the_kl_is_too_large():
    _, got = betas([-1.0] * 5)
    assert (np.diff(got) > 0).all()
    np.testing.assert_allclose(np.diff(got), GAINS.ki, rtol=1e-4)


def test_the_integral_waits_beyond_a_bound():
    """Or beta would stay at its bound long after the error has changed sign."""
    controller, got = betas([-5.0] * 50)
    assert got[-1] == GAINS.beta_max
    assert controller.integral < GAINS.beta_max
    _, beta = control.advance(controller, jnp.float32(5.0), GAINS)
    assert beta < GAINS.beta_max


def test_set_point_rises_linearly_and_stays():
    steps = jnp.array([0, 25, 50, 100, 400])
    got = jax.vmap(lambda step: control.set_point(step, 100, 16.0))(steps)
    np.testing.assert_allclose(got, [0.5, 4.375, 8.25, 16.0, 16.0], rtol=1e-6)


@pytest.mark.parametrize("error", [-30.0, -1.0, 0.0, 2.0, 200.0])
def test_published_beta_lies_within_a_hundredth_of_its_minimum(error):
    gains = dataclasses.replace(GAINS, kp=0.01)
    got = float(control.proportional(jnp.float32(error), gains))
    assert 1.0 <= got <= 1.01
    np.testing.assert_allclose(got, 1 + 0.01 / (1 + np.exp(np.float64(error))))
