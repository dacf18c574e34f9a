"""The runs of a study: all runs, the finished ones, and the settings that they choose.

A study's directory holds a folder for each run (`run_files`), at

    runs/ARM/SETTING/PHASE_seed_N
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cfasl_jax.metrics import better
from cfasl_jax.run import agreement, evaluate
from cfasl_jax.study import run_files
from cfasl_jax.study.arms import REPORTING, TUNING, Arm, Setting
from cfasl_jax.study.definition import Study
from cfasl_jax.study.run_files import Entry, Run


class Choice(NamedTuple):
    """The setting of an arm that its tuning runs choose.

    Attributes:
        setting: its name; None if every setting failed.
        means: setting -> score -> mean over the tuning seeds. Failed settings are left
            out; it is empty for an arm that is not tuned.
        ranks: setting -> mean of its ranks in the scores, 1 for the best.
    """

    setting: str | None
    means: dict[str, dict[str, float]]
    ranks: dict[str, float]


def tuning_runs(study: Study, arm: Arm) -> list[Run]:
    """All tuning runs of an arm; none if it has only one setting."""
    return [
        _run(study, arm, setting, TUNING, seed)
        for setting in arm.settings
        if setting.tuning is not None
        for seed in setting.tuning.seeds
    ]


def reporting_runs(study: Study, arm: Arm, name: str) -> list[Run]:
    """The reporting runs of one of an arm's settings."""
    setting = next(setting for setting in arm.settings if setting.name == name)
    seeds = setting.reporting.seeds
    return [_run(study, arm, setting, REPORTING, seed) for seed in seeds]


def known_runs(study: Study, entries: Mapping[Path, Entry]) -> list[Run]:
    """All runs that are known: reporting runs only once their setting is chosen.

    Reporting runs are listed seed by seed, so that an unfinished study has as many
    seeds as possible for which all arms can be compared.
    """
    tuning = [run for arm in study.arms for run in tuning_runs(study, arm)]
    reporting = []
    for arm in study.arms:
        chosen = choose(study, arm, entries)
        if chosen is not None and chosen.setting is not None:
            reporting += reporting_runs(study, arm, chosen.setting)
    return tuning + sorted(reporting, key=lambda run: run.seed)


def pending(study: Study, root: Path, entries: dict[Path, Entry]) -> list[Run]:
    """The known runs that are not finished.

    Args:
        study: the study.
        root: its directory.
        entries: entries of runs that are known to be finished; those of runs that have
            finished since are added.
    """
    for _ in range(2):  # tuning runs that were just read determine the reporting runs
        left, read = [], []
        runs = known_runs(study, entries)
        for run in runs:
            if run.folder in entries:
                continue
            found = run_files.entry(root, run)
            if found is None:
                left.append(run)
            else:
                entries[run.folder] = found
                read.append(run)
        _add_udr(root, runs, read, entries)
    return left


def _add_udr(
    root: Path, runs: Sequence[Run], read: Sequence[Run], entries: dict[Path, Entry]
) -> None:
    """Add the UDR of runs to their entries, where runs like them were just read.

    A restored run keeps the UDR that it had in its own study.
    """
    changed = {run.folder.parent for run in read}
    codes = {
        run: agreement.stored(root / run.folder)
        for run in runs
        if run.folder.parent in changed
        and "kl_per_dimension" in entries.get(run.folder, {})
    }
    known = {run: of_run[0] for run, of_run in codes.items() if of_run is not None}
    found = agreement.udr_of(
        [(run.folder.parent, run.phase) for run in known],
        list(known.values()),
        [evaluate.is_active(entries[run.folder]) for run in known],
    )
    for run, udr in zip(known, found, strict=True):
        if udr is not None:
            entries[run.folder] = entries[run.folder] | {"udr": udr}


def choose(study: Study, arm: Arm, entries: Mapping[Path, Entry]) -> Choice | None:
    """The setting of an arm that its tuning runs choose.

    Each score in `select` is averaged over the tuning seeds and ranks the settings. The
    setting with the smallest mean rank is chosen; of several, the first one. A setting
    that failed with one seed, or that lacks a score, is never chosen.

    Args:
        study: the study.
        arm: one of its arms.
        entries: entries of finished runs, by their folders.

    Returns:
        The choice, or None while a tuning run is not finished.
    """
    if len(arm.settings) == 1:
        return Choice(arm.settings[0].name, {}, {})
    runs = tuning_runs(study, arm)
    if any(run.folder not in entries for run in runs):
        return None
    means: dict[str, dict[str, float]] = {}
    for setting in arm.settings:
        tuned = [entries[run.folder] for run in runs if run.setting == setting.name]
        scores = [_selecting(study, entry) for entry in tuned]
        if all(scores):
            columns = zip(study.scoring.select, np.mean(scores, axis=0), strict=True)
            means[setting.name] = {name: float(mean) for name, mean in columns}
    if not means:
        return Choice(None, {}, {})
    signs = [better(name) for name in study.scoring.select]
    table = np.array([list(row.values()) for row in means.values()]) * signs
    # 1 + the number of better ones, so that equal settings share the better rank.
    ranks = 1 + (table[None] > table[:, None]).sum(axis=1).mean(axis=1)
    by_name = dict(zip(means, ranks.tolist(), strict=True))
    return Choice(min(by_name, key=by_name.__getitem__), means, by_name)


def expected_runs(study: Study, arm: Arm, entries: Mapping[Path, Entry]) -> list[Run]:
    """An arm's runs, with its first setting if none has been chosen yet."""
    choice = choose(study, arm, entries)
    chosen = arm.settings[0].name if choice is None else choice.setting
    reporting = reporting_runs(study, arm, chosen) if chosen else []
    return tuning_runs(study, arm) + reporting


def _run(study: Study, arm: Arm, setting: Setting, phase: str, seed: int) -> Run:
    config = dataclasses.replace(setting.configs[phase], seeds=(seed,))
    protocols: tuple[str, ...] = (config.eval.protocol,)
    if phase == REPORTING:
        protocols = (*study.scoring.protocols[1:], study.scoring.protocols[0])
    return Run(
        arm=arm.name,
        setting=setting.name,
        phase=phase,
        seed=seed,
        config=config,
        protocols=protocols,
        folder=Path("runs", arm.folder, setting.name, f"{phase}_seed_{seed}"),
        reports=study.reports and phase == REPORTING,
    )


def _selecting(study: Study, entry: Entry) -> list[float]:
    """The scores of a tuning run that choose settings; none if it lacks one."""
    found = [run_files.tuned(entry, name) for name in study.scoring.select]
    known = [value for value in found if value is not None and math.isfinite(value)]
    return known if len(known) == len(found) else []
