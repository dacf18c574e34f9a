"""m-FVM, the FVM of several factors at once (Jung et al. 2024, arXiv 2401.08897)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cfasl_jax.metrics.intervals import interval, resamples
from cfasl_jax.metrics.metric import Metric, Score, record
from cfasl_jax.metrics.points import UnavailableError
from cfasl_jax.metrics.protocols import Protocol, get_protocol
from cfasl_jax.metrics.sampling import Encode, Source, as_source
from cfasl_jax.metrics.votes import Scale, global_scale, normalized_variances


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

    The interval is over the votes, for the global variance as drawn. Under `official`,
    which takes that from 100 images, another draw moves the score by more than the
    interval says: compare seeds.

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
    scale = global_scale(source, protocol, rng)
    scores: dict[str, float] = {}
    intervals: dict[str, list[float] | None] = {}
    warnings = []
    for k in ks:
        if scale.num_active == k:
            warnings += [
                f"exactly {k} active dimensions: m_fvm_{k} is 1 whatever they hold"
            ]
        names = (f"m_fvm_{k}", f"m_fvm_{k}_held_out")
        both = _shares(source, k, scale, protocol, rng)
        for name, (value, ends) in zip(names, both, strict=True):
            scores[name], intervals[name] = value, ends
    return record(
        protocol,
        rng,
        scale.num_active,
        scores,
        intervals,
        _NOTES,
        tuple(warnings),
    )


_NOTES = (
    "m_fvm_k is the share among its own votes, as published",
    "no held-out vote repeats a training vote",
)


def _shares(
    source: Source,
    k: int,
    scale: Scale,
    protocol: Protocol,
    rng: np.random.Generator,
) -> list[tuple[float, list[float]]]:
    """Score and interval for own and for held-out votes."""
    if scale.num_active < k:
        return [(0.0, [0.0, 0.0])] * 2
    train = protocol.m_fvm_train
    total = train + protocol.m_fvm_eval
    fixed = random_subsets(rng, total, len(source.sizes), k)
    variances = normalized_variances(
        source, fixed, protocol.m_fvm_batch, train, scale, protocol, rng, f"m-FVM_{k}"
    )
    # The k smallest, as a set; equal variances go to the lower dimension.
    elected = np.sort(np.argsort(variances, axis=1, kind="stable")[:, :k], axis=1)
    rows = np.unique(fixed, axis=0, return_inverse=True)[1].reshape(-1)
    columns = np.unique(elected, axis=0, return_inverse=True)[1].reshape(-1)
    table = np.zeros((rows.max() + 1, columns.max() + 1), np.int64)
    np.add.at(table, (rows[:train], columns[:train]), 1)
    correct = (table.argmax(axis=1)[rows] == columns) & (table.max(axis=1) > 0)[rows]
    parts = (slice(None, train), slice(train, None))
    return [_mean_share(rows[part], correct[part], protocol, rng) for part in parts]


def random_subsets(
    rng: np.random.Generator, count: int, num_factors: int, k: int
) -> np.ndarray:
    """Uniform random sets of k of the factors, as bool [count, K]."""
    order = rng.permuted(np.tile(np.arange(num_factors), (count, 1)), axis=1)
    return order < k


def _mean_share(
    rows: np.ndarray, correct: np.ndarray, protocol: Protocol, rng: np.random.Generator
) -> tuple[float, list[float]]:
    """Mean over the factor sets seen of the share of correct votes; its interval."""
    one_hot = np.eye(rows.max() + 1)[rows]
    weights = resamples(rng, protocol.bootstrap, len(rows))
    weights = np.concatenate([np.ones((1, len(rows)), np.int64), weights])
    votes = weights @ one_hot
    hits = weights @ (one_hot * correct[:, None])
    shares = np.where(votes > 0, hits / np.maximum(votes, 1), np.nan)
    score, *replicates = np.nanmean(shares, axis=1)
    ends = interval(float(score), np.array(replicates), protocol.confidence)
    return float(score), ends


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
