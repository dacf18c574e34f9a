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

from cfasl_jax.data import pictures
from cfasl_jax.data.dataset import SIDE, Contents, Labels
from cfasl_jax.data.entry import Entry, Version
from cfasl_jax.data.grid import FactorGrid
from cfasl_jax.data.recipe import (
    Block,
    DataFileError,
    Recipe,
    numbered,
    open_arrays,
    reading,
    require_plain,
    row_slices,
)

_FORMATS = ".npz, .h5 or .hdf5"
# What Pillow reads as one picture; it knows more, such as .pdf, which it only writes.
_PICTURES = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".avif"),
    *(".pbm", ".pgm", ".ppm", ".pnm", ".pcx", ".tga", ".jp2"),
)


def recipe(path: Path) -> Recipe:
    """A user's own images; see the module's docstring for what is accepted.

    Raises:
        DataFileError: if the file or folder is missing or holds something else.
    """
    if path.is_dir():
        return _of_folder(path)
    if not path.exists():
        raise DataFileError(
            f"{path} does not exist: give a file {_FORMATS}, or a folder"
        )
    require_plain(path)
    if path.suffix.lower() not in (".npz", ".h5", ".hdf5"):
        raise DataFileError(
            f"{path} has an unknown format: give {_FORMATS}, or a folder"
        )
    return _of_arrays(path)


def pictures_in(folder: Path) -> list[Path]:
    """All picture files below a folder, in the order of their paths.

    Hidden files are left out, and all in hidden folders: among them are the "._NAME"
    that macOS puts beside each file on a foreign disk.
    """

    def is_picture(path: Path) -> bool:
        hidden = any(p.startswith(".") for p in path.relative_to(folder).parts)
        return not hidden and path.suffix.lower() in _PICTURES and path.is_file()

    return sorted(path for path in folder.rglob("*") if is_picture(path))


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

    contents = Contents("custom", len(files), channels, likelihood=None)
    return Recipe(
        contents, tuple(files), lambda: numbered(pictures.parallel(load, files))
    )


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
            for rows in row_slices(images):
                block = _as_bytes(images[rows], white)
                yield order.places[rows], block.reshape(len(block), SIDE, SIDE, -1)

    channels = 1 if len(shape) == 3 else shape[3]
    contents = Contents("custom", shape[0], channels, None, order.grid, order.labels)
    return Recipe(contents, (path,), blocks)


def _require_images(path: Path, images: Any) -> None:
    shape = tuple(getattr(images, "shape", ()))
    sizes, channels = shape[1:3], shape[3:]
    known = sizes == (SIDE, SIDE) and channels in ((), (1,), (3,))
    if not known or shape[0] == 0:
        raise DataFileError(
            f"{path}: images have shape {shape} instead of [N, {SIDE}, {SIDE}] or "
            f"[N, {SIDE}, {SIDE}, C] with C 1 or 3"
        )
    if not (images.dtype in (np.uint8, bool) or images.dtype.kind == "f"):
        raise DataFileError(
            f"{path}: images are of type {images.dtype} instead of uint8 or float"
        )


def _white(path: Path, images: Any) -> float:
    """The stored value of white, 255 or 1, after a check of all values."""
    low, high = math.inf, -math.inf
    for rows in row_slices(images):
        block = np.asarray(images[rows])
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


def _as_bytes(block: np.ndarray, white: float) -> np.ndarray:
    """Stored values, black 0 and white `white`, as uint8 from 0 to 255."""
    if block.dtype == np.uint8 and white == 255:
        return block
    return np.round(block.astype(np.float32) * (255.0 / white)).astype(np.uint8)


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


def _require_names(path: Path, names: tuple[str, ...], count: int) -> None:
    """Refuse names that are not `count` different ones, or cannot be printed."""
    if len(names) != count:
        raise DataFileError(f"{path}: {len(names)} factor_names for {count} factors")
    for name in names:
        if names.count(name) > 1:
            raise DataFileError(f"{path}: factor_names has {name!r} more than once")
        if not name.strip() or not name.isprintable():
            raise DataFileError(
                f"{path}: factor_names has {name!r}, which cannot be shown"
            )


def _order(
    path: Path, factors: np.ndarray, names: tuple[str, ...] | None, count: int
) -> _Order:
    """Number the factors' values, and decide whether they form a full grid."""
    if factors.ndim != 2 or len(factors) != count:
        raise DataFileError(
            f"{path}: factors have shape {factors.shape} instead of [{count}, K]"
        )
    if factors.dtype.kind not in "iubf":
        raise DataFileError(
            f"{path}: factors must be integers, not of type {factors.dtype}; number "
            "the values of each factor"
        )
    if not np.isfinite(factors).all():
        raise DataFileError(f"{path}: factors have values that are not finite")
    if not np.array_equal(factors, np.round(factors)):
        raise DataFileError(
            f"{path}: factors must be integers, not fractions of type {factors.dtype}"
        )
    names = names or tuple(f"factor_{k}" for k in range(factors.shape[1]))
    _require_names(path, names, factors.shape[1])
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
ENTRY = Entry(
    "custom", "own images", page="", versions={"paper": Version(None, recipe)}
)
