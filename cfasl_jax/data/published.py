"""dSprites and 3D Shapes from the files that their authors published."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cfasl_jax.data.dataset import Contents
from cfasl_jax.data.grid import FactorGrid
from cfasl_jax.data.recipe import Block, DataFileError, Recipe, open_arrays, row_slices


class Arrays(NamedTuple):
    """Where a published file holds its images and their factors.

    Attributes:
        images: name of the array of images.
        factors: name of the array of factors, [N, skipped + K].
        skipped: number of columns that come before the factors.
    """

    images: str
    factors: str
    skipped: int = 0


def recipe(
    path: Path, contents: Contents, arrays: Mapping[str, Arrays], white: int
) -> Recipe:
    """A data set whose factors are a full grid, from its published file.

    Args:
        path: the file.
        contents: what it must hold.
        arrays: the names of its arrays, by the suffix of the file's name.
        white: the stored value of a fully lit channel.

    Raises:
        DataFileError: if it is another file, or holds something else.
    """
    if path.suffix not in arrays:
        raise DataFileError(
            f"{path} is not the published file of {contents.name}, which ends in "
            f"{' or '.join(arrays)}"
        )
    names, grid = arrays[path.suffix], contents.grid
    assert grid is not None
    with open_arrays(path) as file:
        for array in (names.images, names.factors):
            if array not in file:
                raise DataFileError(f"{path} has no array {array!r}")
        factors = np.asarray(file[names.factors])[:, names.skipped :]
        indices = _indices(path, factors, grid)

    def blocks() -> Iterator[Block]:
        with open_arrays(path) as file:
            images = file[names.images]
            shape = (*images.shape, 1) if images.ndim == 3 else images.shape
            if shape != contents.shape or images.dtype != np.uint8:
                raise DataFileError(
                    f"{path}: images are {images.dtype} {shape} instead of uint8 "
                    f"{contents.shape}"
                )
            for rows in row_slices(images):
                block = images[rows].reshape(-1, *shape[1:])
                if block.max() > white:
                    raise DataFileError(
                        f"{path}: an image has the value {block.max()}, above {white}"
                    )
                block *= np.uint8(255 // white)
                yield indices[rows], block

    return Recipe(contents, (path,), blocks)


def _indices(path: Path, factors: np.ndarray, grid: FactorGrid) -> np.ndarray:
    """Index of each stored image; the values of a factor are numbered in order."""
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
