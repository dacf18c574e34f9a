"""A study's definition, from a file of configs/studies/ to frozen records.

Such a file has a function get_study(preset="") that returns a dict:

    question    one sentence: what the study is to find out
    set         fields of all arms, by dotted name: {"num_steps": 30_000}
    arms        by name, each with
                  config  its configuration file: "configs/dsprites.py" or FILE:PRESET
                  set     fields that make it this arm
                  grid    its settings: {"beta": (1, 4), "threshold": (.2, .5)} stands
                          for all combinations; a list of dicts for just those settings
    tuning      {"seeds": (101, 102), "set": {"num_steps": 3_000}}: each setting is
                trained with these seeds, which choose one setting for each arm; not
                needed where every arm has one setting
    reporting   {"seeds": (1, 2, 3), "set": {}}: the chosen settings are trained with
                these seeds, and nothing else is reported
    protocols   ("dlib", "official"): how reporting runs are scored; the first one is
                that of the tables and, if tuning.set names no other, of tuning
    metrics     ("mig", "dci"): which metrics are computed; empty means all
    primary     ("mig", "dci", "fvm"): the scores that decide the question
    select      ("mig",): the scores that choose settings; see `plan.choose`. ("udr",)
                needs no factors: it chooses the setting whose runs with different
                seeds agree best
    comparisons (("CFASL", "beta-TCVAE"), ...): pairs of arms, the first minus the
                second; by default, all other arms are compared with the first
    budget      a sentence that says how the arms' budgets differ; needed if they do
    published   {"source": "...", "data": "...", "scores": {arm: {score: (mean, sd)}}}:
                published figures between 0 and 1, to be shown beside the study's own
    reports     whether reporting runs get a report.html; True by default
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cfasl_jax import data
from cfasl_jax.errors import ConfigError, require_choice
from cfasl_jax.settings import Config, flatten
from cfasl_jax.study import arms as arms_lib
from cfasl_jax.study import scoring as scoring_lib
from cfasl_jax.study.arms import PHASES, REPORTING, TUNING, Arm
from cfasl_jax.study.python_files import call, mapping, module_at, split
from cfasl_jax.study.scoring import Scoring

_ENTRIES = (
    "question",
    "set",
    "arms",
    *PHASES,
    "protocols",
    "metrics",
    "primary",
    "select",
    "comparisons",
    "budget",
    "published",
    "reports",
)


@dataclasses.dataclass(frozen=True)
class Published:
    """Published figures, to be compared with those of the study.

    Attributes:
        source: the publication.
        data: the data that they were measured on.
        scores: arm -> score -> (mean, standard deviation), between 0 and 1.
    """

    source: str
    data: str
    scores: Mapping[str, Mapping[str, tuple[float, float]]]


@dataclasses.dataclass(frozen=True)
class Study:
    """A validated study; its fields are explained in the module's docstring.

    Attributes:
        name: name of its file.
        question: one sentence.
        arms: the arms, in the order of the tables.
        scoring: protocols, metrics, and the scores that choose settings and decide.
        comparisons: pairs of arms.
        budget: how budgets differ; empty if they are equal.
        published: published figures, or None.
        reports: whether reporting runs get a page each.
    """

    name: str
    question: str
    arms: tuple[Arm, ...]
    scoring: Scoring
    comparisons: tuple[tuple[str, str], ...]
    budget: str
    published: Published | None
    reports: bool


def load(place: str) -> Study:
    """Read and validate a study.

    Args:
        place: FILE or FILE:PRESET.

    Raises:
        ConfigError: one sentence on what is wrong and what would be right.
    """
    path, preset = split(place)
    module = module_at(path, "study")
    if not hasattr(module, "get_study"):
        raise ConfigError(f"{path} is not a study: it has no function get_study")
    entries = call(module.get_study, path, preset)
    if not isinstance(entries, Mapping):
        raise ConfigError(f"get_study of {path} must return a dict, not {entries!r}")
    name = "-".join(filter(None, [path.stem, preset]))
    return from_dict(entries, name, path.resolve().parent.parent.parent)


def from_dict(entries: Mapping[str, Any], name: str, root: Path = Path()) -> Study:
    """Validate what a study's file returns.

    Args:
        entries: see the module's text.
        name: of the study.
        root: where configuration files are looked for, besides the current directory.

    Raises:
        ConfigError: one sentence on what is wrong and what would be right.
    """
    entries = mapping("a study", entries, _ENTRIES)
    for entry in ("question", "budget"):
        if not isinstance(entries.get(entry, ""), str):
            raise ConfigError(f"{entry} must be a sentence, not {entries[entry]!r}")
    if not isinstance(entries.get("reports", True), bool):
        raise ConfigError(f"reports must be True or False, not {entries['reports']!r}")
    missing = [key for key in ("arms", "reporting", "primary") if not entries.get(key)]
    if missing:
        raise ConfigError(f"the study {name} lacks {', '.join(missing)}")
    scoring = scoring_lib.from_dict(entries)
    arms = tuple(
        arms_lib.build(arm, fields, entries, scoring, root)
        for arm, fields in mapping("arms", entries["arms"]).items()
    )
    names = [arm.name for arm in arms]
    _require_distinct_folders(arms)
    _require_separate_seeds(arms)
    _require_equal_data(arms)
    _require_scores(arms, scoring)
    _require_several_seeds(arms, scoring)
    _require_factors(arms, scoring)
    return Study(
        name=name,
        question=entries.get("question", ""),
        arms=arms,
        scoring=scoring,
        comparisons=_comparisons(entries, names),
        budget=_budget(arms, entries.get("budget", "")),
        published=_published(entries.get("published"), names),
        reports=entries.get("reports", True),
    )


def _require_distinct_folders(arms: Sequence[Arm]) -> None:
    seen: dict[str, str] = {}
    for arm in arms:
        # Some file systems do not distinguish capital from small letters.
        key = arm.folder.lower()
        if not key.strip(".") or key in seen:
            other = f" and {seen[key]!r}" if key in seen else ""
            raise ConfigError(
                f"the arms {arm.name!r}{other} need names that differ in letters or "
                f"digits: folders are named after them"
            )
        seen[key] = arm.name


def _require_separate_seeds(arms: Sequence[Arm]) -> None:
    for setting in (setting for arm in arms for setting in arm.settings):
        tuning = setting.tuning.seeds if setting.tuning else ()
        both = sorted(set(tuning) & set(setting.reporting.seeds))
        if both:
            raise ConfigError(
                f"the seeds of tuning and of reporting must not overlap, but "
                f"{', '.join(map(str, both))} is in both: settings chosen on a seed "
                f"look better on it than they are"
            )


def _require_equal_data(arms: Sequence[Arm]) -> None:
    """Check that all runs of a study see the same images."""

    def seen(config: Config) -> dict[str, Any]:
        fields = {**dataclasses.asdict(config.data), "residency": ""}
        return flatten({"dataset": config.dataset, "data": fields})

    configs = [
        (arm.name, config)
        for arm in arms
        for setting in arm.settings
        for config in setting.configs.values()
    ]
    first_name, first = configs[0]
    for name, config in configs[1:]:
        for field, value in seen(config).items():
            expected = seen(first)[field]
            if value != expected:
                raise ConfigError(
                    f"all arms of a study need the same data, but {field} is "
                    f"{expected!r} in {first_name} and {value!r} in {name}"
                )


def _require_scores(arms: Sequence[Arm], scoring: Scoring) -> None:
    """Check that the runs of each phase compute the scores that are for it."""
    wanted = {
        TUNING: ("select", scoring.selecting_metrics),
        REPORTING: ("primary", scoring.primary_metrics),
    }
    for setting in (setting for arm in arms for setting in arm.settings):
        for phase, config in setting.configs.items():
            (entry, needed), computed = wanted[phase], config.eval.metrics
            lacking = [metric for metric in needed if metric not in computed]
            if computed and lacking:
                raise ConfigError(
                    f"the scores in {entry} need the metrics {', '.join(lacking)}, "
                    f"which eval.metrics of {phase} leaves out"
                )


def _require_several_seeds(arms: Sequence[Arm], scoring: Scoring) -> None:
    """Check that there are runs to compare where UDR chooses settings."""
    tuned = [s.tuning for arm in arms for s in arm.settings if s.tuning]
    if "udr" in scoring.select and any(len(config.seeds) < 2 for config in tuned):
        raise ConfigError(
            "udr in select compares runs that differ in their seed: tuning needs at "
            "least 2 seeds"
        )


def _require_factors(arms: Sequence[Arm], scoring: Scoring) -> None:
    """Check that the data have the factors that the deciding scores need, if known."""
    config = arms[0].settings[0].reporting
    entry = data.entry_of(config.dataset)
    contents = entry.version(config.data.convention).contents
    if contents is None:
        return
    factors = contents.grid or contents.labels
    count = 0 if factors is None else len(factors.names)
    scoring_lib.require_factors(scoring, config.dataset, count)


def _budget(arms: Sequence[Arm], sentence: str) -> str:
    """The sentence on unequal budgets; empty if they are equal."""
    budgets = {arm.name: arm.budget for arm in arms}
    if len(set(budgets.values())) == 1:
        return ""
    if not sentence:
        listed = "; ".join(
            f"{name}: {count} settings, {tuning:,} images in a tuning run and "
            f"{reporting:,} in a reporting run"
            for name, (count, tuning, reporting) in budgets.items()
        )
        raise ConfigError(
            f"the arms have unequal budgets ({listed}): make them equal, or say so in "
            f"a sentence, 'budget', which the tables will show"
        )
    return sentence


def _comparisons(
    entries: Mapping[str, Any], names: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    default = [(name, names[0]) for name in names[1:]]
    listed = entries.get("comparisons", default)
    if not isinstance(listed, list | tuple):
        raise ConfigError(f"comparisons has pairs of arms, not {listed!r}")
    pairs: list[tuple[str, str]] = []
    for pair in listed:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise ConfigError(f"comparisons has pairs of arms, not {pair!r}")
        for name in pair:
            require_choice("arm", name, names)
        if pair[0] == pair[1]:
            raise ConfigError(f"comparisons has the arm {pair[0]} against itself")
        if {*pair} in map(set, pairs):  # the correction would count it twice
            raise ConfigError(f"comparisons has {pair[0]} and {pair[1]} twice")
        pairs.append((pair[0], pair[1]))
    return tuple(pairs)


def _is_published(pair: Any) -> bool:
    """Whether something is a mean and a standard deviation of a score."""
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        return False
    return all(isinstance(part, int | float) and 0 <= part <= 1 for part in pair)


def _published(entry: Any, names: Sequence[str]) -> Published | None:
    if entry is None:
        return None
    entry = mapping("published", entry, ("source", "data", "scores"))
    scores: dict[str, dict[str, tuple[float, float]]] = {}
    for arm, figures in mapping("published scores", entry.get("scores")).items():
        require_choice("arm", arm, names)
        by_name = zip(scoring_lib.in_results(figures), figures.values(), strict=True)
        scores[arm] = dict(by_name)
        for name, pair in scores[arm].items():
            if not _is_published(pair):
                raise ConfigError(
                    f"the published {name} of {arm} must be (mean, standard "
                    f"deviation), both between 0 and 1, not {pair!r}"
                )
    return Published(str(entry.get("source", "")), str(entry.get("data", "")), scores)
