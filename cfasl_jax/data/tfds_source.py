"""The real dSprites and 3D Shapes through TensorFlow Datasets, without TensorFlow.

A prepared copy lies in DIR/<name>/<version>/ as array_record files, which can be read
without TensorFlow. All images become one array in the order of the factor grid.

tensorflow_datasets is imported inside the functions that use it: it takes seconds to
load, and a run on rendered images never needs it.
"""

import dataclasses
import io
import json
import os
import pathlib
import re
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from PIL import Image

from cfasl_jax.data import dsprites, shapes3d, tfds_prepare
from cfasl_jax.data.grid import FactorGrid

_SIDE = 64
_RECORDS_AT_A_TIME = 4096


@dataclasses.dataclass(frozen=True)
class Layout:
    """What a published data set holds.

    Attributes:
        grid: its factors; the label of factor f is stored as "label_f".
        channels: C.
        white: the stored value of a fully lit channel.
        url: the file that TensorFlow Datasets downloads.
    """

    grid: FactorGrid
    channels: int
    white: int
    url: str


LAYOUTS = {
    "dsprites": Layout(
        dsprites.GRID,
        dsprites.CHANNELS,
        white=1,
        url="https://github.com/deepmind/dsprites-dataset/blob/master/"
        "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.hdf5?raw=true",
    ),
    "shapes3d": Layout(
        shapes3d.GRID,
        shapes3d.CHANNELS,
        white=255,
        url="https://storage.googleapis.com/3d-shapes/3dshapes.h5",
    ),
}


@dataclasses.dataclass(frozen=True)
class Images:
    """A whole data set on the host.

    Attributes:
        images: uint8 [N, 64, 64, C], 0 to 255, in the order of the grid.
        factors: int32 [N, K], the factor values of each image.
    """

    images: np.ndarray
    factors: np.ndarray


def is_prepared(name: str, data_dir: str | None) -> bool:
    """Whether data_dir has a prepared copy; only looks at files.

    Args:
        name: "dsprites" or "shapes3d".
        data_dir: None or "" for TensorFlow Datasets' own default.
    """
    _layout(name)
    return _prepared_folder(name, data_dir) is not None


def load(name: str, data_dir: str | None) -> Images:
    """Read a prepared copy, after downloading and preparing one if there is none.

    Args:
        name: "dsprites" or "shapes3d".
        data_dir: None or "" for TensorFlow Datasets' own default.

    Raises:
        ValueError: where the copy is damaged or is not the full grid of 64 x 64
            images, or none can be downloaded; one sentence that says what to do.
    """
    layout = _layout(name)
    folder = _prepared_folder(name, data_dir)
    if folder is None:
        tfds_prepare.prepare(name, layout.url, _root(data_dir))
        folder = _prepared_folder(name, data_dir)
        if folder is None:
            raise ValueError(f"preparing {name} left no array_record files")
    try:
        images = _read(folder, name, layout)
    except (ValueError, OSError, RuntimeError, DecodeError) as error:
        raise ValueError(
            f"the copy of {name} in {folder} is of no use: {error}; "
            "delete it and prepare it again"
        ) from error
    grid = layout.grid
    factors = np.indices(grid.sizes, np.int32).reshape(grid.num_factors, -1).T
    return Images(images, factors)


def _layout(name: str) -> Layout:
    if name not in LAYOUTS:
        raise ValueError(
            f"no published copy of {name!r} is known: one of {', '.join(LAYOUTS)}"
        )
    return LAYOUTS[name]


def _root(data_dir: str | None) -> pathlib.Path:
    default = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    return pathlib.Path(data_dir or default).expanduser()


def _prepared_folder(name: str, data_dir: str | None) -> pathlib.Path | None:
    """The folder of the newest version that has array_record files, or None."""
    versions = [
        tuple(map(int, info.parent.name.split(".")))
        for info in (_root(data_dir) / name).glob("*/dataset_info.json")
        if re.fullmatch(r"\d+\.\d+\.\d+", info.parent.name)
        and any(info.parent.glob("*.array_record-*"))
    ]
    if not versions:
        return None
    return _root(data_dir) / name / ".".join(map(str, max(versions)))


def _read(folder: pathlib.Path, name: str, layout: Layout) -> np.ndarray:
    """All images of a prepared copy in grid order, uint8 [N, 64, 64, C]."""
    _check_files(folder, name, layout)

    import tensorflow_datasets as tfds  # slow: see the module's docstring
    from tensorflow_datasets.proto import tf_example_pb2

    # The library's own decoding takes several times as long.
    records = tfds.builder_from_directory(folder).as_data_source(
        "train", deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES
    )
    grid = layout.grid
    labels = [f"label_{factor}" for factor in grid.names]
    images = np.empty((grid.num_points, _SIDE, _SIDE, layout.channels), np.uint8)
    seen = np.zeros(grid.num_points, bool)
    for start in range(0, len(records), _RECORDS_AT_A_TIME):
        stop = min(start + _RECORDS_AT_A_TIME, len(records))
        examples = [
            tf_example_pb2.Example.FromString(record).features.feature
            for record in records.__getitems__(list(range(start, stop)))
        ]
        factors = [
            [_one(fields[label].int64_list) for label in labels] for fields in examples
        ]
        indices = grid.indices(np.asarray(factors))
        for index, fields in zip(indices, examples, strict=True):
            images[index] = _decode(_one(fields["image"].bytes_list), layout.channels)
        seen[indices] = True
    if not seen.all():
        raise ValueError(f"{np.sum(~seen)} of {grid.num_points} combinations missing")
    return _scale(images, layout.white)


def _check_files(folder: pathlib.Path, name: str, layout: Layout) -> None:
    """Raise a ValueError unless the copy says it is complete and its files are there.

    A copy that was interrupted or copied in part would fail deep inside the reader.
    """
    try:
        info = json.loads((folder / "dataset_info.json").read_text())
        splits = {split["name"]: split["shardLengths"] for split in info["splits"]}
        lengths = [int(length) for length in splits["train"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError("dataset_info.json is not readable") from error
    if sum(lengths) != layout.grid.num_points:
        raise ValueError(
            f"it has {sum(lengths)} images where the full grid has "
            f"{layout.grid.num_points}"
        )
    for shard in range(len(lengths)):
        file = f"{name}-train.array_record-{shard:05d}-of-{len(lengths):05d}"
        if not (folder / file).is_file():
            raise ValueError(f"the file {file} is missing")
    if not (folder / "features.json").is_file():
        raise ValueError("the file features.json is missing")


def _one(values: Any) -> Any:
    """The only entry of a record's list."""
    if len(values.value) != 1:
        raise ValueError("a record lacks its image or a label")
    return values.value[0]


def _decode(file: bytes, channels: int) -> np.ndarray:
    """A PNG file -> uint8 [64, 64, C]."""
    with Image.open(io.BytesIO(file)) as picture:
        image = np.asarray(picture)
    image = image.reshape(*image.shape[:2], -1)
    if image.shape != (_SIDE, _SIDE, channels) or image.dtype != np.uint8:
        raise ValueError(
            f"an image has shape {image.shape}, type {image.dtype} instead of "
            f"{(_SIDE, _SIDE, channels)}, uint8"
        )
    return image


def _scale(images: np.ndarray, white: int) -> np.ndarray:
    """Bring stored values, 0 to white, to 0 to 255, in place."""
    largest = int(images.max())
    if largest > white:
        raise ValueError(f"an image has the value {largest}, above {white}")
    images *= np.uint8(255 // white)
    return images
