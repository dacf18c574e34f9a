"""Checkpoints of a run: written in the background, whole or not at all, kept few."""

from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

from cfasl_jax.training.state import TrainState


class Checkpoints:
    """The checkpoints of one working directory, on Orbax's CheckpointManager.

    A checkpoint holds the state of all runs, as one device sees it, so it restores onto
    any number of devices. A write that is cut off leaves no checkpoint behind, and the
    newest complete one is what `restore` finds.
    """

    def __init__(self, workdir: Path, keep: int) -> None:
        # Every process reads for itself and the first one writes: states are whole on
        # every host, so nothing needs to be agreed on.
        process = jax.process_index()
        self._writes = process == 0
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            create=False,
            cleanup_tmp_directories=self._writes,
            multiprocessing_options=ocp.options.MultiprocessingOptions(
                primary_host=process,
                active_processes={process},
                barrier_sync_key_prefix=f"process_{process}",
            ),
        )
        directory = (workdir / "checkpoints").absolute()
        directory.mkdir(parents=True, exist_ok=True)
        self._manager = ocp.CheckpointManager(directory, options=options)

    def latest_step(self) -> int | None:
        """Step of the newest complete checkpoint, or None."""
        return self._manager.latest_step()

    def save(self, step: int, state: TrainState) -> None:
        """Write host arrays in the background; a write under way is waited for."""
        if not self._writes:
            return
        self._manager.save(step, args=ocp.args.StandardSave(_writable(state)))

    def restore(self, like: TrainState) -> TrainState:
        """The newest complete checkpoint, as numpy arrays.

        Args:
            like: host arrays of the expected structure, shapes and types.

        Raises:
            FileNotFoundError: where there is none.
        """
        step = self.latest_step()
        if step is None:
            raise FileNotFoundError(f"no checkpoint in {self._manager.directory}")
        return self._manager.restore(step, args=ocp.args.StandardRestore(like))

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
