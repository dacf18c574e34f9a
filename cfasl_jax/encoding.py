"""Codes of a data set's images under a model, each image encoded once."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from cfasl_jax.data.dataset import Dataset
from cfasl_jax.model import Model
from cfasl_jax.objectives import Objective
from cfasl_jax.types import Params, Posterior


def batch_size() -> int:
    """Images in one call of the encoder: a CPU's cache is small, a GPU starves."""
    return 256 if jax.default_backend() == "cpu" else 4096


class Codes:
    """Posteriors of images by index, filled in as they are asked for.

    A sample of an image is drawn once: noise is a function of the seed and the index.
    """

    def __init__(self, model: Model, dataset: Dataset) -> None:
        """Reserves room for every image; encodes none yet."""
        self._model, self._dataset = model, dataset
        shape = (dataset.num_images, model.objective.latent_dim)
        self._mu, self._logvar, self._z = (np.zeros(shape, np.float32) for _ in "123")
        self._known = np.zeros(dataset.num_images, bool)

    def mean(self, indices: np.ndarray) -> np.ndarray:
        """mu of images, [n, D]."""
        self._encode(indices)
        return self._mu[indices]

    def sample(self, indices: np.ndarray) -> np.ndarray:
        """z of images, [n, D]."""
        self._encode(indices)
        return self._z[indices]

    def posterior(self, indices: np.ndarray) -> Posterior:
        """mu and logvar of images, [n, D] each."""
        self._encode(indices)
        return Posterior(self._mu[indices], self._logvar[indices])

    def _encode(self, indices: np.ndarray) -> None:
        wanted = np.zeros_like(self._known)
        wanted[indices] = True
        missing = np.flatnonzero(wanted & ~self._known)
        size = batch_size()
        key = jax.random.key(self._model.seed)
        for start in range(0, len(missing), size):
            rows = missing[start : start + size]
            # The last batch is filled up, so that one program serves all.
            padded = np.resize(rows, size).astype(np.int32)
            mu, logvar, z = _encode_batch(
                self._model.objective, self._model.params, self._dataset, padded, key
            )
            n = len(rows)
            self._mu[rows], self._logvar[rows] = mu[:n], logvar[:n]
            self._z[rows] = z[:n]
        self._known[missing] = True


@partial(jax.jit, static_argnums=0)
def _encode_batch(
    objective: Objective,
    params: Params,
    dataset: Dataset,
    indices: jax.Array,
    key: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    images = dataset.images(indices).astype(jnp.float32) / 255.0
    posterior = objective.encode(params, images)
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, indices)
    eps = jax.vmap(lambda k: jax.random.normal(k, (objective.latent_dim,)))(keys)
    return posterior.mu, posterior.logvar, posterior.sample(eps)
