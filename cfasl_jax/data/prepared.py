"""Prepared copies of data sets: one memory-mapped file of images, and a manifest.

    DIR/NAME/images.npy      uint8 [N, 64, 64, C]
    DIR/NAME/factors.npy     int32 [N, K], only if the factors do not form a full grid
    DIR/NAME/manifest.json   shape, factors, source files, checksums

A copy is first written to another folder, which no reader uses. Once it is complete,
its files are moved into DIR/NAME, the manifest last. A folder without a manifest counts
as having no copy, whatever else is in it, so that an interrupted call never leaves
something that looks like a complete copy. The files are moved one by one because
TensorFlow Datasets keeps its own versions in DIR/NAME too.
"""

import fcntl
import hashlib
import io
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cfasl_jax.data.dataset import Contents, Labels
from cfasl_jax.data.download import digest
from cfasl_jax.data.grid import FactorGrid
from cfasl_jax.data.recipe import DataFileError, Recipe, likelihood_of, read
from cfasl_jax.errors import expanded

FORMAT = 1
_FILES_LISTED = 1000
MANIFEST, IMAGES, FACTORS = "manifest.json", "images.npy", "factors.npy"


class Copy(NamedTuple):
    """A prepared copy whose files have the shapes that are given in its manifest.

    Attributes:
        folder: where it lies.
        contents: what the data set holds apart from its images.
        images: uint8 [N, 64, 64, C], mapped, read only.
        manifest: the content of manifest.json.
    """

    folder: Path
    contents: Contents
    images: np.ndarray
    manifest: dict[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 of the file of images."""
        return str(self.manifest["sha256"][IMAGES])


def root(data_dir: str | None) -> Path:
    """The folder of all data sets.

    Args:
        data_dir: None or "" for TensorFlow Datasets' own default, TFDS_DATA_DIR or
            ~/tensorflow_datasets.
    """
    default = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    return expanded(data_dir or default)


def exists(folder: Path) -> bool:
    """Whether a folder holds a prepared copy, which may be damaged."""
    return (folder / MANIFEST).is_file()


def open_copy(folder: Path) -> Copy:
    """Open a prepared copy; sizes are checked, contents are not: see `verify`.

    Raises:
        DataFileError: if there is none, or it is incomplete.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise DataFileError(f"{folder} holds no prepared copy: it has no {MANIFEST}")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        version = manifest["format"]
        if version != FORMAT:
            raise DataFileError(
                f"{path} is of format {version}, and this program reads {FORMAT}: "
                "prepare the data set again"
            )
        shape = tuple(manifest["shape"])
        factors = manifest["factors"]
        name, likelihood = manifest["name"], manifest["likelihood"]
        manifest["sha256"][IMAGES]  # every copy has it
        grid, labels = None, None
        if factors is not None:
            names, sizes = tuple(factors["names"]), tuple(factors["sizes"])
            if factors["grid"]:
                grid = FactorGrid(names, sizes)
            else:
                table = _array(folder / FACTORS, (shape[0], len(names)), np.int32)
                labels = Labels(names, sizes, np.array(table))
        if grid is not None and grid.num_points != shape[0]:
            raise ValueError(f"{shape[0]} images in a grid of {grid.num_points}")
    except DataFileError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise DataFileError(
            f"{path} is damaged ({type(error).__name__}: {error}): prepare the data "
            "set again"
        ) from error
    images = _array(folder / IMAGES, shape, np.uint8)
    contents = Contents(name, shape[0], shape[3], likelihood, grid, labels)
    return Copy(folder, contents, images, manifest)


def verify(copy: Copy) -> None:
    """Raise a DataFileError unless a copy's contents have their checksums."""
    for name, expected in copy.manifest["sha256"].items():
        if digest(copy.folder / name) != expected:
            raise DataFileError(
                f"{copy.folder / name} is damaged: its sha256 is not the one in "
                f"{MANIFEST}; prepare the data set again"
            )


def list_files(files: Sequence[Path]) -> list[dict[str, Any]]:
    """Files as a manifest lists them; many are summarised as one, with one checksum."""
    listed: list[dict[str, Any]] = [
        {"name": file.name, "bytes": file.stat().st_size, "sha256": digest(file)}
        for file in files
    ]
    if len(listed) <= _FILES_LISTED:
        return listed
    together = hashlib.sha256(json.dumps(listed).encode()).hexdigest()
    size = sum(file["bytes"] for file in listed)
    name = f"{len(listed):,} files, {listed[0]['name']} ... {listed[-1]['name']}"
    return [{"name": name, "bytes": size, "sha256": together}]


def digest_of(images: np.ndarray) -> str:
    """SHA-256 of images.npy in a copy of these images, uint8 [N, 64, 64, C]."""
    head = io.BytesIO()
    array = np.lib.format.header_data_from_array_1_0(images)
    np.lib.format.write_array_header_1_0(head, array)
    hasher = hashlib.sha256(head.getvalue())
    hasher.update(np.ascontiguousarray(images).data)
    return hasher.hexdigest()


def write(recipe: Recipe, folder: Path, source: str = "") -> Copy:
    """Make a prepared copy in a folder, in place of an older one.

    The caller must hold the folder's lock, see `locked`.

    Args:
        recipe: what to write.
        folder: where to.
        source: the name of the files that the copy is made from, for its manifest.

    Raises:
        DataFileError: if the recipe's files cannot be used, or the disk is too small.
    """
    _require_space(recipe, folder.parent)
    return assemble(folder, lambda building: _build(recipe, building, source))


def assemble(folder: Path, build: Callable[[Path], None]) -> Copy:
    """Put a copy into a folder once all of its files are there.

    The caller must hold the folder's lock, see `locked`.

    Args:
        folder: where to.
        build: writes the files of a copy into an empty folder that it is given.
    """
    building = _building(folder)
    building.mkdir()
    try:
        build(building)
        _move_in(building, folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return open_copy(folder)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one process at a time prepare a copy; the lock ends with the process.

    Remains of an interrupted call are removed.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        shutil.rmtree(_building(folder), ignore_errors=True)
        yield


def _building(folder: Path) -> Path:
    """The folder of a copy until it is complete."""
    return folder.parent / f".{folder.name}.preparing"


def _require_space(recipe: Recipe, parent: Path) -> None:
    needed = math.prod(recipe.contents.shape)
    free, name = shutil.disk_usage(parent).free, recipe.contents.name
    if free < needed:
        raise DataFileError(
            f"{parent} has {free / 1e9:.1f} GB free, and a copy of {name} "
            f"needs {needed / 1e9:.1f} GB: choose another folder with --dir"
        )


def _build(recipe: Recipe, building: Path, source: str) -> None:
    """Write all files of a copy, the manifest too."""
    contents = recipe.contents
    images = np.lib.format.open_memmap(
        building / IMAGES, mode="w+", dtype=np.uint8, shape=contents.shape
    )
    read(recipe, images)
    images.flush()
    factors = None
    written = [IMAGES]
    known = contents.grid or contents.labels
    if known is not None:
        factors = {
            "names": known.names,
            "sizes": [int(size) for size in known.sizes],
            "grid": contents.grid is not None,
        }
    if contents.labels is not None:
        np.save(building / FACTORS, contents.labels.factors.astype(np.int32))
        written.append(FACTORS)
    manifest = {
        "format": FORMAT,
        "name": contents.name,
        "shape": contents.shape,
        "likelihood": likelihood_of(contents, images),
        "factors": factors,
        "source": source,
        "files": list_files(recipe.files),
        "sha256": {name: digest(building / name) for name in written},
    }
    (building / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")


def _move_in(building: Path, folder: Path) -> None:
    """Move a copy into its folder: the manifest is removed first and added last."""
    for path in building.iterdir():
        _sync(path)
    folder.mkdir(exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    _sync(folder)
    for name in (IMAGES, FACTORS, MANIFEST):
        if (building / name).exists():
            os.replace(building / name, folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
        _sync(folder)


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _array(path: Path, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """A mapped .npy file that must have this shape and type."""
    try:
        if not path.is_file():  # reading a pipe would wait for a writer
            raise OSError("it is no file")
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataFileError(
            f"{path} is missing or damaged: prepare the data set again"
        ) from error
    if array.shape != shape or array.dtype != dtype:
        raise DataFileError(
            f"{path} holds {array.dtype} {array.shape} where {MANIFEST} says "
            f"{np.dtype(dtype)} {shape}: prepare the data set again"
        )
    return array
