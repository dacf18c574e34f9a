"""Training on several devices; the only module that uses pmap.

A state is replicated, and the pairs of a batch are divided along the axis "data". Runs
are a leading axis inside each device. The same program runs in every process of a
multi-host job. On one device there is no axis, and no collective is run.

JAX only maintains pmap and recommends shard_map; moving to it would change only this
file.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from cfasl_jax import files, forms
from cfasl_jax.data.dataset import Dataset
from cfasl_jax.errors import ConfigError, FailedError
from cfasl_jax.objectives import Objective
from cfasl_jax.settings import Hyper
from cfasl_jax.training import step as step_lib
from cfasl_jax.training.state import TrainState
from cfasl_jax.types import Terms

AXIS = "data"

# None stands for all devices of all processes.
Devices = Sequence[jax.Device] | None

# Processes wait this long for the last one, since the first still scores and reports.
_SHUTDOWN_SECONDS = 24 * 3600


class Chunk(Protocol):
    """Compiled steps; all arguments but the data set have an axis of local devices.

    It is the leading axis. The call returns at once, while the devices still compute;
    reading a result waits for it.
    """

    def __call__(
        self,
        state: TrainState,
        dataset: Dataset,
        seeds: jax.Array,
        hyper: Hyper,
        images: jax.Array | None,
        /,
    ) -> tuple[TrainState, Terms]:
        """Run the steps of one call; the buffers of the state are reused.

        Args:
            state: [R].
            dataset: where images are looked up unless they are given; see `share`.
            seeds: [R].
            hyper: [R].
            images: of a streamed data set, uint8 [R, steps, b, H, W, C], else None.

        Returns:
            state [R], terms [R, steps].
        """

    def lower(self, *arguments: Any) -> jax.stages.Lowered:
        """The lowered program for such arguments, to be compiled and inspected."""


def join_processes(automatic: bool) -> None:
    """Join the processes of a multi-host job; call this before any other use of JAX.

    The variables JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID, if set,
    say which processes belong together. Otherwise, if `automatic`, Slurm or the TPU
    slice says it.

    Raises:
        ConfigError: if neither does.
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
        # Its preemption service would take SIGTERM away from this process.
        jax.config.update("jax_enable_preemption_service", False)
        jax.distributed.initialize(**known, shutdown_timeout_seconds=_SHUTDOWN_SECONDS)
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"cannot join the other processes ({error}): set JAX_COORDINATOR_ADDRESS, "
            f"JAX_NUM_PROCESSES and JAX_PROCESS_ID, or run on Slurm or a TPU slice"
        ) from error


def has_joined() -> bool:
    """Whether this process is one of several, see `join_processes`."""
    return jax.distributed.is_initialized()


def leave(code: int) -> None:
    """End a failing process at once with an exit code, if it is one of several.

    In an ordinary exit it would wait for the others, which wait for its next step.
    """
    if has_joined():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def memory_advice(error: jax.errors.JaxRuntimeError) -> str | None:
    """What to do if an error says that memory was too small; None for other errors."""
    if "RESOURCE_EXHAUSTED" not in str(error):
        return None
    return (
        "there is not enough memory: train fewer runs together, or with a smaller "
        "batch_size, or log_every if it is above 10,000; earlier checkpoints are kept"
    )


@contextmanager
def advising_on_memory() -> Iterator[None]:
    """Turn the error of a memory that was too small into a FailedError with advice."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if (advice := memory_advice(error)) is None:
            raise
        raise FailedError(advice) from error


def use_compilation_cache() -> None:
    """Keep compiled programs between calls, so that a resumed run starts at once.

    A place that the user has chosen, by JAX_COMPILATION_CACHE_DIR, is left as it is.
    """
    if jax.config.values["jax_compilation_cache_dir"] is None:
        cache = files.cache_directory() / "xla"
        jax.config.update("jax_compilation_cache_dir", str(cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def is_first_process() -> bool:
    """Whether this process writes the common files: logs, checkpoints, reports."""
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
    """A copy for each local device, or each given one, along a new leading axis."""
    count = jax.local_device_count() if devices is None else len(devices)
    copies = jax.tree.map(
        lambda leaf: np.broadcast_to(np.asarray(leaf), (count, *np.shape(leaf))), tree
    )
    return jax.pmap(lambda x: x, axis_name=AXIS, devices=devices)(copies)


def share(tree: Any, devices: Devices = None) -> Any:
    """Arrays on each local device, or each given one, without a new axis.

    A device that already holds an array does not get another copy of it.
    """
    return jax.device_put(tree, NamedSharding(_mesh(devices), PartitionSpec()))


def places(devices: Devices = None) -> tuple[int, np.ndarray]:
    """The length of the device axis, and the positions of local devices on it, [n]."""
    if devices is not None:
        return len(devices), np.arange(len(devices))
    local = jax.local_device_count()
    return jax.device_count(), jax.process_index() * local + np.arange(local)


def place(array: np.ndarray, devices: Devices = None) -> jax.Array:
    """An array [n, ...] divided over n local devices, or over the given ones.

    This runs no program, so that any thread may call it; programs that processes have
    in common must be started in the same order by all of them.
    """
    return jax.device_put(array, NamedSharding(_mesh(devices), PartitionSpec(AXIS)))


def _mesh(devices: Devices) -> Mesh:
    """The local devices, or those given, along the axis of pmap."""
    return Mesh(np.array(devices or jax.local_devices()), (AXIS,))


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
    # One device needs no collective, but XLA would still run a collective of one.
    axis_name = AXIS if num_devices > 1 else None

    def one_device(
        state: TrainState,
        dataset: Dataset,
        seeds: jax.Array,
        hyper: Hyper,
        images: jax.Array | None,
    ) -> tuple[TrainState, Terms]:
        device = 0 if axis_name is None else jax.lax.axis_index(axis_name)
        part = step_lib.shard(num_pairs, num_devices, device)

        def one_run(
            state: TrainState, seed: jax.Array, hyper: Hyper, images: jax.Array | None
        ) -> tuple[TrainState, Terms]:
            steps = partial(step_lib.train_steps, objective, optimizer, num_steps)
            return steps(state, dataset, seed, hyper, part, axis_name, images)

        return jax.vmap(one_run)(state, seeds, hyper, images)

    return jax.pmap(
        one_device,
        axis_name=AXIS,
        in_axes=(0, None, 0, 0, 0),
        devices=devices,
        donate_argnums=0,
    )


def wait_if_shared(tree: Any) -> None:
    """Wait for results, if several devices are parts of one processor.

    Such devices share a pool of threads, in which their collectives wait for each
    other: each of two programs that run at once could hold threads that the other
    needs.
    """
    if forms.devices_share_processor():
        jax.block_until_ready(tree)


def any_process(flag: bool) -> bool:
    """Whether the flag is set in any process; every process must make this call."""
    if jax.process_count() == 1:
        return flag
    return bool(multihost_utils.process_allgather(jnp.asarray(flag)).any())


def require_same(number: int, what: str) -> None:
    """Raise a ConfigError unless all processes, which must call this, give one number.

    Args:
        number: int32.
        what: what the number belongs to, for the message.
    """
    if jax.process_count() == 1:
        return
    found = multihost_utils.process_allgather(jnp.asarray(number, jnp.int32))
    if len(set(found.tolist())) > 1:
        raise ConfigError(
            f"{what} is number {found.min()} for some processes and {found.max()} for "
            f"others: all of them must see the same directory"
        )
