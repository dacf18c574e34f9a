"""Training from a configuration to a checkpoint, through interruptions."""

import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cfasl_jax import objectives
from cfasl_jax.data.dataset import Dataset, Spec
from cfasl_jax.errors import ConfigError
from cfasl_jax.objectives import Objective
from cfasl_jax.settings import Config
from cfasl_jax.training import devices, stream
from cfasl_jax.training import state as state_lib
from cfasl_jax.training.checkpoints import Checkpoints
from cfasl_jax.training.devices import Chunk
from cfasl_jax.training.record import Record
from cfasl_jax.training.state import TrainState
from cfasl_jax.training.stream import Images
from cfasl_jax.types import Terms


class NonFiniteLossError(RuntimeError):
    """A loss term became infinite or not a number."""


class InterruptedRunError(Exception):
    """SIGTERM arrived; the state is saved, and the same command resumes.

    The chunk that has been started is finished first, and one that is still running.
    """


def initial_state(config: Config, objective: Objective, spec: Spec) -> TrainState:
    """The state of all runs before the first step, with a leading axis [R]."""
    init = jax.jit(_initialiser(config, objective, spec))
    return jax.tree.map(np.asarray, init(jnp.asarray(config.seeds, jnp.uint32)))


def _template(config: Config, objective: Objective, spec: Spec) -> TrainState:
    """Zeros of the shapes and types of a state; nothing is compiled for them."""
    seeds = jax.ShapeDtypeStruct((len(config.seeds),), jnp.uint32)
    shapes = jax.eval_shape(_initialiser(config, objective, spec), seeds)
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)


def _initialiser(
    config: Config, objective: Objective, spec: Spec
) -> Callable[[jax.Array], TrainState]:
    """Seeds [R] -> state [R]."""
    adam = state_lib.optimizer(objective, config.clip_norm)
    shape = spec.image_shape
    return jax.vmap(lambda seed: state_lib.init(objective, adam, seed, shape))


def restore(
    config: Config, objective: Objective, spec: Spec, workdir: Path
) -> TrainState:
    """The newest checkpoint's state on the host, [R].

    Raises:
        ConfigError: where the working directory holds none.
    """
    with Checkpoints(workdir, config.checkpoint.keep) as checkpoints:
        try:
            return checkpoints.restore(_template(config, objective, spec))
        except FileNotFoundError:
            raise ConfigError(
                f"{workdir} holds no checkpoint yet: train first (--mode=train)"
            ) from None


def train(config: Config, dataset: Dataset, workdir: Path) -> TrainState:
    """Train, or resume, to `num_steps`; return the last state on the host, [R].

    Args:
        config: validated.
        dataset: see `Dataset`.
        workdir: holds checkpoints/, metrics.jsonl and TensorBoard's events.

    Raises:
        ConfigError: where the devices do not divide the batch, or where processes see
            different working directories.
        NonFiniteLossError: naming the term, the run and the steps; the last good
            checkpoint stays.
        InterruptedRunError: after SIGTERM, once the state is saved.
    """
    devices.require_divisible(config.batch_size)
    spec = dataset.spec
    objective = objectives.build(config, spec)
    with (
        jax.default_matmul_precision(config.matmul_precision),
        _sigterm() as stop_asked,
        Checkpoints(workdir, config.checkpoint.keep) as checkpoints,
    ):
        if checkpoints.latest_step() is None:
            state = initial_state(config, objective, spec)
        else:
            template = _template(config, objective, spec)
            state = checkpoints.restore(template, set_aside=True)
        first_step = _step(state)
        devices.require_same(first_step, f"the newest checkpoint in {workdir}")
        if first_step >= config.num_steps:
            return state
        with Record(
            workdir,
            config.seeds,
            first_step,
            config.num_steps,
            active=devices.is_first_process(),
        ) as record:
            return _run_chunks(
                config, objective, dataset, state, checkpoints, record, stop_asked
            )


def _run_chunks(
    config: Config,
    objective: Objective,
    dataset: Dataset,
    state: TrainState,
    checkpoints: Checkpoints,
    record: Record,
    stop_asked: threading.Event,
) -> TrainState:
    """From a host state to the last one, a logged chunk at a time."""
    first_step, device_state = _step(state), devices.replicate(state)
    with Images(config, objective, dataset, first_step) as images:
        run = _Steps(config, objective, dataset, images)
        unread: deque[tuple[int, list[Terms]]] = deque()

        def log_all_but(latest: int) -> None:
            while len(unread) > latest:
                _log(record, config.seeds, *unread.popleft())

        for start, length in stream.chunks(config, first_step):
            device_state, terms = run(device_state, length)
            unread.append((start, terms))
            # The devices compute this chunk while the host reads the one before.
            log_all_but(latest=1)
            step = start + length
            stopping = devices.any_process(stop_asked.is_set())
            last = step == config.num_steps
            if stopping or last or step % config.checkpoint.every == 0:
                # Only a state whose losses are all known to be finite is saved. The
                # next chunk, which consumes the state, has not been started.
                log_all_but(latest=0)
                checkpoints.save(step, devices.unreplicate(device_state))
            if stopping and not last:
                raise InterruptedRunError(
                    f"stopped at step {step}; the same command resumes"
                )
    return devices.unreplicate(device_state)


def _log(
    record: Record, seeds: tuple[int, ...], start: int, blocks: list[Terms]
) -> None:
    """Wait for a chunk's terms, refuse those that are not finite, log their means.

    Args:
        record: the log.
        seeds: of the runs.
        start: steps taken before the chunk.
        blocks: terms on the devices, each [R, steps], of one block after another.
    """
    host = [devices.unreplicate(terms) for terms in blocks]
    terms = {name: np.concatenate([t[name] for t in host], 1) for name in host[0]}
    require_finite(terms, start, seeds)
    end = start + terms["loss"].shape[1]
    record.write(end, {name: values.mean(axis=1) for name, values in terms.items()})


class _Steps:
    """Any number of steps, of programs that are compiled once for each length."""

    def __init__(
        self, config: Config, objective: Objective, dataset: Dataset, images: Images
    ) -> None:
        self._config, self._objective, self._images = config, objective, images
        self._fixed = fixed_arguments(config, dataset)
        self._compiled: dict[int, Chunk] = {}

    def __call__(
        self, state: TrainState, length: int
    ) -> tuple[TrainState, list[Terms]]:
        """Start `length` steps: the state after them, and each block's terms.

        Both are on the devices, which are still computing them.
        """
        parts = []
        for block in self._images.blocks(length):
            arguments = [*self._fixed, self._images.next()]
            state, terms = self._program(block)(state, *arguments)
            parts.append(terms)
        return state, parts

    def _program(self, length: int) -> Chunk:
        if length not in self._compiled:
            adam = state_lib.optimizer(self._objective, self._config.clip_norm)
            self._compiled[length] = devices.compile_chunk(
                self._objective, adam, self._config.num_pairs, length
            )
        return self._compiled[length]


def fixed_arguments(config: Config, dataset: Dataset) -> list[Any]:
    """What every chunk gets after the state: data set, seeds [R] and hyper [R].

    The data set's arrays are those that it holds on the first device, not copies.
    """
    runs = [config.of_run(run).hyper for run in range(len(config.seeds))]
    hyper = jax.tree.map(lambda *x: jnp.asarray(x, jnp.float32), *runs)
    seeds = jnp.asarray(config.seeds, jnp.uint32)
    per_run = (devices.replicate(tree) for tree in (seeds, hyper))
    return [devices.share(dataset), *per_run]


def require_finite(
    terms: dict[str, np.ndarray], first_step: int, seeds: tuple[int, ...]
) -> None:
    """Raise a NonFiniteLossError at the first step with a non-finite term.

    Args:
        terms: each [R, steps].
        first_step: steps taken before the first column.
        seeds: of the runs.
    """
    bad = {name: ~np.isfinite(values) for name, values in terms.items()}
    columns = np.any([mask.any(axis=0) for mask in bad.values()], axis=0)
    if not columns.any():
        return
    column = int(np.argmax(columns))
    # The total is non-finite whenever a term is; the term is what helps.
    names = [name for name in bad if bad[name][:, column].any()]
    names = [name for name in names if name != "loss"] or names
    runs = np.any([bad[name][:, column] for name in names], axis=0)
    which = ", ".join(str(seeds[run]) for run in np.flatnonzero(runs))
    raise NonFiniteLossError(
        f"{', '.join(names)} not finite at step {first_step + column + 1} "
        f"(seed {which}), in steps {first_step + 1} to "
        f"{first_step + columns.size}; the last checkpoint is kept"
    )


def _step(state: TrainState) -> int:
    """All runs of a state have taken the same number of steps."""
    return int(np.asarray(state.step)[0])


@contextmanager
def _sigterm() -> Iterator[threading.Event]:
    """An event that SIGTERM sets while the context lasts."""
    asked = threading.Event()

    def ask(number: int, _: FrameType | None) -> None:
        if asked.is_set():  # asked twice: do not wait for the chunk to end
            raise SystemExit(128 + number)
        asked.set()

    # Signal handlers belong to the main thread; elsewhere SIGTERM keeps its meaning.
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    previous = signal.signal(signal.SIGTERM, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, previous)
