"""The matrix format of the NORB files: a magic number, the shape, the values.

Little-endian: a magic number that tells the type, the number of dimensions, at least
three sizes (surplus ones are 1), then the values in C order.
https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/
"""

import gzip
import io
import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cfasl_jax.data.recipe import DataFileError, reading

MAGIC: dict[int, np.dtype[Any]] = {
    0x1E3D4C55: np.dtype("uint8"),
    0x1E3D4C54: np.dtype("<i4"),
}

_MOST_DIMENSIONS = 8


class Matrix(NamedTuple):
    """An open file whose head has been read.

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
            DataFileError: where the file ends before.
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
def open_matrix(path: Path, shape: tuple[int, ...]) -> Iterator[Matrix]:
    """A matrix file, plain or .gz, whose head says that it has this shape.

    Raises:
        DataFileError: where it is another file, is truncated, or has more values than
            its head says (seen once all rows are read).
    """
    with (
        reading(path),
        gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file,
    ):
        magic, dimensions = struct.unpack("<II", _head(path, file, 8))
        if magic not in MAGIC:
            raise DataFileError(
                f"{path} is no NORB matrix: it begins with {magic:#010x} instead of "
                f"{' or '.join(f'{known:#010x}' for known in MAGIC)}"
            )
        if not 0 < dimensions <= _MOST_DIMENSIONS:
            raise DataFileError(f"{path} says it has {dimensions} dimensions")
        stored = max(3, dimensions)
        sizes = struct.unpack(f"<{stored}i", _head(path, file, 4 * stored))
        found = sizes[:dimensions]
        if found != shape:
            raise DataFileError(f"{path} has shape {found} instead of {shape}")
        yield Matrix(path, shape, MAGIC[magic], file)
        if file.read(1):
            raise DataFileError(f"{path} goes on after its {shape[0]} rows")


def read_matrix(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """A whole matrix; errors as in `open_matrix`."""
    with open_matrix(path, shape) as matrix:
        return matrix.rows(shape[0])


def _head(path: Path, file: io.BufferedIOBase, size: int) -> bytes:
    content = file.read(size)
    if len(content) != size:
        raise DataFileError(f"{path} is truncated: it ends within its head")
    return content
