"""The data sets by name: their files, and how a prepared copy of each is made."""

import sys
from pathlib import Path

from cfasl_jax.data import (
    cars3d,
    celeba,
    custom,
    folders,
    prepared,
    published,
    smallnorb,
    tfds_source,
)
from cfasl_jax.data.checks import Checksum
from cfasl_jax.data.download import fetch
from cfasl_jax.data.prepared import Copy
from cfasl_jax.data.recipe import DataFileError, Recipe
from cfasl_jax.data.smallnorb import CONVENTIONS

PAGES = {
    **published.PAGES,
    "cars3d": cars3d.PAGE,
    "smallnorb": smallnorb.PAGE,
    "celeba": celeba.PAGE,
}
NAMES = (*PAGES, "custom")

# Names of the files that hold a whole data set.
_ARCHIVES = {
    **published.FILES,
    "cars3d": (cars3d.ARCHIVE.name,),
    "celeba": (celeba.ARCHIVE_NAME,),
}
# Folders that unpacking the archives gives.
_UNPACKED = {"cars3d": ("cars", "data/cars"), "celeba": ("img_align_celeba",)}


def find(name: str, data_dir: str, convention: str) -> Path | None:
    """The authors' files of a data set in DIR or DIR/NAME, if they are there."""
    root = folders.root(data_dir)
    for folder in (root / name, root):
        if name == "smallnorb":
            if _has_norb(folder, convention):
                return folder
            continue
        archive = _archive_in(name, folder)
        if archive is not None:
            return archive
        for unpacked in _UNPACKED.get(name, ()):
            if (folder / unpacked).is_dir():
                return folder / unpacked
    return None


def from_files(name: str, path: Path, convention: str) -> Recipe:
    """A data set from files that a user has.

    Args:
        name: of the data set.
        path: a file, or a folder that holds it.
        convention: of smallNORB.

    Raises:
        DataFileError: where they are not the files of this data set.
    """
    path = path.expanduser()
    if not path.exists():
        raise DataFileError(f"{path} does not exist")
    if path.is_dir() and name != "custom":
        path = _archive_in(name, path) or path
    if name == "cars3d":
        return cars3d.recipe(path)
    if name == "celeba":
        return celeba.recipe(path)
    if name == "smallnorb":
        folder = path if path.is_dir() else path.parent
        return smallnorb.recipe(folder, CONVENTIONS[convention])
    if name == "custom":
        return custom.recipe(path)
    return published.recipe(name, path)


def prepare(name: str, data_dir: str, convention: str, source: Path | None) -> Copy:
    """A prepared copy in data_dir, made unless a sound one is there.

    Args:
        name: of the data set.
        data_dir: "" for the default, see `folders.root`.
        convention: of smallNORB.
        source: the authors' or the user's files; None: found, or downloaded.

    Raises:
        DataFileError: where there are no such files, or they are of no use.
    """
    folder = folders.prepared(name, data_dir, convention)
    with prepared.locked(folder):
        present = _sound(folder)
        if present and (source is None or _made_of(present, source.expanduser())):
            return present
        if source is not None:
            recipe = from_files(name, source, convention)
        else:
            recipe = _obtain(name, data_dir, convention)
        return prepared.write(recipe, folder)


def _sound(folder: Path) -> Copy | None:
    """The copy in a folder, if it is whole and undamaged."""
    if not prepared.exists(folder):
        return None
    try:
        copy = prepared.open_copy(folder)
        prepared.verify(copy)
    except DataFileError as error:
        print(f"{error}: doing so now", file=sys.stderr)
        return None
    return copy


def _made_of(copy: Copy, source: Path) -> bool:
    """Whether a copy's files are those that a user names, by name and size."""
    mine = copy.name == "custom" and source.is_dir()
    if source.is_file():
        files = [source]
    else:
        files = custom.pictures_in(source) if mine else list(source.rglob("*"))
    here = sorted((file.name, file.stat().st_size) for file in files)
    written = sorted((file["name"], file["bytes"]) for file in copy.manifest["files"])
    return here == written if mine else set(written) <= set(here)


def _obtain(name: str, data_dir: str, convention: str) -> Recipe:
    """A recipe of files that are there, or can be downloaded."""
    found = find(name, data_dir, convention)
    if found is not None:
        return from_files(name, found, convention)
    if name in tfds_source.BUILDERS and tfds_source.is_prepared(name, data_dir):
        return tfds_source.recipe(name, data_dir, convention)
    downloads = _downloads(name, convention)
    if downloads:
        folder = folders.root(data_dir) / name
        try:
            paths = [fetch(published, folder) for published in downloads]
        except DataFileError as error:
            raise DataFileError(
                f"{error}; get {', '.join(file.name for file in downloads)} from "
                f"{PAGES[name]} and run 'python -m cfasl_jax.data prepare {name} "
                f"--from=FOLDER'"
            ) from error
        return from_files(name, paths[0], convention)
    if name in published.FILES:
        return tfds_source.recipe(name, data_dir, convention)
    if name == "custom":
        raise DataFileError(
            "say what to prepare with --from=FILE_OR_FOLDER: an .npz or .h5 file with "
            "'images', or a folder of pictures"
        )
    raise DataFileError(
        f"{name} cannot be downloaded by a program: get {_ARCHIVES[name][0]} from "
        f"{PAGES[name]} and run 'python -m cfasl_jax.data prepare {name} --from=FILE'"
    )


def _downloads(name: str, convention: str) -> list[Checksum]:
    if name == "cars3d":
        return [cars3d.ARCHIVE]
    if name == "smallnorb":
        return smallnorb.published(CONVENTIONS[convention])
    return []


def _archive_in(name: str, folder: Path) -> Path | None:
    paths = (folder / archive for archive in _ARCHIVES.get(name, ()))
    return next((path for path in paths if path.is_file()), None)


def _has_norb(folder: Path, convention: str) -> bool:
    """Whether any of a convention's files is there, so that the others are missed."""
    names = [file.name for file in smallnorb.published(CONVENTIONS[convention])]
    names += [name.removesuffix(".gz") for name in names]
    return any((folder / name).is_file() for name in names)
