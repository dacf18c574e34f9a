"""smallNORB (LeCun, Huang, Bottou, 2004): 50 toys in grey, from two cameras.

There are two conventions. "paper" is that of the CFASL authors: the 24,300 left images
of the training half, with the factors instance, elevation, azimuth and lighting.
Category is left out, so that each combination occurs five times. "full" has every image
of both halves and both cameras, with all six factors, which form a full grid. In both,
images are resized from 96 to 64 pixels bicubically, and ordered by category, instance,
elevation, azimuth, lighting (and camera).
"""

import dataclasses
import gzip
import io
import math
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cfasl_jax.data import pictures, tfds
from cfasl_jax.data.dataset import Contents, Labels
from cfasl_jax.data.download import Archive
from cfasl_jax.data.entry import Entry, Version
from cfasl_jax.data.grid import FactorGrid
from cfasl_jax.data.recipe import Block, DataFileError, Recipe, reading

CHANNELS = 1
PAGE = "https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/"

_KINDS = ("dat", "cat", "info")
_ROWS_AT_A_TIME = 512


@dataclasses.dataclass(frozen=True)
class Half:
    """One half of the published data.

    Attributes:
        stem: of its three file names, STEM-dat.mat, STEM-cat.mat and STEM-info.mat.
        split: its name in TensorFlow Datasets.
        instances: the toys of each category that it shows.
        known: size and SHA-256 of the published .gz files by kind; empty where they
            are not known.
    """

    stem: str
    split: str
    instances: tuple[int, ...]
    known: Mapping[str, tuple[int, str]]

    def archive(self, kind: str) -> Archive:
        """The published file of one kind: "dat", "cat" or "info"."""
        name = f"{self.stem}-{kind}.mat"
        size, digest = self.known.get(kind, (None, None))
        url = f"{PAGE}{name}.gz"
        return Archive(f"{name}.gz", url, size, digest, instead=(name,))


_TRAINING = Half(
    "smallnorb-5x46789x9x18x6x2x96x96-training",
    "train",
    (4, 6, 7, 8, 9),
    {
        "dat": (
            131_896_188,
            "5ffd6272a07d32695ee1082a26a41a93a37aab8c28da047f8c34ed348d214873",
        ),
        "cat": (
            348,
            "2784e542c1922060691090952b6cd6278879a216c90f81476f0f00256d42cdaa",
        ),
        "info": (
            71_052,
            "de7eb932ebe7a4ee16217fead60660d0eb3d23632c2f4d1c51f88c501c17bf32",
        ),
    },
)
_TESTING = Half(
    "smallnorb-5x01235x9x18x6x2x96x96-testing",
    "test",
    (0, 1, 2, 3, 5),
    {
        "dat": (
            130_799_817,
            "cf7104eed3e51174d2f65b66d1e5878b9da233b886f161b0d88f4510ba2c7474",
        ),
        "cat": (
            347,
            "ecaf6d5bb8c3bc5eab9cf0258f6d2198dd474e016e374836fc097f2e5ff509ff",
        ),
        "info": (
            10_428,
            "16adf314226327ee006d1a44db8cfef52773c06c829951d5653a9f6f310248a2",
        ),
    },
)


@dataclasses.dataclass(frozen=True)
class Convention:
    """A selection of images and of their factors.

    Attributes:
        halves: read in this order.
        cameras: 0 is the left one.
        sizes: of elevation, azimuth and lighting.
        categories: how many there are.
        side: height and width of the stored images.
    """

    halves: tuple[Half, ...]
    cameras: tuple[int, ...]
    categories: int = 5
    sizes: tuple[int, int, int] = (9, 18, 6)
    side: int = 96

    @property
    def instances(self) -> tuple[int, ...]:
        """The toys of each category, in order; factor values are places in it."""
        return tuple(sorted(i for half in self.halves for i in half.instances))

    @property
    def order(self) -> FactorGrid:
        """The full grid of all factors, which gives the index of an image."""
        names = ("category", "instance", "elevation", "azimuth", "lighting", "camera")
        first = (self.categories, len(self.instances), *self.sizes)
        return FactorGrid(names, (*first, len(self.cameras)))

    def rows(self, half: Half) -> int:
        """Number of image pairs in a half's files."""
        elevations, azimuths, lightings = self.sizes
        instances = len(half.instances)
        return self.categories * instances * elevations * azimuths * lightings

    def indices(self, factors: np.ndarray) -> np.ndarray:
        """Indices of image pairs, one for each camera.

        Args:
            factors: int [n, 5], category, instance as published, elevation, azimuth,
                lighting.

        Returns:
            int64 [n, cameras].

        Raises:
            ValueError: if a factor has a value that it cannot have.
        """
        values = np.array(factors, np.int64)
        instances = np.asarray(self.instances)
        if not np.isin(values[:, 1], instances).all():
            raise ValueError(f"an instance is not one of {self.instances}")
        values[:, 1] = np.searchsorted(instances, values[:, 1])
        # The camera is the last factor, so that its images follow each other.
        first = self.order.indices(np.pad(values, ((0, 0), (0, 1))))
        return first[:, None] + np.arange(len(self.cameras))

    @property
    def contents(self) -> Contents:
        """The factors are a full grid, or labels where one half is taken."""
        order = self.order
        grid: FactorGrid | None = order
        labels: Labels | None = None
        if len(self.halves) == 1:
            values = np.indices(order.sizes, np.int32).reshape(order.num_factors, -1).T
            kept = slice(1, 5)  # no category, and one camera
            table = np.ascontiguousarray(values[:, kept])
            grid, labels = None, Labels(order.names[kept], order.sizes[kept], table)
        return Contents(
            "smallnorb", order.num_points, CHANNELS, "gaussian", grid, labels
        )


CONVENTIONS = {
    "paper": Convention((_TRAINING,), cameras=(0,)),
    "full": Convention((_TRAINING, _TESTING), cameras=(0, 1)),
}


def shrink_all(images: np.ndarray) -> np.ndarray:
    """Stored images, uint8 [n, 96, 96] -> [n, 64, 64, 1]."""
    return np.stack([pictures.shrink(image, pictures.BICUBIC) for image in images])


def recipe(folder: Path, convention: Convention) -> Recipe:
    """smallNORB from the authors' files, as published (.gz) or unpacked.

    Args:
        folder: holds three files a half.
        convention: an entry of CONVENTIONS.

    Raises:
        DataFileError: if a file is missing or is another one.
    """
    files = {
        half.stem: {kind: _find(folder, half, kind) for kind in _KINDS}
        for half in convention.halves
    }

    def blocks() -> Iterator[Block]:
        for half in convention.halves:
            yield from _read_half(files[half.stem], half, convention)

    paths = tuple(path for kinds in files.values() for path in kinds.values())
    return Recipe(convention.contents, paths, blocks)


def recipe_of_records(folder: Path, convention: Convention) -> Recipe:
    """smallNORB from a copy of TensorFlow Datasets, see `tfds`."""
    labels = ["label_category", "instance"]
    labels += [f"label_{factor}" for factor in ("elevation", "azimuth", "lighting")]
    shape = (convention.side, convention.side, CHANNELS)
    cameras = [("image", "image2")[camera] for camera in convention.cameras]

    def blocks() -> Iterator[Block]:
        counts = {half.split: convention.rows(half) for half in convention.halves}
        for split in counts:
            for block in tfds.records(folder, "smallnorb", split, counts):
                factors = [
                    [tfds.integer(fields, name) for name in labels] for fields in block
                ]
                places = convention.indices(np.asarray(factors))
                for camera, name in enumerate(cameras):
                    stored = [tfds.image(fields, name, shape) for fields in block]
                    yield places[:, camera], shrink_all(np.stack(stored)[..., 0])

    return tfds.recipe(convention.contents, folder, blocks)


def _find(folder: Path, half: Half, kind: str) -> Path:
    archive = half.archive(kind)
    path = archive.find(folder)
    if path is None:
        raise DataFileError(
            f"{folder} lacks {archive.name} (or unpacked, without .gz); smallNORB's "
            f"files are at {PAGE}"
        )
    return path


def _read_half(
    files: dict[str, Path], half: Half, convention: Convention
) -> Iterator[Block]:
    """Blocks of one half; in each block, one camera follows the other."""
    rows, side = convention.rows(half), convention.side
    category = _read_matrix(files["cat"], (rows,))
    info = np.array(_read_matrix(files["info"], (rows, 4)))
    if np.any(info[:, 2] % 2):
        raise DataFileError(
            f"{files['info']} has odd azimuths; they should be 0, 2, ... 34"
        )
    info[:, 2] //= 2
    try:
        indices = convention.indices(np.concatenate([category[:, None], info], axis=1))
    except ValueError as error:
        raise DataFileError(f"{files['info']} or {files['cat']}: {error}") from error
    with _open_matrix(files["dat"], (rows, 2, side, side)) as matrix:
        for start in range(0, rows, _ROWS_AT_A_TIME):
            stop = min(start + _ROWS_AT_A_TIME, rows)
            pairs = matrix.rows(stop - start)
            for place, camera in enumerate(convention.cameras):
                yield indices[start:stop, place], shrink_all(pairs[:, camera])


# The authors' matrix format, little-endian: a magic number that tells the type, the
# number of dimensions, at least three sizes (surplus ones are 1), then the values in C
# order. See PAGE.
_MAGIC: dict[int, np.dtype[Any]] = {
    0x1E3D4C55: np.dtype("uint8"),
    0x1E3D4C54: np.dtype("<i4"),
}

_MOST_DIMENSIONS = 8


class _Matrix(NamedTuple):
    """An open matrix file whose header has been read.

    Attributes:
        path: of the file.
        shape: of the matrix.
        dtype: of its values.
        file: stands at the first value.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    file: io.BufferedIOBase

    def rows(self, count: int) -> np.ndarray:
        """The next rows, [count, ...].

        Raises:
            DataFileError: if the file ends too early.
        """
        shape = (count, *self.shape[1:])
        size = math.prod(shape) * self.dtype.itemsize
        content = self.file.read(size)
        if len(content) != size:
            raise DataFileError(
                f"{self.path} is truncated: it ends before its {self.shape[0]} rows do"
            )
        return np.frombuffer(content, self.dtype).reshape(shape)


@contextmanager
def _open_matrix(path: Path, shape: tuple[int, ...]) -> Iterator[_Matrix]:
    """A matrix file, plain or .gz, whose header gives this shape.

    Raises:
        DataFileError: if it is another file, is truncated, or has more values than its
            header says (noticed once all rows are read).
    """
    with (
        reading(path),
        gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file,
    ):
        magic, dimensions = struct.unpack("<II", _head(path, file, 8))
        if magic not in _MAGIC:
            raise DataFileError(
                f"{path} is not a NORB matrix: it begins with {magic:#010x} instead of "
                f"{' or '.join(f'{known:#010x}' for known in _MAGIC)}"
            )
        if not 0 < dimensions <= _MOST_DIMENSIONS:
            raise DataFileError(f"{path} says it has {dimensions} dimensions")
        stored = max(3, dimensions)
        sizes = struct.unpack(f"<{stored}i", _head(path, file, 4 * stored))
        found = sizes[:dimensions]
        if found != shape:
            raise DataFileError(f"{path} has shape {found} instead of {shape}")
        yield _Matrix(path, shape, _MAGIC[magic], file)
        if file.read(1):
            raise DataFileError(f"{path} continues after its {shape[0]} rows")


def _read_matrix(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """A whole matrix; errors as in `_open_matrix`."""
    with _open_matrix(path, shape) as matrix:
        return matrix.rows(shape[0])


def _head(path: Path, file: io.BufferedIOBase, size: int) -> bytes:
    content = file.read(size)
    if len(content) != size:
        raise DataFileError(f"{path} is truncated: it ends within its head")
    return content


def entry(conventions: Mapping[str, Convention] = CONVENTIONS) -> Entry:
    """smallNORB, or a part of it with fewer factor values."""
    versions = {
        name: Version(
            convention.contents,
            partial(recipe, convention=convention),
            tuple(half.archive(kind) for half in convention.halves for kind in _KINDS),
            partial(recipe_of_records, convention=convention),
        )
        for name, convention in conventions.items()
    }
    return Entry("smallnorb", "smallNORB", PAGE, versions, tfds="smallnorb")


ENTRY = entry()
