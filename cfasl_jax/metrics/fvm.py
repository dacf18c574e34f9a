"""FVM, the FactorVAE metric (Kim & Mnih 2018, arXiv 1802.05983, section 4)."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from cfasl_jax.metrics.metric import Metric, Score, record
from cfasl_jax.metrics.protocols import Protocol, get_protocol
from cfasl_jax.metrics.sampling import Encode, Source, as_source
from cfasl_jax.metrics.votes import NOTE, Ballot, draw_votes, variance_images


def fvm(
    encode: Encode | Source,
    sizes: Sequence[int] | np.ndarray,
    protocol: Protocol | str,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Whether the dimension that varies least tells which factor was fixed.

    A vote fixes a random factor k at a random value, takes a batch of images, and
    elects the active dimension d with the smallest variance relative to its variance
    over all images. Each dimension is assigned the factor that elected it most often in
    the training votes; FVM = share of votes (k, d) in which that factor is k.

    Range 0 to 1, chance near 1/K. Codes equal to the factors score 1, as does each
    dimension twice; a constant has no active dimension and scores 0; of a rotation,
    often no dimension is still while a factor is fixed, and the score falls.

    The intervals are of the bootstrap over votes and over the images of the global
    variances. Under `official`, which takes these from 100 images, FVM is lower than
    with exact variances: by about .02 on codes that are a nonlinear function of the
    factors (docs/scores.md).

    Args:
        encode: int factors [n, K] -> codes [n, D] on the complete grid, or a source of
            `cfasl_jax.metrics.sampling`, such as Table(codes, factors).
        sizes: number of values of each factor, length K.
        protocol: a Protocol or its name.
        rng: source of randomness.

    Returns:
        "fvm", which is one of the next two by the protocol's fvm_scored_on;
        "fvm_own_votes", of the votes that made the assignment; "fvm_held_out", of
        as yet unseen votes; and the record of `metric.record`.

    Raises:
        ValueError: if the source holds too few images that share a value.
    """
    protocol, source = get_protocol(protocol), as_source(encode, sizes)
    train, num_factors = protocol.fvm_train, len(source.sizes)
    labels = rng.integers(0, num_factors, train + protocol.fvm_eval)
    fixed = np.eye(num_factors, dtype=bool)[labels]
    images = variance_images(source, protocol, rng)
    votes = draw_votes(
        source, images, fixed, protocol.fvm_batch, train, protocol, rng, "FVM"
    )
    both = [(0.0, [0.0, 0.0])] * 2
    if votes.num_active:
        both = votes.shares(partial(_accuracies, labels, train), protocol, rng)
    shares = dict(zip(("fvm_own_votes", "fvm_held_out"), both, strict=True))
    shares = {"fvm": shares[f"fvm_{_SUFFIX[protocol.fvm_scored_on]}"], **shares}
    return record(
        protocol,
        rng,
        votes.num_active,
        {name: share for name, (share, _) in shares.items()},
        {name: ends for name, (_, ends) in shares.items()},
        _notes(protocol),
    )


def _accuracies(labels: np.ndarray, train: int, ballot: Ballot) -> tuple[float, float]:
    """Share of the votes for a dimension whose factor it is: of own, of held-out votes.

    Args:
        labels: the fixed factor of each of n votes, int [n].
        train: how many votes, the first ones, decide whose factor is which.
        ballot: the votes.
    """
    elected, weights = ballot.ranked[:, :1].reshape(-1), ballot.weights
    if not len(elected):  # In this replicate no dimension is active.
        return 0.0, 0.0
    table = np.zeros((elected.max() + 1, labels.max() + 1), np.int64)
    np.add.at(table, (elected[:train], labels[:train]), weights[:train])
    hits = weights * (table.argmax(axis=1)[elected] == labels)
    own, held_out = slice(None, train), slice(train, None)
    shares = [hits[part].sum() / weights[part].sum() for part in (own, held_out)]
    return shares[0], shares[1]


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
