"""Codes of a data set's images under a model, each image encoded once."""

from functools import partial

import jax
import numpy as np

from cfasl_jax.data.dataset import Dataset, as_pixels
from cfasl_jax.objectives import Objective
from cfasl_jax.run.model import Model
from cfasl_jax.types import Params, Posterior


def _tiling() -> tuple[int, int]:
    """The number of encoder calls in a compiled call, and of images in each of them.

    The activations of 64 images fit into a CPU's cache; a GPU wants large batches.
    """
    return (16, 64) if jax.default_backend() == "cpu" else (1, 4096)


class Codes:
    """Posteriors of images by index, computed when they are first needed."""

    def __init__(self, model: Model, dataset: Dataset) -> None:
        """Reserves room for every image; encodes none yet."""
        self._model, self._dataset = model, dataset
        self._shape = (dataset.num_images, model.objective.latent_dim)
        self._mu, self._logvar = (np.zeros(self._shape, np.float32) for _ in range(2))
        self._known = np.zeros(dataset.num_images, bool)

    @property
    def seed(self) -> int:
        """Of the model whose codes they are."""
        return self._model.seed

    def mean(self, indices: np.ndarray) -> np.ndarray:
        """mu of images, [n, D]."""
        self._encode(indices)
        return self._mu[indices]

    def deviation(self, indices: np.ndarray) -> np.ndarray:
        """sigma of images, [n, D]."""
        self._encode(indices)
        return np.exp(0.5 * self._logvar[indices])

    def posterior(self, indices: np.ndarray) -> Posterior:
        """mu and logvar of images, [n, D] each."""
        self._encode(indices)
        return Posterior(self._mu[indices], self._logvar[indices])

    def _encode(self, indices: np.ndarray) -> None:
        wanted = np.zeros_like(self._known)
        wanted[indices] = True
        missing = np.flatnonzero(wanted & ~self._known)
        tiles, size = _tiling()
        for start in range(0, len(missing), tiles * size):
            rows = missing[start : start + tiles * size]
            # The last call is padded, so that one program serves all calls.
            tiled = np.resize(rows, (tiles, size)).astype(np.int32)
            posterior = _encode_tiles(
                self._model.objective, self._model.params, self._dataset, tiled
            )
            for stored, part in zip((self._mu, self._logvar), posterior, strict=True):
                stored[rows] = np.asarray(part).reshape(-1, self._shape[1])[: len(rows)]
        self._known[missing] = True


@partial(jax.jit, static_argnums=0)
def _encode_tiles(
    objective: Objective, params: Params, dataset: Dataset, indices: jax.Array
) -> Posterior:
    """Posteriors of images at int32 [tiles, n], each [tiles, n, D]."""

    def encode(images: jax.Array) -> Posterior:
        return objective.encode(params, as_pixels(images))

    # The images are made in a loop of their own. Otherwise XLA would merge this into
    # the encoder, which reads each pixel four times, and compute each pixel four times.
    images = jax.lax.map(dataset.images, indices)
    return jax.lax.map(encode, images)
