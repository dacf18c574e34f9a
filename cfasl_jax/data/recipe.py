"""What every reader of a data set hands over: its contents, and blocks of its images.

A recipe knows the factors and where its files lie; the images come in blocks of any
order, so that a set larger than memory can be written straight to a mapped file.
"""

import dataclasses
import lzma
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image
from tqdm import tqdm

from cfasl_jax.data.dataset import Labels
from cfasl_jax.data.grid import FactorGrid
from cfasl_jax.types import Likelihood

SIDE = 64

# (indices int [n], images uint8 [n, 64, 64, C])
Block = tuple[np.ndarray, np.ndarray]


class DataFileError(ValueError):
    """A file of a data set is missing, damaged or another one; a clear sentence."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How the files of a data set become one array.

    Attributes:
        name: of the data set.
        num_images: N.
        channels: C.
        likelihood: of a pixel; None: Bernoulli if all pixels are black or white.
        files: what is read, to be named in the manifest of a copy.
        blocks: starts a reading; together, the blocks hold every index once.
        grid: the factors where they are a full grid; index as in `FactorGrid`.
        labels: the factors where they are no full grid.
    """

    name: str
    num_images: int
    channels: int
    likelihood: Likelihood | None
    files: tuple[Path, ...]
    blocks: Callable[[], Iterator[Block]]
    grid: FactorGrid | None = None
    labels: Labels | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, 64, 64, C)."""
        return (self.num_images, SIDE, SIDE, self.channels)


def read(recipe: Recipe, out: np.ndarray | None = None) -> np.ndarray:
    """All images of a recipe, uint8 [N, 64, 64, C], with a progress bar on a terminal.

    Args:
        recipe: what to read.
        out: where to put them, such as a mapped file; a new array if None.

    Raises:
        DataFileError: where an image is missing or comes twice.
    """
    images = np.empty(recipe.shape, np.uint8) if out is None else out
    seen = np.zeros(recipe.num_images, bool)
    with tqdm(
        desc=f"reading {recipe.name}",
        total=recipe.num_images,
        unit="image",
        unit_scale=True,
        disable=not sys.stderr.isatty(),
    ) as progress:
        for indices, block in recipe.blocks():
            images[indices] = block
            seen[indices] = True
            progress.update(len(indices))
    if not seen.all():
        kind = "images" if recipe.grid is None else "combinations"
        raise DataFileError(
            f"{np.sum(~seen)} of {recipe.num_images} {kind} missing in "
            f"{described(recipe.files)}: as many come twice"
        )
    return images


def described(files: tuple[Path, ...]) -> str:
    """Files in a sentence: the only one, or the folder of several."""
    return str(files[0] if len(files) == 1 else files[0].parent)


def likelihood_of(recipe: Recipe, images: np.ndarray) -> Likelihood:
    """A recipe's likelihood, by looking at the images where it does not say."""
    if recipe.likelihood is not None:
        return recipe.likelihood
    step = 4096
    binary = all(
        np.isin(images[start : start + step], (0, 255)).all()
        for start in range(0, len(images), step)
    )
    return "bernoulli" if binary else "gaussian"


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Turn whatever goes wrong while a file is read into a sentence that names it."""
    try:
        yield
    except DataFileError:
        raise
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        EOFError,
        RuntimeError,
        Image.DecompressionBombError,
        lzma.LZMAError,
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise DataFileError(f"{path} cannot be read: {reason}") from error


@contextmanager
def open_arrays(path: Path) -> Iterator[Any]:
    """The arrays of an .npz or HDF5 file by name, open; errors name the file."""
    with reading(path):
        if path.suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                yield arrays
        else:
            with h5py.File(path) as arrays:
                yield arrays
