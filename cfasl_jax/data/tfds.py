"""Copies that TensorFlow Datasets prepared, read without TensorFlow.

A copy lies in DIR/<name>/<version>/, as array_record or tfrecord files; both hold one
tf.train.Example a record. tensorflow_datasets, which defines that message, is imported
inside the function that needs it: that takes seconds, and a run on rendered images or
on a prepared copy can do without.
"""

import json
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from cfasl_jax.data import pictures
from cfasl_jax.data.dataset import SIDE, Contents
from cfasl_jax.data.prepared import root
from cfasl_jax.data.recipe import Block, DataFileError, Recipe

_FORMATS = ("array_record", "tfrecord")
_RECORDS_AT_A_TIME = 4096

# The fields of one record by name, each a tf.train.Feature.
Fields = Mapping[str, Any]


def find(builder: str, data_dir: str | None) -> Path | None:
    """The folder of the newest version that has record files, or None.

    Only names of files are looked at.

    Args:
        builder: name of the data set in TensorFlow Datasets.
        data_dir: None or "" for TensorFlow Datasets' own default.
    """
    versions = [
        tuple(map(int, info.parent.name.split(".")))
        for info in (root(data_dir) / builder).glob("*/dataset_info.json")
        if re.fullmatch(r"\d+\.\d+\.\d+", info.parent.name)
        and any(any(info.parent.glob(f"*.{kind}-*")) for kind in _FORMATS)
    ]
    if not versions:
        return None
    return root(data_dir) / builder / ".".join(map(str, max(versions)))


def recipe(
    contents: Contents, folder: Path, blocks: Callable[[], Iterator[Block]]
) -> Recipe:
    """A data set from a copy; every error while it is read says what to do."""

    def advised() -> Iterator[Block]:
        try:
            yield from blocks()
        except (ValueError, OSError, RuntimeError, DecodeError) as error:
            raise DataFileError(
                f"the copy of {contents.name} in {folder} is of no use: {error}; "
                f"delete it, or use data.source=files after 'python -m cfasl_jax.data "
                f"prepare {contents.name}'"
            ) from error

    files = (file for kind in _FORMATS for file in folder.glob(f"*.{kind}-*"))
    return Recipe(contents, tuple(sorted(files)), advised)


def grid_recipe(folder: Path, contents: Contents, white: int) -> Recipe:
    """A data set whose factors are a full grid and stored as "label_FACTOR".

    Args:
        folder: of the copy.
        contents: what it must hold; its name is that in TensorFlow Datasets as well.
        white: the stored value of a fully lit channel.
    """
    grid = contents.grid
    assert grid is not None
    labels = [f"label_{factor}" for factor in grid.names]
    shape = (SIDE, SIDE, contents.channels)

    def blocks() -> Iterator[Block]:
        counts = {"train": grid.num_points}
        for block in records(folder, contents.name, "train", counts):
            factors = [[integer(fields, label) for label in labels] for fields in block]
            images = np.stack([image(fields, "image", shape) for fields in block])
            if images.max() > white:
                raise DataFileError(
                    f"an image has the value {images.max()}, above {white}"
                )
            yield grid.indices(np.asarray(factors)), images * np.uint8(255 // white)

    return recipe(contents, folder, blocks)


def records(
    folder: Path, builder: str, split: str, counts: Mapping[str, int]
) -> Iterator[list[Fields]]:
    """All records of one split, some thousands at a time.

    Args:
        folder: of one version.
        builder: name of the data set in TensorFlow Datasets.
        split: name of the split.
        counts: number of records of each split that is wanted; all are looked for, so
            that an incomplete copy is refused before it is read.

    Raises:
        DataFileError: if the copy does not say that it is complete, or a file is
            missing or ends too early.
    """
    from tensorflow_datasets.proto import tf_example_pb2  # see the module's docstring

    shards = {name: _shards(folder, builder, name, counts[name]) for name in counts}
    serialized = (record for shard in shards[split] for record in _read(shard))
    read = 0
    while block := list(islice(serialized, _RECORDS_AT_A_TIME)):
        read += len(block)
        yield [
            tf_example_pb2.Example.FromString(record).features.feature
            for record in block
        ]
    if read != counts[split]:
        raise DataFileError(f"its split {split} ends after {read} images")


def integer(fields: Fields, name: str) -> int:
    """A label of a record."""
    return int(_one(fields[name].int64_list))


def content(fields: Fields, name: str) -> bytes:
    """A picture file of a record."""
    return bytes(_one(fields[name].bytes_list))


def image(fields: Fields, name: str, shape: tuple[int, int, int]) -> np.ndarray:
    """A picture of a record as uint8 of this shape, [H, W, C]."""
    decoded = pictures.decode(content(fields, name))
    decoded = decoded.reshape(*decoded.shape[:2], -1)
    if decoded.shape != shape or decoded.dtype != np.uint8:
        raise DataFileError(
            f"an image has shape {decoded.shape}, type {decoded.dtype} instead of "
            f"{shape}, uint8"
        )
    return decoded


def _one(values: Any) -> Any:
    if len(values.value) != 1:
        raise DataFileError("a record lacks its image or a label")
    return values.value[0]


def _shards(folder: Path, builder: str, split: str, count: int) -> list[Path]:
    """The files of a split; all must exist and have the right number of records."""
    try:
        info = json.loads((folder / "dataset_info.json").read_text())
        splits = {split["name"]: split["shardLengths"] for split in info["splits"]}
        lengths = list(map(int, splits[split]))
    except (KeyError, TypeError, ValueError) as error:
        raise DataFileError("dataset_info.json is not readable") from error
    if sum(lengths) != count:
        raise DataFileError(
            f"its split {split} has {sum(lengths)} images where the full one has "
            f"{count}"
        )
    found = {}
    for kind in _FORMATS:
        stem = f"{builder}-{split}.{kind}"
        names = [f"{stem}-{k:05d}-of-{len(lengths):05d}" for k in range(len(lengths))]
        found[kind] = [folder / name for name in names]
        if all(path.is_file() for path in found[kind]):
            return found[kind]
    kind = next(
        (kind for kind in found if any(folder.glob(f"*.{kind}-*"))), _FORMATS[0]
    )
    missing = next(path for path in found[kind] if not path.is_file())
    raise DataFileError(f"the file {missing.name} is missing")


def _read(path: Path) -> Iterator[bytes]:
    """The records of a file, serialized."""
    if f".{_FORMATS[1]}-" in path.name:
        yield from tfrecords(path)
        return
    from array_record.python.array_record_module import ArrayRecordReader

    reader = ArrayRecordReader(str(path))
    try:
        for start in range(0, reader.num_records(), _RECORDS_AT_A_TIME):
            stop = min(start + _RECORDS_AT_A_TIME, reader.num_records())
            yield from reader.read(start, stop)
    finally:
        reader.close()


def tfrecords(path: Path) -> Iterator[bytes]:
    """Each record is its length (uint64), a checksum, the content, a checksum.

    The checksums are not checked: pictures have their own, and a file that ends too
    early is noticed by its lengths.
    """
    with path.open("rb") as file:
        while head := file.read(12):
            record = b""
            if len(head) == 12:
                (length,) = struct.unpack("<Q", head[:8])
                record = file.read(min(length + 4, path.stat().st_size))
            if len(head) < 12 or len(record) != length + 4:
                raise DataFileError(f"{path.name} is truncated")
            yield record[:-4]
