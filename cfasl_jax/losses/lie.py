"""Losses of the commutative Lie group VAE's generators (Zhu et al., ICML 2021)."""

import chex
import jax
import jax.numpy as jnp

_HIGHEST = jax.lax.Precision.HIGHEST


def hessian(generators: chex.Array) -> jax.Array:
    """The size of the generators' products: (1 / D^2) sum_{i != j} ||G_i G_j||_F^2.

    If all products vanish, latents act without interaction (Zhu et al., section 4).

    Args:
        generators: [D, m, m].

    Returns:
        The loss.
    """
    norms = jnp.square(_products(generators)).sum(axis=(-2, -1))
    return _mean_off_diagonal(norms)


def commutator(generators: chex.Array) -> jax.Array:
    """How far generators are from commuting.

    The value is (1 / D^2) sum_{i, j} ||G_i G_j - G_j G_i||_F^2.
    """
    products = _products(generators)
    difference = products - jnp.swapaxes(products, 0, 1)
    return jnp.square(difference).sum() / len(generators) ** 2


def commutator_official(generators: chex.Array) -> jax.Array:
    """`commutator` of the published code.

    The value is (1 / D^2) sum_{i != j} ||G_i G_j - (G_i G_j)^T||_F^2.
    """
    products = _products(generators)
    difference = products - jnp.swapaxes(products, -2, -1)
    norms = jnp.square(difference).sum(axis=(-2, -1))
    return _mean_off_diagonal(norms)


def feature_error(features: chex.Array, code: chex.Array) -> jax.Array:
    """Squared error between the encoder's features and the matrix of z, [B, m^2] each.

    Returns:
        The squared error, summed over entries and averaged over the batch.
    """
    chex.assert_rank(features, 2)
    chex.assert_equal_shape([features, code])
    return jnp.square(features - code).sum(axis=-1).mean()


def _mean_off_diagonal(norms: jax.Array) -> jax.Array:
    """The sum of [D, D] without its diagonal, over D^2."""
    D = len(norms)
    return (norms * (1.0 - jnp.eye(D))).sum() / D**2


def _products(generators: jax.Array) -> jax.Array:
    """G_i G_j, [D, D, m, m]."""
    chex.assert_rank(generators, 3)
    return jnp.einsum("iab,jbc->ijac", generators, generators, precision=_HIGHEST)
