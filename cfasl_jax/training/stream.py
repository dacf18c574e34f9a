"""Reading ahead the images of a streamed data set.

The images that a step draws are a function of the seed and the step. So a thread can
compute the draws of the coming steps and read their images while the devices compute.
The steps then get, in blocks of bounded size, the images that they would have looked
up.
"""

import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from cfasl_jax.data.dataset import Dataset
from cfasl_jax.objectives import Objective
from cfasl_jax.settings import Config
from cfasl_jax.training import devices
from cfasl_jax.training import state as state_lib
from cfasl_jax.training import step as step_lib
from cfasl_jax.training.devices import Devices

# The most bytes of a block's images in one process. The block in use and those that are
# read ahead exist at the same time.
BLOCK_BYTES = 2**27
_READ_AHEAD = 2


def chunks(config: Config, first_step: int) -> Iterator[tuple[int, int]]:
    """(steps taken before, number of steps) of each logged chunk up to `num_steps`.

    All but the last one end at a multiple of `log_every`, wherever the first one starts
    (a run that is continued may have ended anywhere), so that checkpoints and scores
    fall on the ends of chunks.
    """
    start = first_step
    while start < config.num_steps:
        end = start - start % config.log_every + config.log_every
        length = min(end, config.num_steps) - start
        yield start, length
        start += length


def blocks(length: int, step_bytes: int) -> list[int]:
    """The number of steps of a chunk, divided into parts of few different lengths.

    Args:
        length: number of steps of the chunk.
        step_bytes: size of the images of one step. A part has at most BLOCK_BYTES of
            images, and at least one step.
    """
    most = max(1, BLOCK_BYTES // step_bytes)
    count = math.ceil(length / most)
    short, longer = divmod(length, count)
    return [short + 1] * longer + [short] * (count - longer)


class Images:
    """The images of a run's coming blocks, in order; a context that owns a thread.

    If the data set is not streamed, each chunk is one block and its images are None,
    since the steps look them up.
    """

    def __init__(
        self, config: Config, objective: Objective, dataset: Dataset, first_step: int
    ) -> None:
        """Reads nothing yet."""
        self._config, self._objective, self._dataset = config, objective, dataset
        self._starts = self._block_starts(first_step)
        self._pending: deque[Future[jax.Array]] = deque()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="images")

    def chunk(self, length: int) -> Iterator[tuple[int, jax.Array | None]]:
        """(number of steps, images) of each block of the next chunk, in order.

        Images are uint8 [devices, R, steps, b, H, W, C], or None where the steps look
        them up in the data set.

        Raises:
            OSError: any error of the thread that reads the images.
        """
        for block in self._blocks(length):
            yield block, self._next()

    def _blocks(self, length: int) -> list[int]:
        """Lengths of the blocks of a chunk."""
        if not self._dataset.streamed:
            return [length]
        samples = self._config.batch_size // jax.process_count()
        image_bytes = math.prod(self._dataset.image_shape)
        return blocks(length, len(self._config.seeds) * samples * image_bytes)

    def _next(self) -> jax.Array | None:
        if not self._dataset.streamed:
            return None
        while len(self._pending) <= _READ_AHEAD:
            block = next(self._starts, None)
            if block is None:
                break
            self._pending.append(self._pool.submit(self._read, *block))
        return self._pending.popleft().result()

    def _block_starts(self, first_step: int) -> Iterator[tuple[int, int]]:
        for start, length in chunks(self._config, first_step):
            for block in self._blocks(length):
                yield start, block
                start += block

    def _read(self, start: int, length: int) -> jax.Array:
        drawn = draw_indices(
            self._config, self._objective, self._dataset.num_images, start, length
        )
        return devices.place(self._dataset.host_images(drawn))

    def __enter__(self) -> "Images":
        return self

    def __exit__(self, *exception: object) -> None:
        """Drop what was read ahead; at most one block is still read to its end."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def draw_indices(
    config: Config,
    objective: Objective,
    num_images: int,
    start: int,
    length: int,
    used: Devices = None,
) -> np.ndarray:
    """The images that `step.train_steps` draws on this process's devices.

    Args:
        config: for seeds and batch size.
        objective: what is trained.
        num_images: size of the data set.
        start: steps taken before.
        length: number of steps.
        used: devices, where not all.

    Returns:
        int32 [devices, R, length, b].
    """
    num_devices, places = devices.places(used)
    # On the host's own processor, since the devices are busy with earlier steps.
    with jax.default_device(_host_device()):
        drawn = _draw_indices(
            objective,
            num_images,
            (config.num_pairs, num_devices),
            jnp.asarray(places),
            jnp.asarray(config.seeds, jnp.uint32),
            start + jnp.arange(length),
        )
        return np.asarray(drawn)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _draw_indices(
    objective: Objective,
    num_images: int,
    sharing: tuple[int, int],
    places: jax.Array,
    seeds: jax.Array,
    steps: jax.Array,
) -> jax.Array:
    def draw(place: jax.Array, seed: jax.Array, step: jax.Array) -> jax.Array:
        key = jax.random.fold_in(state_lib.keys(seed).steps, step)
        part = step_lib.shard(*sharing, place)
        return step_lib.draw(key, objective, num_images, part).indices

    over_steps = jax.vmap(draw, in_axes=(None, None, 0))
    over_runs = jax.vmap(over_steps, in_axes=(None, 0, None))
    return jax.vmap(over_runs, in_axes=(0, None, None))(places, seeds, steps)


def _host_device() -> jax.Device:
    """The CPU, or another device if JAX was told not to use the CPU."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        return jax.local_devices()[0]
