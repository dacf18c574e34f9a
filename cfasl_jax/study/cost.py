"""The cost of a study: runs, steps, and hours at a measured speed."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax

from cfasl_jax import files, objectives
from cfasl_jax.data.dataset import Dataset
from cfasl_jax.report.tables import duration
from cfasl_jax.settings import Config
from cfasl_jax.study import packs, plan, run_files
from cfasl_jax.study.definition import Study
from cfasl_jax.study.run_files import Entry, Run
from cfasl_jax.training import devices, loop, stream

# Steps of one timed call. Calls are repeated until this many seconds have passed, or
# this many calls are done.
_STEPS = 10
_LEAST_SECONDS = 1.0
_MOST = 1_000
# Runs of a larger pack take about as long each as those of a pack of this size.
_MOST_MEASURED = 8


def describe(
    study: Study,
    dataset: Dataset,
    root: Path,
    entries: Mapping[Path, Entry],
    size: int,
) -> str:
    """A few lines about what is left to do, and how long it takes.

    Speeds are measured once for each program and kind of device, and stored in the
    study's directory.

    Args:
        study: the study.
        dataset: the data set of all its runs.
        root: its directory, which exists.
        entries: entries of finished runs.
        size: how many runs are trained as one program.
    """
    lines = [f"study {study.name}: {len(study.arms)} arms on {dataset.source} data"]
    total = 0.0
    runs_left = steps_left = 0
    for arm in study.arms:
        runs = plan.expected_runs(study, arm, entries)
        left = [run for run in runs if run.folder not in entries]
        steps = sum(run_files.steps_left(root, run) for run in left)
        counts = f"{len(runs)} runs, {len(left)} left"
        line = f"  {arm.name}: {len(arm.settings)} settings, {counts}"
        if steps:
            pack = packs.group(left, min(size, _MOST_MEASURED))[0]
            seconds = _seconds_a_step(pack, dataset, root)
            total += seconds * steps
            line += (
                f", {steps:,} steps at {1 / seconds:.3g} a second: "
                f"{duration(seconds * steps)}"
            )
        lines.append(line)
        runs_left, steps_left = runs_left + len(left), steps_left + steps
    lines.append(
        f"  in all {runs_left} runs and {steps_left:,} steps left: "
        f"{duration(total)} of training on one device such as this; scoring is extra"
    )
    if study.budget:
        lines.append(f"  unequal budgets: {study.budget}")
    return "\n".join(lines)


def _seconds_a_step(pack: Sequence[Run], dataset: Dataset, root: Path) -> float:
    """Seconds that one step of one run of a pack takes on this kind of device.

    They are measured now, or were measured in an earlier call.
    """
    device = jax.devices()[0].device_kind
    path = root / "speeds.json"
    known = files.cached(path) or {}
    kind = f"program {packs.program(pack[0].config)}, {len(pack)} runs together"
    key = f"{kind}, on {jax.device_count()} x {device}"
    if key not in known:
        known[key] = _measure(packs.together(pack), dataset) / len(pack)
        files.write_json(path, known)
    return known[key]


def _measure(config: Config, dataset: Dataset) -> float:
    """Seconds a step of a compiled program, over a second or so."""
    config = dataclasses.replace(config, log_every=_STEPS, num_steps=_STEPS * _MOST)
    objective = objectives.build(config, dataset.spec)
    state = devices.replicate(loop.initial_state(config, objective, dataset.spec))
    run = loop.Steps(config, objective, dataset)
    with stream.Images(config, objective, dataset, 0) as images:
        state, _ = jax.block_until_ready(run(state, images, _STEPS))
        start, calls, passed = time.perf_counter(), 0, 0.0
        while passed < _LEAST_SECONDS and calls < _MOST - 1:
            state, _ = jax.block_until_ready(run(state, images, _STEPS))
            calls, passed = calls + 1, time.perf_counter() - start
    return passed / (calls * _STEPS)
