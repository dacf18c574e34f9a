"""Data sets by name: `DATASETS` lists them, `load` opens one."""

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
    shapes3d,
    smallnorb,
    storage,
    tfds,
)
from cfasl_jax.data.dataset import Contents, Dataset, Spec
from cfasl_jax.data.entry import Entry
from cfasl_jax.data.prepared import Copy
from cfasl_jax.data.recipe import DataFileError, Recipe, likelihood_of, read
from cfasl_jax.data.storage import RESIDENCIES as RESIDENCIES
from cfasl_jax.errors import ConfigError, require_choice
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
        options: the fields data.* of a configuration. Source "auto" takes the files
            that data.path names, else a prepared copy, else one of TensorFlow
            Datasets, else, unless data.dir is given, the rendered twin; "files",
            "tfds" and "rendered" are strict.

    Raises:
        ConfigError: where the name is unknown, or the data cannot be had; one sentence
            that says what to do.
    """
    entry = entry_of(name)
    source = resolve_source(entry, options)
    try:
        if source == "rendered":
            return _twin(entry)
        if source == "tfds":
            return _in_memory(_tfds_recipe(entry, options), source, options)
        if _is_unprepared(entry, options):
            return _in_memory(_own_recipe(entry, options), source, options)
        return _from_copy(_copy(entry, options), options)
    except ConfigError:
        raise
    except (ValueError, OSError) as error:
        raise ConfigError(str(error)) from error


def spec_of(name: str, options: Data) -> Spec:
    """What a model trained on a data set needs to know of it, without its images.

    No file is opened where the entry of the data set says it all, as it does for all
    but a user's own images, which are loaded. The digest of the pixels stays empty.

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


def resolve_source(entry: Entry, options: Data) -> str:
    """data.source, with what "auto" means here; only names of files are looked at."""
    if options.source != "auto":
        return options.source
    folder = preparing.copy_folder(entry, options.dir, options.convention)
    if options.path or prepared.exists(folder):
        return "files"
    if entry.tfds and tfds.find(entry.tfds, options.dir):
        return "tfds"
    # Whoever names a place for real data must not get rendered ones for a wrong path.
    return "rendered" if entry.twin and not options.dir else "files"


def _path(options: Data) -> Path:
    return Path(options.path).expanduser()


def _is_unprepared(entry: Entry, options: Data) -> bool:
    """Whether data.path names a user's own images rather than a copy of them."""
    if entry.published or not options.path:
        return False
    return not prepared.exists(_path(options))


def _own_recipe(entry: Entry, options: Data) -> Recipe:
    return entry.version(options.convention).from_files(_path(options))


def _twin(entry: Entry) -> Dataset:
    if entry.twin is None:
        twins = " and ".join(other.name for other in DATASETS.values() if other.twin)
        raise ConfigError(
            f"{entry.name} cannot be rendered, only {twins} can: use another "
            "data.source"
        )
    return entry.twin()


def _tfds_recipe(entry: Entry, options: Data) -> Recipe:
    """The recipe of a copy of TensorFlow Datasets that is there."""
    from_tfds = entry.version(options.convention).from_tfds
    if entry.tfds is None or from_tfds is None:
        others = ", ".join(other.name for other in DATASETS.values() if other.tfds)
        raise ConfigError(
            f"data.source=tfds is for {others}, not for {entry.name}: use another "
            "data.source"
        )
    folder = tfds.find(entry.tfds, options.dir)
    if folder is None:
        raise DataFileError(
            f"there is no copy of {entry.name} in "
            f"{prepared.root(options.dir) / entry.tfds}: make one with 'python -m "
            f"cfasl_jax.data prepare {entry.name}' and set data.source=files, or with "
            f"'tfds build {entry.tfds}', which needs TensorFlow"
        )
    return from_tfds(folder)


def _copy(entry: Entry, options: Data) -> Copy:
    """The prepared copy, made now where the files that it needs are there."""
    folder = preparing.copy_folder(entry, options.dir, options.convention)
    if options.path and prepared.exists(_path(options)):
        folder = _path(options)
    elif options.path:
        return preparing.prepare(entry, options.dir, options.convention, _path(options))
    if not prepared.exists(folder):
        if preparing.find(entry, options.dir, options.convention) is not None:
            return preparing.prepare(entry, options.dir, options.convention)
        raise DataFileError(_how_to_get(entry, options, folder))
    copy = prepared.open_copy(folder)
    if copy.contents.name != entry.name:
        raise DataFileError(
            f"{copy.folder} holds a copy of {copy.contents.name}, not of {entry.name}"
        )
    return copy


def _how_to_get(entry: Entry, options: Data, folder: Path) -> str:
    """A sentence for whoever lacks a copy."""
    if not entry.published:
        return (
            f"the data set {entry.name} needs data.path: an .npz or .h5 file with "
            "'images', a folder of pictures, or a prepared copy of either"
        )
    extra = f" --convention={options.convention}" if len(entry.versions) > 1 else ""
    extra += f" --dir={options.dir}" if options.dir else ""
    return (
        f"there is no copy of {entry.name} in {folder}: make one with 'python -m "
        f"cfasl_jax.data prepare {entry.name}{extra}'; its files are at {entry.page}"
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
    """What data.likelihood says; None leaves it to the data set."""
    return next(
        (one for one in get_args(Likelihood) if one == options.likelihood), None
    )
