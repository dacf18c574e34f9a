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
from cfasl_jax import files
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

    A run that fails is recorded. If one of several fails, or if they do not fit into
    the device's memory together, each half is trained by itself.

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
        if len(runs) == 1:
            _train_alone(runs[0], dataset, root)
        else:
            _train_together(runs, dataset, root)
    except loop.NonFiniteLossError as error:
        if len(runs) == 1:
            failure = {"failed": str(error)}
            files.write_json(root / runs[0].folder / run_files.FAILURE_FILE, failure)
            return
    except jax.errors.JaxRuntimeError as error:
        if len(runs) == 1 or devices.memory_advice(error) is None:
            raise
    else:
        return
    shutil.rmtree(_pack_folder(runs, root), ignore_errors=True)
    half = len(runs) // 2
    for part in (runs[:half], runs[half:]):
        train(part, dataset, root)


def _train_alone(run: Run, dataset: Dataset, root: Path) -> None:
    folder = root / run.folder
    provenance.claim(folder, run.config, dataset.spec)
    loop.train(run.config, dataset, folder, _scorer(run.config, dataset))


def _train_together(runs: Sequence[Run], dataset: Dataset, root: Path) -> None:
    folder, config = _pack_folder(runs, root), together(runs)
    provenance.claim(folder, config, dataset.spec)
    state = loop.train(config, dataset, folder, _scorer(config, dataset))
    for place, run in enumerate(runs):
        if run_files.steps_left(root, run):
            _take_out(place, runs, state, folder, dataset, root)
    shutil.rmtree(folder)


def _pack_folder(runs: Sequence[Run], root: Path) -> Path:
    """The working directory of a pack."""
    names = "\n".join(str(run.folder) for run in runs)
    digest = hashlib.sha256(names.encode()).hexdigest()[:12]
    return root / "packs" / f"{runs[0].phase}_{len(runs)}_runs_{digest}"


def _scorer(config: Config, dataset: Dataset) -> loop.Score | None:
    """The function that scores runs during training, or None if this is not wanted."""
    return evaluate.scorer(config, dataset) if config.eval.every else None


def _take_out(
    place: int,
    runs: Sequence[Run],
    state: TrainState,
    pack: Path,
    dataset: Dataset,
    root: Path,
) -> None:
    """Write the own working directory of one of the runs, its checkpoint last."""
    run = runs[place]
    folder, seeds = root / run.folder, tuple(run.seed for run in runs)
    provenance.claim(folder, run.config, dataset.spec)
    origin = provenance.stored(pack).origin
    provenance.write_record(folder, run.config, dataset.spec, origin)
    record.take_out(place, seeds, pack, folder)
    own = jax.tree.map(lambda leaf: leaf[place : place + 1], state)
    with Checkpoints(folder, run.config.checkpoint.keep) as checkpoints:
        checkpoints.save(run.config.num_steps, own)


def program(config: Config) -> str:
    """The part of a configuration that runs of one program have in common, as a digest.

    A number that is traced may differ between runs, but all or none must have it.
    """
    fields = flatten(config_lib.to_dict(config))
    for name in config_lib.traced_fields(config):
        fields[name] = fields[name] is None
    del fields["seeds"], fields["per_run"]
    return hashlib.sha256(repr(sorted(fields.items())).encode()).hexdigest()[:12]
