"""Checkpoints of a run: written in the background, whole or not at all, kept few."""

import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.tree_util import KeyPath

from cfasl_jax.errors import ConfigError
from cfasl_jax.training.state import TrainState

FOLDER = "checkpoints"
# The folder of the state inside a checkpoint's. Named, since Orbax would otherwise
# guess from the newest checkpoint, which may be damaged, whether there are others.
_ITEM = "default"


class Checkpoints:
    """The checkpoints of one working directory, on Orbax's CheckpointManager.

    A checkpoint holds the state of all runs, as one device sees it, so it restores onto
    any number of devices. A write that is cut off leaves no checkpoint behind.
    """

    def __init__(self, workdir: Path, keep: int, writes: bool = True) -> None:
        """Open them; a reader (`writes` is False) leaves the directory as it is."""
        # Every process reads for itself and the first one writes: states are whole on
        # every host, so nothing needs to be agreed on.
        process = jax.process_index()
        self._writes = writes and process == 0
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            create=False,
            # What is unfinished may be under way in another process.
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
        self._manager = ocp.CheckpointManager(
            self._directory, options=options, item_names=(_ITEM,)
        )

    def latest_step(self) -> int | None:
        """Step of the newest complete checkpoint, or None."""
        return self._manager.latest_step()

    def save(self, step: int, state: TrainState) -> None:
        """Write host arrays in the background; a write under way is waited for."""
        if not self._writes:
            return
        item = ocp.args.StandardSave(_writable(state))
        self._manager.save(step, args=ocp.args.Composite(**{_ITEM: item}))

    def restore(self, like: TrainState, set_aside: bool = False) -> TrainState:
        """The newest checkpoint that can be read, as numpy arrays.

        Parts that a checkpoint has and `like` has not, as those of early versions do,
        are left out.

        Args:
            like: host arrays of the expected structure, shapes and types.
            set_aside: move damaged checkpoints out of the way, so that training can
                write one at the same step again.

        Raises:
            FileNotFoundError: where there is none.
            ConfigError: where none can be read.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        if not steps:
            raise FileNotFoundError(f"no checkpoint in {self._directory}")
        for step in steps:
            try:
                items = ocp.args.Composite(**{_ITEM: ocp.args.StandardRestore()})
                stored = self._manager.restore(step, args=items)[_ITEM]
                return _filled(like, stored)
            # Orbax and TensorStore raise many kinds of errors for damaged files.
            except Exception as error:
                reason = (str(error).splitlines() or [""])[0][:200]
                print(
                    f"the checkpoint of step {step} in {self._directory} cannot be "
                    f"read ({type(error).__name__}: {reason})",
                    file=sys.stderr,
                )
            if set_aside and self._writes:
                self._set_aside(step)
        raise ConfigError(
            f"no checkpoint in {self._directory} can be read: restore one from a copy, "
            "or choose another --workdir"
        )

    def _set_aside(self, step: int) -> None:
        """Rename a checkpoint's folder, so that it is not taken for one any more."""
        damaged = self._directory / f"damaged-{step}"
        number = 1
        while damaged.exists():
            number += 1
            damaged = self._directory / f"damaged-{step}-{number}"
        (self._directory / str(step)).rename(damaged)
        self._manager.reload()
        print(f"it was renamed to {damaged}", file=sys.stderr)

    def close(self) -> None:
        """Wait until everything is written."""
        self._manager.wait_until_finished()
        self._manager.close()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _writable(state: TrainState) -> TrainState:
    """Own copies: device buffers that numpy only views are reused by the next step."""
    return jax.tree.map(lambda leaf: np.array(leaf, copy=True), state)


def _filled(like: TrainState, stored: Any) -> TrainState:
    """`like` with its leaves from nested dicts and lists, as Orbax reads them."""

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
