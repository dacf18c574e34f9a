"""Records of data sets that TensorFlow Datasets prepared, read without TensorFlow.

tensorflow_datasets is imported inside the function that uses it: it takes seconds to
load, and a run on rendered images never needs it.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cfasl_jax.data.recipe import DataFileError

_RECORDS_AT_A_TIME = 4096

# Of one record: its fields by name, as tf.train.Feature.
Fields = Mapping[str, Any]


def check_files(folder: Path, builder: str, counts: Mapping[str, int]) -> None:
    """Raise a DataFileError unless a copy says it is complete and its files are there.

    A copy that was interrupted or copied in part would fail deep inside the reader.

    Args:
        folder: of one version.
        builder: name of the data set in TensorFlow Datasets.
        counts: number of records of each split.
    """
    try:
        info = json.loads((folder / "dataset_info.json").read_text())
        splits = {split["name"]: split["shardLengths"] for split in info["splits"]}
        shards = {split: list(map(int, splits[split])) for split in counts}
    except (KeyError, TypeError, ValueError) as error:
        raise DataFileError("dataset_info.json is not readable") from error
    if not (folder / "features.json").is_file():
        raise DataFileError("the file features.json is missing")
    for split, lengths in shards.items():
        if sum(lengths) != counts[split]:
            raise DataFileError(
                f"its split {split} has {sum(lengths)} images where the full one has "
                f"{counts[split]}"
            )
        for shard in range(len(lengths)):
            name = f"{builder}-{split}.array_record-{shard:05d}-of-{len(lengths):05d}"
            if not (folder / name).is_file():
                raise DataFileError(f"the file {name} is missing")


def records(folder: Path, split: str) -> Iterator[list[Fields]]:
    """All records of one split, some thousands at a time."""
    import tensorflow_datasets as tfds  # slow: see the module's docstring
    from tensorflow_datasets.proto import tf_example_pb2

    # The library's own decoding takes several times as long.
    source = tfds.builder_from_directory(folder).as_data_source(
        split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES
    )
    for start in range(0, len(source), _RECORDS_AT_A_TIME):
        stop = min(start + _RECORDS_AT_A_TIME, len(source))
        yield [
            tf_example_pb2.Example.FromString(record).features.feature
            for record in source.__getitems__(list(range(start, stop)))
        ]


def integer(fields: Fields, name: str) -> int:
    """A label of a record."""
    return _one(fields[name].int64_list)


def content(fields: Fields, name: str) -> bytes:
    """A picture file of a record."""
    return _one(fields[name].bytes_list)


def _one(values: Any) -> Any:
    if len(values.value) != 1:
        raise DataFileError("a record lacks its image or a label")
    return values.value[0]
