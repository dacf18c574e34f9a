"""Recipes, which readers of data sets return: the contents, and the images in blocks.

The blocks may come in any order, so that a data set that is larger than memory can be
written directly to a mapped file.
"""

import dataclasses
import io
import math
import mmap
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from tqdm import tqdm

from cfasl_jax.data.dataset import Contents
from cfasl_jax.types import Likelihood

# A reader holds at most this many bytes of images at once, and one array made of them.
BLOCK_BYTES = 2**28

# (indices int [n], images uint8 [n, 64, 64, C])
Block = tuple[np.ndarray, np.ndarray]


def numbered(stacks: Iterable[np.ndarray]) -> Iterator[Block]:
    """Stacks of images [n, 64, 64, C] that follow each other, as blocks."""
    start = 0
    for images in stacks:
        yield np.arange(start, start + len(images)), images
        start += len(images)


class DataFileError(ValueError):
    """A file of a data set is missing, damaged or not the right one."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How the files of a data set become one array.

    Attributes:
        contents: what the data set holds apart from its images.
        files: the files that are read, to be named in the manifest of a copy.
        blocks: yields the blocks; together they hold every index exactly once.
    """

    contents: Contents
    files: tuple[Path, ...]
    blocks: Callable[[], Iterator[Block]]


def read(recipe: Recipe, out: np.ndarray | None = None) -> np.ndarray:
    """All images of a recipe, uint8 [N, 64, 64, C], with a progress bar on a terminal.

    Args:
        recipe: what to read.
        out: where to put them, such as a mapped file; a new array if None.

    Raises:
        DataFileError: if an image is missing.
    """
    contents = recipe.contents
    images = np.empty(contents.shape, np.uint8) if out is None else out
    seen = np.zeros(contents.num_images, bool)
    with tqdm(
        desc=f"reading {contents.name}",
        total=contents.num_images,
        unit="image",
        unit_scale=True,
        disable=not sys.stderr.isatty(),
    ) as progress:
        for indices, block in recipe.blocks():
            images[indices] = block
            _release(images)
            seen[indices] = True
            progress.update(len(indices))
    if not seen.all():
        kind = "images" if contents.grid is None else "combinations of factors"
        first, *more = recipe.files
        raise DataFileError(
            f"{np.sum(~seen)} of {contents.num_images} {kind} are missing in "
            f"{first.parent if more else first}"
        )
    return images


def _release(images: np.ndarray) -> None:
    """Release the pages of a mapped file; the system writes them to the disk."""
    if isinstance(images.base, mmap.mmap):
        images.base.madvise(mmap.MADV_DONTNEED)


def likelihood_of(contents: Contents, images: np.ndarray) -> Likelihood:
    """The likelihood of a pixel, from `contents` or else from the images."""
    if contents.likelihood is not None:
        return contents.likelihood
    step = 4096
    binary = all(
        np.isin(images[start : start + step], (0, 255)).all()
        for start in range(0, len(images), step)
    )
    return "bernoulli" if binary else "gaussian"


def require_plain(path: Path) -> None:
    """Check that a path is a file or a folder: reading from a pipe might never end.

    Raises:
        DataFileError: if it is neither, or does not exist.
    """
    if not path.exists():
        raise DataFileError(f"{path} does not exist")
    if not (path.is_file() or path.is_dir()):
        raise DataFileError(f"{path} is neither a file nor a folder")


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Turn any error while a file is read into a DataFileError that names the file."""
    try:
        yield
    except DataFileError:
        raise
    # Damaged files fail in many ways: checksums, tokens of a header, sizes, memory.
    except Exception as error:
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise DataFileError(f"{path} cannot be read: {reason}") from error


def row_slices(array: Any) -> Iterator[slice]:
    """Slices of an array's first axis, each of at most BLOCK_BYTES, that cover it.

    HDF5 stores an array in chunks and always decompresses whole chunks. A chunk of the
    published dSprites covers 23,040 images and a few pixels of each: read in slices of
    1,024 images, every chunk would be decompressed 23 times. A slice therefore consists
    of whole chunks, unless one chunk covers more than BLOCK_BYTES.
    """
    row_bytes = array.dtype.itemsize * math.prod(array.shape[1:])
    most = max(1, BLOCK_BYTES // max(1, row_bytes))
    chunk = (getattr(array, "chunks", None) or (1,))[0]
    step = most - most % chunk or most
    for start in range(0, len(array), step):
        yield slice(start, min(start + step, len(array)))


class ZippedArray:
    """An array of an .npz file that is too large to be read as a whole.

    Slices of the first axis are read from the compressed file; going backwards starts
    again from its beginning.
    """

    def __init__(self, archive: zipfile.ZipFile, member: str) -> None:
        """Reads the head of the array alone."""
        self._archive, self._member = archive, member
        self._rewind()

    def _rewind(self) -> None:
        self._file: Any = self._archive.open(self._member)
        version = np.lib.format.read_magic(self._file)
        head = {(1, 0): np.lib.format.read_array_header_1_0}.get(
            version, np.lib.format.read_array_header_2_0
        )
        self.shape, self.in_columns, self.dtype = head(self._file)
        self._row = 0

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Of all values."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        if rows.start < self._row:
            self._rewind()
        row_bytes = self.nbytes // len(self)
        self._file.seek((rows.start - self._row) * row_bytes, io.SEEK_CUR)
        values = np.empty((rows.stop - rows.start, *self.shape[1:]), self.dtype)
        left = values.data.cast("B")
        while left:
            count = self._file.readinto(left)
            if not count:
                raise EOFError(f"the array {self._member!r} ends too early")
            left = left[count:]
        self._row = rows.stop
        if self._row == len(self):
            self._file.read(1)  # the archive's checksum is compared at the very end
        return values


class _Npz:
    """The arrays of an open .npz file by name; large ones are `ZippedArray`s."""

    def __init__(self, arrays: Any) -> None:
        self._arrays = arrays

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def __getitem__(self, name: str) -> Any:
        member = f"{name}.npy"
        if member in self._arrays.zip.namelist():
            array = ZippedArray(self._arrays.zip, member)
            plain = not (array.in_columns or array.dtype.hasobject)
            if plain and array.ndim > 1 and array.nbytes > BLOCK_BYTES:
                return array
        return self._arrays[name]


@contextmanager
def open_arrays(path: Path) -> Iterator[Any]:
    """The arrays of an .npz or HDF5 file by name, open; errors name the file."""
    with reading(path):
        if path.suffix.lower() == ".npz":
            if not zipfile.is_zipfile(path):
                raise ValueError("it is not an .npz file, or it is incomplete")
            with np.load(path, allow_pickle=False) as arrays:
                yield _Npz(arrays)
        else:
            with h5py.File(path) as arrays:
                yield arrays
