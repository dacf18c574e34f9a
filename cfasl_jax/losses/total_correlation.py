"""beta-TCVAE's decomposition of the KL divergence (Chen et al., NeurIPS 2018).

On average over the data, KL(q(z|x) || p(z)) is the sum of the mutual information of z
and x, the total correlation of z and the KL divergences of its dimensions. All three
need the aggregate posterior q(z), which minibatch stratified sampling estimates from a
batch and the size of the data set.
"""

import math
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from cfasl_jax.losses import batch
from cfasl_jax.types import Posterior

_LOG_2PI = math.log(2.0 * math.pi)


class Decomposition(NamedTuple):
    """Three terms whose sum estimates the mean KL divergence, in nats.

    Attributes:
        mi: mutual information of latents and data, E[log q(z|x) - log q(z)].
        tc: total correlation, E[log q(z) - sum_d log q(z_d)].
        dwkl: dimension-wise KL divergence, E[sum_d log q(z_d) - log p(z)].
    """

    mi: jax.Array
    tc: jax.Array
    dwkl: jax.Array


def decompose(
    z: chex.Array,
    mu: chex.Array,
    logvar: chex.Array,
    dataset_size: int,
    axis_name: str | None = None,
    official: bool = False,
) -> Decomposition:
    """The decomposition by minibatch stratified sampling (Chen et al., appendix C.2).

    Args:
        z: samples of the posteriors, [B, D].
        mu: posterior means, [B, D].
        logvar: logarithms of the posterior variances, [B, D].
        dataset_size: N, at least B.
        axis_name: device axis over which B is divided; the mean over devices of each
            term is then that of the global batch.
        official: as the published code does: its weights are in columns 0 and 1 rather
            than on the diagonal and beside it, and log W is added in every dimension,
            so that the joint density contains it D times.

    Raises:
        ValueError: if the batch is larger than the data set.
    """
    log_q, columns = _log_densities(z, Posterior(mu, logvar), axis_name)
    weights = _log_weights_official if official else _log_weights
    log_weights = batch.own(weights(columns, dataset_size), axis_name)
    weighted = log_weights[:, :, None] + log_q
    joint = weighted.sum(axis=-1) if official else log_weights + log_q.sum(axis=-1)
    marginals = _log_mean(weighted).sum(axis=-1)
    return _terms(z, Posterior(mu, logvar), _log_mean(joint), marginals)


def _log_densities(
    z: jax.Array, posterior: Posterior, axis_name: str | None
) -> tuple[jax.Array, int]:
    """log q(z_id | x_j) of own samples i and all posteriors j, [b, B, D]; and B."""
    chex.assert_rank(z, 2)
    chex.assert_equal_shape([z, *posterior])
    everyone = Posterior(*(batch.whole(x, axis_name) for x in posterior))
    mu, logvar = everyone.mu[None], everyone.logvar[None]
    return _log_normal(z[:, None], mu, logvar), mu.shape[1]


def _log_normal(z: jax.Array, mu: jax.Array, logvar: jax.Array) -> jax.Array:
    return -0.5 * (_LOG_2PI + logvar + jnp.square(z - mu) * jnp.exp(-logvar))


def _log_mean(x: jax.Array) -> jax.Array:
    """Logarithm of the weighted mean over the batch, the second axis."""
    return jax.nn.logsumexp(x, axis=1)


def _terms(
    z: jax.Array,
    posterior: Posterior,
    log_q_joint: jax.Array,
    log_q_marginals: jax.Array,
) -> Decomposition:
    log_q_given_x = _log_normal(z, *posterior).sum(axis=-1)
    log_prior = _log_normal(z, jnp.zeros_like(z), jnp.zeros_like(z)).sum(axis=-1)
    return Decomposition(
        mi=(log_q_given_x - log_q_joint).mean(),
        tc=(log_q_joint - log_q_marginals).mean(),
        dwkl=(log_q_marginals - log_prior).mean(),
    )


def _log_weights(B: int, N: int) -> jax.Array:
    """log W[i, j], of sample i under posterior j, [B, B]; each row of W sums to 1.

    A sample's own posterior represents only itself, with weight 1 / N. The others
    represent the rest of the data; one of them has the weight that remains.
    """
    _require_batch_within(B, N)
    M = B - 1
    W = np.full((B, B), 1.0 / M)
    place = np.arange(B)
    W[place, (place + 1) % B] = (N - M) / (N * M)
    W[place, place] = 1.0 / N
    return jnp.asarray(np.log(W))


def _log_weights_official(B: int, N: int) -> jax.Array:
    """log W of the published code, [B, B], filled with a stride of B, not of B + 1."""
    _require_batch_within(B, N)
    M = B - 1
    rest = (N - M) / (N * M)
    W = np.full((B, B), 1.0 / M)
    W[:, 0], W[:, 1] = 1.0 / N, rest
    W[M - 1, 0] = rest
    return jnp.asarray(np.log(W))


def _require_batch_within(B: int, N: int) -> None:
    if not 2 <= B <= N:
        raise ValueError(
            f"the decomposition needs a batch of at least 2 samples and at most the "
            f"data set's {N}, not {B}"
        )
