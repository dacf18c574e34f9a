"""study.json: all results of a study, collected from the files of its runs."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cfasl_jax import config as config_lib
from cfasl_jax.metrics import better
from cfasl_jax.study import plan
from cfasl_jax.study.arms import Arm
from cfasl_jax.study.definition import Study
from cfasl_jax.study.run_files import Entry, Run
from cfasl_jax.study.statistics import holm, paired_difference, summarise
from cfasl_jax.study.tables import MEASURES
from cfasl_jax.training import record


def collect(study: Study, root: Path) -> dict[str, Any]:
    """The content of study.json, which does not depend on times or interruptions.

    Returns:
        "study", "question", "budget", "published", the entries of the scoring and
        "comparisons", as in the study's file; "dataset", "data_source"; "provenance",
        a list, into which each run's "provenance" is an index; "unfinished", the number
        of unfinished runs; "arms" by name, see `_arm`; "scores": protocol -> score ->
        arm -> mean, sd, interval (of the mean), n, chance; "measures" likewise without
        protocol; "clear_best": protocol -> score -> arm or None, see `_clear_best`;
        "differences", see `_differences`.
    """
    entries: dict[Path, Entry] = {}
    plan.pending(study, root, entries)  # reads those that are finished
    origins: list[Any] = []
    runs = plan.known_runs(study, entries)
    listed = [_listed(root, run, entries, origins) for run in runs]
    by_folder = {entry["folder"]: entry for entry in listed if entry}
    arms = {arm.name: _arm(study, arm, entries, by_folder) for arm in study.arms}
    values = _values(arms)
    config = study.arms[0].settings[0].reporting
    scores = {
        p: by_score for p, by_score in values.items() if p in study.scoring.protocols
    }
    return {
        "study": study.name,
        "question": study.question,
        "dataset": config.dataset,
        "data_source": sorted({str(origin["data_source"]) for origin in origins}),
        "unfinished": sum(
            run.folder not in entries
            for arm in study.arms
            for run in plan.expected_runs(study, arm, entries)
        ),
        "budget": study.budget,
        "protocols": list(study.scoring.protocols),
        "primary": list(study.scoring.primary),
        "select": list(study.scoring.select),
        "comparisons": [list(pair) for pair in study.comparisons],
        "published": study.published and dataclasses.asdict(study.published),
        "provenance": origins,
        "arms": arms,
        "scores": {
            protocol: {score: _summaries(by_arm) for score, by_arm in by_score.items()}
            for protocol, by_score in scores.items()
        },
        "measures": {
            name: _summaries(by_arm) for name, by_arm in values.get("", {}).items()
        },
        "clear_best": {
            protocol: {
                score: _clear_best(by_arm, list(arms), better(score))
                for score, by_arm in by_score.items()
            }
            for protocol, by_score in scores.items()
        },
        "differences": _differences(study, scores),
    }


def _listed(
    root: Path, run: Run, entries: Mapping[Path, Entry], origins: list[Any]
) -> Entry | None:
    """A run's entry with its curves; its provenance becomes an index into `origins`."""
    if run.folder not in entries:
        return None
    entry = dict(entries[run.folder])
    # A restored run has its curves in its entry.
    curves = entry.pop("curves", None) or _curves(root / run.folder)
    if origin := entry.pop("provenance", None):
        if origin not in origins:
            origins.append(origin)
        entry["provenance"] = origins.index(origin)
    if curves:
        entry["curves"] = curves
    return entry


def _curves(folder: Path) -> dict[str, list[list[float]]]:
    """Scores that a run has logged during training: name -> [step, value] each."""
    return {
        name: np.column_stack([steps, values.mean(axis=0)]).tolist()
        for name, (steps, values) in record.read_scores(folder).items()
    }


def _arm(
    study: Study,
    arm: Arm,
    entries: Mapping[Path, Entry],
    by_folder: Mapping[str, Entry],
) -> dict[str, Any]:
    """An arm's part of study.json.

    Returns:
        "config", "set"; "settings" by name, each with "fields", "configuration" and
        "runs" of its tuning runs, those that are finished, and "means" of the selecting
        scores and "rank", see `plan.choose`; "tuning_seeds"; "chosen", a setting;
        "configuration" and "reporting" of its reporting runs, those that are finished.
    """
    choice = plan.choose(study, arm, entries) or plan.Choice(None, {}, {})

    def finished(runs: Sequence[Run]) -> list[Entry]:
        folders = [run.folder.as_posix() for run in runs]
        return [by_folder[folder] for folder in folders if folder in by_folder]

    tuning = plan.tuning_runs(study, arm)
    reporting, configuration = [], None
    if choice.setting is not None:
        reporting = plan.reporting_runs(study, arm, choice.setting)
        chosen = next(s for s in arm.settings if s.name == choice.setting)
        configuration = config_lib.to_dict(chosen.reporting)
    return {
        "config": arm.config,
        "set": dict(arm.overrides),
        "settings": {
            setting.name: {
                "fields": dict(setting.fields),
                "configuration": setting.tuning and config_lib.to_dict(setting.tuning),
                "means": choice.means.get(setting.name),
                "rank": choice.ranks.get(setting.name),
                "runs": finished([r for r in tuning if r.setting == setting.name]),
            }
            for setting in arm.settings
        },
        "tuning_seeds": sorted({run.seed for run in tuning}),
        "chosen": choice.setting,
        "configuration": configuration,
        "reporting": finished(reporting),
    }


# One score of the reporting runs of one arm, by their seeds.
_BySeed = dict[int, tuple[float | None, float | None]]


def _values(arms: Mapping[str, Any]) -> dict[str, dict[str, dict[str, _BySeed]]]:
    """Protocol -> score -> arm -> seed -> (value, chance); measures under ""."""
    values: dict[str, dict[str, dict[str, _BySeed]]] = {}

    def add(protocol: str, score: str, arm: str, seed: int, pair: tuple) -> None:
        by_arm = values.setdefault(protocol, {}).setdefault(score, {})
        by_arm.setdefault(arm, {})[seed] = pair

    for name, arm in arms.items():
        for entry in arm["reporting"]:
            for protocol, scores in entry.get("scores", {}).items():
                for score, found in scores.items():
                    pair = (found["value"], found["chance"])
                    add(protocol, score, name, entry["seed"], pair)
            for measure in MEASURES:
                if measure in entry:
                    add("", measure, name, entry["seed"], (entry[measure], None))
    return values


def _summaries(by_arm: Mapping[str, _BySeed]) -> dict[str, Any]:
    """Each arm's mean, sd, interval, n and mean chance floor."""
    summaries = {}
    for arm, by_seed in by_arm.items():
        floors = [chance for _, chance in by_seed.values()]
        summary = summarise([value for value, _ in by_seed.values()])
        chance = summarise(floors).mean
        summaries[arm] = {**summary._asdict(), "chance": chance}
    return summaries


def _scores(by_seed: _BySeed) -> dict[int, float | None]:
    return {seed: value for seed, (value, _) in by_seed.items()}


def _clear_best(
    by_arm: Mapping[str, _BySeed], arms: Sequence[str], sign: int
) -> str | None:
    """The arm that is better than each other arm, by an interval that excludes 0.

    Args:
        by_arm: a score of the arms that have it.
        arms: all arms of the study; while one lacks the score, none is the best.
        sign: see `metrics.better`.
    """
    for arm in by_arm:
        others = [
            paired_difference(_scores(by_arm[arm]), _scores(by_arm.get(other, {})))
            for other in arms
            if other != arm
        ]
        if others and all(d.excludes_zero and sign * (d.mean or 0) > 0 for d in others):
            return arm
    return None


def _differences(
    study: Study, scores: Mapping[str, Mapping[str, Mapping[str, _BySeed]]]
) -> list[dict[str, Any]]:
    """Every comparison by every protocol and score, paired by seed.

    Returns:
        A list of dicts with "first", "second", "protocol", "score", "primary", "mean"
        (first minus second), "interval", "p", "p_holm" and "n". Holm's correction is
        over the primary scores of one comparison by the first protocol; for all others,
        p_holm is None.
    """
    listed = []
    for first, second in study.comparisons:
        for protocol, by_score in scores.items():
            found = {
                score: paired_difference(
                    _scores(by_arm.get(first, {})), _scores(by_arm.get(second, {}))
                )
                for score, by_arm in by_score.items()
            }
            decides = protocol == study.scoring.protocols[0]
            primary = [s for s in study.scoring.primary if s in found and decides]
            corrected = holm([found[score].p for score in primary])
            adjusted = dict(zip(primary, corrected, strict=True))
            listed += [
                {
                    "first": first,
                    "second": second,
                    "protocol": protocol,
                    "score": score,
                    "primary": score in primary,
                    **difference._asdict(),
                    "p_holm": adjusted.get(score),
                }
                for score, difference in found.items()
            ]
    return listed
