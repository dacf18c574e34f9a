"""Data sets by name: `DATASETS` lists them, `load` opens one."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np

from cfasl_jax.data import (
    cars3d,
    celeba,
    custom,
    dsprites,
    prepared,
    preparing,
    remote,
    shapes3d,
    smallnorb,
    storage,
    tfds,
)
from cfasl_jax.data.dataset import Contents, Dataset, Spec
from cfasl_jax.data.entry import Entry
from cfasl_jax.data.prepared import Copy
from cfasl_jax.data.recipe import (
    DataFileError,
    Recipe,
    likelihood_of,
    read,
    require_plain,
)
from cfasl_jax.data.remote import is_url
from cfasl_jax.data.storage import RESIDENCIES as RESIDENCIES
from cfasl_jax.errors import ConfigError, expanded, require_choice
from cfasl_jax.settings import Data
from cfasl_jax.types import Likelihood

# Every list of data sets, in errors and on the command line, comes from this one.
DATASETS: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        dsprites.ENTRY,
        shapes3d.ENTRY,
        cars3d.ENTRY,
        smallnorb.ENTRY,
        celeba.ENTRY,
        custom.ENTRY,
    )
}
NAMES = tuple(DATASETS)

SOURCES = ("auto", "files", "tfds", "rendered")
CONVENTIONS = tuple(
    dict.fromkeys(name for entry in DATASETS.values() for name in entry.versions)
)
LIKELIHOODS = ("auto", *get_args(Likelihood))


def entry_of(name: str) -> Entry:
    """The entry of a data set; an unknown name is a ConfigError that lists all."""
    require_choice("data set", name, DATASETS)
    return DATASETS[name]


def load(name: str, options: Data) -> Dataset:
    """A data set, ready for the device.

    Args:
        name: one of NAMES.
        options: the fields data.* of a configuration. Source "auto" tries, in this
            order: the files that data.path names, a prepared copy, a copy of TensorFlow
            Datasets and, unless data.dir is given, rendering. "files", "tfds" and
            "rendered" allow only that one. If data.dir or data.path is a URL, the
            prepared copy there is fetched to this host's disk first.

    Raises:
        ConfigError: if the name is unknown or the data are not available; the sentence
            says what to do.
    """
    entry = entry_of(name)
    source = resolve_source(entry, options)
    try:
        if source == "files":
            options = _on_this_host(entry, options)
        if source == "rendered":
            twin = _twin_of(entry)()
            likelihood = _chosen_likelihood(options) or twin.likelihood
            return dataclasses.replace(twin, likelihood=likelihood)
        if source == "tfds":
            return _in_memory(_tfds_recipe(entry, options), source, options)
        if not entry.published and (path := _loose_files(options)):
            return _in_memory(entry.reader(options.convention)(path), source, options)
        return _from_copy(_copy(entry, options), options)
    except ConfigError:
        raise
    except (ValueError, OSError) as error:
        raise ConfigError(str(error)) from error


def spec_of(name: str, options: Data) -> Spec:
    """What a model that was trained on a data set needs to know about it.

    The entry of the data set says everything, so that no file is opened, except for a
    user's own images, which are loaded. The digest of the pixels stays empty.

    Args:
        name: one of NAMES.
        options: as for `load`.

    Raises:
        ConfigError: as for `load`.
    """
    entry = entry_of(name)
    contents = entry.version(options.convention).contents
    if contents is None or contents.likelihood is None:
        return load(name, options).spec
    likelihood = _chosen_likelihood(options) or contents.likelihood
    return contents.spec(resolve_source(entry, options), likelihood)


def require(name: str, options: Data) -> str:
    """Check that `load` would find a data set, without opening the images.

    Args:
        name: one of NAMES.
        options: as for `load`.

    Returns:
        A description of the place that its images would come from.

    Raises:
        ConfigError: as for `load`.
    """
    entry = entry_of(name)
    source = resolve_source(entry, options)
    url = url_of(entry, options) if source == "files" else ""
    try:
        if source == "rendered":
            _twin_of(entry)
            return "rendered on the device"
        if source == "tfds":
            return f"copy of TensorFlow Datasets in {_tfds_folder(entry, options)}"
        if url:
            manifest = remote.manifest(url)
            if manifest is None:
                raise DataFileError(_how_to_get(entry, options, url))
            _require_copy_of(entry, manifest["name"], url)
            return f"prepared copy at {url}"
        if path := _loose_files(options):
            require_plain(path)
            return f"files in {path}"
        place = _find_copy(entry, options)
        if place:  # this reads what it is, and no images
            _require_copy_of(entry, prepared.open_copy(place).contents.name, place)
        return f"prepared copy in {place}" if place else "files of its authors"
    except ConfigError:
        raise
    except (ValueError, OSError) as error:
        raise ConfigError(str(error)) from error


def resolve_source(entry: Entry, options: Data) -> str:
    """data.source, or what "auto" means here; only names of files are checked."""
    if options.source != "auto":
        return options.source
    if options.path or is_url(options.dir):
        return "files"
    if prepared.exists(preparing.copy_folder(entry, options.dir, options.convention)):
        return "files"
    if entry.tfds and tfds.find(entry.tfds, options.dir):
        return "tfds"
    # With data.dir, real data are wanted: a wrong path must not lead to rendered ones.
    return "rendered" if entry.twin and not options.dir else "files"


def url_of(entry: Entry, options: Data) -> str:
    """The URL of the prepared copy that the options name; "" if it is on this host."""
    if is_url(options.path):
        return options.path
    if is_url(options.dir) and not options.path:
        return f"{options.dir.rstrip('/')}/{entry.folder_name(options.convention)}"
    return ""


def _on_this_host(entry: Entry, options: Data) -> Data:
    """The options, after the copy at a URL was fetched and replaced by a local path."""
    url = url_of(entry, options)
    if not url:
        return dataclasses.replace(options, dir="") if is_url(options.dir) else options
    if remote.manifest(url) is None:
        raise DataFileError(_how_to_get(entry, options, url))
    return dataclasses.replace(options, dir="", path=str(remote.fetch(url).folder))


def _loose_files(options: Data) -> Path | None:
    """What data.path names, unless that is nothing or a prepared copy."""
    path = expanded(options.path)
    return path if options.path and not prepared.exists(path) else None


def _twin_of(entry: Entry) -> Callable[[], Dataset]:
    if entry.twin is None:
        twins = ", ".join(other.name for other in DATASETS.values() if other.twin)
        raise ConfigError(
            f"{entry.name} cannot be rendered (these data sets can: {twins}): use "
            "another data.source"
        )
    return entry.twin


def _tfds_folder(entry: Entry, options: Data) -> Path:
    """The folder of a copy of TensorFlow Datasets, which must exist."""
    if entry.tfds is None:
        others = ", ".join(other.name for other in DATASETS.values() if other.tfds)
        raise ConfigError(
            f"data.source=tfds is for {others}, not for {entry.name}: use another "
            "data.source"
        )
    folder = tfds.find(entry.tfds, options.dir)
    if folder is None:
        raise DataFileError(
            f"there is no copy of {entry.name} in "
            f"{prepared.root(options.dir) / entry.tfds}: make one with "
            f"'{preparing.command(entry, options.dir, options.convention)}' and set "
            f"data.source=files, or with 'tfds build {entry.tfds}', which needs "
            "TensorFlow"
        )
    return folder


def _tfds_recipe(entry: Entry, options: Data) -> Recipe:
    folder = _tfds_folder(entry, options)
    from_tfds = entry.version(options.convention).from_tfds
    assert from_tfds is not None
    return from_tfds(folder)


def _copy(entry: Entry, options: Data) -> Copy:
    """The prepared copy; if there is none, it is made from the files found there."""
    if path := _loose_files(options):
        return preparing.prepare(entry, options.dir, options.convention, path)
    folder = _find_copy(entry, options)
    if folder is None:
        return preparing.prepare(entry, options.dir, options.convention)
    copy = prepared.open_copy(folder)
    _require_copy_of(entry, copy.contents.name, folder)
    return copy


def _find_copy(entry: Entry, options: Data) -> Path | None:
    """The folder of the prepared copy; None if it can be made from files found there.

    Raises:
        DataFileError: if there are no such files either.
    """
    if options.path:
        return expanded(options.path)
    folder = preparing.copy_folder(entry, options.dir, options.convention)
    if prepared.exists(folder):
        return folder
    if preparing.find(entry, options.dir, options.convention) is None:
        raise DataFileError(_how_to_get(entry, options, folder))
    return None


def _require_copy_of(entry: Entry, name: str, place: Path | str) -> None:
    if name != entry.name:
        raise DataFileError(f"{place} holds a copy of {name}, not of {entry.name}")


def _how_to_get(entry: Entry, options: Data, place: Path | str) -> str:
    """A sentence that says how to get the copy that is missing at a folder or URL."""
    if entry.version(options.convention).from_files is None:
        return entry.no_files
    if not entry.published and not is_url(str(place)):
        return (
            f"the data set {entry.name} needs data.path: an .npz or .h5 file with "
            "'images', a folder of pictures, or a prepared copy of either"
        )
    source = "" if entry.published else "FILE_OR_FOLDER"
    command = preparing.command(entry, options.dir, options.convention, source)
    page = f"; its files are at {entry.page}" if entry.published else ""
    return (
        f"there is no copy of {entry.name} in {place}: make one with '{command}'{page}"
    )


def _from_copy(copy: Copy, options: Data) -> Dataset:
    path = copy.folder / prepared.IMAGES
    return _dataset(copy.contents, "files", copy.images, path, copy.digest, options)


def _in_memory(recipe: Recipe, source: str, options: Data) -> Dataset:
    images = read(recipe)
    digest = prepared.digest_of(images)
    return _dataset(recipe.contents, source, images, None, digest, options)


def _dataset(
    contents: Contents,
    source: str,
    images: np.ndarray,
    path: Path | None,
    digest: str,
    options: Data,
) -> Dataset:
    store, lookup = storage.store_and_lookup(images, path, options.residency)
    return Dataset(
        store=store,
        name=contents.name,
        source=source,
        grid=contents.grid,
        num_images=contents.num_images,
        channels=contents.channels,
        likelihood=_chosen_likelihood(options) or likelihood_of(contents, images),
        lookup=lookup,
        labels=contents.labels,
        digest=digest,
    )


def _chosen_likelihood(options: Data) -> Likelihood | None:
    """The likelihood that data.likelihood chooses; None if the data set decides."""
    return next(
        (one for one in get_args(Likelihood) if one == options.likelihood), None
    )
