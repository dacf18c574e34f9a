"""Downloading a data set through TensorFlow Datasets, without TensorFlow."""

import importlib.util
import io
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from cfasl_jax.data.download import probe


def prepare(name: str, url: str, root: pathlib.Path) -> None:
    """Download a data set and write it to root/<name>/<version> as array_record files.

    Args:
        name: that of TensorFlow Datasets.
        url: the file that it downloads; asked for first, since without a network the
            library retries for minutes.
        root: the folder of all data sets.

    Raises:
        ValueError: where a package or the network is missing, or the download fails;
            one sentence that says what to do.
    """
    advice = (
        f"prepare it elsewhere with 'tfds build {name} --file_format=array_record' and "
        f"copy the folder to {root / name}, or set data.source=rendered"
    )
    for package in ("h5py", "importlib_resources"):
        if importlib.util.find_spec(package) is None:
            raise ValueError(f"preparing {name} needs the package {package}; {advice}")
    problem = probe(url)
    if problem is not None:
        raise ValueError(f"cannot download {name}: {problem}; {advice}")

    # Slow to import, and never needed where a copy is there.
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name, data_dir=root, file_format="array_record")
        _encode_without_tensorflow(builder)
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(try_download_gcs=False)
        )
    except Exception as error:  # whatever the library or the network came up with
        summary = str(error).strip().split("\n")[0]
        raise ValueError(f"preparing {name} failed: {summary}; {advice}") from error


def _encode_without_tensorflow(builder: Any) -> None:
    """Make a builder hand over images as PNG files.

    TensorFlow Datasets turns arrays into PNG with TensorFlow, but stores files as they
    are.
    """
    generate = builder._generate_examples

    def generate_encoded(*args: Any, **kwargs: Any) -> Iterator[tuple[Any, dict]]:
        for key, example in generate(*args, **kwargs):
            file = io.BytesIO()
            Image.fromarray(np.squeeze(example["image"])).save(file, "PNG")
            yield key, {**example, "image": file.getvalue()}

    builder._generate_examples = generate_encoded
