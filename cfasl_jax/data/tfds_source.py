"""The real data sets through TensorFlow Datasets, without TensorFlow.

A prepared copy lies in DIR/<name>/<version>/ as array_record files, which can be read
without TensorFlow. Images come in the order of the factor grid; those of CelebA, which
has no factors, in the order of the records.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError

from cfasl_jax.data import celeba, pictures, smallnorb, tfds_prepare
from cfasl_jax.data.folders import root
from cfasl_jax.data.layouts import LAYOUTS, Layout
from cfasl_jax.data.recipe import SIDE, Block, DataFileError, Recipe
from cfasl_jax.data.smallnorb import CONVENTIONS, Convention
from cfasl_jax.data.tfds_records import (
    Fields,
    check_files,
    content,
    integer,
    records,
)

# Their names in TensorFlow Datasets.
BUILDERS = {
    "dsprites": "dsprites",
    "shapes3d": "shapes3d",
    "smallnorb": "smallnorb",
    "celeba": "celeb_a",
}

# Number of CelebA's pictures in each split.
CELEBA_SPLITS = {"train": 162_770, "validation": 19_867, "test": 19_962}


def is_prepared(name: str, data_dir: str | None) -> bool:
    """Whether data_dir has a prepared copy; only looks at files.

    Args:
        name: a key of BUILDERS.
        data_dir: None or "" for TensorFlow Datasets' own default.
    """
    return _prepared_folder(_builder(name), data_dir) is not None


def recipe(name: str, data_dir: str | None, convention: str = "paper") -> Recipe:
    """A prepared copy, after downloading and preparing one if there is none.

    Args:
        name: a key of BUILDERS.
        data_dir: None or "" for TensorFlow Datasets' own default.
        convention: of smallNORB.

    Raises:
        ValueError: where the copy is incomplete, or none can be downloaded; one
            sentence that says what to do. A damaged copy raises it when it is read.
    """
    builder = _builder(name)
    folder = _prepared_folder(builder, data_dir)
    if folder is None:
        _prepare(name, data_dir)
        folder = _prepared_folder(builder, data_dir)
        if folder is None:
            raise ValueError(f"preparing {name} left no array_record files")
    if name == "smallnorb":
        made = _smallnorb(folder, CONVENTIONS[convention])
    elif name == "celeba":
        made = _celeba(folder)
    else:
        made = _of_layout(name, folder, LAYOUTS[name])
    return dataclasses.replace(made, blocks=_advised(name, folder, made.blocks))


def _builder(name: str) -> str:
    if name not in BUILDERS:
        raise ValueError(
            f"TensorFlow Datasets has no {name!r}: one of {', '.join(BUILDERS)}"
        )
    return BUILDERS[name]


def _prepare(name: str, data_dir: str | None) -> None:
    if name in LAYOUTS:
        tfds_prepare.prepare(name, LAYOUTS[name].url, root(data_dir))
        return
    # Their builders need TensorFlow for downloads; our own way does not.
    raise ValueError(
        f"there is no copy of {name} in {root(data_dir) / BUILDERS[name]}: make one "
        f"with 'python -m cfasl_jax.data prepare {name}' and set data.source=files, or "
        f"with 'tfds build {BUILDERS[name]} --file_format=array_record', which needs "
        f"TensorFlow"
    )


def _prepared_folder(builder: str, data_dir: str | None) -> Path | None:
    """The folder of the newest version that has array_record files, or None."""
    versions = [
        tuple(map(int, info.parent.name.split(".")))
        for info in (root(data_dir) / builder).glob("*/dataset_info.json")
        if re.fullmatch(r"\d+\.\d+\.\d+", info.parent.name)
        and any(info.parent.glob("*.array_record-*"))
    ]
    if not versions:
        return None
    return root(data_dir) / builder / ".".join(map(str, max(versions)))


def _advised(
    name: str, folder: Path, blocks: Callable[[], Iterator[Block]]
) -> Callable[[], Iterator[Block]]:
    """The same blocks, with what to do at the end of every error."""

    def advised() -> Iterator[Block]:
        try:
            yield from blocks()
        except (ValueError, OSError, RuntimeError, DecodeError) as error:
            raise DataFileError(
                f"the copy of {name} in {folder} is of no use: {error}; "
                "delete it and prepare it again"
            ) from error

    return advised


def _files(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(folder.glob("*.array_record-*")))


def _of_layout(name: str, folder: Path, layout: Layout) -> Recipe:
    """dSprites and 3D Shapes, whose factor f is stored as "label_f"."""
    grid, channels = layout.grid, layout.channels
    labels = [f"label_{factor}" for factor in grid.names]

    def load(fields: Fields) -> np.ndarray:
        return _decode(content(fields, "image"), (SIDE, SIDE, channels))

    def blocks() -> Iterator[Block]:
        check_files(folder, BUILDERS[name], {"train": grid.num_points})
        for block in records(folder, "train"):
            factors = [[integer(fields, label) for label in labels] for fields in block]
            yield (
                grid.indices(np.asarray(factors)),
                _scale(np.stack(list(map(load, block))), layout.white),
            )

    return Recipe(
        name=name,
        num_images=grid.num_points,
        channels=channels,
        likelihood=layout.likelihood,
        files=_files(folder),
        blocks=blocks,
        grid=grid,
    )


def _smallnorb(folder: Path, convention: Convention) -> Recipe:
    labels = ["label_category", "instance"]
    labels += [f"label_{factor}" for factor in ("elevation", "azimuth", "lighting")]
    stored = (convention.side, convention.side, smallnorb.CHANNELS)
    images = [("image", "image2")[camera] for camera in convention.cameras]
    grid, table = convention.factors()

    def blocks() -> Iterator[Block]:
        counts = {half.split: convention.rows(half) for half in convention.halves}
        check_files(folder, BUILDERS["smallnorb"], counts)
        for split in counts:
            for block in records(folder, split):
                factors = [
                    [integer(fields, name) for name in labels] for fields in block
                ]
                places = convention.indices(np.asarray(factors))
                for camera, image in enumerate(images):
                    decoded = [_decode(content(one, image), stored) for one in block]
                    shrunk = smallnorb.shrink_all(np.stack(decoded)[..., 0])
                    yield places[:, camera], shrunk

    return Recipe(
        name="smallnorb",
        num_images=convention.order.num_points,
        channels=smallnorb.CHANNELS,
        likelihood="gaussian",
        files=_files(folder),
        blocks=blocks,
        grid=grid,
        labels=table,
    )


def _celeba(folder: Path) -> Recipe:
    def blocks() -> Iterator[Block]:
        check_files(folder, BUILDERS["celeba"], CELEBA_SPLITS)
        start = 0
        for split in CELEBA_SPLITS:
            for block in records(folder, split):
                files = [content(fields, "image") for fields in block]
                for images in pictures.parallel(celeba.fit, files):
                    yield np.arange(start, start + len(images)), images
                    start += len(images)

    return Recipe(
        name="celeba",
        num_images=sum(CELEBA_SPLITS.values()),
        channels=celeba.CHANNELS,
        likelihood="gaussian",
        files=_files(folder),
        blocks=blocks,
    )


def _decode(file: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    """A PNG file -> uint8 of this shape, [H, W, C]."""
    image = pictures.decode(file)
    image = image.reshape(*image.shape[:2], -1)
    if image.shape != shape or image.dtype != np.uint8:
        raise DataFileError(
            f"an image has shape {image.shape}, type {image.dtype} instead of "
            f"{shape}, uint8"
        )
    return image


def _scale(images: np.ndarray, white: int) -> np.ndarray:
    """Bring stored values, 0 to white, to 0 to 255."""
    largest = int(images.max())
    if largest > white:
        raise DataFileError(f"an image has the value {largest}, above {white}")
    return images * np.uint8(255 // white)
