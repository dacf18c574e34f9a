"""Functions of many images or latents, computed in batches of one size.

A program that is compiled for one size of batch serves any number of rows.
"""

from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from cfasl_jax import codebook
from cfasl_jax.codebook import Symmetry
from cfasl_jax.data.dataset import Dataset
from cfasl_jax.run.model import Model

_TILE = 64


def lookup(dataset: Dataset, indices: np.ndarray) -> np.ndarray:
    """Images by index, uint8 [n, 64, 64, C], on the host."""
    return _tiled(dataset.host_images, np.asarray(indices))


def decode(model: Model, z: jax.Array | np.ndarray) -> np.ndarray:
    """Latents [..., D] -> uint8 [..., 64, 64, C]."""
    flat = np.asarray(z).reshape(-1, z.shape[-1])
    pixels = _tiled(lambda rows: jnp.round(model.decode(rows) * 255.0), flat)
    return pixels.astype(np.uint8).reshape(*z.shape[:-1], *pixels.shape[1:])


def encode(model: Model, images: np.ndarray) -> np.ndarray:
    """Images [n, 64, 64, C] -> posterior means [n, D]."""
    return _tiled(lambda rows: model.encode(rows).mu, images)


def symmetry(model: Model, x1: np.ndarray, x2: np.ndarray) -> Symmetry:
    """The symmetries that should carry images x1 to x2, [n, 64, 64, C] each."""
    return _tiled(model.symmetry, x1, x2)


def act(z: np.ndarray, generator: chex.Array) -> np.ndarray:
    """Latents [n, D] and generators [n, E, E] -> z expm(generator), [n, D]."""
    return _tiled(codebook.act, z, np.asarray(generator))


def _tiled(function: Callable[..., Any], *arrays: np.ndarray) -> Any:
    """A function of rows [n, ...], on one size of batch, for which it compiles once."""

    def on_tile(start: int) -> Any:
        rows = [a[start : start + _TILE] for a in arrays]
        filled = [np.resize(part, (_TILE, *part.shape[1:])) for part in rows]
        kept = len(rows[0])
        return jax.tree.map(lambda x: np.asarray(x)[:kept], function(*filled))

    parts = [on_tile(start) for start in range(0, len(arrays[0]), _TILE)]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
