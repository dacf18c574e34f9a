"""Runs that are known from a study.json alone, when their folders are gone.

A study.json holds everything that tables and figures need. So a study whose results
were published can be given more seeds or arms without repeating what is finished.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cfasl_jax import config as config_lib
from cfasl_jax.errors import ConfigError
from cfasl_jax.run import provenance
from cfasl_jax.study import plan
from cfasl_jax.study.arms import Arm
from cfasl_jax.study.definition import Study
from cfasl_jax.study.plan import Entry, Run


def restore(study: Study, root: Path, listing: Path) -> int:
    """Let finished runs that a study.json lists count as runs of a study.

    These are the runs that the study has too: those of an arm with the same name, whose
    chosen setting has the same configuration, with the same setting, phase and seed.
    Runs that failed, and runs of which the study's directory holds anything, stay as
    they are.

    Args:
        study: the study.
        root: its directory.
        listing: path of the study.json.

    Returns:
        The number of runs that count from now on.

    Raises:
        ConfigError: if the file was not written by a study, or if an arm has another
            configuration there.
    """
    if not listing.is_file():
        raise ConfigError(f"there is no file {listing}")
    try:
        content = json.loads(listing.read_text("utf-8"))
        found: dict[Path, Entry] = {}
        for arm in study.arms:
            for folder, entry in _finished(study, arm, content["arms"]).items():
                origin = content["provenance"][entry["provenance"]]
                # A page that the run may have had has gone with its folder.
                found[folder] = entry | {"provenance": origin, "report": False}
    except ConfigError:
        raise
    except Exception as error:  # of many kinds, where parts are missing or others
        raise ConfigError(
            f"{listing} was not written by a study ({error!r})"
        ) from error
    new = {f: entry for f, entry in found.items() if not (root / f).exists()}
    for folder, entry in new.items():
        provenance.write_json(root / folder / plan.RESTORED_FILE, entry)
    return len(new)


def _finished(study: Study, arm: Arm, listed: Mapping[str, Any]) -> dict[Path, Entry]:
    """The finished runs of one of the study's arms that another one lists, by folder.

    Raises:
        ConfigError: if the arm has another configuration there.
    """
    if arm.name not in listed:
        return {}
    there = listed[arm.name]
    chosen = [setting for setting in arm.settings if setting.name == there["chosen"]]
    if not chosen:  # its tuning was not finished
        return {}
    stored, _ = config_lib.from_stored(there["configuration"])
    stored = dataclasses.replace(stored, seeds=chosen[0].reporting.seeds)
    other = provenance.differences(
        provenance.Run(stored, None, ""), chosen[0].reporting
    )
    if other:
        raise ConfigError(f"{arm.name} has another configuration: {'; '.join(other)}")
    entries = [run for setting in there["settings"].values() for run in setting["runs"]]
    by_folder = {entry["folder"]: entry for entry in [*entries, *there["reporting"]]}
    runs: list[Run] = plan.tuning_runs(study, arm)
    runs += plan.reporting_runs(study, arm, chosen[0].name)
    return {
        run.folder: entry
        for run in runs
        if (entry := by_folder.get(run.folder.as_posix())) and plan.is_whole(entry, run)
    }
