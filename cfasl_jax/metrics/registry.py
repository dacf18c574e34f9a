"""The list of metrics. Names, labels and choices everywhere come from here."""

import dataclasses
import zlib
from collections.abc import Sequence

import numpy as np

from cfasl_jax.errors import ConfigError, require_choice
from cfasl_jax.metrics.dci import DCI
from cfasl_jax.metrics.explicitness import EXPLICITNESS
from cfasl_jax.metrics.fvm import FVM
from cfasl_jax.metrics.infomec import INFOMEC
from cfasl_jax.metrics.irs import IRS
from cfasl_jax.metrics.m_fvm import M_FVM
from cfasl_jax.metrics.metric import Metric, Result, Score
from cfasl_jax.metrics.mig import MIG
from cfasl_jax.metrics.modularity import MODULARITY
from cfasl_jax.metrics.mutual_info_score import MUTUAL_INFO_SCORE
from cfasl_jax.metrics.protocols import Protocol
from cfasl_jax.metrics.sampling import Samples, Source, Table, limits
from cfasl_jax.metrics.sap import SAP
from cfasl_jax.metrics.total_correlation import TOTAL_CORRELATION
from cfasl_jax.metrics.udr import UDR
from cfasl_jax.metrics.wasserstein_correlation import WASSERSTEIN_CORRELATION
from cfasl_jax.metrics.z_diff import Z_DIFF

# In the order in which they are computed and reported.
METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        FVM,
        Z_DIFF,
        MIG,
        SAP,
        DCI,
        M_FVM,
        MODULARITY,
        EXPLICITNESS,
        INFOMEC,
        IRS,
        TOTAL_CORRELATION,
        WASSERSTEIN_CORRELATION,
        MUTUAL_INFO_SCORE,
    )
}

# All scores by their names in results.json, in the order of their metrics; UDR, which
# is a score of several runs together, comes last.
SCORES: dict[str, Score] = {
    score.name: dataclasses.replace(
        score, reference=metric.reference, metric=metric.name
    )
    for metric in METRICS.values()
    for score in metric.scores
} | {UDR.name: UDR}


def get_metrics(names: Sequence[str] | None) -> tuple[str, ...]:
    """The names in the order of METRICS; None means all.

    Raises:
        ConfigError: for a name that is not in METRICS, or no names.
    """
    names = tuple(METRICS) if names is None else names
    for name in names:
        require_choice("metric", name, METRICS)
    if not names:
        raise ConfigError(f"no metrics chosen: choose from {', '.join(METRICS)}")
    return tuple(name for name in METRICS if name in names)


def better(score: str) -> int:
    """1 if a higher value of a score is better, -1 if a lower value is."""
    return -1 if score in SCORES and SCORES[score].lower_is_better else 1


@dataclasses.dataclass(frozen=True)
class Pool:
    """Distinct random images of a source, shared by several metrics.

    Attributes:
        ids: of the images, int64 [n].
        codes: [n, D].
        factors: int [n, K].
    """

    ids: np.ndarray
    codes: np.ndarray
    factors: np.ndarray


def draw_pool(source: Source, protocol: Protocol, rng: np.random.Generator) -> Pool:
    """Random images, as many as the metrics need, or all if there are fewer.

    The pool is sized for all metrics, not only for the chosen ones, so that a score
    does not depend on which others are computed.
    """
    needed = [metric.num_points(protocol) for metric in METRICS.values()]
    count = max(*needed, protocol.z_diff_images or 0, protocol.unsupervised_samples)
    ids = rng.choice(source.num_images, min(count, source.num_images), replace=False)
    if isinstance(source, Samples):
        source = source.seeded(rng)
    return Pool(ids, source.codes(ids), source.factors(ids))


def generator(seed: int, stream: str) -> np.random.Generator:
    """The random generator of one named part of an evaluation.

    Each part has a stream of its own, so that none depends on which others run.
    """
    return np.random.default_rng([seed, zlib.crc32(stream.encode())])


def compute(
    name: str,
    source: Source,
    pool: Pool,
    protocol: Protocol,
    rng: np.random.Generator,
    jobs: int | None,
) -> Result:
    """Calls a metric on the source (votes) or on the pool (points).

    Raises:
        UnavailableError: if these images do not allow it.
    """
    metric = METRICS[name]
    limit = getattr(protocol, metric.limit) if metric.limit else None
    if isinstance(source, Samples):
        source = source.seeded(rng.spawn(1)[0])
        if limits(source, limit):
            source = source.stored(pool.ids[:limit])
    elif limits(source, limit):
        source = Table(pool.codes[:limit], pool.factors[:limit])
    options = {"jobs": jobs} if metric.takes_jobs else {}
    if metric.votes:
        return metric.compute(source, source.sizes, protocol, rng, **options)
    return metric.compute(pool.codes, pool.factors, protocol, rng, **options)
