"""Mutual information between dimensions, of disentanglement_lib: needs no factors."""

from typing import Any

import numpy as np

from cfasl_jax.metrics.information import bin_codes, mutual_information
from cfasl_jax.metrics.intervals import interval, resamples
from cfasl_jax.metrics.metric import Metric, Score, record
from cfasl_jax.metrics.points import UnavailableError, draw_codes, num_active
from cfasl_jax.metrics.protocols import Protocol, get_protocol


def mutual_info_score(
    codes: np.ndarray,
    factors: np.ndarray | None,
    protocol: Protocol | str,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """How much two dimensions know of each other, in nats: the mean over all pairs.

    On histograms of equal-width bins a dimension, by the plug-in estimate, which is
    above 0 for independent dimensions too: by about (bins - 1)^2 / (2 n). A constant
    dimension has no information and counts as it is; two copies have that of their
    entropy.

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
    if dims < 2:
        raise UnavailableError(
            f"the mutual information score needs two dimensions, got codes of {dims}"
        )
    binned = bin_codes(sample, bins)

    def score(weights: np.ndarray | None) -> float:
        between, _ = mutual_information(binned, bins, binned, (bins,) * dims, weights)
        return float(between[~np.eye(dims, dtype=bool)].mean())

    estimate = score(None)
    weights = resamples(rng, protocol.bootstrap, len(binned))
    replicates = np.array([score(row) for row in weights])
    ends = interval(estimate, replicates, protocol.confidence, (0.0, np.log(bins)))
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
