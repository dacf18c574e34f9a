"""Data sets by name; `load` is the one way in."""

from pathlib import Path

import numpy as np

from cfasl_jax.data import custom, folders, prepared, sets, tfds_source, twins
from cfasl_jax.data.dataset import Dataset, Spec
from cfasl_jax.data.prepared import Copy
from cfasl_jax.data.recipe import DataFileError, Recipe, likelihood_of, read
from cfasl_jax.data.residency import hold
from cfasl_jax.errors import ConfigError, require_choice
from cfasl_jax.settings import Data
from cfasl_jax.types import Likelihood

NAMES = sets.NAMES
SOURCES = ("auto", "files", "tfds", "rendered")
CONVENTIONS = ("paper", "full")
LIKELIHOODS = ("auto", "bernoulli", "gaussian")
RESIDENCIES = ("auto", "resident", "streamed")


def load(name: str, options: Data) -> Dataset:
    """A data set, ready for the device.

    Args:
        name: an entry of `config.DATASETS`.
        options: the fields data.* of a configuration. Source "auto" takes the files
            that data.path names, else a prepared copy, else one of TensorFlow
            Datasets, else, unless data.dir is given, the rendered twin; "files",
            "tfds" and "rendered" are strict.

    Raises:
        ConfigError: where the name is unknown, or the data cannot be had; one sentence
            that says what to do.
    """
    require_choice("data set", name, sets.NAMES)
    source = _best(name, options) if options.source == "auto" else options.source
    if source == "rendered":
        if name not in twins.NAMES:
            raise ConfigError(
                f"{name} cannot be rendered, only {' and '.join(twins.NAMES)} can: use "
                "another data.source"
            )
        return twins.rendered(name)
    try:
        if source == "tfds":
            recipe = tfds_source.recipe(name, options.dir, options.convention)
            return _in_memory(recipe, source, options)
        if name == "custom" and options.path and not prepared.exists(_path(options)):
            return _in_memory(custom.recipe(_path(options)), source, options)
        return _from_copy(name, _copy(name, options), options)
    except (ValueError, OSError) as error:
        raise ConfigError(str(error)) from error


def _path(options: Data) -> Path:
    return Path(options.path).expanduser()


def _best(name: str, options: Data) -> str:
    """What "auto" means for a data set here; only looks at files."""
    folder = folders.prepared(name, options.dir, options.convention)
    if options.path or prepared.exists(folder):
        return "files"
    if name in tfds_source.BUILDERS and tfds_source.is_prepared(name, options.dir):
        return "tfds"
    # Whoever names a place for real data must not get rendered ones for a wrong path.
    return "rendered" if name in twins.NAMES and not options.dir else "files"


def _copy(name: str, options: Data) -> Copy:
    """The prepared copy, made now where the files that it needs are there."""
    if options.path and prepared.exists(_path(options)):
        return prepared.open_copy(_path(options))
    folder = folders.prepared(name, options.dir, options.convention)
    if not options.path and prepared.exists(folder):
        return prepared.open_copy(folder)
    if options.path:
        return sets.prepare(name, options.dir, options.convention, _path(options))
    if sets.find(name, options.dir, options.convention) is not None:
        return sets.prepare(name, options.dir, options.convention, None)
    if name == "custom":
        raise DataFileError(
            "the data set custom needs data.path: an .npz or .h5 file with 'images', a "
            "folder of pictures, or a prepared copy of either"
        )
    extra = f" --convention={options.convention}" if name == "smallnorb" else ""
    extra += f" --dir={options.dir}" if options.dir else ""
    raise DataFileError(
        f"there is no copy of {name} in {folder}: make one with 'python -m "
        f"cfasl_jax.data prepare {name}{extra}'; its files are at {sets.PAGES[name]}"
    )


def _from_copy(name: str, copy: Copy, options: Data) -> Dataset:
    if copy.name != name:
        raise DataFileError(f"{copy.folder} holds a copy of {copy.name}, not of {name}")
    held = hold(copy.images, copy.folder / prepared.IMAGES, options.residency)
    return Dataset(
        store=held.store,
        name=name,
        source="files",
        grid=copy.grid,
        num_images=len(copy.images),
        channels=copy.images.shape[3],
        likelihood=_likelihood(options) or copy.likelihood,
        lookup=held.lookup,
        labels=copy.labels,
    )


def _in_memory(recipe: Recipe, source: str, options: Data) -> Dataset:
    images: np.ndarray = read(recipe)
    held = hold(images, None, options.residency)
    return Dataset(
        store=held.store,
        name=recipe.name,
        source=source,
        grid=recipe.grid,
        num_images=recipe.num_images,
        channels=recipe.channels,
        likelihood=_likelihood(options) or likelihood_of(recipe, images),
        lookup=held.lookup,
        labels=recipe.labels,
    )


def _likelihood(options: Data) -> Likelihood | None:
    """What data.likelihood says; None leaves it to the data set."""
    if options.likelihood == "bernoulli":
        return "bernoulli"
    return "gaussian" if options.likelihood == "gaussian" else None


def spec_of(name: str, options: Data) -> Spec:
    """The Spec of a data set."""
    return load(name, options).spec
