"""From a data set's entry to its prepared copy: files found, given or downloaded."""

import sys
from pathlib import Path

from cfasl_jax.data import custom, prepared, tfds
from cfasl_jax.data.download import check, fetch
from cfasl_jax.data.entry import Entry, Version
from cfasl_jax.data.prepared import Copy
from cfasl_jax.data.recipe import DataFileError, Recipe


def copy_folder(entry: Entry, data_dir: str, convention: str) -> Path:
    """Where a data set's prepared copy lies, whether or not it is there."""
    return prepared.root(data_dir) / entry.folder_name(convention)


def find(entry: Entry, data_dir: str, convention: str) -> Path | None:
    """The authors' files in DIR/NAME or DIR, if all of them are there.

    Returns:
        the only archive or what it unpacks to; the folder that holds several.
    """
    root = prepared.root(data_dir)
    for folder in (root / entry.name, root):
        found = _find_in(folder, entry.version(convention))
        if found is not None:
            return found
    return None


def _find_in(folder: Path, version: Version) -> Path | None:
    paths = [archive.find(folder) for archive in version.archives]
    if not paths or None in paths:
        return None
    return paths[0] if len(paths) == 1 else folder


def from_files(entry: Entry, path: Path, convention: str) -> Recipe:
    """A data set from files that a user has.

    Args:
        entry: of the data set.
        path: a file, or a folder that holds the files.
        convention: see `Entry.version`.

    Raises:
        DataFileError: where they are not the files of this data set.
    """
    path = path.expanduser()
    if not path.exists():
        raise DataFileError(f"{path} does not exist")
    version = entry.version(convention)
    if len(version.archives) > 1 and not path.is_dir():
        path = path.parent
    if path.is_dir():
        path = _find_in(path, version) or path
    for archive in version.archives:
        check(path / archive.name if path.is_dir() else path, archive)
    return version.from_files(path)


def prepare(
    entry: Entry, data_dir: str, convention: str, source: Path | None = None
) -> Copy:
    """A prepared copy in data_dir, made unless a sound one is there.

    Args:
        entry: of the data set.
        data_dir: "" for the default, see `prepared.root`.
        convention: see `Entry.version`.
        source: the authors' or the user's files; None: found, or downloaded.

    Raises:
        DataFileError: where there are no such files, or they are of no use.
    """
    folder = copy_folder(entry, data_dir, convention)
    with prepared.locked(folder):
        present = _sound(folder)
        if present and (source is None or _made_of(present, source.expanduser())):
            return present
        if source is not None:
            return prepared.write(from_files(entry, source, convention), folder)
        found = find(entry, data_dir, convention)
        if found is not None:
            return prepared.write(from_files(entry, found, convention), folder)
        return _from_tfds(entry, data_dir, convention, folder) or prepared.write(
            _download(entry, data_dir, convention), folder
        )


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
    mine = copy.contents.name == "custom" and source.is_dir()
    if source.is_file():
        files = [source]
    else:
        files = custom.pictures_in(source) if mine else list(source.rglob("*"))
    here = sorted((file.name, file.stat().st_size) for file in files)
    written = sorted((file["name"], file["bytes"]) for file in copy.manifest["files"])
    return here == written if mine else set(written) <= set(here)


def _from_tfds(
    entry: Entry, data_dir: str, convention: str, folder: Path
) -> Copy | None:
    """A copy made from that of TensorFlow Datasets, where that can be read."""
    read = entry.version(convention).from_tfds
    source = tfds.find(entry.tfds, data_dir) if entry.tfds else None
    if read is None or source is None:
        return None
    try:
        return prepared.write(read(source), folder)
    except DataFileError as error:
        print(f"{error}; downloading the authors' files instead", file=sys.stderr)
        return None


def _download(entry: Entry, data_dir: str, convention: str) -> Recipe:
    """A recipe of the authors' files, after fetching those that are not there."""
    archives = entry.version(convention).archives
    if not archives:
        raise DataFileError(
            "say what to prepare with --from=FILE_OR_FOLDER: an .npz or .h5 file with "
            "'images', or a folder of pictures"
        )
    folder = prepared.root(data_dir) / entry.name
    try:
        for archive in archives:
            if archive.find(folder) is None:
                fetch(archive, folder)
    except DataFileError as error:
        names = ", ".join(archive.name for archive in archives)
        raise DataFileError(
            f"{error}; or get {names} from {entry.page} and run 'python -m "
            f"cfasl_jax.data prepare {entry.name} --from=FOLDER'"
        ) from error
    return from_files(entry, folder, convention)
