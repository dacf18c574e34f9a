"""FVM, the FactorVAE metric (Kim & Mnih 2018, arXiv 1802.05983, section 4)."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from cfasl_jax.metrics.metric import Metric, Score, record
from cfasl_jax.metrics.points import num_active
from cfasl_jax.metrics.protocols import Protocol, get_protocol
from cfasl_jax.metrics.sampling import Encode, Source, as_source
from cfasl_jax.metrics.votes import (
    NOTE,
    Votes,
    shares_by_group,
    variance_images,
    within_variances,
)


def fvm(
    encode: Encode | Source,
    sizes: Sequence[int] | np.ndarray,
    protocol: Protocol | str,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Whether the dimension that varies least identifies the factor that was fixed.

    A vote fixes a random factor k at a random value, takes a batch of images, and
    elects the active dimension d with the smallest variance relative to its variance
    over all images. Each dimension is assigned the factor that elected it most often in
    the training votes; FVM = share of votes (k, d) in which that factor is k.

    Range 0 to 1, chance near 1/K. Codes equal to the factors score 1, also with each
    dimension twice. A constant has no active dimension and scores 0. Rotated codes
    score less, since often none of their dimensions is constant while a factor is
    fixed.

    The intervals account for the choice of votes and of the images for the global
    variances (`votes`). Under `official`, which takes these variances from 100 images,
    FVM is lower than with exact variances, by 0.004 to 0.021 on the codes of
    docs/scores.md that do not score 1.

    Args:
        encode: int factors [n, K] -> codes [n, D] on the complete grid, or a source of
            `cfasl_jax.metrics.sampling`, such as Table(codes, factors).
        sizes: number of values of each factor, length K.
        protocol: a Protocol or its name.
        rng: source of randomness.

    Returns:
        "fvm_own_votes", the share among the votes that made the assignment;
        "fvm_held_out", the share among new votes; "fvm", which is one of these two, as
        the protocol's fvm_scored_on says; and the record of `metric.record`.

    Raises:
        ValueError: if the source holds too few images that share a value.
    """
    protocol, source = get_protocol(protocol), as_source(encode, sizes)
    train, num_factors = protocol.fvm_train, len(source.sizes)
    labels = rng.integers(0, num_factors, train + protocol.fvm_eval)
    fixed = np.eye(num_factors, dtype=bool)[labels]
    images = variance_images(source, protocol, rng)
    variances, whole = within_variances(
        source, fixed, protocol.fvm_batch, train, protocol, rng, "FVM"
    )
    active = num_active(images, protocol.prune_std)
    both, hits = [(0.0, [0.0, 0.0])] * 2, np.zeros(len(labels), bool)
    if active:
        groups = np.zeros(len(labels), np.int64)
        votes = Votes(variances, whole, groups, train, images, protocol.prune_std)
        both, hits = votes.shares(partial(_elect, labels), protocol, rng)
    shares = dict(zip(("fvm_own_votes", "fvm_held_out"), both, strict=True))
    shares = {"fvm": shares[f"fvm_{_SUFFIX[protocol.fvm_scored_on]}"], **shares}
    part = np.s_[:train] if protocol.fvm_scored_on == "own" else np.s_[train:]
    return record(
        protocol,
        rng,
        active,
        {name: share for name, (share, _) in shares.items()},
        {name: ends for name, (_, ends) in shares.items()},
        _notes(protocol),
        by_factor={"fvm": shares_by_group(hits[part], labels[part], num_factors)},
    )


def _elect(labels: np.ndarray, ranked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Given the dimension that varies least, the answer is the fixed factor."""
    if not ranked.shape[1]:  # A replicate may have no active dimension.
        return np.zeros_like(labels), np.arange(len(labels))
    return ranked[:, 0], labels


_SUFFIX = {"own": "own_votes", "held_out": "held_out"}


def _notes(protocol: Protocol) -> tuple[str, ...]:
    if protocol.fvm_scored_on == "held_out":
        return (NOTE,)
    return ("fvm is the share among its own votes, as published", NOTE)


FVM = Metric(
    name="fvm",
    compute=fvm,
    reference="Kim & Mnih 2018, arXiv:1802.05983",
    votes=True,
    floor_draws="chance_repeats_votes",
    elects=True,
    scores=(
        Score(
            "fvm",
            "FVM",
            "the FactorVAE metric: how often the dimension that varies least while one "
            "factor is fixed is one that stands for this factor by majority vote",
        ),
        Score(
            "fvm_own_votes",
            "FVM on its own votes",
            "FVM, counted on the votes that made the majorities",
            variant_of="fvm",
        ),
        Score(
            "fvm_held_out",
            "FVM on fresh votes",
            "FVM, counted on votes that had no part in the majorities",
            variant_of="fvm",
        ),
    ),
)
