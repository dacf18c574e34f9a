"""A user's own images: an .npz or .h5 file of arrays, or a folder of pictures.

A file holds "images", uint8 or floats in [0, 1], [N, 64, 64] or [N, 64, 64, C] with C 1
or 3, and may hold "factors", integers [N, K], and "factor_names". uint8 images without
a value above 1 are taken as black (0) and white (1). Factor values are numbered in
their order, from 0; a factor with one value is left out. If every combination comes
once, images are put in the order of the grid.

Of a folder, all pictures below it are taken, in the order of their paths, each cut to
its largest central square and resized to 64 x 64 with a Lanczos filter; in grey if all
are grey.
"""

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cfasl_jax.data import pictures
from cfasl_jax.data.dataset import SIDE, Contents, Labels
from cfasl_jax.data.entry import Entry, Version
from cfasl_jax.data.grid import FactorGrid
from cfasl_jax.data.recipe import (
    Block,
    DataFileError,
    Recipe,
    open_arrays,
    reading,
)

_FORMATS = ".npz, .h5 or .hdf5"
_AT_A_TIME = 1024


def recipe(path: Path) -> Recipe:
    """A user's own images; see the module's docstring for what is accepted.

    Raises:
        DataFileError: where the file or folder is missing or holds something else.
    """
    if path.is_dir():
        return _of_folder(path)
    if not path.exists():
        raise DataFileError(
            f"{path} does not exist: give a file {_FORMATS}, or a folder"
        )
    if path.suffix.lower() not in (".npz", ".h5", ".hdf5"):
        raise DataFileError(
            f"{path} is of no known format: give {_FORMATS}, or a folder"
        )
    return _of_arrays(path)


def pictures_in(path: Path) -> list[Path]:
    """All picture files below a folder, in the order of their paths."""
    known = Image.registered_extensions()
    return sorted(p for p in path.rglob("*") if p.suffix.lower() in known)


def _of_folder(path: Path) -> Recipe:
    files = pictures_in(path)
    if not files:
        raise DataFileError(f"{path} holds no pictures (.png, .jpg, ...)")
    grey = True
    for file in files:
        with reading(file):
            grey &= pictures.is_grey(file)
    channels = 1 if grey else 3

    def load(file: Path) -> np.ndarray:
        with reading(file):
            return pictures.square(file, channels)

    def blocks() -> Iterator[Block]:
        start = 0
        for images in pictures.parallel(load, files):
            yield np.arange(start, start + len(images)), images
            start += len(images)

    contents = Contents("custom", len(files), channels, likelihood=None)
    return Recipe(contents, tuple(files), blocks)


def _of_arrays(path: Path) -> Recipe:
    with open_arrays(path) as arrays:
        if "images" not in arrays:
            raise DataFileError(f"{path} has no array 'images'")
        # Of an .npz this reads the array; it is dropped again, and read in `blocks`.
        images = arrays["images"]
        _require_images(path, images)
        white = _white(path, images)
        shape = images.shape
        order = _Order(None, None, np.arange(len(images)))
        if "factors" in arrays:
            factors = np.asarray(arrays["factors"])
            names = _names(arrays["factor_names"]) if "factor_names" in arrays else None
            order = _order(path, factors, names, len(images))

    def blocks() -> Iterator[Block]:
        with open_arrays(path) as arrays:
            images = arrays["images"]
            for start in range(0, shape[0], _AT_A_TIME):
                block = np.asarray(images[start : start + _AT_A_TIME], np.float32)
                places = order.places[start : start + len(block)]
                scaled = np.round(block * (255.0 / white)).astype(np.uint8)
                yield places, scaled.reshape(len(block), SIDE, SIDE, -1)

    channels = 1 if len(shape) == 3 else shape[3]
    contents = Contents("custom", shape[0], channels, None, order.grid, order.labels)
    return Recipe(contents, (path,), blocks)


def _require_images(path: Path, images: Any) -> None:
    shape = tuple(getattr(images, "shape", ()))
    sizes, channels = shape[1:3], shape[3:]
    if (
        not shape
        or shape[0] == 0
        or sizes != (SIDE, SIDE)
        or channels
        not in (
            (),
            (1,),
            (3,),
        )
    ):
        raise DataFileError(
            f"{path}: images have shape {shape} instead of [N, {SIDE}, {SIDE}] or "
            f"[N, {SIDE}, {SIDE}, C] with C 1 or 3"
        )
    if not (images.dtype in (np.uint8, bool) or images.dtype.kind == "f"):
        raise DataFileError(
            f"{path}: images are of type {images.dtype} instead of uint8 or float"
        )


def _white(path: Path, images: Any) -> float:
    """The stored value of white, after a look at all values: 255 or 1."""
    low, high = math.inf, -math.inf
    for start in range(0, len(images), _AT_A_TIME):
        block = np.asarray(images[start : start + _AT_A_TIME])
        low = min(low, float(block.min()))
        high = max(high, float(block.max()))
        if not (math.isfinite(low) and math.isfinite(high)):
            raise DataFileError(f"{path}: images have values that are not finite")
    if images.dtype.kind == "f" and (low < 0 or high > 1):
        raise DataFileError(
            f"{path}: images of type {images.dtype} must lie in [0, 1], not in "
            f"[{low:g}, {high:g}]"
        )
    return 255.0 if high > 1 else 1.0


@dataclasses.dataclass(frozen=True)
class _Order:
    """Factors of a set, and the place of each stored image: int [N]."""

    grid: FactorGrid | None
    labels: Labels | None
    places: np.ndarray


def _names(stored: Any) -> tuple[str, ...]:
    """Names from an array of text, or of bytes as HDF5 has it."""
    return tuple(
        name.decode() if isinstance(name, bytes) else str(name)
        for name in np.asarray(stored).ravel()
    )


def _order(
    path: Path, factors: np.ndarray, names: tuple[str, ...] | None, count: int
) -> _Order:
    """Number the factors' values, and see whether they are a full grid."""
    if factors.ndim != 2 or len(factors) != count:
        raise DataFileError(
            f"{path}: factors have shape {factors.shape} instead of [{count}, K]"
        )
    if factors.dtype.kind not in "iub" and not np.array_equal(
        factors, np.round(factors)
    ):
        raise DataFileError(f"{path}: factors must be integers, not {factors.dtype}")
    names = names or tuple(f"factor_{k}" for k in range(factors.shape[1]))
    if len(names) != factors.shape[1]:
        raise DataFileError(
            f"{path}: {len(names)} factor_names for {factors.shape[1]} factors"
        )
    # One column at a time, since each has its own values.
    numbered = [np.unique(column, return_inverse=True) for column in factors.T]
    varying = [k for k, (values, _) in enumerate(numbered) if len(values) > 1]
    if not varying:
        return _Order(None, None, np.arange(count))
    kept = tuple(names[k] for k in varying)
    sizes = tuple(len(numbered[k][0]) for k in varying)
    table = np.stack([numbered[k][1] for k in varying], axis=1).astype(np.int32)
    if math.prod(sizes) == count:
        grid = FactorGrid(kept, sizes)
        places = grid.indices(table)
        if len(np.unique(places)) == count:
            return _Order(grid, None, places)
    return _Order(None, Labels(kept, sizes, table), np.arange(count))


# Only the files can tell what they hold.
ENTRY = Entry("custom", page="", versions={"paper": Version(None, recipe)})
