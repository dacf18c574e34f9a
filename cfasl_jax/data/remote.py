"""Prepared copies in a bucket, or at any other address that fsspec knows.

`publish` puts a copy there once; `fetch` brings it to the disk of a host that trains.
The files have the same names as in a folder, see `prepared`. The manifest is removed
first and written last, so that a copy with a manifest is complete.
"""

import hashlib
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import fsspec

from cfasl_jax.data import prepared
from cfasl_jax.data.prepared import FACTORS, IMAGES, MANIFEST, Copy
from cfasl_jax.data.recipe import DataFileError
from cfasl_jax.files import cache_directory

Result = TypeVar("Result")

# How often a transfer is tried in all.
_TRIES = 3


def is_url(place: str) -> bool:
    """Whether a place is the URL of a directory, not a path."""
    return re.match(r"[a-z][a-z0-9+.-]*://", place) is not None


def file_system(url: str) -> tuple[Any, str]:
    """What reaches a URL, and the path in it.

    What goes wrong there is raised; the packages would also log it, with tracebacks.
    """
    found, path = fsspec.url_to_fs(url)
    package = type(found).__module__.partition(".")[0]
    logging.getLogger(package).setLevel(logging.CRITICAL)
    return found, path


def manifest(url: str) -> dict[str, Any] | None:
    """The manifest of the prepared copy at a URL; None where there is no copy.

    Raises:
        DataFileError: if the URL cannot be reached, or the manifest is damaged.
    """
    with _connected(url) as (files, root):
        if not files.exists(f"{root}/{MANIFEST}"):
            return None
        return _parsed(files.cat_file(f"{root}/{MANIFEST}"))


def publish(copy: Copy, url: str) -> None:
    """Put a prepared copy at a URL, replacing another one, unless it is there already.

    Raises:
        DataFileError: if the URL cannot be written.
    """
    with _connected(url) as (files, root):
        manifest = (copy.folder / MANIFEST).read_bytes()
        target = f"{root}/{MANIFEST}"
        if files.exists(target):
            if files.cat_file(target) == manifest:
                return
            files.rm_file(target)
        files.makedirs(root, exist_ok=True)
        for name in copy.manifest["sha256"]:
            size = (copy.folder / name).stat().st_size
            put = partial(files.put_file, str(copy.folder / name), f"{root}/{name}")
            _tried(put)
            if files.size(f"{root}/{name}") != size:
                raise OSError(f"{name} did not arrive completely")
        files.pipe_file(target, manifest)


def fetch(url: str) -> Copy:
    """The prepared copy at a URL, on this host's disk.

    It is fetched and checked once, and again when the copy at the URL changes; the
    processes of one host share it. The folder is XDG_CACHE_HOME/cfasl_jax/data, or
    ~/.cache/cfasl_jax/data.

    Raises:
        DataFileError: if there is no copy, the URL cannot be reached, or the files that
            arrive differ from what the manifest says.
    """
    with _connected(url) as (files, root):
        if not files.exists(f"{root}/{MANIFEST}"):
            raise DataFileError(f"there is no prepared copy at {url}")
        content = files.cat_file(f"{root}/{MANIFEST}")
        names = _parsed(content)["sha256"].keys()
        folder = cache() / hashlib.sha256(content).hexdigest()[:16]

        def download(building: Path) -> None:
            (building / MANIFEST).write_bytes(content)
            for name in names:
                files.get_file(f"{root}/{name}", str(building / name))
            prepared.verify(prepared.open_copy(building))

        with prepared.locked(folder):
            if prepared.exists(folder):
                try:
                    return prepared.open_copy(folder)
                except DataFileError as error:
                    print(f"{error}: fetching it again", file=sys.stderr)
            return _tried(lambda: prepared.assemble(folder, download))


def cache() -> Path:
    """The folder of fetched copies on this host."""
    return cache_directory() / "data"


def _parsed(content: bytes) -> dict[str, Any]:
    """A manifest that names the files of a copy and no others."""
    try:
        parsed: dict[str, Any] = json.loads(content)
        if not {IMAGES} <= parsed["sha256"].keys() <= {IMAGES, FACTORS}:
            raise ValueError(f"it names {', '.join(parsed['sha256'])}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataFileError(f"{MANIFEST} is damaged ({error})") from error
    return parsed


def _tried(transfer: Callable[[], Result]) -> Result:
    """The result of a transfer, which is tried again if it fails."""
    for _ in range(_TRIES - 1):
        try:
            return transfer()
        except (OSError, DataFileError) as error:
            print(f"trying again: {error}", file=sys.stderr)
    return transfer()


@contextmanager
def _connected(url: str) -> Iterator[tuple[Any, str]]:
    """A URL's file system and the path in it; every error names the URL."""
    try:
        files, root = file_system(url.rstrip("/"))
        files.invalidate_cache()
        yield files, root
    except Exception as error:  # each file system has errors of its own
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        if isinstance(error, DataFileError) and url in reason:
            raise
        raise DataFileError(f"{url} cannot be used: {reason}") from error
