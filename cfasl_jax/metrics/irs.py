"""Interventional robustness score (Suter et al. 2019, arXiv 1811.00007)."""

from typing import Any

import numpy as np

from cfasl_jax.metrics.information import bin_codes
from cfasl_jax.metrics.intervals import normal_interval, subsample_variance
from cfasl_jax.metrics.metric import Metric, Score, record
from cfasl_jax.metrics.points import draw_points, num_active
from cfasl_jax.metrics.protocols import Protocol, get_protocol

# Of the variance: thirds and sixths share the largest deviations, on which IRS depends
# more than other scores do. The standard deviation from them has an error of a third,
# like one with four degrees of freedom.
_FREEDOM = 4


def irs(
    codes: np.ndarray,
    factors: np.ndarray,
    protocol: Protocol | str,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Whether a dimension stays constant while all factors but one vary.

    For dimension d and factor k, q[d, k] is the mean over the values of v_k of a high
    quantile of |c_d - E[c_d | v_k]| among the points of that value, and
    m_d = max |c_d - E[c_d]|. Then

        IRS = sum_d m_d max_k (1 - q[d, k] / m_d) / sum_d m_d,

    factors with more values than irs_bins being merged into bins (Suter et al. take the
    maximum; the quantile is disentanglement_lib's).

    Range 0 to 1. Codes equal to the factors score 1, less where values were merged, and
    so does each dimension twice; a constant scores 0; a rotation scores less. Noise
    scores above 0, since a quantile is below the maximum: see its chance floor.

    Args:
        codes: float [N, D].
        factors: int [N, K].
        protocol: a Protocol or its name; irs_samples points are drawn.
        rng: source of randomness.

    Returns:
        "irs" and the record of `metric.record`.

    Raises:
        ValueError: on bad arrays or fewer points than the protocol needs.
    """
    protocol = get_protocol(protocol)
    (sample,) = draw_points(codes, factors, (protocol.irs_samples,), "IRS", rng)
    factors = merged(sample.factors, sample.sizes, protocol.irs_bins)

    def score(rows: np.ndarray) -> np.ndarray:
        codes, quantile = sample.codes[rows], protocol.irs_quantile
        return np.array([robustness(codes, factors[rows], quantile)])

    count = len(factors)
    estimate = float(score(np.arange(count))[0])
    (variance,) = subsample_variance(score, count, protocol.bootstrap // 4, rng)
    ends = normal_interval(estimate, variance, protocol.confidence, freedom=_FREEDOM)
    return record(
        protocol,
        rng,
        num_active(sample.codes, protocol.prune_std),
        {"irs": estimate},
        {"irs": ends},
    )


def merged(factors: np.ndarray, sizes: tuple[int, ...], bins: int) -> np.ndarray:
    """Factors [n, K], those with more than `bins` values in bins of equal width."""
    many = np.asarray(sizes) > bins
    binned = bin_codes(factors.astype(np.float64), bins)
    return np.where(many[None], binned, factors)


def robustness(codes: np.ndarray, factors: np.ndarray, quantile: float) -> float:
    """IRS of codes [n, D] and factors int [n, K]."""
    largest = np.abs(codes - codes.mean(axis=0)).max(axis=0)
    varies = np.ptp(codes, axis=0) > 0
    if not varies.any():
        return 0.0
    codes, largest = codes[:, varies], largest[varies]
    deviation = np.empty((codes.shape[1], factors.shape[1]))
    for k in range(factors.shape[1]):
        quantiles = deviation_quantiles(codes, factors[:, k], quantile)
        deviation[:, k] = quantiles.mean(axis=0)
    robust = np.maximum(1 - deviation / largest[:, None], 0.0).max(axis=1)
    return float(largest @ robust / largest.sum())


def deviation_quantiles(
    codes: np.ndarray, factor: np.ndarray, quantile: float
) -> np.ndarray:
    """Quantiles, linearly interpolated, of |c - its mean| for each value of a factor.

    Args:
        codes: [n, D].
        factor: int [n]; G different values.
        quantile: from 0 to 1.

    Returns:
        [G, D], in the order of the values.
    """
    groups = [codes[factor == value] for value in np.unique(factor)]
    deviations = [np.abs(group - group.mean(axis=0)) for group in groups]
    return np.stack([np.quantile(each, quantile, axis=0) for each in deviations])


IRS = Metric(
    name="irs",
    compute=irs,
    reference="Suter et al. 2019, arXiv:1811.00007",
    counts=("irs_samples",),
    scores=(
        Score(
            "irs",
            "IRS",
            "how little a dimension moves while all factors but one vary, relative to "
            "its largest deviation; the mean over dimensions, weighted by that",
        ),
    ),
)
