"""The metrics by name: how each is called, and what it is called on."""

import dataclasses
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cfasl_jax.metrics.dci import dci
from cfasl_jax.metrics.explicitness import explicitness
from cfasl_jax.metrics.fvm import fvm
from cfasl_jax.metrics.infomec import infomec
from cfasl_jax.metrics.irs import irs
from cfasl_jax.metrics.m_fvm import m_fvm
from cfasl_jax.metrics.mig import mig
from cfasl_jax.metrics.modularity import modularity
from cfasl_jax.metrics.protocols import Protocol, unknown
from cfasl_jax.metrics.sampling import Source, Table, limits
from cfasl_jax.metrics.sap import sap
from cfasl_jax.metrics.z_diff import z_diff

Result = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric as the suite calls it.

    Attributes:
        compute: the function.
        votes: whether it draws images by their factors, from a source, rather than
            taking arrays of points.
        classifiers: whether it takes `jobs`, the number of factors in parallel.
        counts: the fields of a Protocol that add up to the distinct images it needs.
        elects: whether it elects among the active dimensions, and sees no other.
        limit: the field of a Protocol that may confine its votes to so many images.
    """

    compute: Callable[..., Result]
    votes: bool = False
    elects: bool = False
    classifiers: bool = False
    counts: tuple[str, ...] = ()
    limit: str | None = None

    def num_points(self, protocol: Protocol) -> int:
        """Distinct images that the metric needs; 0 if it draws its own."""
        return sum(getattr(protocol, count) for count in self.counts)


METRICS: dict[str, Metric] = {
    "fvm": Metric(fvm, votes=True, elects=True),
    "z_diff": Metric(z_diff, votes=True, limit="z_diff_images"),
    "mig": Metric(mig, counts=("mig_samples",)),
    "sap": Metric(sap, classifiers=True, counts=("sap_train", "sap_test")),
    "dci": Metric(dci, classifiers=True, counts=("dci_train", "dci_test")),
    "m_fvm": Metric(m_fvm, votes=True, elects=True),
    "modularity": Metric(modularity, counts=("modularity_samples",)),
    "explicitness": Metric(
        explicitness,
        classifiers=True,
        counts=("explicitness_train", "explicitness_test"),
    ),
    "infomec": Metric(
        infomec, classifiers=True, counts=("infomec_train", "infomec_test")
    ),
    "irs": Metric(irs, counts=("irs_samples",)),
}


def get_metrics(names: Sequence[str] | None) -> tuple[str, ...]:
    """The names in the order of METRICS; None means all.

    Raises:
        ValueError: for a name that is not in METRICS, or no names.
    """
    names = tuple(METRICS) if names is None else names
    for name in names:
        if name not in METRICS:
            raise unknown("metric", name, METRICS)
    if not names:
        raise ValueError(f"no metrics chosen: choose from {', '.join(METRICS)}")
    return tuple(name for name in METRICS if name in names)


@dataclasses.dataclass(frozen=True)
class Pool:
    """Distinct random images of a source, shared by several metrics.

    Attributes:
        codes: [n, D].
        factors: int [n, K].
    """

    codes: np.ndarray
    factors: np.ndarray


def draw_pool(source: Source, protocol: Protocol, rng: np.random.Generator) -> Pool:
    """As many distinct images as all metrics need, or all if there are fewer.

    All metrics, whichever are chosen: a score must not depend on the choice.
    """
    count = min(pool_size(protocol), source.num_images)
    ids = rng.choice(source.num_images, count, replace=False)
    return Pool(source.codes(ids), source.factors(ids))


def pool_size(protocol: Protocol) -> int:
    """Distinct images that the metrics on points, and z-diff if limited, share."""
    needed = [metric.num_points(protocol) for metric in METRICS.values()]
    return max(*needed, protocol.z_diff_images or 0)


def generator(seed: int, stream: str) -> np.random.Generator:
    """Randomness of one part of an evaluation, whichever other parts there are."""
    return np.random.default_rng([seed, zlib.crc32(stream.encode())])


def compute(
    name: str,
    source: Source,
    pool: Pool,
    protocol: Protocol,
    rng: np.random.Generator,
    jobs: int | None,
) -> Result:
    """Calls a metric on the source or on the pool.

    Raises:
        UnavailableError: if these images do not allow it.
    """
    metric = METRICS[name]
    limit = getattr(protocol, metric.limit) if metric.limit else None
    if limits(source, limit):
        source = Table(pool.codes[:limit], pool.factors[:limit])
    options = {"jobs": jobs} if metric.classifiers else {}
    if metric.votes:
        return metric.compute(source, source.sizes, protocol, rng, **options)
    return metric.compute(pool.codes, pool.factors, protocol, rng, **options)
