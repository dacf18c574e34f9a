"""The declaration of a metric for the registry, and the form of its result."""

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
        variant_of: the name of the main score, if this is a variant of it: for example,
            the accuracy on training points is a variant of that on test points.
        reference: where it was published; filled in by the registry.
        metric: the name of the metric that computes it; filled in by the registry.
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
        elects: whether it uses active dimensions only. Its chance floor is then that of
            noise with as many dimensions as are active.
        takes_jobs: whether `compute` takes `jobs`, the number of factors to treat in
            parallel.
        counts: the fields of Protocol that add up to the number of distinct images
            that a metric on points needs.
        limit: the field of Protocol that may limit the number of images for its votes.
        needs_factors: whether it uses the factors of the images.
        floor_draws: the field of Protocol with the number of draws of noise over which
            its chance floor is averaged; None if it has no floor.
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
        """The number of distinct images that it needs; 0 if it draws its own images."""
        return sum(getattr(protocol, count) for count in self.counts)


def record(
    protocol: Protocol,
    rng: np.random.Generator,
    active_dims: int,
    scores: Mapping[str, float],
    intervals: Mapping[str, list[float] | None],
    notes: tuple[str, ...] = (),
    warnings: tuple[str, ...] = (),
    by_factor: Mapping[str, np.ndarray] | None = None,
) -> Result:
    """The result of a metric: its scores by name, and what they depend on.

    Notes apply to every result under the protocol, warnings to these codes. A score
    that is a mean of one value for each factor, [K], gives these in `by_factor`, with
    NaN for a factor that has none.
    """
    sequence: Any = rng.bit_generator.seed_seq
    return {
        **{name: float(value) for name, value in scores.items()},
        "scores": list(scores),
        "intervals": dict(intervals),
        "by_factor": {
            name: [None if np.isnan(value) else float(value) for value in values]
            for name, values in (by_factor or {}).items()
        },
        "protocol": protocol.label,
        "seed": getattr(sequence, "entropy", None),
        "active_dims": active_dims,
        "notes": [*notes, *warnings],
        "warnings": list(warnings),
    }
