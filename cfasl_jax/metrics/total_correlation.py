"""Gaussian total correlation, of disentanglement_lib: needs no factors."""

from typing import Any

import numpy as np

from cfasl_jax.metrics.intervals import interval, resamples
from cfasl_jax.metrics.metric import Metric, Score, record
from cfasl_jax.metrics.points import (
    UnavailableError,
    covariances,
    draw_codes,
    num_active,
)
from cfasl_jax.metrics.protocols import Protocol, get_protocol


def gaussian_total_correlation(
    codes: np.ndarray,
    factors: np.ndarray | None,
    protocol: Protocol | str,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """How far the dimensions are from independent, if they were Gaussian; in nats.

    The divergence of a Gaussian with the codes' covariance S from the product of its
    marginals,

        TC = (sum_d log S_dd - log det S) / 2.

    At least 0, which independent dimensions have; not bounded above. Scaling a
    dimension changes nothing. Dimensions that do not vary at all are left out.

    Args:
        codes: float [N, D].
        factors: not used.
        protocol: a Protocol or its name; unsupervised_samples points are drawn.
        rng: source of randomness.

    Returns:
        "gaussian_total_correlation" and the record of `metric.record`.

    Raises:
        UnavailableError: if a dimension is a linear function of others, such as a copy,
            which makes the total correlation infinite.
    """
    protocol = get_protocol(protocol)
    sample, notes = draw_codes(codes, protocol.unsupervised_samples, rng)
    weights = resamples(rng, protocol.bootstrap, len(sample))
    once = np.ones((1, len(sample)), np.int64)
    estimate, *replicates = _total_correlation(
        covariances(sample, np.concatenate([once, weights]))
    )
    if not np.isfinite(estimate):
        raise UnavailableError(
            "a dimension of the codes is a linear function of the others, so that "
            "their Gaussian total correlation is infinite"
        )
    name = "gaussian_total_correlation"
    drawn = np.array(replicates)
    ends = interval(
        float(estimate),
        drawn[np.isfinite(drawn)],
        protocol.confidence,
        bounds=(0.0, np.inf),
    )
    active = num_active(sample, protocol.prune_std)
    return record(protocol, rng, active, {name: estimate}, {name: ends}, (), notes)


def _total_correlation(covariance: np.ndarray) -> np.ndarray:
    """TC of each of R covariances [R, D, D]: [R]; infinite where one is singular."""
    std = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    varies = (std > 0).all(axis=0)
    std, covariance = std[:, varies], covariance[:, varies][:, :, varies]
    correlation = covariance / (std[:, :, None] * std[:, None, :])
    eigenvalues = np.linalg.eigvalsh(correlation)
    # Rounding leaves about 1e-16 times the size where an eigenvalue is 0.
    singular = (eigenvalues < 1e-12 * max(1, varies.sum())).any(axis=1)
    log_det = np.log(np.where(singular[:, None], 1.0, eigenvalues)).sum(axis=1)
    return np.where(singular, np.inf, np.maximum(-log_det / 2, 0.0))


TOTAL_CORRELATION = Metric(
    name="gaussian_total_correlation",
    compute=gaussian_total_correlation,
    reference="Locatello et al. 2019, disentanglement_lib",
    needs_factors=False,
    floor_draws=None,
    scores=(
        Score(
            "gaussian_total_correlation",
            "Gaussian total correlation",
            "how far the dimensions are from independent, measured on a Gaussian with "
            "the covariance of the codes, in nats",
            lower_is_better=True,
        ),
    ),
)
