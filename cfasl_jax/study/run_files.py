"""One run of a study: its folder, and what the files in it say.

A run has an ordinary working directory, with an additional file, scores/PROTOCOL.json,
for each protocol that it is scored by. Only these files decide whether it is finished,
so that a study can continue after any interruption. The folder of a run that is known
from a study.json alone holds its entry there, restored.json, and its configuration.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cfasl_jax.errors import ConfigError
from cfasl_jax.report.results import read_results
from cfasl_jax.run import provenance
from cfasl_jax.settings import Config

FAILURE_FILE = "failed.json"
RESTORED_FILE = "restored.json"

_REMEDY = "move it away, and what it held is computed again"

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


def entry(root: Path, run: Run) -> Entry | None:
    """The entry of a finished run in study.json; None if it is not finished.

    Returns:
        A dict with "folder", "seed", "step", "scores" by protocol and name, each
        {"value", "chance"} and, if it is a mean over factors, "by_factor"; "factors",
        their names; "left_out", "report" (whether it has a page),
        "reconstruction", "pixel_error", "kl", "kl_per_dimension", "mean_per_dimension",
        "std_per_dimension", "active_dimensions" by their KL, "active_dims" by protocol,
        by the spread of the codes, and "provenance". `plan.pending` adds
        "udr" if other runs of its setting are finished. The entry of a failed run has
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
    unreported = run.reports and not (folder / "report.html").exists()
    if len(found) < len(results) or unreported:
        return head | restored if restored and is_whole(restored, run) else None
    last = found[run.protocols[-1]]
    return head | {
        "step": last["step"],
        "scores": {name: _scores(each) for name, each in found.items()},
        "factors": last.get("factors", []),
        "active_dims": {name: _active_dims(each) for name, each in found.items()},
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
        if not wanted:  # all metrics
            complete = not _metrics_asked_for(results, root / run.folder)
        _ = results["left_out"], results["model"][0], results["provenance"]
    except (KeyError, IndexError, TypeError) as error:
        raise ConfigError(
            f"{path} is damaged (a part is missing): {_REMEDY}"
        ) from error
    return results if complete else None


def _metrics_asked_for(results: Mapping[str, Any], folder: Path) -> Sequence[str]:
    """The names of metrics that a run was scored by; none mean all there were."""
    if "metrics" in results:
        return list(results["metrics"])
    # Early versions did not store the names with the scores.
    if not (folder / provenance.CONFIG_FILE).exists():
        return []
    return provenance.stored(folder).config.eval.metrics


def scores_file(folder: Path, protocol: str) -> Path:
    """The file of a run's results by a protocol."""
    return folder / "scores" / f"{protocol}.json"


def steps_left(root: Path, run: Run) -> int:
    """The number of steps that a run still has to train from its newest checkpoint."""
    done = provenance.latest_step(root / run.folder) or 0
    return max(0, run.config.num_steps - done)


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


def _active_dims(results: Mapping[str, Any]) -> int | None:
    """How many dimensions count for scores that prune; None if there are no scores."""
    return next((run.get("active_dims") for run in results.get("runs", ())), None)


def stored(path: Path) -> dict[str, Any] | None:
    """The content of a JSON file; None if there is no file.

    Raises:
        ConfigError: if it is damaged.
    """
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is damaged ({error}): {_REMEDY}") from error
    if not isinstance(content, dict):
        raise ConfigError(
            f"{path} is damaged (it does not hold a JSON object): {_REMEDY}"
        )
    return content
