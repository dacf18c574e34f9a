"""Where data sets lie."""

import os
from pathlib import Path


def root(data_dir: str | None) -> Path:
    """The folder of all data sets.

    Args:
        data_dir: None or "" for TensorFlow Datasets' own default, TFDS_DATA_DIR or
            ~/tensorflow_datasets.
    """
    default = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    return Path(data_dir or default).expanduser()


def prepared(name: str, data_dir: str | None, convention: str) -> Path:
    """The folder of a prepared copy; smallNORB's conventions have one each."""
    full = name == "smallnorb" and convention == "full"
    return root(data_dir) / (f"{name}-full" if full else name)
