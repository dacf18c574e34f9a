"""Packs: runs that differ only in traced hyperparameters and seeds, as one program.

A pack trains in a working directory of its own, packs/NAME, and is then divided: each
run gets the files that it would have written alone, that is, config.json,
metrics.jsonl, TensorBoard's events and its last checkpoint. It is then scored like any
other run.
"""

import dataclasses
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import jax

from cfasl_jax import config as config_lib
from cfasl_jax import files, objectives
from cfasl_jax.data.dataset import Dataset
from cfasl_jax.run import evaluate, provenance
from cfasl_jax.settings import Config, flatten
from cfasl_jax.study import run_files
from cfasl_jax.study.arms import REPORTING
from cfasl_jax.study.run_files import Run
from cfasl_jax.training import devices, loop, record
from cfasl_jax.training.checkpoints import Checkpoints
from cfasl_jax.training.state import TrainState

# Runs of one program on a GPU or TPU; halved if the device's memory is too small.
_MOST = 64


def default_size() -> int:
    """The number of runs that may fit; one on a CPU, where packing gains nothing."""
    return 1 if jax.default_backend() == "cpu" else _MOST


def group(runs: Sequence[Run], size: int) -> list[list[Run]]:
    """Runs as packs of at most this size, the same ones in every worker and call.

    The reporting runs of each arm form packs of their own, since they become known arm
    by arm. Packs come in the order of their first runs.
    """
    packs: list[list[Run]] = []
    latest: dict[str, list[Run]] = {}
    for run in runs:
        arm = run.arm if run.phase == REPORTING else ""
        key = f"{run.phase} {arm} {program(run.config)}"
        if len(latest.get(key, ())) in (0, size):
            latest[key] = []
            packs.append(latest[key])
        latest[key].append(run)
    return packs


def together(runs: Sequence[Run]) -> Config:
    """One configuration of several runs of one program."""
    values = [flatten(config_lib.to_dict(run.config)) for run in runs]
    differing = [
        (name, tuple(float(each[name]) for each in values))
        for name in config_lib.traced_fields(runs[0].config)
        if len({each[name] for each in values}) > 1
    ]
    seeds = tuple(run.seed for run in runs)
    first = runs[0].config
    return dataclasses.replace(first, seeds=seeds, per_run=tuple(differing))


def train(runs: Sequence[Run], dataset: Dataset, root: Path) -> None:
    """Train runs of one program, to the last checkpoint of each.

    A run that fails is recorded, and the others go on from the last checkpoint. If they
    do not fit into the device's memory together, each half is trained by itself.

    Args:
        runs: the runs, all of which this worker has claimed.
        dataset: the data set that they are trained on.
        root: the study's directory.

    Raises:
        InterruptedRunError: after SIGTERM, once the state is saved.
    """
    if all(run_files.steps_left(root, run) == 0 for run in runs):
        return
    try:
        _train_together(runs, dataset, root)
        return
    except loop.NonFiniteLossError as error:
        parts = [_without_failed(error, runs, dataset, root)]
    except jax.errors.JaxRuntimeError as error:
        if len(runs) == 1 or devices.memory_advice(error) is None:
            raise
        half = len(runs) // 2
        parts = [runs[:half], runs[half:]]
    if len(runs) > 1:
        shutil.rmtree(_folder(runs, root), ignore_errors=True)
    for part in parts:
        train(part, dataset, root)


def _train_together(runs: Sequence[Run], dataset: Dataset, root: Path) -> None:
    folder, config = _folder(runs, root), together(runs)
    provenance.claim(folder, config, dataset.spec)
    state = loop.train(config, dataset, folder, evaluate.scorer(config, dataset))
    if len(runs) == 1:
        return
    for place, run in enumerate(runs):
        if run_files.steps_left(root, run):
            _take_out([place], runs, state, dataset, root)
    shutil.rmtree(folder)


def _without_failed(
    error: loop.NonFiniteLossError, runs: Sequence[Run], dataset: Dataset, root: Path
) -> Sequence[Run]:
    """Record the runs that failed; prepare the others to go on without them."""
    places = [place for place in range(len(runs)) if place not in error.runs]
    rest, folder = [runs[place] for place in places], _folder(runs, root)
    if rest and provenance.latest_step(folder) is not None:
        config, spec = together(runs), dataset.spec
        state = loop.restore(config, objectives.build(config, spec), spec, folder)
        _take_out(places, runs, state, dataset, root)
    for place in error.runs:
        failure = root / runs[place].folder / run_files.FAILURE_FILE
        files.write_json(failure, {"failed": str(error)})
    return rest


def _folder(runs: Sequence[Run], root: Path) -> Path:
    """The working directory in which runs train together, that of the run if alone."""
    if len(runs) == 1:
        return root / runs[0].folder
    names = "\n".join(str(run.folder) for run in runs)
    digest = hashlib.sha256(names.encode()).hexdigest()[:12]
    return root / "packs" / f"{runs[0].phase}_{len(runs)}_runs_{digest}"


def _take_out(
    places: Sequence[int],
    runs: Sequence[Run],
    state: TrainState,
    dataset: Dataset,
    root: Path,
) -> None:
    """Write the working directory that some runs of a pack would have had without it.

    Args:
        places: which of the runs.
        runs: all runs of the pack.
        state: of all runs, on the host, [R].
        dataset: the data set that they are trained on.
        root: the study's directory.
    """
    some = [runs[place] for place in places]
    pack, folder, config = _folder(runs, root), _folder(some, root), together(some)
    provenance.claim(folder, config, dataset.spec)
    origin = provenance.stored(pack).origin
    provenance.write_record(folder, config, dataset.spec, origin)
    record.take_out(places, tuple(run.seed for run in runs), pack, folder)
    own = jax.tree.map(lambda leaf: leaf[places], state)
    # The checkpoint comes last: a folder that has it is complete.
    with Checkpoints(folder, config.checkpoint.keep) as checkpoints:
        checkpoints.save(int(state.step[0]), own)


def program(config: Config) -> str:
    """The part of a configuration that runs of one program have in common, as a digest.

    A number that is traced may differ between runs, but all or none must have it.
    """
    fields = flatten(config_lib.to_dict(config))
    for name in config_lib.traced_fields(config):
        fields[name] = fields[name] is None
    del fields["seeds"], fields["per_run"]
    return hashlib.sha256(repr(sorted(fields.items())).encode()).hexdigest()[:12]
