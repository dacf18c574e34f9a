"""A data set as the training step sees it: indices in, images out, on the device."""

import dataclasses
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from cfasl_jax.data.grid import FactorGrid
from cfasl_jax.data.storage import Lookup, MappedImages
from cfasl_jax.types import Likelihood

SIDE = 64  # height and width of every image


@dataclasses.dataclass(frozen=True, eq=False)
class Labels:
    """Ground-truth factors that do not form a full grid: some are missing or repeated.

    Compared and hashed by identity, since jitted functions take it as a constant.

    Attributes:
        names: one name a factor.
        sizes: number of values of each factor; values are 0 ... size - 1.
        factors: of each image, int32 [N, K].
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    factors: np.ndarray

    def __post_init__(self) -> None:
        K = len(self.names)
        if len(self.sizes) != K or self.factors.shape[1:] != (K,):
            raise ValueError(
                f"{K} names need {K} sizes and factors [N, {K}], not "
                f"{len(self.sizes)} sizes and factors {list(self.factors.shape)}"
            )
        low, high = self.factors.min(axis=0), self.factors.max(axis=0)
        if np.any(low < 0) or np.any(high >= np.asarray(self.sizes)):
            raise ValueError(f"factor values outside the sizes {self.sizes}")


@dataclasses.dataclass(frozen=True)
class Spec:
    """What a trained model needs to know about its data set; it is stored with the run.

    Attributes:
        name: "dsprites", "shapes3d", ...
        source: where the images came from: "rendered", "files", "tfds".
        num_images: N.
        image_shape: (H, W, C).
        likelihood: of a pixel, see `elbo.reconstruction`.
        factor_names: of the ground-truth factors; empty where there are none.
        factor_sizes: number of values of each factor.
        full_grid: whether every combination of factor values occurs just once.
        digest: checksum of all pixels, which distinguishes different images under one
            name; empty if it is not known.
    """

    name: str
    source: str
    num_images: int
    image_shape: tuple[int, int, int]
    likelihood: Likelihood
    factor_names: tuple[str, ...]
    factor_sizes: tuple[int, ...]
    full_grid: bool
    digest: str = ""

    @property
    def channels(self) -> int:
        """C."""
        return self.image_shape[2]


@dataclasses.dataclass(frozen=True, eq=False)
class Contents:
    """What a data set holds, apart from its images.

    Attributes:
        name: "dsprites", "shapes3d", ...
        num_images: N.
        channels: C.
        likelihood: likelihood of a pixel. None means that the pixels decide: Bernoulli
            if all of them are black or white, else Gaussian.
        grid: the ground-truth factors if they form a full grid, that is, if every
            combination of their values occurs exactly once. `FactorGrid` then gives the
            order of the images.
        labels: the ground-truth factors if they do not form a full grid.
    """

    name: str
    num_images: int
    channels: int
    likelihood: Likelihood | None
    grid: FactorGrid | None = None
    labels: Labels | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of all images together, (N, 64, 64, C)."""
        return (self.num_images, SIDE, SIDE, self.channels)

    def spec(self, source: str, likelihood: Likelihood, digest: str = "") -> Spec:
        """The `Spec` of a data set with these contents."""
        factors = self.grid or self.labels
        return Spec(
            name=self.name,
            source=source,
            num_images=self.num_images,
            image_shape=(SIDE, SIDE, self.channels),
            likelihood=likelihood,
            factor_names=tuple(factors.names) if factors else (),
            factor_sizes=tuple(int(size) for size in factors.sizes) if factors else (),
            full_grid=self.grid is not None,
            digest=digest,
        )


# Part of the program, not an argument of it.
_STATIC = {"static": True}


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images by index.

    A pytree: jitted functions take it as an argument, so that its arrays are neither
    copied into the program nor hashed.

    Attributes:
        store: arrays that `lookup` reads, such as all images as uint8.
        name: "dsprites", "shapes3d", ...
        source: where the images come from: "rendered", "tfds", ...
        grid: the ground-truth factors if they form a full grid, else None.
        num_images: the number of images; indices are below it.
        channels: C.
        likelihood: likelihood of a pixel, see `elbo.reconstruction`.
        lookup: maps indices to images; a function of module level, so that equal data
            sets compile to the same program.
        labels: the ground-truth factors if they do not form a full grid, else None. A
            data set without factors has neither a grid nor labels.
        digest: checksum of all pixels, see `Spec`; empty if it is not known.
    """

    store: Any
    name: str = dataclasses.field(metadata=_STATIC)
    source: str = dataclasses.field(metadata=_STATIC)
    grid: FactorGrid | None = dataclasses.field(metadata=_STATIC)
    num_images: int = dataclasses.field(metadata=_STATIC)
    channels: int = dataclasses.field(metadata=_STATIC)
    likelihood: Likelihood = dataclasses.field(metadata=_STATIC)
    lookup: Lookup = dataclasses.field(metadata=_STATIC)
    labels: Labels | None = dataclasses.field(default=None, metadata=_STATIC)
    digest: str = dataclasses.field(default="", metadata=_STATIC)

    @property
    def factor_names(self) -> tuple[str, ...]:
        """Names of the ground-truth factors; empty where there are none."""
        factors = self.grid or self.labels
        return factors.names if factors else ()

    @property
    def spec(self) -> Spec:
        """What a model that was trained on this data set needs to know about it."""
        contents = Contents(
            self.name, self.num_images, self.channels, None, self.grid, self.labels
        )
        spec = contents.spec(self.source, self.likelihood, self.digest)
        return dataclasses.replace(spec, image_shape=self.image_shape)

    @property
    def streamed(self) -> bool:
        """Whether images stay in a file on the host rather than on the device."""
        return isinstance(self.lookup, MappedImages)

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
        """Images at int32 [n] as networks take them: float32 in [0, 1]."""
        return as_pixels(self.images(indices))

    def host_images(self, indices: np.ndarray) -> np.ndarray:
        """Images at int [...] -> uint8 [..., 64, 64, C], on the host.

        For a streamed data set this reads the file and uses no device, so that another
        thread may prefetch images.
        """
        if isinstance(self.lookup, MappedImages):
            return self.lookup.read(indices)
        flat = jnp.asarray(np.ravel(indices), jnp.int32)
        images = np.asarray(_look_up(self, flat))
        return images.reshape(*np.shape(indices), *images.shape[1:])


def rendered(contents: Contents, lookup: Lookup, store: Any = ()) -> Dataset:
    """A data set whose images are drawn on the device instead of read from files.

    Args:
        contents: with a grid and a likelihood.
        lookup: draws images, (store, indices int32 [n]) -> uint8 [n, 64, 64, C]; a
            function of module level, so that equal data sets compile to the same
            program.
        store: arrays that `lookup` reads.
    """
    assert contents.likelihood is not None
    return Dataset(
        store=store,
        name=contents.name,
        source="rendered",
        grid=contents.grid,
        num_images=contents.num_images,
        channels=contents.channels,
        likelihood=contents.likelihood,
        lookup=lookup,
    )


@jax.jit
def _look_up(dataset: Dataset, indices: jax.Array) -> jax.Array:
    return dataset.images(indices)


def as_pixels(images: chex.Array) -> jax.Array:
    """uint8 images as networks take them: float32 in [0, 1]."""
    return images.astype(jnp.float32) / 255.0
