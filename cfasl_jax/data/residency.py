"""Where a real data set's images are held: on the device, or in a mapped file."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cfasl_jax.data.dataset import Lookup
from cfasl_jax.data.mapped import MappedImages

# Images may take this much of a device's memory; the rest is for the networks.
DEVICE_SHARE = 0.5
# Where the device does not say how much it has, as the CPU: of the host's memory, over
# all devices, since each gets its own copy.
HOST_SHARE = 0.25


class Held(NamedTuple):
    """Images as `Dataset` takes them: its store and its lookup."""

    store: Any
    lookup: Lookup


def budget() -> int:
    """Bytes that resident images may take on one device."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return int(DEVICE_SHARE * stats["bytes_limit"])
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return int(HOST_SHARE * memory / jax.local_device_count())


def hold(images: np.ndarray, path: Path | None, residency: str) -> Held:
    """Hold images as `data.residency` says.

    Args:
        images: uint8 [N, 64, 64, C]; may be mapped.
        path: the .npy file that they are mapped from, or None.
        residency: "resident", "streamed" or "auto": resident if they fit.

    Raises:
        ValueError: where they must be streamed, and there is no file.
    """
    fits = images.nbytes < budget()
    if residency == "resident" or (residency == "auto" and fits):
        return Held(jnp.asarray(images), gather)
    if path is None:
        reason = (
            "data.residency=streamed" if fits else "images too large for the device"
        )
        raise ValueError(
            f"{reason} ({images.nbytes / 1e9:.2f} GB) needs a prepared copy: make one "
            "with 'python -m cfasl_jax.data prepare NAME' and use data.source=files"
        )
    N, H, W, C = images.shape
    return Held((), MappedImages(str(path.resolve()), (N, H, W, C)))


def gather(images: jax.Array, indices: jax.Array) -> jax.Array:
    """The lookup of resident images: the store is all of them."""
    return images[indices]
