"""Several devices: the one file that knows pmap.

A state is replicated, the pairs of a batch are shared out along the axis "data". Runs
are a leading axis inside each device. The same program runs in every process of a
multi-host job.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.experimental import multihost_utils

from cfasl_jax.config import ConfigError
from cfasl_jax.data.dataset import Dataset
from cfasl_jax.objectives import Hyper, Objective
from cfasl_jax.training import step as step_lib
from cfasl_jax.training.state import TrainState
from cfasl_jax.types import Terms

AXIS = "data"

# None: all devices of all processes.
Devices = Sequence[jax.Device] | None

# (state [R], dataset, seeds [R], hyper [R]) -> (state [R], terms [R, steps]); all with
# a leading axis of local devices, and a consumed state.
Chunk = Callable[[TrainState, Dataset, jax.Array, Hyper], tuple[TrainState, Terms]]


# Processes wait this long for the last one: the first still scores and reports.
_SHUTDOWN_SECONDS = 24 * 3600


def join_processes(automatic: bool) -> None:
    """Join the processes of a multi-host job; call before anything else of JAX.

    JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID, where set, say who is
    who. Otherwise, if `automatic`, the cluster does: Slurm, or a TPU slice.

    Raises:
        ConfigError: where neither tells.
    """
    named = "JAX_COORDINATOR_ADDRESS" in os.environ
    if not named and not automatic:
        return
    try:
        known: dict[str, Any] = {}
        if named:
            known = {
                "num_processes": int(os.environ["JAX_NUM_PROCESSES"]),
                "process_id": int(os.environ["JAX_PROCESS_ID"]),
            }
        jax.distributed.initialize(**known, shutdown_timeout_seconds=_SHUTDOWN_SECONDS)
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"cannot join the other processes ({error}): set JAX_COORDINATOR_ADDRESS, "
            f"JAX_NUM_PROCESSES and JAX_PROCESS_ID, or run on Slurm or a TPU slice"
        ) from error


def use_compilation_cache() -> None:
    """Keep compiled programs between calls, so that a resumed run starts at once."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    jax.config.update("jax_compilation_cache_dir", str(cache / "cfasl_jax" / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def is_first_process() -> bool:
    """Whether this process writes what all share: logs, checkpoints, reports."""
    return jax.process_index() == 0


def require_divisible(batch_size: int) -> None:
    """Raise a ConfigError unless every device gets the same number of whole pairs."""
    devices = jax.device_count()
    if (batch_size // 2) % devices:
        raise ConfigError(
            f"batch_size {batch_size} makes {batch_size // 2} pairs, which {devices} "
            f"devices do not divide: use a multiple of {2 * devices}"
        )


def replicate(tree: Any, devices: Devices = None) -> Any:
    """A copy on each local device, or each of those given, along a new leading axis."""
    if not jax.tree.leaves(tree):  # a rendered data set has no arrays
        return tree
    count = jax.local_device_count() if devices is None else len(devices)
    copies = jax.tree.map(
        lambda leaf: np.broadcast_to(np.asarray(leaf), (count, *np.shape(leaf))), tree
    )
    return jax.pmap(lambda x: x, axis_name=AXIS, devices=devices)(copies)


def unreplicate(tree: Any) -> Any:
    """The first local device's copy, as numpy arrays on the host."""
    return jax.tree.map(lambda leaf: np.asarray(leaf.addressable_data(0))[0], tree)


def compile_chunk(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    num_pairs: int,
    num_steps: int,
    devices: Devices = None,
) -> Chunk:
    """`num_steps` steps of R runs on all devices, or those given, as one program."""
    num_devices = jax.device_count() if devices is None else len(devices)

    def one_device(
        state: TrainState, dataset: Dataset, seeds: jax.Array, hyper: Hyper
    ) -> tuple[TrainState, Terms]:
        part = step_lib.shard(num_pairs, num_devices, jax.lax.axis_index(AXIS))

        def one_run(
            state: TrainState, seed: jax.Array, hyper: Hyper
        ) -> tuple[TrainState, Terms]:
            return step_lib.train_steps(
                objective, optimizer, num_steps, state, dataset, seed, hyper, part, AXIS
            )

        return jax.vmap(one_run)(state, seeds, hyper)

    return jax.pmap(one_device, axis_name=AXIS, devices=devices, donate_argnums=0)


def any_process(flag: bool) -> bool:
    """Whether the flag is set in any process; every process must call this."""
    if jax.process_count() == 1:
        return flag
    return bool(multihost_utils.process_allgather(jnp.asarray(flag)).any())
