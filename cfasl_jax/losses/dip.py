"""DIP-VAE's penalties on the covariance of latents (Kumar et al., ICLR 2018)."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from cfasl_jax.losses import batch


class Penalties(NamedTuple):
    """The distance of a covariance matrix from the identity.

    Attributes:
        off_diagonal: sum over i != j of Cov_ij^2.
        diagonal: sum over i of (Cov_ii - 1)^2.
    """

    off_diagonal: jax.Array
    diagonal: jax.Array


def penalties(
    mu: chex.Array, logvar: chex.Array | None = None, axis_name: str | None = None
) -> Penalties:
    """Penalties on the covariance of z, E[Sigma] + Cov(mu): DIP-VAE II (equation 7).

    Args:
        mu: posterior means, [B, D].
        logvar: logarithms of the posterior variances, [B, D]; None for DIP-VAE I, whose
            penalties are on the covariance of the means alone (equation 6).
        axis_name: device axis over which B is divided.
    """
    covariance = _covariance(mu, axis_name)
    if logvar is not None:
        covariance += jnp.diag(jnp.exp(batch.whole(logvar, axis_name)).mean(axis=0))
    diagonal = jnp.diagonal(covariance)
    # By a mask: a difference of two sums loses what is small beside the diagonal.
    off_diagonal = jnp.square(covariance * (1.0 - jnp.eye(len(diagonal)))).sum()
    return Penalties(off_diagonal, jnp.square(diagonal - 1.0).sum())


def _covariance(mu: jax.Array, axis_name: str | None) -> jax.Array:
    """The covariance of the global batch, normalised by 1 / B, [D, D]."""
    chex.assert_rank(mu, 2)
    everyone = batch.whole(mu, axis_name)
    centred = everyone - everyone.mean(axis=0, keepdims=True)
    product = jnp.matmul(centred.T, centred, precision=jax.lax.Precision.HIGHEST)
    return product / len(centred)
