"""Mutual information between dimensions, as in disentanglement_lib, without factors."""

from typing import Any

import numpy as np

from cfasl_jax.metrics.information import bin_codes, mutual_information
from cfasl_jax.metrics.intervals import SUBSAMPLES, normal_interval, subsample_variance
from cfasl_jax.metrics.metric import Metric, Score, record
from cfasl_jax.metrics.points import draw_codes, num_active, require_dims
from cfasl_jax.metrics.protocols import Protocol, get_protocol


def mutual_info_score(
    codes: np.ndarray,
    factors: np.ndarray | None,
    protocol: Protocol | str,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Mutual information of two dimensions in nats, averaged over all pairs.

    It is estimated by the plug-in estimate on histograms of equal-width bins, which for
    independent dimensions is above 0 by about (bins - 1)^2 / (2 n). A constant
    dimension has no information and is not left out, so that dead dimensions lower the
    score; two copies have an information equal to their entropy.

    Args:
        codes: float [N, D], D >= 2.
        factors: not used.
        protocol: a Protocol or its name; unsupervised_samples points, mig_bins bins.
        rng: source of randomness.

    Returns:
        "mutual_info_score" and the record of `metric.record`.

    Raises:
        UnavailableError: if D = 1.
    """
    protocol = get_protocol(protocol)
    sample, notes = draw_codes(codes, protocol.unsupervised_samples, rng)
    dims, bins = sample.shape[1], protocol.mig_bins
    require_dims(sample, 2, "the mutual information score needs two dimensions")
    binned = bin_codes(sample, bins)

    def score(rows: np.ndarray) -> np.ndarray:
        chosen = binned[rows]
        between, _ = mutual_information(chosen, bins, chosen, (bins,) * dims)
        return between[~np.eye(dims, dtype=bool)].mean(keepdims=True)

    estimate = float(score(np.arange(len(binned)))[0])
    repeats = protocol.bootstrap // 4
    # Its bias for nearly independent pairs makes it vary much more on few points.
    (variance,) = subsample_variance(score, len(binned), repeats, rng, fastest=0.5)
    bounds = (0.0, float(np.log(bins)))
    ends = normal_interval(estimate, variance, protocol.confidence, bounds, SUBSAMPLES)
    name, active = "mutual_info_score", num_active(sample, protocol.prune_std)
    return record(protocol, rng, active, {name: estimate}, {name: ends}, (), notes)


MUTUAL_INFO_SCORE = Metric(
    name="mutual_info_score",
    compute=mutual_info_score,
    reference="Locatello et al. 2019, disentanglement_lib",
    needs_factors=False,
    floor_draws=None,
    scores=(
        Score(
            "mutual_info_score",
            "mutual information between dimensions",
            "the mutual information of two dimensions of the codes, in nats; the mean "
            "over all pairs",
            lower_is_better=True,
        ),
    ),
)
