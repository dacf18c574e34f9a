"""Mutual information gap (Chen et al. 2018, arXiv 1802.04942, equation 6)."""

from typing import Any

import numpy as np

from cfasl_jax.metrics.information import bin_codes, mutual_information
from cfasl_jax.metrics.intervals import SUBSAMPLES, normal_interval, subsample_variance
from cfasl_jax.metrics.metric import Metric, Score, record
from cfasl_jax.metrics.points import draw_points, gaps, num_active, require_dims
from cfasl_jax.metrics.protocols import Protocol, get_protocol


def mig(
    codes: np.ndarray,
    factors: np.ndarray,
    protocol: Protocol | str,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """How much more information one dimension has about a factor than any other.

    MIG is the mean over factors v of (I(c_1; v) - I(c_2; v)) / H(v), where c_1 and c_2
    are the two dimensions with the most mutual information about v, estimated with
    histograms of equal-width bins.

    Range 0 to 1. Codes equal to the factors score nearly 1: the histogram loses
    information if a factor has more values than bins, and independent dimensions have
    some plug-in information. A constant scores 0, and so do codes with each dimension
    twice. A rotation spreads each factor over dimensions and scores near 0.

    Args:
        codes: float [N, D], D >= 2.
        factors: int [N, K].
        protocol: a Protocol or its name; mig_samples points are drawn.
        rng: source of randomness.

    Returns:
        "mig" and the record of `metric.record`.

    Raises:
        ValueError: on bad arrays, fewer points than the protocol needs, or D = 1.
    """
    protocol = get_protocol(protocol)
    (sample,) = draw_points(codes, factors, (protocol.mig_samples,), "MIG", rng)
    require_dims(sample.codes, 2, "MIG compares two dimensions")

    def found(rows: np.ndarray) -> np.ndarray:
        part, bins = sample.take(rows), protocol.mig_bins
        binned = bin_codes(part.codes, bins)
        information, entropies = mutual_information(
            binned, bins, part.factors, part.sizes
        )
        # If a subsample has only one value of a factor, the gap of this factor is 0.
        return gaps(information) / np.where(entropies > 0, entropies, 1.0)

    def score(rows: np.ndarray) -> np.ndarray:
        return np.array([found(rows).mean()])

    count = len(sample.codes)
    of_factors = found(np.arange(count))
    estimate = float(of_factors.mean())
    (variance,) = subsample_variance(score, count, protocol.bootstrap // 4, rng)
    ends = normal_interval(estimate, variance, protocol.confidence, freedom=SUBSAMPLES)
    return record(
        protocol,
        rng,
        num_active(sample.codes, protocol.prune_std),
        {"mig": estimate},
        {"mig": ends},
        by_factor={"mig": of_factors},
    )


MIG = Metric(
    name="mig",
    compute=mig,
    reference="Chen et al. 2018, arXiv:1802.04942, equation 6",
    counts=("mig_samples",),
    scores=(
        Score(
            "mig",
            "MIG",
            "the gap between the two dimensions with the most mutual information about "
            "a factor, as a share of the factor's entropy; the mean over factors",
        ),
    ),
)
