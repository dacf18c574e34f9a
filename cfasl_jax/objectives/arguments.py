"""What a loss is given besides parameters and images."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from cfasl_jax.losses import control
from cfasl_jax.losses.control import Controller, Gains


class Hyper(NamedTuple):
    """Traced hyperparameters, a scalar each a run; as in configs/default.py.

    Attributes:
        beta: weight of the KL divergence, or of the total correlation.
        capacity: C.
        ramp_steps: steps over which the capacity is approached.
        feature_weight: w.
        gains: of Control-VAE's controller.
        hessian, lie_commutator: weights of CLG-VAE's losses of the generators.
        feature_probability: of CLG-VAE's decoding the encoder's features.
        factor_gamma: weight of FactorVAE's total correlation.
        discriminator_learning_rate: of FactorVAE's discriminator.
        lambda_od, lambda_d: weights of DIP-VAE's penalties.
        annealed_gamma: weight of the annealed VAE's distance from its capacity.
        alpha, gamma, lamb, epsilon: weights of CFASL's losses.
        threshold: by which a factor counts as changed.
        temperature: of the switch.
        learning_rate: of all networks that have none of their own.
        codebook_learning_rate: of the codebook's heads.
    """

    beta: chex.Numeric
    capacity: chex.Numeric
    ramp_steps: chex.Numeric
    feature_weight: chex.Numeric
    gains: Gains
    hessian: chex.Numeric
    lie_commutator: chex.Numeric
    feature_probability: chex.Numeric
    factor_gamma: chex.Numeric
    discriminator_learning_rate: chex.Numeric
    lambda_od: chex.Numeric
    lambda_d: chex.Numeric
    annealed_gamma: chex.Numeric
    alpha: chex.Numeric
    gamma: chex.Numeric
    lamb: chex.Numeric
    epsilon: chex.Numeric
    threshold: chex.Numeric
    temperature: chex.Numeric
    learning_rate: chex.Numeric
    codebook_learning_rate: chex.Numeric


class Noise(NamedTuple):
    """All that is random in one step.

    Attributes:
        eps: standard normal, of the posterior's sample, [B, D].
        gumbel: standard Gumbel, of the switch, [P, S, 2].
        element: the element that perpendicular looks at in each section, int [S].
        coin: uniform on [0, 1), of CLG-VAE's choice what to decode, [].
        permutation: one a dimension of the places in the global batch, of FactorVAE's
            shuffled latents, int [B, D]; whole on every device.
    """

    eps: jax.Array
    gumbel: jax.Array
    element: jax.Array
    coin: jax.Array
    permutation: jax.Array


class Progress(NamedTuple):
    """How far training has come.

    Attributes:
        step: steps taken, int32 [].
        controller: Control-VAE's.
    """

    step: jax.Array
    controller: Controller


def start() -> Progress:
    """Before the first step."""
    return Progress(jnp.zeros((), jnp.int32), control.start())
