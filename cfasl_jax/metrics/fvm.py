"""FVM, the FactorVAE metric (Kim & Mnih 2018, arXiv 1802.05983, section 4)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cfasl_jax.metrics.intervals import mean_interval
from cfasl_jax.metrics.metric import Metric, Score, record
from cfasl_jax.metrics.protocols import Protocol, get_protocol
from cfasl_jax.metrics.sampling import Encode, Source, as_source
from cfasl_jax.metrics.votes import global_scale, normalized_variances


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

    The interval is over the votes, for the global variance as drawn. Under `official`,
    which takes that from 100 images, another draw moves the score by more than the
    interval says: compare seeds.

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
    scale = global_scale(source, protocol, rng)
    variances = normalized_variances(
        source, fixed, protocol.fvm_batch, train, scale, protocol, rng, "FVM"
    )
    correct = np.zeros(len(labels), bool)
    if scale.num_active:
        elected = variances.argmin(axis=1)
        table = np.zeros((scale.num_active, num_factors), np.int64)
        np.add.at(table, (elected[:train], labels[:train]), 1)
        correct = table.argmax(axis=1)[elected] == labels
    parts = {"fvm_own_votes": correct[:train], "fvm_held_out": correct[train:]}
    parts = {"fvm": parts[f"fvm_{_SUFFIX[protocol.fvm_scored_on]}"], **parts}
    ends = {
        name: mean_interval(rng, hits, protocol.bootstrap, protocol.confidence)
        for name, hits in parts.items()
    }
    scores = {name: float(hits.mean()) for name, hits in parts.items()}
    return record(protocol, rng, scale.num_active, scores, ends, _notes(protocol))


_SUFFIX = {"own": "own_votes", "held_out": "held_out"}


def _notes(protocol: Protocol) -> tuple[str, ...]:
    fresh = "no held-out vote repeats a training vote"
    if protocol.fvm_scored_on == "held_out":
        return (fresh,)
    return ("fvm is the share among its own votes, as published", fresh)


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
