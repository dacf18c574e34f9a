"""Making analysis.npz, figures/ and report.html from a checkpoint and results.json.

Probing a model needs the model, its data and a minute; drawing the results needs none
of these. The arrays therefore stay in the working directory, as analysis.npz. They are
used again as long as they belong to the newest checkpoint and to the configuration.
Otherwise, or if the file was deleted, the model is probed again.
"""

import datetime
import importlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from tensorboardX.proto import event_pb2

from cfasl_jax import config as config_lib
from cfasl_jax import errors, metrics
from cfasl_jax.data import tfds
from cfasl_jax.data.dataset import Dataset
from cfasl_jax.data.recipe import DataFileError
from cfasl_jax.report import analysis, comparison, page, runs
from cfasl_jax.report.curves import LossCurves
from cfasl_jax.report.results import read_results
from cfasl_jax.run import probes, provenance
from cfasl_jax.run.evaluate import RESULTS_FILE, evaluate
from cfasl_jax.run.model import models
from cfasl_jax.settings import Config, run_names
from cfasl_jax.training import record

_MOST_RUNS = 12

# Fields of the configuration that change neither what was trained nor what is drawn.
_NOT_DRAWN = ("num_steps", "checkpoint", "eval", "data", "log_every", "seeds")


def analyze(config: Config, dataset: Dataset, workdir: Path) -> Path:
    """Draw every figure of a run and write its page; return the page's path.

    With several seeds the page lets the reader choose a run, or the best, the median or
    the worst by a score. If results.json is missing or older than the checkpoint, the
    run is evaluated first; if analysis.npz is, the models are probed first.

    Raises:
        ConfigError: if the working directory holds no checkpoint or cannot be
            written, or if results.json is damaged.
    """
    redrawn = redraw(config, workdir)
    if redrawn is not None:
        return redrawn
    errors.require_writable(workdir / analysis.FILE)
    trained = models(config, dataset.spec, workdir)
    step = trained[0].step
    results = read_results(workdir / RESULTS_FILE)
    if results is None or not _are_of(results, config, step):
        results = evaluate(config, dataset, workdir)
    belongs_to = _belongs_to(config, results)
    bins = belongs_to["bins"]
    names = run_names(config.seeds)
    probed = [
        probes.probe(trained[run], dataset, run, names[run], bins)
        for run in drawn_runs(results)
    ]
    analysis.save(workdir / analysis.FILE, probed, belongs_to)
    return _draw(probed, config, results, workdir)


def redraw(config: Config, workdir: Path) -> Path | None:
    """Draw the report of a run that was probed before, without its model and its data.

    Returns:
        The page's path; None if analysis.npz or results.json is missing, or belongs to
        another checkpoint, other seeds or another configuration.

    Raises:
        ConfigError: if results.json is damaged, or nothing can be written.
    """
    results = read_results(workdir / RESULTS_FILE)
    if results is None or not _are_of(results, config, provenance.latest_step(workdir)):
        return None
    probed = analysis.load(workdir / analysis.FILE, _belongs_to(config, results))
    if probed is None or not {run.run for run in probed}.issuperset(
        drawn_runs(results)
    ):
        return None
    errors.require_writable(workdir / analysis.FILE)
    return _draw(probed, config, results, workdir)


def _are_of(results: Mapping[str, Any], config: Config, step: int | None) -> bool:
    """Whether scores belong to these seeds and to the checkpoint at a step, if any."""
    same = results["seeds"] == list(config.seeds)
    return same and step in (None, results["step"])


def _belongs_to(config: Config, results: Mapping[str, Any]) -> dict[str, Any]:
    """A value that identifies the models of an analysis, and how they were probed."""
    fields = config_lib.to_dict(config)
    return {
        "step": results["step"],
        "seeds": results["seeds"],
        "bins": _bins(results),
        "config": {n: value for n, value in fields.items() if n not in _NOT_DRAWN},
    }


def _bins(results: Mapping[str, Any]) -> int:
    """Bins of the codes' histograms; an old run may name a protocol that is gone."""
    protocols = metrics.PROTOCOLS
    return protocols.get(results.get("protocol", ""), protocols["fast"]).mig_bins


def _draw(
    probed: Sequence[analysis.Run],
    config: Config,
    results: Mapping[str, Any],
    workdir: Path,
) -> Path:
    """Draw the runs in the order of their scores, which may be newer than arrays."""
    by_place = {run.run: run for run in probed}
    shown = [by_place[run] for run in drawn_runs(results) if run in by_place]
    losses = LossCurves(*record.read(workdir))
    fields = config_lib.to_dict(config)
    known = {**results, **_training_times(workdir, results)}
    defaults = _defaults(config.dataset)
    return page.write_report(shown, losses, known, fields, workdir, defaults)


def _defaults(dataset: str) -> dict[str, Any] | None:
    """The fields that configs/DATASET.py sets; None if this file cannot be found.

    It is found in a checkout, or if the command line has named a file of configs/.
    """
    try:
        module = importlib.import_module(f"configs.{dataset}")
        return config_lib.to_dict(config_lib.from_dict(module.get_config().to_dict()))
    # It may be anybody's package of this name, and the page can do without it.
    except Exception:
        return None


def _training_times(workdir: Path, results: Mapping[str, Any]) -> dict[str, Any]:
    """When training ended, and how long it took, according to TensorBoard's files.

    metrics.jsonl holds no times, so that a resumed run writes the same file. Each call
    of the training writes a file of events; the time between calls is not counted.
    """
    files = sorted((workdir / "tensorboard").glob("*/events.out.tfevents.*"))
    first = [path for path in files if path.parent == files[0].parent]
    spans = [span for path in first if (span := _wall_times(path))]
    if not spans:
        return {}
    seconds = sum(end - start for start, end in spans)
    last = datetime.datetime.fromtimestamp(max(end for _, end in spans), datetime.UTC)
    return {
        "trained_until": f"{last:%Y-%m-%d %H:%M} UTC",
        "durations": {"training": seconds, **(results.get("durations") or {})},
    }


def _wall_times(path: Path) -> tuple[float, float] | None:
    """The wall times of the first and the last event in a file; None without any."""
    times = []
    with suppress(DataFileError, DecodeError):  # a process that was killed cuts it
        for record in tfds.tfrecords(path):
            times.append(event_pb2.Event.FromString(record).wall_time)
    return (times[0], times[-1]) if times else None


def compare(folders: Sequence[Path], workdir: Path) -> Path:
    """Write one page about several working directories; return its path.

    Args:
        folders: of runs that were analyzed.
        workdir: where the page and its figures go.

    Raises:
        ConfigError: if a folder holds no run or no report; it names the command to run
            first.
    """
    trainings = []
    for folder, name in zip(folders, comparison.short_names(folders), strict=True):
        config = config_lib.to_dict(provenance.stored(folder).config)
        curves = LossCurves(*record.read(folder))
        trainings.append(comparison.read_training(folder, name, config, curves))
    return comparison.write_comparison(trainings, workdir)


def drawn_runs(results: Mapping[str, Any]) -> list[int]:
    """The runs that the page shows, ordered by the first score that has ranks.

    These are all runs. If there are more than a dozen, they are the runs that are best,
    median or worst by a score, as far as there is room.
    """
    ranked = [run for ranks in runs.ranking(results).values() for run in ranks]
    every = range(len(results["seeds"]))
    return list(dict.fromkeys([*ranked, *every]))[:_MOST_RUNS]
