"""3D Cars (Reed, Zhang, Zhang, Lee, 2015): 183 cars from 24 azimuths, 4 elevations.

The authors' archive holds a file data/cars/car_*_mesh.mat for each car, with an array
"im" of uint8 [128, 128, 3, 24 azimuths, 4 elevations]. The images are resized to 64 x
64 with a Lanczos filter, as disentanglement_lib and the CFASL authors do; cars are
ordered by file name.
"""

import fnmatch
import io
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
import scipy.io

from cfasl_jax.data import pictures
from cfasl_jax.data.dataset import Contents
from cfasl_jax.data.download import Archive
from cfasl_jax.data.entry import Entry, Version
from cfasl_jax.data.grid import FactorGrid
from cfasl_jax.data.recipe import Block, DataFileError, Recipe, reading

CHANNELS = 3
PAGE = "http://www.scottreed.info/"
ARCHIVE = Archive(
    "nips2015-analogy-data.tar.gz",
    url="http://www.scottreed.info/files/nips2015-analogy-data.tar.gz",
    digest="4e866a7919c1beedf53964e6f7a23686",
    algorithm="md5",
    instead=("cars", "data/cars"),
)

_PATTERN = "car_*_mesh.mat"


_SIDE = 128  # height and width of the stored images

# One file holds one object.
GRID = FactorGrid(names=("elevation", "azimuth", "object"), sizes=(4, 24, 183))


def recipe(path: Path, grid: FactorGrid = GRID) -> Recipe:
    """3D Cars from the authors' archive, or from a folder of its .mat files.

    Args:
        path: the archive, or a folder with the .mat files anywhere below it.
        grid: of the factors that are expected.

    Raises:
        DataFileError: if the number of cars is wrong, or the archive is damaged.
    """
    if path.is_dir():
        files = tuple(sorted(path.rglob(_PATTERN), key=lambda file: file.name))
        names = [file.name for file in files]
    else:
        files = (path,)
        with reading(path), tarfile.open(path) as archive:
            names = sorted(Path(name).name for name in archive.getnames())
            names = fnmatch.filter(names, _PATTERN)
    cars = grid.sizes[2]
    if len(set(names)) != cars or len(names) != cars:
        raise DataFileError(
            f"{path} holds {len(names)} files {_PATTERN} where 3D Cars has {cars}; "
            f"its archive is at {PAGE}"
        )

    def blocks() -> Iterator[Block]:
        for name, file in _open_all(path, files):
            with reading(f"{path}: {name}" if path.is_file() else file.name):
                images = _load(file.read(), grid)
            yield _indices(names.index(name), grid), images

    return Recipe(_contents(grid), files, blocks)


def _contents(grid: FactorGrid) -> Contents:
    return Contents("cars3d", grid.num_points, CHANNELS, "gaussian", grid)


def _open_all(path: Path, files: tuple[Path, ...]) -> Iterator[tuple[str, IO[bytes]]]:
    """The .mat files, open: a folder's, or an archive's in the order it has them."""
    if path.is_dir():
        for file in files:
            with reading(file), file.open("rb") as opened:
                yield file.name, opened
        return
    with reading(path), tarfile.open(path) as archive:
        for member in archive:
            name = Path(member.name).name
            if fnmatch.fnmatch(name, _PATTERN):
                content = archive.extractfile(member)
                if content is None:
                    raise DataFileError(f"{path}: {name} is not a plain file")
                yield name, content


def _indices(car: int, grid: FactorGrid) -> np.ndarray:
    """Indices of one car's images, in the order elevation, azimuth: int64 [4 * 24]."""
    elevation, azimuth = np.indices(grid.sizes[:2]).reshape(2, -1)
    return grid.indices(
        np.stack([elevation, azimuth, np.full_like(elevation, car)], axis=1)
    )


def _load(content: bytes, grid: FactorGrid) -> np.ndarray:
    """A .mat file -> uint8 [4 * 24, 64, 64, 3], in the order elevation, azimuth."""
    stored = _matlab_array(content, "im")
    elevations, azimuths, _ = grid.sizes
    expected = (_SIDE, _SIDE, CHANNELS, azimuths, elevations)
    if stored.shape != expected or stored.dtype != np.uint8:
        raise ValueError(
            f"its array 'im' is {stored.dtype} {stored.shape} instead of uint8 "
            f"{expected}"
        )
    ordered = np.ascontiguousarray(stored.transpose(4, 3, 0, 1, 2))
    flat = ordered.reshape(-1, *ordered.shape[2:])
    return np.stack([pictures.shrink(image, pictures.LANCZOS) for image in flat])


def _matlab_array(content: bytes, name: str) -> np.ndarray:
    """An array of a .mat file."""
    try:
        arrays = scipy.io.loadmat(io.BytesIO(content), variable_names=[name])
    except (scipy.io.matlab.MatReadError, NotImplementedError) as error:
        raise ValueError(str(error)) from error
    if name not in arrays:
        raise ValueError(f"it has no array {name!r}")
    return arrays[name]


def entry(grid: FactorGrid = GRID, archive: Archive = ARCHIVE) -> Entry:
    """3D Cars, or a part of it with fewer factor values."""
    version = Version(_contents(grid), partial(recipe, grid=grid), (archive,))
    return Entry("cars3d", "3D Cars", PAGE, {"paper": version})


ENTRY = entry()
