"""m-FVM, the FVM of several factors at once (Jung et al. 2024, arXiv 2401.08897)."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from cfasl_jax.metrics.metric import Metric, Score, record
from cfasl_jax.metrics.points import UnavailableError, num_active
from cfasl_jax.metrics.protocols import Protocol, get_protocol
from cfasl_jax.metrics.sampling import Encode, Source, as_source
from cfasl_jax.metrics.votes import NOTE, Votes, variance_images, within_variances


def m_fvm(
    encode: Encode | Source,
    sizes: Sequence[int] | np.ndarray,
    protocol: Protocol | str,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Whether fixing k factors always makes the same k dimensions vary least.

    A vote fixes a random set of k factors at random values and elects the set of the k
    active dimensions with the smallest variance relative to that over all images. For
    each set of factors, the majority is the set of dimensions that received most of its
    votes. m-FVM_k is the share of votes for the majority, averaged over the sets of
    factors that were drawn. For the held-out score, the majority is that of the
    training votes and the share is that of as many new votes (a set of factors without
    training votes counts as 0).

    Range 0 to 1. Codes equal to the factors score 1. As published, codes with exactly k
    active dimensions always score 1, and noise scores far above 0: compare the score
    with its chance floor and the number of active dimensions. With fewer than k active
    dimensions, as for a constant, the score is 0. If each dimension occurs twice, the
    order of the copies decides between them. A rotation scores less.

    The intervals account for the choice of votes and of the images for the global
    variances (`votes`).

    Args:
        encode: int factors [n, K] -> codes [n, D] on the complete grid, or a source of
            `cfasl_jax.metrics.sampling`, such as Table(codes, factors).
        sizes: number of values of each factor, length K >= 3.
        protocol: a Protocol or its name; m_fvm_ks or, by default, k = 2 ... K - 1.
        rng: source of randomness.

    Returns:
        "m_fvm_2", "m_fvm_2_held_out" and so on for each k, and the record of
        `metric.record`.

    Raises:
        ValueError: if K < 3, k is out of range, or the source holds too few images that
            share the values of k factors.
    """
    protocol, source = get_protocol(protocol), as_source(encode, sizes)
    num_factors = len(source.sizes)
    ks = protocol.m_fvm_ks or tuple(range(2, num_factors))
    if not ks or min(ks) < 1 or max(ks) >= num_factors:
        raise UnavailableError(
            f"m-FVM fixes 2 to K - 1 factors together, got k = {list(ks)} "
            f"and K = {num_factors}"
        )
    images = variance_images(source, protocol, rng)
    active = num_active(images, protocol.prune_std)
    scores: dict[str, float] = {}
    intervals: dict[str, list[float] | None] = {}
    warnings = []
    for k in ks:
        if active == k:
            warnings += [
                f"exactly {k} active dimensions: m_fvm_{k} is 1 whatever they hold"
            ]
        both = _shares(source, images, k, protocol, rng)
        names = (f"m_fvm_{k}", f"m_fvm_{k}_held_out")
        for name, (value, ends) in zip(names, both, strict=True):
            scores[name], intervals[name] = value, ends
    notes = ("m_fvm_k is the share among its own votes, as published", NOTE)
    return record(protocol, rng, active, scores, intervals, notes, tuple(warnings))


def _shares(
    source: Source,
    images: np.ndarray,
    k: int,
    protocol: Protocol,
    rng: np.random.Generator,
) -> list[tuple[float, list[float]]]:
    """Score and interval for own and for held-out votes."""
    if num_active(images, protocol.prune_std) < k:
        return [(0.0, [0.0, 0.0])] * 2
    train = protocol.m_fvm_train
    total = train + protocol.m_fvm_eval
    fixed = random_subsets(rng, total, len(source.sizes), k)
    variances, whole = within_variances(
        source, fixed, protocol.m_fvm_batch, train, protocol, rng, f"m-FVM_{k}"
    )
    rows = np.unique(fixed, axis=0, return_inverse=True)[1].reshape(-1)
    votes = Votes(variances, whole, rows, train, images, protocol.prune_std)
    both, _ = votes.shares(partial(_elect, rows, k), protocol, rng)
    return both


def _elect(
    rows: np.ndarray, k: int, ranked: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Given the fixed factors, the answer is the k dimensions that vary least."""
    if ranked.shape[1] < k:  # A replicate may have too few active dimensions.
        return rows, np.arange(len(rows))
    elected = np.sort(ranked[:, :k], axis=1)
    # A set of dimensions as one string of k characters: sorted as fast as numbers are.
    names = (elected + 1).astype(np.uint32).view(f"U{k}").reshape(-1)
    return rows, np.unique(names, return_inverse=True)[1]


def random_subsets(
    rng: np.random.Generator, count: int, num_factors: int, k: int
) -> np.ndarray:
    """Uniform random sets of k of the factors, as bool [count, K]."""
    order = rng.permuted(np.tile(np.arange(num_factors), (count, 1)), axis=1)
    return order < k


# Scores are declared for k below this number; no common data set has so many factors.
# The score of a larger k is computed too, but has no label.
_MOST_FACTORS = 16

M_FVM = Metric(
    name="m_fvm",
    compute=m_fvm,
    reference="Jung et al. 2024, arXiv:2401.08897",
    votes=True,
    floor_draws="chance_repeats_votes",
    elects=True,
    scores=tuple(
        score
        for k in range(2, _MOST_FACTORS)
        for score in (
            Score(
                f"m_fvm_{k}",
                f"m-FVM{k}",
                f"how often the {k} dimensions that vary least while {k} factors are "
                "fixed are the set most often elected for these factors; the mean over "
                f"sets of {k} factors (1 whenever exactly {k} dimensions are active)",
            ),
            Score(
                f"m_fvm_{k}_held_out",
                f"m-FVM{k} on fresh votes",
                f"m-FVM{k}, counted on votes that had no part in the elections",
                variant_of=f"m_fvm_{k}",
            ),
        )
    ),
)
