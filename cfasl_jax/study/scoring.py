"""The scoring of a study's runs, and the scores that choose settings and decide."""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cfasl_jax import metrics
from cfasl_jax.errors import ConfigError, require_choice

# "DCI" alone means disentanglement.
_ALSO_CALLED = {"dci": "disentanglement"}

# UDR has no metric: it is computed from the codes of several runs. It can choose
# settings, but it decides no question, since the UDR of one run depends on the others.
_OF_ONE_RUN = [name for name, score in metrics.SCORES.items() if score.metric]


@dataclasses.dataclass(frozen=True)
class Scoring:
    """How runs are scored.

    Attributes:
        protocols: protocols of reporting runs, at least one; the first one is that of
            the tables.
        metrics: names in `metrics.METRICS`; empty means all.
        primary: the scores that decide a study's question, named as in results.json.
        select: the scores that choose settings, named as in results.json.
    """

    protocols: tuple[str, ...]
    metrics: tuple[str, ...]
    primary: tuple[str, ...]
    select: tuple[str, ...]

    @property
    def selecting_metrics(self) -> tuple[str, ...]:
        """The metrics that compute the scores in `select`; UDR needs none."""
        return _metrics_of(self.select)

    @property
    def primary_metrics(self) -> tuple[str, ...]:
        """The metrics that compute the primary scores."""
        return _metrics_of(self.primary)


def from_dict(entries: Mapping[str, Any]) -> Scoring:
    """The scoring that a study's file asks for.

    Args:
        entries: protocols, metrics, primary and select; see `definition`.

    Raises:
        ConfigError: for unknown names, or a primary score that is not computed.
    """
    protocols = _names("protocols", entries.get("protocols", ("dlib",)))
    computed = _names("metrics", entries.get("metrics", ()))
    primary = _names("primary", entries["primary"])
    select = _names("select", entries.get("select", primary))
    for protocol in protocols:
        require_choice("protocol", protocol, metrics.PROTOCOLS)
    for metric in computed:
        require_choice("metric", metric, metrics.METRICS)
    for score in primary:
        require_choice("score", score, [*_OF_ONE_RUN, *_ALSO_CALLED])
    scoring = Scoring(protocols, computed, in_results(primary), in_results(select))
    for what, chosen in (("protocols", protocols), ("select", select)):
        if not chosen:
            raise ConfigError(f"{what} must have one name at least")
    for score in scoring.primary:
        if computed and _metric(score) not in computed:
            raise ConfigError(
                f"{score} is a primary score, so metrics needs {_metric(score)} too"
            )
    return scoring


def in_results(names: Iterable[str]) -> tuple[str, ...]:
    """Names of scores as in results.json, where DCI is "disentanglement".

    Raises:
        ConfigError: for an unknown name.
    """
    names = tuple(names)
    for name in names:
        require_choice("score", name, [*metrics.SCORES, *_ALSO_CALLED])
    return tuple(dict.fromkeys(_ALSO_CALLED.get(name, name) for name in names))


def require_factors(scoring: Scoring, dataset: str, count: int) -> None:
    """Raise a ConfigError unless so many factors are enough for the deciding scores."""
    for score in dict.fromkeys((*scoring.primary, *scoring.select)):
        least = _fewest_factors(score)
        if count < least:
            raise ConfigError(
                f"{score} needs at least {least} factors, and {dataset} has {count}"
            )


def _fewest_factors(score: str) -> int:
    """The number of factors that a data set must have for a score."""
    metric = metrics.METRICS.get(_metric(score))
    if metric is None or not metric.needs_factors:
        return 0
    together = re.match(r"m_fvm_(\d+)", score)
    return int(together[1]) + 1 if together else 2


def _metrics_of(scores: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, map(_metric, scores))))


def _metric(score: str) -> str:
    return metrics.SCORES[score].metric


def _names(what: str, value: Any) -> tuple[str, ...]:
    """A tuple of names; a single name without a comma is a frequent mistake."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ConfigError(f"{what} must be a tuple of names, not {value!r}")
    for name in value:
        if list(value).count(name) > 1:
            raise ConfigError(f"{what} has {name!r} more than once")
    return tuple(value)
