"""dSprites and 3D Shapes from the files that their authors published."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cfasl_jax.data.layouts import LAYOUTS, Layout
from cfasl_jax.data.recipe import SIDE, Block, DataFileError, Recipe, open_arrays

FILES = {
    "dsprites": (
        "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz",
        "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.hdf5",
    ),
    "shapes3d": ("3dshapes.h5",),
}
PAGES = {
    "dsprites": "https://github.com/google-deepmind/dsprites-dataset",
    "shapes3d": "https://github.com/google-deepmind/3d-shapes",
}

# Where a file holds its images and the factors of each: (images, factors, columns that
# come before the factors). The first column of dSprites is its only colour.
_ARRAYS = {
    ("dsprites", ".npz"): ("imgs", "latents_classes", 1),
    ("dsprites", ".hdf5"): ("imgs", "latents/classes", 1),
    ("shapes3d", ".h5"): ("images", "labels", 0),
}
_AT_A_TIME = 1024


def recipe(name: str, path: Path) -> Recipe:
    """A data set from its published file.

    Args:
        name: "dsprites" or "shapes3d".
        path: the file.

    Raises:
        DataFileError: where it is another file, or holds something else.
    """
    layout = LAYOUTS[name]
    suffixes = [suffix for known, suffix in _ARRAYS if known == name]
    if path.suffix not in suffixes:
        raise DataFileError(
            f"{path} is not the published file of {name}: {' or '.join(FILES[name])} "
            f"from {PAGES[name]}"
        )
    images_name, factors_name, skipped = _ARRAYS[name, path.suffix]
    grid = layout.grid
    if path.suffix == ".npz" and path.is_file() and not zipfile.is_zipfile(path):
        raise DataFileError(f"{path} is damaged, or no .npz file")
    with open_arrays(path) as arrays:
        for array in (images_name, factors_name):
            if array not in arrays:
                raise DataFileError(f"{path} has no array {array!r}")
        factors = np.asarray(arrays[factors_name])[:, skipped:]
        indices = _indices(path, factors, layout)

    def blocks() -> Iterator[Block]:
        with open_arrays(path) as arrays:
            images = arrays[images_name]
            expected = (grid.num_points, SIDE, SIDE, layout.channels)
            shape = (*images.shape, 1) if images.ndim == 3 else images.shape
            if shape != expected or images.dtype != np.uint8:
                raise DataFileError(
                    f"{path}: images are {images.dtype} {shape} instead of uint8 "
                    f"{expected}"
                )
            for start in range(0, len(images), _AT_A_TIME):
                block = images[start : start + _AT_A_TIME].reshape(-1, *expected[1:])
                if block.max() > layout.white:
                    raise DataFileError(
                        f"{path}: an image has the value {block.max()}, above "
                        f"{layout.white}"
                    )
                scaled = block * np.uint8(255 // layout.white)
                yield indices[start : start + len(block)], scaled

    return Recipe(
        name=name,
        num_images=grid.num_points,
        channels=layout.channels,
        likelihood=layout.likelihood,
        files=(path,),
        blocks=blocks,
        grid=grid,
    )


def _indices(path: Path, factors: np.ndarray, layout: Layout) -> np.ndarray:
    """Index of each stored image; the values of a factor are numbered in order."""
    grid = layout.grid
    if factors.shape != (grid.num_points, grid.num_factors):
        raise DataFileError(
            f"{path}: factors have shape {factors.shape} instead of "
            f"{(grid.num_points, grid.num_factors)}"
        )
    columns = []
    for name, size, column in zip(grid.names, grid.sizes, factors.T, strict=True):
        values, numbers = np.unique(column, return_inverse=True)
        if len(values) != size:
            raise DataFileError(
                f"{path}: {name} has {len(values)} values instead of {size}"
            )
        columns.append(numbers)
    return grid.indices(np.stack(columns, axis=1))
