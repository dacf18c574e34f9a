"""Modularity (Ridgeway & Mozer 2018, arXiv 1802.05312, section 3)."""

from typing import Any

import numpy as np

from cfasl_jax.metrics.information import bin_codes, mutual_information
from cfasl_jax.metrics.intervals import SUBSAMPLES, normal_interval, subsample_variance
from cfasl_jax.metrics.metric import Metric, Score, record
from cfasl_jax.metrics.points import draw_points, num_active
from cfasl_jax.metrics.protocols import Protocol, get_protocol


def modularity(
    codes: np.ndarray,
    factors: np.ndarray,
    protocol: Protocol | str,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Whether each dimension has information about one factor at most.

    With m[d, k] = I(c_d; v_k) on equal-width histograms and theta_d = max_k m[d, k],

        modularity = mean_d 1 - sum_{k != argmax} m[d, k]^2 / (theta_d^2 (K - 1)),

    where a dimension without information (theta_d = 0) counts as 0.

    Range 0 to 1. Codes equal to the factors score 1 up to plug-in bias, also with each
    dimension twice. A constant scores 0, and a rotation scores less. Noise scores far
    above 0, as its plug-in information is uneven by chance: compare the score with its
    chance floor.

    Args:
        codes: float [N, D].
        factors: int [N, K].
        protocol: a Protocol or its name; modularity_samples points, mig_bins bins.
        rng: source of randomness.

    Returns:
        "modularity" and the record of `metric.record`.

    Raises:
        ValueError: on bad arrays or fewer points than the protocol needs.
    """
    protocol = get_protocol(protocol)
    counts = (protocol.modularity_samples,)
    (sample,) = draw_points(codes, factors, counts, "modularity", rng)

    def score(rows: np.ndarray) -> np.ndarray:
        part, bins = sample.take(rows), protocol.mig_bins
        binned = bin_codes(part.codes, bins)
        information, _ = mutual_information(binned, bins, part.factors, part.sizes)
        return np.array([modularity_of(information)])

    count = len(sample.codes)
    estimate = float(score(np.arange(count))[0])
    (variance,) = subsample_variance(score, count, protocol.bootstrap // 4, rng)
    ends = normal_interval(estimate, variance, protocol.confidence, freedom=SUBSAMPLES)
    return record(
        protocol,
        rng,
        num_active(sample.codes, protocol.prune_std),
        {"modularity": estimate},
        {"modularity": ends},
    )


def modularity_of(information: np.ndarray) -> float:
    """Modularity of mutual information [D, K] >= 0, K >= 2."""
    # By rounding, a constant may have an information of 1e-16 instead of 0.
    squared = np.where(information > 1e-12, information, 0.0) ** 2
    largest = squared.max(axis=1)
    rest = squared.sum(axis=1) - largest
    informative = largest > 0
    deviation = rest / np.where(informative, largest, 1.0) / (information.shape[1] - 1)
    return float(np.mean(np.where(informative, 1 - deviation, 0.0)))


MODULARITY = Metric(
    name="modularity",
    compute=modularity,
    reference="Ridgeway & Mozer 2018, arXiv:1802.05312",
    counts=("modularity_samples",),
    scores=(
        Score(
            "modularity",
            "modularity",
            "how far each dimension has mutual information about one factor only; the "
            "mean over dimensions",
        ),
    ),
)
