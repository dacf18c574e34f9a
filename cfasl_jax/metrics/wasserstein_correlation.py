"""Gaussian Wasserstein correlation, as in disentanglement_lib; it needs no factors."""

from typing import Any

import numpy as np

from cfasl_jax.metrics.intervals import SUBSAMPLES, normal_interval, subsample_variance
from cfasl_jax.metrics.metric import Metric, Score, record
from cfasl_jax.metrics.points import covariance, draw_codes, num_active
from cfasl_jax.metrics.protocols import Protocol, get_protocol

_NAMES = ("gaussian_wasserstein_correlation", "gaussian_wasserstein_correlation_norm")


def gaussian_wasserstein_correlation(
    codes: np.ndarray,
    factors: np.ndarray | None,
    protocol: Protocol | str,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """How far the dimensions are from uncorrelated, as a distance of two Gaussians.

    The squared L2 Wasserstein distance of a Gaussian with the codes' covariance S from
    the product of its marginals, with V the diagonal of S,

        W = 2 tr S - 2 tr (V^1/2 S V^1/2)^1/2,

    and normalised: W / tr S. Both are 0 for uncorrelated dimensions. Unlike the total
    correlation they stay finite where a dimension is a copy of another, and a dimension
    that hardly varies hardly counts. Of D copies of one dimension, the normalised score
    is 2 (1 - 1/sqrt(D)).

    Args:
        codes: float [N, D].
        factors: not used.
        protocol: a Protocol or its name; unsupervised_samples points are drawn.
        rng: source of randomness.

    Returns:
        "gaussian_wasserstein_correlation", "gaussian_wasserstein_correlation_norm" and
        the record of `metric.record`.
    """
    protocol = get_protocol(protocol)
    sample, notes = draw_codes(codes, protocol.unsupervised_samples, rng)

    def statistic(rows: np.ndarray) -> np.ndarray:
        return _distances(covariance(sample[rows]))

    values = statistic(np.arange(len(sample))).tolist()
    repeats, confidence = protocol.bootstrap // 4, protocol.confidence
    variances = subsample_variance(statistic, len(sample), repeats, rng)
    scores = dict(zip(_NAMES, values, strict=True))
    intervals: dict[str, list[float] | None] = {
        name: normal_interval(value, variance, confidence, (0.0, np.inf), SUBSAMPLES)
        for name, value, variance in zip(_NAMES, values, variances, strict=True)
    }
    active = num_active(sample, protocol.prune_std)
    return record(protocol, rng, active, scores, intervals, (), notes)


def _distances(moments: np.ndarray) -> np.ndarray:
    """W and W / tr S of a covariance matrix [D, D]: [2]."""
    std, total = np.sqrt(np.diagonal(moments)), np.trace(moments)
    eigenvalues = np.linalg.eigvalsh(std[:, None] * moments * std)
    distance = 2 * (total - np.sqrt(np.maximum(eigenvalues, 0.0)).sum())
    return np.array([distance, distance / total if total > 0 else 0.0]).clip(0.0)


WASSERSTEIN_CORRELATION = Metric(
    name="gaussian_wasserstein_correlation",
    compute=gaussian_wasserstein_correlation,
    reference="Locatello et al. 2019, disentanglement_lib",
    needs_factors=False,
    floor_draws=None,
    scores=(
        Score(
            "gaussian_wasserstein_correlation",
            "Gaussian Wasserstein correlation",
            "how far the dimensions are from uncorrelated: the squared Wasserstein "
            "distance between the Gaussian with the covariance of the codes and the "
            "one with their variances only",
            lower_is_better=True,
        ),
        Score(
            "gaussian_wasserstein_correlation_norm",
            "normalised Gaussian Wasserstein correlation",
            "the Gaussian Wasserstein correlation over the total variance of the codes",
            lower_is_better=True,
        ),
    ),
)
