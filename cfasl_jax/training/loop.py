"""The training loop, from a configuration to a checkpoint, with interruptions."""

import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cfasl_jax import objectives
from cfasl_jax.data.dataset import Dataset, Spec
from cfasl_jax.errors import ConfigError, FailedError
from cfasl_jax.forms import jit_once
from cfasl_jax.objectives import Objective
from cfasl_jax.settings import Config, run_names
from cfasl_jax.training import devices, stream
from cfasl_jax.training import state as state_lib
from cfasl_jax.training.checkpoints import Checkpoints, latest_step
from cfasl_jax.training.checkpoints import steps as checkpoint_steps
from cfasl_jax.training.devices import Chunk
from cfasl_jax.training.record import SCORES, Record
from cfasl_jax.training.state import TrainState
from cfasl_jax.training.stream import Images
from cfasl_jax.types import Terms


class NonFiniteLossError(FailedError):
    """A loss term became infinite or not a number.

    Attributes:
        runs: the places of the runs to which this happened first.
    """

    def __init__(self, message: str, runs: Sequence[int]) -> None:
        super().__init__(message)
        self.runs = tuple(runs)


class InterruptedRunError(Exception):
    """SIGTERM or Ctrl-C arrived; the state is saved, and the same command resumes.

    Chunks of steps that the devices had already started are finished first.

    Attributes:
        signal: the number of the signal.
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.signal = number


# A function of a host state [R] that returns scores by name, a value for each run.
Score = Callable[[TrainState], dict[str, list[float]]]


def initial_state(config: Config, objective: Objective, spec: Spec) -> TrainState:
    """The state of all runs before the first step, with a leading axis [R]."""
    init = _initialiser(objective, config.clip_norm, spec.image_shape)
    return jax.tree.map(np.asarray, init(np.asarray(config.seeds, np.uint32)))


def _template(config: Config, objective: Objective, spec: Spec) -> TrainState:
    """Zeros with the shapes and types of a state; this compiles nothing."""
    init = _initialiser(objective, config.clip_norm, spec.image_shape)
    # With the precision of `train`, or it would be traced again.
    with jax.default_matmul_precision(config.matmul_precision):
        shapes = init.eval_shape(np.asarray(config.seeds, np.uint32))
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)


@lru_cache(maxsize=8)
def _initialiser(
    objective: Objective, clip_norm: float, image_shape: tuple[int, int, int]
) -> Any:
    """Seeds [R] -> state [R]; kept, so that a run and its scores trace it once."""
    adam = state_lib.optimizer(objective, clip_norm)

    def init(seed: jax.Array) -> TrainState:
        return state_lib.init(objective, adam, seed, image_shape)

    return jit_once(jax.vmap(init))


def restore(
    config: Config,
    objective: Objective,
    spec: Spec,
    workdir: Path,
    step: int | None = None,
) -> TrainState:
    """The state on the host, [R], in the newest checkpoint or in that of a step.

    Raises:
        ConfigError: if the working directory does not hold it.
    """
    try:
        with Checkpoints(workdir, config.checkpoint.keep, writes=False) as checkpoints:
            template = _template(config, objective, spec)
            return checkpoints.restore(template, step=step)
    except FileNotFoundError:
        if held := sorted(checkpoint_steps(workdir)):
            raise ConfigError(
                f"{workdir} holds no checkpoint of step {step}, only of "
                f"{', '.join(map(str, held))} (checkpoint.keep says how many stay)"
            ) from None
        raise ConfigError(
            f"{workdir} holds no checkpoint yet: train first (--mode=train)"
        ) from None


def train(
    config: Config, dataset: Dataset, workdir: Path, score: Score | None = None
) -> TrainState:
    """Train, or resume, to `num_steps`; return the last state on the host, [R].

    Args:
        config: validated.
        dataset: see `Dataset`.
        workdir: holds checkpoints/, metrics.jsonl and TensorBoard's events.
        score: computes the scores that are logged as eval/NAME every config.eval.every
            steps.

    Raises:
        ConfigError: if the devices do not divide the batch, or if processes see
            different working directories.
        NonFiniteLossError: if a loss is not finite; it names the term, the run and the
            steps. The last good checkpoint is kept.
        InterruptedRunError: after SIGTERM or Ctrl-C, once the state is saved.
    """
    devices.require_divisible(config.batch_size)
    spec = dataset.spec
    objective = objectives.build(config, spec)
    with (
        jax.default_matmul_precision(config.matmul_precision),
        _stop_signals() as stop_asked,
        Checkpoints(workdir, config.checkpoint.keep) as checkpoints,
    ):
        if latest_step(workdir) is None:
            state = initial_state(config, objective, spec)
        else:
            template = _template(config, objective, spec)
            state = checkpoints.restore(template, set_aside=True)
        first_step = _step(state)
        devices.require_same(first_step, f"the newest checkpoint in {workdir}")
        if first_step < config.num_steps:
            run = Steps(config, objective, dataset)
            state = _run_chunks(run, state, checkpoints, workdir, stop_asked, score)
    if stop_asked.number:  # after the last chunk was started: nobody else would end
        raise _interrupted(_step(state), stop_asked)
    return state


def _run_chunks(
    run: "Steps",
    state: TrainState,
    checkpoints: Checkpoints,
    workdir: Path,
    stop_asked: "_StopSignals",
    score: Score | None,
) -> TrainState:
    """Train from a host state to the last one, one logged chunk after another."""
    config, writes = run.config, devices.is_first_process()
    first_step, device_state = _step(state), devices.replicate(state)
    if first_step and writes:
        print(f"resuming after step {first_step}", file=sys.stderr)
    with (
        Record(workdir, config.seeds, first_step, config.num_steps, writes) as record,
        Images(config, run.objective, run.dataset, first_step) as images,
    ):
        unread: deque[tuple[int, list[Terms]]] = deque()
        for start, length in stream.chunks(config, first_step):
            device_state, terms = run(device_state, images, length)
            unread.append((start, terms))
            # The devices compute this chunk while the host reads the previous one.
            while len(unread) > 1:
                _log(record, config.seeds, *unread.popleft())
            step = start + length
            stopping = devices.any_process(stop_asked.number > 0)
            last = step == config.num_steps
            saves = stopping or last or _is_due(step, config.checkpoint.every)
            scores = score if _is_due(step, config.eval.every) else None
            if saves or scores:
                # Only a state whose losses are all known to be finite is saved or
                # scored. The next chunk, which consumes it, has not been started.
                host = devices.unreplicate(device_state)
                _log(record, config.seeds, *unread.popleft(), scores, host)
            if saves:
                checkpoints.save(step, host)
            if stopping and not last:
                raise _interrupted(step, stop_asked)
    return devices.unreplicate(device_state)


def _interrupted(step: int, stop_asked: "_StopSignals") -> InterruptedRunError:
    """The exception after a stop; the signal may have reached another process."""
    return InterruptedRunError(
        f"stopped at step {step}; the same command resumes",
        stop_asked.number or signal.SIGTERM,
    )


def _is_due(step: int, every: int) -> bool:
    """Whether something that happens every `every` steps (0: never) happens now."""
    return every > 0 and step % every == 0


def _log(
    record: Record,
    seeds: tuple[int, ...],
    start: int,
    blocks: list[Terms],
    score: Score | None = None,
    state: TrainState | None = None,
) -> None:
    """Wait for a chunk's terms, refuse those that are not finite, log their means.

    Args:
        record: the log.
        seeds: of the runs.
        start: steps taken before the chunk.
        blocks: terms on the devices, each [R, steps], of one block after another.
        score: if the state after the chunk is to be scored.
        state: after the chunk, on the host, [R].
    """
    host = [devices.unreplicate(terms) for terms in blocks]
    terms = {name: np.concatenate([t[name] for t in host], 1) for name in host[0]}
    require_finite(terms, start, seeds)
    end = start + terms["loss"].shape[1]
    means = {name: values.mean(axis=1) for name, values in terms.items()}
    # The other processes log nothing, and need no scores.
    if score is not None and state is not None and devices.is_first_process():
        means |= {SCORES + name: np.array(v) for name, v in score(state).items()}
    record.write(end, means)


class Steps:
    """Any number of steps, from programs that are compiled once for each length."""

    def __init__(self, config: Config, objective: Objective, dataset: Dataset) -> None:
        self.config, self.objective, self.dataset = config, objective, dataset
        self._fixed = fixed_arguments(config, dataset)
        self._compiled: dict[int, Chunk] = {}

    def __call__(
        self, state: TrainState, images: Images, length: int
    ) -> tuple[TrainState, list[Terms]]:
        """Start `length` steps: the state after them, and each block's terms.

        Both are on the devices, which may still be computing them.
        """
        parts = []
        for block, pixels in images.chunk(length):
            arguments = [*self._fixed, pixels]
            state, terms = self._program(block)(state, *arguments)
            devices.wait_if_shared(state)
            parts.append(terms)
        return state, parts

    def _program(self, length: int) -> Chunk:
        if length not in self._compiled:
            adam = state_lib.optimizer(self.objective, self.config.clip_norm)
            self._compiled[length] = devices.compile_chunk(
                self.objective, adam, self.config.num_pairs, length
            )
        return self._compiled[length]


def fixed_arguments(config: Config, dataset: Dataset) -> list[Any]:
    """The arguments of every chunk after the state: data set, seeds [R] and hyper [R].

    Arrays of the data set that are on the first device already are not copied there.
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
    # The total is not finite whenever a term is not; the term is the useful name.
    names = [name for name in bad if bad[name][:, column].any()]
    names = [name for name in names if name != "loss"] or names
    masks = [bad[name][:, column] for name in names]
    runs = np.flatnonzero(np.any(masks, axis=0)).tolist()
    which = "; ".join(run_names(seeds)[run] for run in runs)
    raise NonFiniteLossError(
        f"{', '.join(names)} not finite at step {first_step + column + 1} "
        f"({which}), in steps {first_step + 1} to "
        f"{first_step + columns.size}; earlier checkpoints are kept",
        runs,
    )


def _step(state: TrainState) -> int:
    """All runs of a state have taken the same number of steps."""
    return int(np.asarray(state.step)[0])


class _StopSignals:
    """The number of the first signal that asked to stop; 0 while none has."""

    number = 0


@contextmanager
def _stop_signals() -> Iterator[_StopSignals]:
    """The signals SIGTERM and Ctrl-C that arrive inside the context."""
    asked = _StopSignals()

    def ask(number: int, _: FrameType | None) -> None:
        if asked.number:  # the second signal does not wait for the chunk to end
            if number == signal.SIGINT:
                # A third one need not wait for the files that are being written.
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                raise KeyboardInterrupt
            raise SystemExit(128 + number)
        asked.number = number
        if number == signal.SIGINT:
            message = (
                "stopping once the state is saved; press Ctrl-C again to stop at once"
            )
            print(message, file=sys.stderr)

    # Signal handlers belong to the main thread; elsewhere signals keep their meaning.
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    numbers = (signal.SIGTERM, signal.SIGINT)
    previous = [signal.signal(number, ask) for number in numbers]
    try:
        yield asked
    finally:
        for number, handler in zip(numbers, previous, strict=True):
            signal.signal(number, handler)
