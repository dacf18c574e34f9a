"""Storage of images: in the memory of the device, or in a file on the host."""

import dataclasses
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

RESIDENCIES = ("auto", "resident", "streamed")

# (store, indices int32 [n]) -> images uint8 [n, 64, 64, C]
Lookup = Callable[[Any, jax.Array], jax.Array]

# Resident images may take this share of a device's memory; the networks need the rest.
DEVICE_SHARE = 0.5
# Some devices, such as the CPU, do not report their memory. They use that of the host,
# and each of them has a copy of the images: all copies together may take this share of
# the host's memory.
HOST_SHARE = 0.25


@dataclasses.dataclass(frozen=True)
class ResidentImages:
    """A lookup of images in an array on the device, which is the store: [N, H W C].

    Each image is a flat row, because a TPU pads the last two axes of an array to
    multiples of 8 and 128: as [N, 64, 64, 3] the images would take 42 times as much.

    Attributes:
        shape: of one image, (H, W, C).
    """

    shape: tuple[int, int, int]

    def __call__(self, store: jax.Array, indices: jax.Array) -> jax.Array:
        """Images at int32 [n] -> uint8 [n, H, W, C]."""
        return store[indices].reshape(*indices.shape, *self.shape)


@dataclasses.dataclass(frozen=True)
class MappedImages:
    """A lookup of images in a memory-mapped .npy file on the host; the store is empty.

    Two lookups of the same file are equal, so that they share jitted programs. Each
    process maps the file once.

    Attributes:
        path: of the file, uint8 [N, H, W, C].
        shape: (N, H, W, C).
    """

    path: str
    shape: tuple[int, int, int, int]

    def __call__(self, store: object, indices: jax.Array) -> jax.Array:
        """Images at int32 [n] -> uint8 [n, H, W, C], inside a jitted program or not."""
        chex.assert_rank(indices, 1)
        result = jax.ShapeDtypeStruct((*indices.shape, *self.shape[1:]), np.uint8)
        return jax.pure_callback(
            self.read, result, indices, vmap_method="broadcast_all"
        )

    def read(self, indices: chex.Array) -> np.ndarray:
        """Images at int [...] -> uint8 [..., H, W, C], on the host."""
        status = os.stat(self.path)
        return _open(self.path, status.st_ino, status.st_mtime_ns)[np.asarray(indices)]


@functools.lru_cache(maxsize=16)
def _open(path: str, *_version: int) -> np.ndarray:
    """A mapped array; another one where the file has been replaced."""
    return np.load(path, mmap_mode="r", allow_pickle=False)


def budget() -> int:
    """The number of bytes that resident images may take on one device."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return int(DEVICE_SHARE * stats["bytes_limit"])
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return int(HOST_SHARE * memory / jax.local_device_count())


def store_and_lookup(
    images: np.ndarray, path: Path | None, residency: str
) -> tuple[Any, Lookup]:
    """Put images where `data.residency` says.

    Args:
        images: uint8 [N, H, W, C]; may be mapped.
        path: the .npy file that holds them, or None if there is none.
        residency: one of RESIDENCIES; "auto" means resident if they fit.

    Returns:
        The fields `store` and `lookup` of a `Dataset`.

    Raises:
        ValueError: if they have to be streamed, and there is no file.
    """
    N, H, W, C = images.shape
    fits = images.nbytes < budget()
    if residency == "resident" or (residency == "auto" and fits):
        return jnp.asarray(images.reshape(N, -1)), ResidentImages((H, W, C))
    if path is None:
        reason = (
            "data.residency=streamed" if fits else "images too large for the device"
        )
        raise ValueError(
            f"{reason} ({images.nbytes / 1e9:.2f} GB) needs a prepared copy: make one "
            "with 'python -m cfasl_jax.data prepare NAME' and use data.source=files"
        )
    return (), MappedImages(str(path.resolve()), (N, H, W, C))
