"""Making prepared copies from files that are found, given or downloaded."""

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cfasl_jax.data import prepared, remote, tfds
from cfasl_jax.data.download import check, fetch
from cfasl_jax.data.entry import Entry, Version
from cfasl_jax.data.prepared import Copy
from cfasl_jax.data.recipe import DataFileError, Recipe, require_plain
from cfasl_jax.errors import expanded


def copy_folder(entry: Entry, data_dir: str, convention: str) -> Path:
    """Where a data set's prepared copy lies, whether or not it is there."""
    return prepared.root(data_dir) / entry.folder_name(convention)


def find(entry: Entry, data_dir: str, convention: str) -> Path | None:
    """The authors' files in DIR/NAME or DIR, if all of them are there.

    Returns:
        The only archive or the folder to which it unpacks; or the folder that holds
        several archives.
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


def count(entry: Entry, data_dir: str, convention: str) -> tuple[int, int]:
    """How many of the authors' files are in DIR/NAME, and how many there should be."""
    archives = entry.version(convention).archives
    folder = prepared.root(data_dir) / entry.name
    return sum(a.find(folder) is not None for a in archives), len(archives)


def from_files(entry: Entry, path: Path, convention: str) -> Recipe:
    """A data set from files that a user has.

    Args:
        entry: of the data set.
        path: a file, or a folder that holds the files.
        convention: see `Entry.version`.

    Raises:
        DataFileError: if they are not the files of this data set.
    """
    path = expanded(path)
    require_plain(path)
    version = entry.version(convention)
    if len(version.archives) > 1 and not path.is_dir():
        path = path.parent
    if path.is_dir():
        path = _find_in(path, version) or path
    for archive in version.archives:
        check(path / archive.name if path.is_dir() else path, archive)
    return entry.reader(convention)(path)


def prepare(
    entry: Entry,
    data_dir: str,
    convention: str,
    source: Path | None = None,
    replace: bool = False,
) -> Copy:
    """A prepared copy in data_dir, which is made unless there is an undamaged one.

    Args:
        entry: of the data set.
        data_dir: "" for the default, see `prepared.root`.
        convention: see `Entry.version`.
        source: the authors' or the user's files; None: found, or downloaded.
        replace: whether a copy of something else may be replaced.

    Raises:
        DataFileError: if there are no such files, if they cannot be used, or if the
            folder holds a copy of something else.
    """
    folder = copy_folder(entry, data_dir, convention)
    with prepared.locked(folder):
        present = _sound(folder)
        if present and not replace:
            _require_same_set(str(folder), present.manifest, entry, source)
        if source is None and present and present.contents.name == entry.name:
            return present
        source = source or find(entry, data_dir, convention)
        if source is not None:
            recipe = from_files(entry, source, convention)
            files = prepared.list_files(recipe.files)
            if present and files == present.manifest["files"]:
                return present
            return prepared.write(recipe, folder, source.name)
        return _from_tfds(entry, data_dir, convention, folder) or prepared.write(
            _download(entry, data_dir, convention), folder
        )


def publish(
    entry: Entry,
    url: str,
    convention: str,
    source: Path | None = None,
    replace: bool = False,
) -> int:
    """Put a prepared copy below a URL, unless there is one; return its image count.

    A published data set is prepared in the default folder of this host first.

    Args:
        entry: of the data set.
        url: of the directory of all data sets.
        convention: see `Entry.version`.
        source: as for `prepare`.
        replace: as for `prepare`.

    Raises:
        DataFileError: as `prepare` does, or where the URL cannot be used.
    """
    target = f"{url.rstrip('/')}/{entry.folder_name(convention)}"
    manifest = remote.manifest(target)
    if manifest is not None and not replace:
        _require_same_set(target, manifest, entry, source)
        if source is None:
            return int(manifest["shape"][0])
    # Each URL has a folder of its own, so that images of several URLs are not mixed.
    own = hashlib.sha256(url.encode()).hexdigest()[:16]
    folder = "" if entry.published else str(remote.cache() / "own" / own)
    copy = prepare(entry, folder, convention, source, replace or not entry.published)
    remote.publish(copy, target)
    return len(copy.images)


def command(entry: Entry, data_dir: str, convention: str, source: str = "") -> str:
    """The command that prepares a data set, from given files if `source` names them."""
    options = {
        "convention": convention if len(entry.versions) > 1 else "",
        "from": source,
        "dir": data_dir,
    }
    words = [f"--{name}={value}" for name, value in options.items() if value]
    return " ".join(["python -m cfasl_jax.data prepare", entry.name, *words])


def _sound(folder: Path) -> Copy | None:
    """The copy in a folder, if it is complete and undamaged."""
    if not prepared.exists(folder):
        return None
    try:
        copy = prepared.open_copy(folder)
        prepared.verify(copy)
    except DataFileError as error:
        print(f"{error}: doing so now", file=sys.stderr)
        return None
    return copy


def _require_same_set(
    place: str, manifest: Mapping[str, Any], entry: Entry, source: Path | None
) -> None:
    """Raise a DataFileError where preparing would replace a copy of something else.

    All copies of one published data set are the same. A user's own images may replace
    a copy that was made from a file or folder of the same name.
    """
    made_of = manifest["name"]
    if made_of == entry.name:
        files = manifest["files"]
        known = files[0]["name"] if len(files) == 1 else ""
        made_of = manifest.get("source") or known
        if entry.published or source is None or made_of in ("", source.name):
            return
    raise DataFileError(
        f"{place} holds a copy of {made_of}: choose another folder with --dir, or say "
        "with --replace that it may be replaced"
    )


def _from_tfds(
    entry: Entry, data_dir: str, convention: str, folder: Path
) -> Copy | None:
    """A copy made from that of TensorFlow Datasets; None if this is not possible."""
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
    """A recipe of the authors' files, after missing ones have been downloaded."""
    entry.reader(convention)  # downloads nothing for a data set without files
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
            f"{error}; or get {names} from {entry.page} and run "
            f"'{command(entry, data_dir, convention, 'FOLDER')}'"
        ) from error
    return from_files(entry, folder, convention)
