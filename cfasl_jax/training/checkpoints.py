"""Checkpoints of a run, written in the background; only the last few are kept."""

import functools
import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.tree_util import KeyPath

from cfasl_jax.errors import ConfigError
from cfasl_jax.training.state import TrainState

FOLDER = "checkpoints"
# The folder of the state inside that of a checkpoint. Orbax is told its name; otherwise
# it would infer the layout from the newest checkpoint, which may be damaged.
_ITEM = "default"


def steps(workdir: Path) -> set[int]:
    """Steps of all complete checkpoints that a working directory holds now."""
    folder = workdir / FOLDER
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return {int(name) for name in names if name.isdecimal()}


def latest_step(workdir: Path) -> int | None:
    """Step of the newest complete checkpoint; None without any."""
    return max(steps(workdir), default=None)


class Checkpoints:
    """The checkpoints of one working directory, on Orbax's CheckpointManager.

    A checkpoint holds the state of all runs as one device has it, so that it can be
    restored on any number of devices. An interrupted write leaves no checkpoint.
    """

    def __init__(self, workdir: Path, keep: int, writes: bool = True) -> None:
        """Open them; a reader (`writes` is False) leaves the directory as it is."""
        # Every process reads for itself and only the first one writes: every host has
        # the complete state, so processes need not coordinate.
        process = jax.process_index()
        self._writes = writes and process == 0
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            create=False,
            # Another process may be writing what looks unfinished.
            cleanup_tmp_directories=self._writes,
            multiprocessing_options=ocp.options.MultiprocessingOptions(
                primary_host=process,
                active_processes={process},
                barrier_sync_key_prefix=f"process_{process}",
            ),
        )
        self._directory = (workdir / FOLDER).absolute()
        if writes:
            try:
                self._directory.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ConfigError(f"cannot write checkpoints: {error}") from error
        _ignore_late_answers()
        self._quiet = ExitStack()
        self._quiet.enter_context(_without_noise())
        self._manager = ocp.CheckpointManager(
            self._directory, options=options, item_names=(_ITEM,)
        )

    def save(self, step: int, state: TrainState) -> None:
        """Write host arrays in the background, after any earlier write has ended."""
        if not self._writes:
            return
        # Copies: numpy only views device buffers, which the next step reuses.
        item = ocp.args.StandardSave(jax.tree.map(np.array, state))
        with self._writing():
            self._manager.save(step, args=ocp.args.Composite(**{_ITEM: item}))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Raise an OSError where the system refused a write, of this call or the last.

        Orbax passes on TensorStore's ValueError, which has the error's number only in
        its text.
        """
        try:
            yield
        except ValueError as error:
            number = _refusal(error)
            if number is None:
                raise
            where = str(self._directory)
            raise OSError(number, os.strerror(number), where) from error

    def restore(
        self, like: TrainState, set_aside: bool = False, step: int | None = None
    ) -> TrainState:
        """The newest checkpoint that can be read, or that of a step, as numpy arrays.

        Parts of a checkpoint that `like` does not have are left out; checkpoints of
        early versions have such parts.

        Args:
            like: host arrays of the expected structure, shapes and types.
            set_aside: whether damaged checkpoints are renamed once an older one has
                been read, so that training can write those of the same steps again.
            step: of the checkpoint; None means the newest one.

        Raises:
            FileNotFoundError: if there is no checkpoint, or none of this step.
            ConfigError: if none can be read.
        """
        with self._writing():  # what is still being written counts too
            self._manager.wait_until_finished()
        tried: set[int] = set()
        damaged: list[int] = []
        while left := self._steps(step) - tried:
            newest = max(left)
            tried.add(newest)
            try:
                state = _filled(like, self._stored(newest))
            # Orbax and TensorStore raise many kinds of errors for damaged files.
            except Exception as error:
                # Otherwise the training run, which keeps the last few, has removed it.
                if newest in self._steps():
                    self._report(newest, error)
                    damaged.append(newest)
                continue
            # Only now: if none can be read, the same command must not start anew.
            if set_aside and self._writes:
                for each in damaged:
                    self._set_aside(each)
            return state
        if not tried:
            raise FileNotFoundError(f"no such checkpoint in {self._directory}")
        raise ConfigError(
            f"no checkpoint in {self._directory} can be read: restore one from a copy, "
            "or choose another --workdir"
        )

    def _steps(self, only: int | None = None) -> set[int]:
        found = steps(self._directory.parent)
        return found if only is None else found & {only}

    def _stored(self, step: int) -> Any:
        """A checkpoint as nested dicts and lists."""
        items = ocp.args.Composite(**{_ITEM: ocp.args.StandardRestore()})
        return self._manager.restore(step, args=items)[_ITEM]

    def _report(self, step: int, error: Exception) -> None:
        """Say why a checkpoint cannot be read."""
        reason = (str(error).splitlines() or [""])[0][:200]
        print(
            f"the checkpoint of step {step} in {self._directory} cannot be "
            f"read ({type(error).__name__}: {reason})",
            file=sys.stderr,
        )

    def _set_aside(self, step: int) -> None:
        """Rename a checkpoint's folder, so that it no longer counts as a checkpoint."""
        damaged = self._directory / f"damaged-{step}"
        number = 1
        while damaged.exists():
            number += 1
            damaged = self._directory / f"damaged-{step}-{number}"
        (self._directory / str(step)).rename(damaged)
        self._manager.reload()
        print(f"it was renamed to {damaged.name}", file=sys.stderr)

    def close(self) -> None:
        """Wait until everything is written."""
        with self._quiet, self._writing():
            self._manager.wait_until_finished()
            self._manager.close()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


@contextmanager
def _without_noise() -> Iterator[None]:
    """Leave out what Orbax prints of errors that it raises anyway.

    Each of its threads logs the traceback, and it warns of checkpoints that another
    process is removing.
    """
    logger = logging.getLogger("absl")

    def is_news(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR and record.exc_info is None

    logger.addFilter(is_news)
    try:
        yield
    finally:
        logger.removeFilter(is_news)


@functools.cache  # once in a process
def _ignore_late_answers() -> None:
    """Print no tracebacks of what TensorStore answers after the system refused a write.

    The other parts of the write are refused too, and what they answer finds nobody to
    take it, or a closed event loop. Some come when the error has already ended the run
    and its checkpoints are closed.
    """
    usual = sys.unraisablehook

    def report(unraisable: "sys.UnraisableHookArgs") -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            usual(unraisable)

    def is_news(record: logging.LogRecord) -> bool:
        # Messages without an exception have False in its place.
        return not record.exc_info or _refusal(record.exc_info[1]) is None

    sys.unraisablehook = report
    logging.getLogger("asyncio").addFilter(is_news)


def _refusal(error: BaseException | None) -> int | None:
    """The system's number of an error that TensorStore has only as a text, or None."""
    found = re.search(r"os_error_code='(\d+)'", str(error))
    return int(found[1]) if found else None


def _filled(like: TrainState, stored: Any) -> TrainState:
    """`like` with leaves from the nested dicts and lists that Orbax returns."""

    def leaf(path: KeyPath, expected: np.ndarray) -> np.ndarray:
        node = stored
        for key in path:
            # Attributes, entries and indices, each by its own kind of key.
            name = getattr(key, "name", getattr(key, "key", getattr(key, "idx", None)))
            node = node[name]
        array = np.asarray(node)
        if array.shape != expected.shape or array.dtype != expected.dtype:
            raise ValueError(
                f"{jax.tree_util.keystr(path)} is {array.dtype} {array.shape} instead "
                f"of {expected.dtype} {expected.shape}"
            )
        return array

    return jax.tree_util.tree_map_with_path(leaf, like)
