"""Runs that are known from a study.json alone, when their folders are gone.

A study.json holds everything that tables and figures need. So a study whose results
were published can be given more seeds or arms without repeating what is finished.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cfasl_jax import config as config_lib
from cfasl_jax import data, files
from cfasl_jax.data.dataset import Spec
from cfasl_jax.errors import ConfigError
from cfasl_jax.run import provenance
from cfasl_jax.settings import Config
from cfasl_jax.study import plan, run_files
from cfasl_jax.study.arms import REPORTING, TUNING, Arm
from cfasl_jax.study.definition import Study
from cfasl_jax.study.run_files import Entry, Run
from cfasl_jax.study.tables import MEASURES


class _Finished(NamedTuple):
    """A run of the study that the listing has too, with what it says of it."""

    run: Run
    config: Config
    origin: Mapping[str, Any]
    entry: Entry


def restore(study: Study, root: Path, listing: Path) -> int:
    """Let finished runs that a study.json lists count as runs of a study.

    These are the runs that the study has too: those of an arm with the same name and
    configuration, with the same setting, phase and seed, which were trained for as long
    and have the scores that the study asks for. Runs that failed there do not count.
    Runs that the study's own directory has finished stay as they are. Where UDR chooses
    settings, the tuning runs of a setting count only if all of them are listed.

    Args:
        study: the study.
        root: its directory.
        listing: path of the study.json.

    Returns:
        The number of these runs.

    Raises:
        ConfigError: if the file was not written by a study, if an arm has another
            configuration or other data there, or if it has no run of this study.
    """
    if not listing.is_file():
        raise ConfigError(f"there is no file {listing}")
    try:
        content = json.loads(listing.read_text("utf-8"))
        config = study.arms[0].settings[0].reporting  # all arms have the same data
        spec = data.spec_of(config.dataset, config.data)
        shared = [f for arm in study.arms for f in _finished(study, arm, content, spec)]
    except ConfigError as error:
        raise ConfigError(f"{listing} cannot be used: {error}") from error
    except Exception as error:  # of many kinds, where parts are missing or others
        raise ConfigError(
            f"{listing} was not written by a study ({error!r})"
        ) from error
    if not shared:
        raise ConfigError(
            f"{listing} lists no finished run of this study: arm, setting, seed, steps "
            "and protocols must be the same"
        )
    for finished in [f for f in shared if run_files.entry(root, f.run) is None]:
        _write(root, finished, spec)
    return len(shared)


def _write(root: Path, finished: _Finished, spec: Spec) -> None:
    """Write what makes a run count, as `run_files` reads it."""
    folder = root / finished.run.folder
    if provenance.latest_step(folder) is None:
        training = finished.origin.get("training") or finished.origin
        provenance.write_record(folder, finished.config, spec, training)
    # A page that the run may have had has gone with its folder.
    entry = finished.entry | {"provenance": finished.origin, "report": False}
    files.write_json(folder / run_files.RESTORED_FILE, entry)


def _finished(
    study: Study, arm: Arm, content: Mapping[str, Any], spec: Spec
) -> Iterator[_Finished]:
    """The finished runs of one of the study's arms that the listing has too.

    Raises:
        ConfigError: if the arm has another configuration or other data there.
    """
    there = content["arms"].get(arm.name)
    if there is None:
        return
    settings = there["settings"]
    entries = [entry for setting in settings.values() for entry in setting["runs"]]
    by_folder = {entry["folder"]: entry for entry in [*entries, *there["reporting"]]}
    runs = plan.tuning_runs(study, arm)
    if there["chosen"] in [setting.name for setting in arm.settings]:
        runs += plan.reporting_runs(study, arm, there["chosen"])
    for run in _comparable(study, runs, by_folder):
        entry = by_folder.get(run.folder.as_posix())
        fields = there["configuration"]
        if run.phase != REPORTING:  # early versions did not store that of tuning runs
            fields = settings.get(run.setting, {}).get("configuration")
        if entry is None or fields is None or not run_files.is_whole(entry, run):
            continue
        origin = content["provenance"][entry["provenance"]]
        config = _configuration(run, fields, str(origin["data_source"]), spec)
        if _has_metrics(config, run.config):
            _require_numbers(entry)
            yield _Finished(run, config, origin, entry)


def _comparable(
    study: Study, runs: Sequence[Run], by_folder: Mapping[str, Entry]
) -> list[Run]:
    """The runs of an arm that may be restored where UDR chooses its settings.

    UDR compares the codes of all tuning runs of a setting, and a listing has no codes:
    if the UDR of one of them is not known, all of them must be trained again.
    """
    if "udr" not in study.scoring.select:
        return list(runs)
    lacking = {
        run.setting
        for run in runs
        if run.phase == TUNING and "udr" not in by_folder.get(run.folder.as_posix(), {})
    }
    return [run for run in runs if run.phase != TUNING or run.setting not in lacking]


def _configuration(
    run: Run, fields: Mapping[str, Any], source: str, spec: Spec
) -> Config:
    """The configuration that the listing has for a run.

    Raises:
        ConfigError: if it or the data source is not that of the run.
    """
    stored, unknown = config_lib.from_stored(fields)
    if unknown:
        raise ConfigError(
            f"{run.arm} has fields that this version does not know: "
            f"{', '.join(unknown)}"
        )
    stored = dataclasses.replace(stored, seeds=run.config.seeds)
    known = provenance.Run(stored, None, source)
    if differing := provenance.differences(known, run.config, spec):
        raise ConfigError(
            f"{run.arm} has another configuration: {'; '.join(differing)}"
        )
    return stored


def _has_metrics(there: Config, here: Config) -> bool:
    """Whether a run was scored by all metrics that are asked for; no names mean all."""
    had, wanted = set(there.eval.metrics), set(here.eval.metrics)
    return not had or (bool(wanted) and wanted <= had)


def _require_numbers(entry: Entry) -> None:
    """Raise an error of some kind where tables or figures would miss numbers."""
    for scores in entry["scores"].values():
        for score in scores.values():
            np.asarray([score["value"], score["chance"]], float)
            if "by_factor" in score:
                each = np.asarray(score["by_factor"], float)
                each.reshape(len(entry["factors"]))
    for curve in entry.get("curves", {}).values():
        np.asarray(curve, float).reshape(-1, 2)
    for measure in entry.keys() & {*MEASURES}:
        float(entry[measure])
