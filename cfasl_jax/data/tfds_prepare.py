"""Downloading a data set through TensorFlow Datasets, without TensorFlow."""

import importlib.util
import io
import pathlib
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

_PROBE_SECONDS = 6.0


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


def probe(url: str) -> str | None:
    """Ask for a file's header: None where the host has it, else what went wrong."""
    host = urllib.parse.urlsplit(url).hostname
    outcome: list[str | None] = [f"no answer from {host} within {_PROBE_SECONDS:g} s"]

    def ask() -> None:
        request = urllib.request.Request(url, method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=_PROBE_SECONDS):
                outcome[0] = None
        except OSError as error:
            reason = str(error).strip("<>")
            outcome[0] = f"{host} does not answer as it should ({reason})"

    # In a thread, since looking up a host name heeds no timeout.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PROBE_SECONDS)
    return outcome[0]


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
