"""m-FVM, the FVM of several factors at once (Jung et al. 2024, arXiv 2401.08897)."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from cfasl_jax.metrics.metric import Metric, Score, record
from cfasl_jax.metrics.points import UnavailableError, num_active
from cfasl_jax.metrics.protocols import Protocol, get_protocol
from cfasl_jax.metrics.sampling import Encode, Source, as_source
from cfasl_jax.metrics.votes import NOTE, Ballot, draw_votes, variance_images


def m_fvm(
    encode: Encode | Source,
    sizes: Sequence[int] | np.ndarray,
    protocol: Protocol | str,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Whether fixing k factors together always stills the same k dimensions.

    A vote fixes a random set of k factors at random values and elects the set of the k
    active dimensions with the smallest variance relative to that over all images.
    m-FVM_k = mean, over the factor sets seen, of the share of the set's votes that went
    to the dimension set with the most of them. Held out, the majority is that of the
    training votes and the share is of as many fresh votes (a factor set without
    training votes counts as 0).

    Range 0 to 1. Codes equal to the factors score 1. As published, whatever has exactly
    k active dimensions scores 1, and noise scores far above 0: read the score beside
    its chance floor and the number of active dimensions. With fewer than k active
    dimensions, a constant included, the score is 0. Each dimension twice makes ties
    between copies and scores as their order decides; a rotation scores less.

    The intervals are of the bootstrap over votes and over the images of the global
    variances.

    Args:
        encode: int factors [n, K] -> codes [n, D] on the complete grid, or a source of
            `cfasl_jax.metrics.sampling`, such as Table(codes, factors).
        sizes: number of values of each factor, length K >= 3.
        protocol: a Protocol or its name; m_fvm_ks or, by default, k = 2 ... K - 1.
        rng: source of randomness.

    Returns:
        "m_fvm_k" and "m_fvm_k_held_out" for each k (in place of the letter k), and the
        record of `metric.record`.

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
    votes = draw_votes(
        source, images, fixed, protocol.m_fvm_batch, train, protocol, rng, f"m-FVM_{k}"
    )
    rows = np.unique(fixed, axis=0, return_inverse=True)[1].reshape(-1)
    return votes.shares(partial(_mean_shares, rows, train, k), protocol, rng)


def _mean_shares(
    rows: np.ndarray, train: int, k: int, ballot: Ballot
) -> tuple[float, float]:
    """Mean over factor sets of the share of their majority: own, held-out votes.

    Args:
        rows: number of the set of factors that each of n votes fixes, int [n].
        train: how many votes, the first ones, make the majorities.
        k: how many dimensions a vote elects.
        ballot: the votes.
    """
    if ballot.ranked.shape[1] < k:  # Too few are active in this replicate.
        return 0.0, 0.0
    elected = np.sort(ballot.ranked[:, :k], axis=1)
    # A set of dimensions as one string of k characters: sorted as fast as numbers are.
    names = (elected + 1).astype(np.uint32).view(f"U{k}").reshape(-1)
    columns = np.unique(names, return_inverse=True)[1]
    table = np.zeros((rows.max() + 1, columns.max() + 1), np.int64)
    np.add.at(table, (rows[:train], columns[:train]), ballot.weights[:train])
    correct = (table.argmax(axis=1)[rows] == columns) & (table.max(axis=1) > 0)[rows]
    means = []
    for part in (slice(None, train), slice(train, None)):
        weights = ballot.weights[part]
        votes = np.bincount(rows[part], weights)
        hits = np.bincount(rows[part], weights * correct[part])
        means.append(float(np.mean(hits[votes > 0] / votes[votes > 0])))
    return means[0], means[1]


def random_subsets(
    rng: np.random.Generator, count: int, num_factors: int, k: int
) -> np.ndarray:
    """Uniform random sets of k of the factors, as bool [count, K]."""
    order = rng.permuted(np.tile(np.arange(num_factors), (count, 1)), axis=1)
    return order < k


# Scores are declared for k below this number; no data set of the field has so many
# factors. A score of a larger k is computed all the same, but has no label.
_MOST_FACTORS = 16

M_FVM = Metric(
    name="m_fvm",
    compute=m_fvm,
    reference="Jung et al. 2024, arXiv:2401.08897",
    votes=True,
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
