"""What a metric says of itself to the registry, and the form of its result."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cfasl_jax.metrics.protocols import Protocol

Result = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Score:
    """One number that a metric reports.

    Attributes:
        name: its key in results.json.
        label: its name in tables and figures.
        definition: one sentence that says what it measures.
        lower_is_better: whether a smaller value is the better one.
        variant_of: the score of which this is another reading, if it is one: for
            example, the accuracy on training points beside that on test points.
        reference: where it was published. The registry copies it from the metric.
        metric: the name of the metric that computes it, copied likewise.
    """

    name: str
    label: str
    definition: str
    variant_of: str | None = None
    lower_is_better: bool = False
    reference: str = ""
    metric: str = ""


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric, as its module declares it and `registry.METRICS` lists it.

    Attributes:
        name: what users call it.
        compute: (codes, factors, protocol, rng) -> Result for a metric on points;
            (source, sizes, protocol, rng) -> Result for a metric on votes.
        reference: where it was published.
        scores: the numbers that it reports, the main one first.
        votes: whether it draws images with chosen factors from a source ("votes"),
            rather than taking arrays of random images ("points").
        elects: whether it looks at active dimensions only. Its chance floor is then
            that of as many dimensions of noise as are active.
        takes_jobs: whether `compute` takes `jobs`, the number of factors to treat in
            parallel.
        counts: the fields of Protocol that add up to the number of distinct images
            that a metric on points needs.
        limit: the field of Protocol that may confine its votes to so many images.
        needs_factors: whether the factors of the images enter.
        floor_draws: the field of Protocol that says over how many draws of noise its
            chance floor is averaged; None if it has no floor.
    """

    name: str
    compute: Callable[..., Result]
    reference: str
    scores: tuple[Score, ...]
    votes: bool = False
    elects: bool = False
    takes_jobs: bool = False
    counts: tuple[str, ...] = ()
    limit: str | None = None
    needs_factors: bool = True
    floor_draws: str | None = "chance_repeats"

    def num_points(self, protocol: Protocol) -> int:
        """The distinct images that it needs; 0 if it draws its own."""
        return sum(getattr(protocol, count) for count in self.counts)


def record(
    protocol: Protocol,
    rng: np.random.Generator,
    active_dims: int,
    scores: Mapping[str, float],
    intervals: Mapping[str, list[float] | None],
    notes: tuple[str, ...] = (),
    warnings: tuple[str, ...] = (),
) -> Result:
    """The result of a metric: its scores by name, and what they depend on.

    Notes hold for every result under the protocol; warnings hold for these codes.
    """
    sequence: Any = rng.bit_generator.seed_seq
    return {
        **{name: float(value) for name, value in scores.items()},
        "scores": list(scores),
        "intervals": dict(intervals),
        "protocol": protocol.label,
        "seed": getattr(sequence, "entropy", None),
        "active_dims": active_dims,
        "notes": [*notes, *warnings],
        "warnings": list(warnings),
    }
