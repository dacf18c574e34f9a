"""The runs of a study: all runs, the finished ones, and the settings that they choose.

A study's directory holds an ordinary working directory for each run, at

    runs/ARM/SETTING/PHASE_seed_N

with an additional file, scores/PROTOCOL.json, for each protocol that the run is scored
by. Only these files decide what is finished, so that a study can continue after any
interruption. The folder of a run that is known from a study.json alone holds its entry
there, restored.json, and its configuration.
"""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cfasl_jax.errors import ConfigError
from cfasl_jax.metrics import better
from cfasl_jax.report.results import read_results
from cfasl_jax.run import agreement, evaluate, provenance
from cfasl_jax.settings import Config
from cfasl_jax.study.arms import REPORTING, TUNING, Arm, Setting
from cfasl_jax.study.definition import Study

FAILURE_FILE = "failed.json"
RESTORED_FILE = "restored.json"

# The entries of a run in study.json.
Entry = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Run:
    """One training, with one seed.

    Attributes:
        arm: name of the arm.
        setting: name of the setting.
        phase: "tuning" or "reporting".
        seed: its seed.
        config: its configuration, with only this seed.
        protocols: the protocols that it is scored by; results.json is that of the last.
        folder: its working directory, relative to the study's.
        reports: whether it gets a page.
    """

    arm: str
    setting: str
    phase: str
    seed: int
    config: Config
    protocols: tuple[str, ...]
    folder: Path
    reports: bool

    def __str__(self) -> str:
        """The run in a few words."""
        return f"{self.arm}, {self.setting}, {self.phase}, seed {self.seed}"


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
            found = entry(root, run)
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
    alike, codes, active, folders = [], [], [], []
    for run in runs:
        found = entries.get(run.folder, {})
        if run.folder.parent in changed and "kl_per_dimension" in found:
            stored_codes = agreement.stored(root / run.folder)
            if stored_codes is not None:
                alike.append((run.folder.parent, run.phase))
                codes.append(stored_codes[0])
                active.append(evaluate.is_active(found))
                folders.append(run.folder)
    for folder, udr in zip(
        folders, agreement.udr_of(alike, codes, active), strict=True
    ):
        if udr is not None:
            entries[folder] = entries[folder] | {"udr": udr}


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


def entry(root: Path, run: Run) -> Entry | None:
    """The entry of a finished run in study.json; None if it is not finished.

    Returns:
        A dict with "folder", "seed", "step", "scores" by protocol and name, each
        {"value", "chance"} and, if it is a mean over factors, "by_factor"; "factors",
        their names; "left_out", "report" (whether it has a page),
        "reconstruction", "kl", "kl_per_dimension", "mean_per_dimension",
        "std_per_dimension", "active_dimensions" and "provenance". `pending` adds "udr"
        if other runs of its setting are finished. The entry of a failed run has
        "folder", "seed" and "failed", a sentence.

    Raises:
        ConfigError: if the folder holds a run of another configuration.
    """
    folder = root / run.folder
    head: Entry = {"folder": run.folder.as_posix(), "seed": run.seed}
    restored = stored(folder / RESTORED_FILE)
    failure = stored(folder / FAILURE_FILE)
    results = {name: scored(root, run, name) for name in run.protocols}
    found = {name: each for name, each in results.items() if each is not None}
    if restored or failure or found or provenance.latest_step(folder) is not None:
        _require_own(folder, run)
    if failure:
        return head | failure
    if len(found) < len(results) or (run.reports and not has_report(folder)):
        return head | restored if restored and is_whole(restored, run) else None
    last = found[run.protocols[-1]]
    return head | {
        "step": last["step"],
        "scores": {name: _scores(each) for name, each in found.items()},
        "factors": last.get("factors", []),
        "left_out": last["left_out"],
        "report": run.reports,
        **last["model"][0],
        "provenance": last["provenance"],
    }


def is_whole(entry: Entry, run: Run) -> bool:
    """Whether an entry has the steps and the protocols of a run; none that failed."""
    same_length = entry.get("step") == run.config.num_steps
    return same_length and set(run.protocols) <= entry.get("scores", {}).keys()


def _require_own(folder: Path, run: Run) -> None:
    """Check that what a folder holds was made with the configuration of this run.

    Raises:
        ConfigError: if it was not; it names the fields that differ.
    """
    if not (folder / provenance.CONFIG_FILE).exists():  # only its scores were copied
        return
    if differing := provenance.differences(provenance.stored(folder), run.config):
        raise ConfigError(
            f"{folder} holds a run of another configuration: {'; '.join(differing)}; "
            "change the study back, choose another --workdir, or remove this folder to "
            "do its run again"
        )


def scored(root: Path, run: Run, protocol: str) -> dict[str, Any] | None:
    """A run's results by a protocol; None unless they are those of the whole run."""
    path = scores_file(root / run.folder, protocol)
    results = read_results(path)
    if results is None or results["step"] != run.config.num_steps:
        return None
    wanted = set(run.config.eval.metrics)
    try:
        complete = all(
            wanted <= {*scores["metrics"], *scores["unavailable"]}
            for scores in results.get("runs", ())
        )
        _ = results["left_out"], results["model"][0], results["provenance"]
    except (KeyError, IndexError, TypeError) as error:
        raise ConfigError(
            f"{path} is damaged (a part is missing): {_REMEDY}"
        ) from error
    return results if complete else None


def has_report(folder: Path) -> bool:
    """Whether a run's page is written."""
    return (folder / "report.html").exists()


def scores_file(folder: Path, protocol: str) -> Path:
    """The file of a run's results by a protocol."""
    return folder / "scores" / f"{protocol}.json"


def steps_left(root: Path, run: Run) -> int:
    """The number of steps that a run still has to train from its newest checkpoint."""
    done = provenance.latest_step(root / run.folder) or 0
    return max(0, run.config.num_steps - done)


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
    found = [tuned(entry, name) for name in study.scoring.select]
    known = [value for value in found if value is not None and math.isfinite(value)]
    return known if len(known) == len(found) else []


def tuned(entry: Entry, score: str) -> float | None:
    """A score of a tuning run, which is scored by one protocol, or its UDR."""
    if score == "udr":
        return entry.get("udr")
    by_name: dict[str, Any] = next(iter(entry.get("scores", {}).values()), {})
    return by_name.get(score, {}).get("value")


def _scores(results: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    kept = {"mean": "value", "chance": "chance", "by_factor": "by_factor"}
    return {
        name: {called: score[key] for key, called in kept.items() if key in score}
        for name, score in results.get("scores", {}).items()
    }


def stored(path: Path) -> dict[str, Any] | None:
    """The content of a JSON file; None if there is no file.

    Raises:
        ConfigError: if it is damaged.
    """
    try:
        content = json.loads(path.read_text("utf-8")) if path.exists() else None
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is damaged ({error}): {_REMEDY}") from error
    if not isinstance(content, dict | None):
        raise ConfigError(
            f"{path} is damaged (it does not hold a JSON object): {_REMEDY}"
        )
    return content


_REMEDY = "move it away, and what it held is computed again"
