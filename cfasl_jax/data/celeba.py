"""CelebA (Liu, Luo, Wang, Tang, 2015): 202,599 faces, without ground-truth factors.

The authors' aligned and cropped pictures have 178 x 218 pixels. Their central squares
of 128 pixels are resized to 64 x 64 bicubically, and ordered by file name.
"""

import dataclasses
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from cfasl_jax.data import pictures, tfds
from cfasl_jax.data.dataset import Contents
from cfasl_jax.data.download import Archive
from cfasl_jax.data.entry import Entry, Version
from cfasl_jax.data.recipe import Block, DataFileError, Recipe, numbered, reading

CHANNELS = 3
_TFDS_NAME = "celeb_a"
PAGE = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
ARCHIVE = Archive(
    "img_align_celeba.zip",
    # The authors' Google Drive; "confirm" answers that the file is too large for its
    # virus scan.
    url="https://drive.usercontent.google.com/download?"
    "id=0B7EVK8r0v71pZjFTYXZWM3FlRnM&export=download&confirm=t",
    size=1_443_490_838,
    digest="46fb89443c578308acf364d7d379fe1b9efb793042c0af734b6112e4fd3a8c74",
    instead=("img_align_celeba",),
)


@dataclasses.dataclass(frozen=True)
class Layout:
    """What the authors' archive holds.

    Attributes:
        count: number of pictures.
        shape: of a stored picture, (H, W, C).
        crop: side of the central square.
        splits: number of pictures of each split in TensorFlow Datasets.
    """

    count: int = 202_599
    shape: tuple[int, int, int] = (218, 178, 3)
    crop: int = 128
    splits: tuple[tuple[str, int], ...] = (
        ("train", 162_770),
        ("validation", 19_867),
        ("test", 19_962),
    )

    @property
    def contents(self) -> Contents:
        """Pictures without ground-truth factors."""
        return Contents("celeba", self.count, CHANNELS, "gaussian")


LAYOUT = Layout()


def recipe(path: Path, layout: Layout = LAYOUT) -> Recipe:
    """CelebA from img_align_celeba.zip, or from a folder with the pictures.

    Args:
        path: the archive, or a folder with the .jpg files anywhere below it.
        layout: what is expected.

    Raises:
        DataFileError: if the number of pictures is wrong.
    """
    if path.is_dir():
        names = [str(file) for file in path.rglob("*.jpg")]
    else:
        with reading(path), zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".jpg")]
    # macOS adds a hidden file to each picture that it packs or copies.
    names = [name for name in names if not Path(name).name.startswith(".")]
    names.sort(key=lambda name: Path(name).name)
    if len(names) != layout.count:
        raise DataFileError(
            f"{path} holds {len(names)} pictures (.jpg) where CelebA has "
            f"{layout.count}; {ARCHIVE.name} is at {PAGE}"
        )
    files = tuple(map(Path, names)) if path.is_dir() else (path,)
    return Recipe(layout.contents, files, lambda: _blocks(path, names, layout))


def recipe_of_records(folder: Path, layout: Layout = LAYOUT) -> Recipe:
    """CelebA from a copy of TensorFlow Datasets, in the order of its records."""

    def files() -> Iterator[bytes]:
        counts = dict(layout.splits)
        for split in counts:
            for block in tfds.records(folder, _TFDS_NAME, split, counts):
                yield from (tfds.content(fields, "image") for fields in block)

    def blocks() -> Iterator[Block]:
        return numbered(pictures.parallel(partial(fit, layout=layout), files()))

    return tfds.recipe(layout.contents, folder, blocks)


def fit(file: bytes, layout: Layout = LAYOUT) -> np.ndarray:
    """A picture file as an image, uint8 [64, 64, 3].

    Raises:
        DataFileError: if the picture has another size.
    """
    picture = pictures.decode(file)
    if picture.shape != layout.shape:
        raise DataFileError(
            f"a picture has shape {picture.shape} instead of {layout.shape}"
        )
    return pictures.shrink(pictures.crop(picture, layout.crop), pictures.BICUBIC)


def _blocks(path: Path, names: list[str], layout: Layout) -> Iterator[Block]:
    def load(file: tuple[str, bytes]) -> np.ndarray:
        name, content = file
        try:
            return fit(content, layout)
        except (OSError, ValueError) as error:
            raise DataFileError(f"{path}: {name}: {error}") from error

    return numbered(pictures.parallel(load, _contents(path, names)))


def _contents(path: Path, names: list[str]) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the picture files, in the order of the names."""
    if path.is_dir():
        for name in names:
            with reading(name):
                content = Path(name).read_bytes()
            yield Path(name).name, content
        return
    with reading(path), zipfile.ZipFile(path) as archive:
        for name in names:
            yield name, archive.read(name)


def entry(layout: Layout = LAYOUT, archive: Archive = ARCHIVE) -> Entry:
    """CelebA, or a part of it with fewer pictures."""
    version = Version(
        layout.contents,
        partial(recipe, layout=layout),
        (archive,),
        partial(recipe_of_records, layout=layout),
    )
    return Entry("celeba", "CelebA", PAGE, {"paper": version}, tfds=_TFDS_NAME)


ENTRY = entry()
