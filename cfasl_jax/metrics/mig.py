"""Mutual information gap (Chen et al. 2018, arXiv 1802.04942, equation 6)."""

from typing import Any

import numpy as np

from cfasl_jax.metrics.information import bin_codes, mutual_information
from cfasl_jax.metrics.intervals import SUBSAMPLES, normal_interval, subsample_variance
from cfasl_jax.metrics.metric import Metric, Score, record
from cfasl_jax.metrics.points import draw_points, num_active, require_dims
from cfasl_jax.metrics.protocols import Protocol, get_protocol


def mig(
    codes: np.ndarray,
    factors: np.ndarray,
    protocol: Protocol | str,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """How much more one dimension knows of a factor than any other dimension does.

    MIG = mean over factors v of (I(c_1; v) - I(c_2; v)) / H(v), with c_1 and c_2 the
    two dimensions of the largest mutual information with v, on histograms of
    equal-width bins a code.

    Range 0 to 1. Codes equal to the factors score 1, less what the histogram loses
    where a factor has more values than bins, and less the small plug-in information of
    independent dimensions; a constant scores 0, each dimension twice scores 0; a
    rotation spreads each factor over dimensions and scores near 0.

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
    require_dims(sample, 2, "MIG compares two dimensions")

    def score(rows: np.ndarray) -> np.ndarray:
        part, bins = sample.take(rows), protocol.mig_bins
        binned = bin_codes(part.codes, bins)
        return np.array(
            [gap(*mutual_information(binned, bins, part.factors, part.sizes))]
        )

    count = len(sample.codes)
    estimate = float(score(np.arange(count))[0])
    (variance,) = subsample_variance(score, count, protocol.bootstrap // 4, rng)
    ends = normal_interval(estimate, variance, protocol.confidence, freedom=SUBSAMPLES)
    return record(
        protocol,
        rng,
        num_active(sample.codes, protocol.prune_std),
        {"mig": estimate},
        {"mig": ends},
    )


def gap(information: np.ndarray, entropies: np.ndarray) -> float:
    """Mean gap between the two largest of each column [D, K], over entropies [K].

    A factor of which a subsample has one value only has no entropy, and a gap of 0.
    """
    second, first = np.sort(information, axis=0)[-2:]
    return float(np.mean((first - second) / np.where(entropies > 0, entropies, 1.0)))


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
