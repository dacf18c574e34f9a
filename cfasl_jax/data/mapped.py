"""Images too large for the device: read from a memory-mapped file, by index."""

import dataclasses
import functools

import chex
import jax
import numpy as np


@dataclasses.dataclass(frozen=True)
class MappedImages:
    """A lookup, see `dataset.Lookup`, that reads a .npy file on the host.

    Equal files give equal lookups, so that jitted programs are shared; the mapping
    itself is opened once a process.

    Attributes:
        path: of the file, uint8 [N, H, W, C].
        shape: (N, H, W, C).
    """

    path: str
    shape: tuple[int, int, int, int]

    def __call__(self, store: object, indices: jax.Array) -> jax.Array:
        """Images at int32 [n] -> uint8 [n, H, W, C], from inside a program or not."""
        chex.assert_rank(indices, 1)
        result = jax.ShapeDtypeStruct((*indices.shape, *self.shape[1:]), np.uint8)
        return jax.pure_callback(
            self.read, result, indices, vmap_method="broadcast_all"
        )

    def read(self, indices: chex.Array) -> np.ndarray:
        """Images at int [...] -> uint8 [..., H, W, C], on the host."""
        return _open(self.path)[np.asarray(indices)]


@functools.lru_cache(maxsize=16)
def _open(path: str) -> np.ndarray:
    return np.load(path, mmap_mode="r", allow_pickle=False)
