"""Control-VAE's controller of the KL divergence (Shao et al., ICML 2020)."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from cfasl_jax.settings import Control

# The set point's first value, in nats.
_FIRST_SET_POINT = 0.5


class Controller(NamedTuple):
    """The state of the controller between steps, float32 [] each.

    Attributes:
        integral: I, which is -ki times the sum of the errors.
        overshoot: how far the last beta was outside its bounds before it was clipped:
            positive above, negative below, 0 within.
    """

    integral: jax.Array
    overshoot: jax.Array


def start() -> Controller:
    """The controller before the first step."""
    return Controller(jnp.zeros(()), jnp.zeros(()))


def set_point(
    step: jax.Array, num_steps: chex.Numeric, capacity: chex.Numeric
) -> jax.Array:
    """The KL to steer to: from 0.5 to the capacity C, linearly over num_steps."""
    share = jnp.minimum(step / num_steps, 1.0)
    return _FIRST_SET_POINT + (capacity - _FIRST_SET_POINT) * share


def advance(
    controller: Controller, error: jax.Array, gains: Control
) -> tuple[Controller, jax.Array]:
    """One step of the PI controller.

    Args:
        controller: the state after the last step.
        error: e, set point minus KL of the global batch, [].
        gains: the controller's constants, scalars.

    Returns:
        The controller after this step, and beta, []: kp sigmoid(-e) + I + beta_min,
        clipped to its bounds. The integral stays as it is while beta is beyond a bound
        and the error would push it further.
    """
    further = controller.overshoot * error < 0
    step = jnp.where(further, 0.0, gains.ki * error)
    integral = controller.integral - step
    wanted = gains.kp * jax.nn.sigmoid(-error) + integral + gains.beta_min
    beta = jnp.clip(wanted, gains.beta_min, gains.beta_max)
    return Controller(integral, wanted - beta), beta


def proportional(error: jax.Array, gains: Control) -> jax.Array:
    """Beta of the published controller, [], whose integral stays 0."""
    wanted = gains.kp * jax.nn.sigmoid(-error) + gains.beta_min
    return jnp.clip(wanted, gains.beta_min, gains.beta_max)
