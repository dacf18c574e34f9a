"""Gaussian total correlation, as in disentanglement_lib; it needs no factors."""

from typing import Any

import numpy as np

from cfasl_jax.metrics.intervals import SUBSAMPLES, normal_interval, subsample_variance
from cfasl_jax.metrics.metric import Metric, Score, record
from cfasl_jax.metrics.points import (
    UnavailableError,
    covariance,
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
    """Total correlation of a Gaussian with the covariance of the codes, in nats.

    It is the divergence of a Gaussian with the codes' covariance S from the product of
    its marginals,

        TC = (sum_d log S_dd - log det S) / 2.

    It is at least 0, which is the value for uncorrelated dimensions, and has no upper
    bound. Scaling a dimension does not change it. Constant dimensions are left out.

    Args:
        codes: float [N, D].
        factors: not used.
        protocol: a Protocol or its name; unsupervised_samples points are drawn.
        rng: source of randomness.

    Returns:
        "gaussian_total_correlation" and the record of `metric.record`; the interval
        needs more than six points for each dimension, and none where a sixth of the
        points has an infinite total correlation.

    Raises:
        UnavailableError: if a dimension is a linear function of others, such as a copy,
            which makes the total correlation infinite.
    """
    protocol = get_protocol(protocol)
    sample, notes = draw_codes(codes, protocol.unsupervised_samples, rng)

    def statistic(rows: np.ndarray) -> np.ndarray:
        return np.array([_total_correlation(covariance(sample[rows]))])

    estimate = float(statistic(np.arange(len(sample)))[0])
    if not np.isfinite(estimate):
        raise UnavailableError(
            "a dimension of the codes is a linear function of the others, so that "
            "their Gaussian total correlation is infinite"
        )
    name, repeats = "gaussian_total_correlation", protocol.bootstrap // 4
    ends = None
    # A sixth of the points with no more points than dimensions has an infinite one, and
    # so has a part in which two dimensions agree that differ in few of all points.
    if len(sample) // 6 > np.count_nonzero(np.ptp(sample, axis=0)):
        with np.errstate(invalid="ignore"):
            (variance,) = subsample_variance(statistic, len(sample), repeats, rng)
        if np.isfinite(variance):
            ends = normal_interval(
                estimate, variance, protocol.confidence, (0.0, np.inf), SUBSAMPLES
            )
    active = num_active(sample, protocol.prune_std)
    return record(protocol, rng, active, {name: estimate}, {name: ends}, (), notes)


def _total_correlation(moments: np.ndarray) -> float:
    """TC of a covariance matrix [D, D]; infinite where it is singular."""
    std = np.sqrt(np.diagonal(moments))
    varies = std > 0
    std, moments = std[varies], moments[varies][:, varies]
    eigenvalues = np.linalg.eigvalsh(moments / np.outer(std, std))
    # By rounding, an eigenvalue of 0 may be about 1e-16 times the size of the others.
    if (eigenvalues < 1e-12 * varies.sum()).any():
        return np.inf
    return max(0.0, -float(np.log(eigenvalues).sum()) / 2)


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
