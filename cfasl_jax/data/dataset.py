"""A data set as the training step sees it: indices in, images out, on the device."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import chex
import jax
import jax.numpy as jnp

from cfasl_jax.data.grid import FactorGrid
from cfasl_jax.types import Likelihood

# (store, indices int32 [n]) -> images uint8 [n, 64, 64, C]
Lookup = Callable[[Any, jax.Array], jax.Array]


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["store"],
    meta_fields=[
        "name",
        "source",
        "grid",
        "num_images",
        "channels",
        "likelihood",
        "lookup",
    ],
)
@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images by index.

    A pytree: jitted functions take it as an argument, so that its arrays are neither
    copied into the program nor hashed.

    Attributes:
        store: arrays that `lookup` reads, such as all images as uint8.
        name: "dsprites", "shapes3d", ...
        source: where the images come from: "rendered", "tfds", ...
        grid: the ground-truth factors, or None.
        num_images: how many there are; indices are below it.
        channels: C.
        likelihood: of a pixel, see `elbo.reconstruction`.
        lookup: how an index becomes an image; a function of module level, so that equal
            data sets compile to the same program.
    """

    store: Any
    name: str
    source: str
    grid: FactorGrid | None
    num_images: int
    channels: int
    likelihood: Likelihood
    lookup: Lookup

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        index = jax.ShapeDtypeStruct((1,), jnp.int32)
        _, H, W, C = jax.eval_shape(self.images, index).shape
        return H, W, C

    def images(self, indices: chex.Array) -> jax.Array:
        """Images at int32 [n] -> uint8 [n, 64, 64, C], on the device."""
        return self.lookup(self.store, indices)

    def pixels(self, indices: chex.Array) -> jax.Array:
        """Images at int32 [n] as a network sees them: float32 in [0, 1]."""
        return self.images(indices).astype(jnp.float32) / 255.0
