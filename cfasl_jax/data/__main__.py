"""Prepare, list and describe data sets.

python -m cfasl_jax.data prepare cars3d --dir=DIR
python -m cfasl_jax.data prepare cars3d --dir=gs://BUCKET/DIR
python -m cfasl_jax.data list
python -m cfasl_jax.data check cars3d --dir=gs://BUCKET/DIR
python -m cfasl_jax.data describe cars3d --picture=cars3d.png
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cfasl_jax import errors
from cfasl_jax.data import (
    CONVENTIONS,
    DATASETS,
    NAMES,
    entry_of,
    load,
    prepared,
    preparing,
    remote,
    require,
    tfds,
    url_of,
)
from cfasl_jax.data.entry import Entry
from cfasl_jax.data.inspection import describe, picture
from cfasl_jax.data.remote import is_url
from cfasl_jax.errors import require_choice
from cfasl_jax.settings import Data

COMMANDS = ("prepare", "list", "check", "describe")


def main(argv: Sequence[str]) -> int:
    """Run the command line; return the exit code: 0, 2 (bad input) or 130."""
    return errors.exit_code(
        lambda: _run(list(argv[1:])),
        mistakes=(ValueError, OSError),
        interrupted="interrupted; run the same command again",
    )


def _run(arguments: list[str]) -> None:
    if arguments and not arguments[0].startswith("-"):
        require_choice("command", arguments[0], COMMANDS)
    options = _parser().parse_args(arguments)
    if options.command == "list":
        _list(options.dir)
        return
    entry = entry_of(options.name)
    require_choice("convention", options.convention, CONVENTIONS)
    if options.command == "prepare":
        _prepare(entry, options)
    elif options.command == "check":
        fields = _fields(options.dir, options.convention)
        print(f"{entry.name}: {require(entry.name, fields)}")
    else:
        _describe(entry, options)


def _parser() -> argparse.ArgumentParser:
    parser = errors.ArgumentParser(
        prog="python -m cfasl_jax.data",
        description="Prepare, list and describe data sets.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    prepare = commands.add_parser(
        "prepare", help="make a memory-mapped copy: found or downloaded, and checked"
    )
    describe = commands.add_parser(
        "describe", help="what a data set holds; checks a prepared copy"
    )
    check = commands.add_parser(
        "check", help="whether training finds a data set; opens no images"
    )
    for command in (prepare, check, describe):
        command.add_argument("name", metavar="NAME", help=", ".join(NAMES))
        command.add_argument("--convention", default="paper", help=_convention_help())
    prepare.add_argument(
        "--from",
        dest="source",
        type=_local,
        metavar="FILE_OR_FOLDER",
        help="the authors' files, or your own images for custom",
    )
    prepare.add_argument(
        "--replace",
        action="store_true",
        help="let the new copy replace one of something else",
    )
    describe.add_argument("--picture", type=_picture, help="write a sheet, .png")
    listing = commands.add_parser("list", help="all data sets, and what is here")
    for command in (prepare, check, describe, listing):
        command.add_argument(
            "--dir",
            default="",
            help="folder of all data sets, or its URL, such as gs://BUCKET/DIR; "
            "default: TFDS_DATA_DIR or ~/tensorflow_datasets",
        )
    return parser


def _local(text: str) -> Path:
    """A file or folder on this machine."""
    if is_url(text):
        raise argparse.ArgumentTypeError(f"must be on this machine: copy {text} here")
    return errors.expanded(text)


def _picture(text: str) -> Path:
    """A file that a picture can be written to."""
    path = errors.expanded(text)
    if path.suffix.lower() != ".png":
        raise argparse.ArgumentTypeError(f"must be a file .png, not {text!r}")
    return path


def _prepare(entry: Entry, options: argparse.Namespace) -> None:
    arguments = (options.convention, options.source, options.replace)
    if is_url(options.dir):
        count = preparing.publish(entry, options.dir, *arguments)
        url = url_of(entry, _fields(options.dir, options.convention))
        print(f"{url}: {count:,} images, complete")
        return
    copy = preparing.prepare(entry, options.dir, *arguments)
    print(f"{copy.folder}: {len(copy.images):,} images, complete and checked")


def _fields(data_dir: str, convention: str) -> Data:
    """The fields data.* of a configuration that name a place."""
    return Data(source="auto", dir=data_dir, convention=convention)


def _convention_help() -> str:
    """The data sets that have several versions, with the names of the versions."""
    several = (entry for entry in DATASETS.values() if len(entry.versions) > 1)
    return "; ".join(f"of {e.name}: {' or '.join(e.versions)}" for e in several)


def _list(data_dir: str) -> None:
    print(f"in {data_dir if is_url(data_dir) else prepared.root(data_dir)}:")
    for entry in DATASETS.values():
        several = len(entry.versions) > 1
        for convention in entry.versions:
            shown = f"{entry.name} ({convention})" if several else entry.name
            print(f"{shown:<18} {_state(entry, data_dir, convention)}")


def _state(entry: Entry, data_dir: str, convention: str) -> str:
    """Which copy or files of a data set there are, in words."""
    if is_url(data_dir):
        url = url_of(entry, _fields(data_dir, convention))
        manifest = remote.manifest(url)
        return f"prepared, {manifest['shape'][0]:,} images" if manifest else "not here"
    folder = preparing.copy_folder(entry, data_dir, convention)
    if prepared.exists(folder):
        try:
            copy = prepared.open_copy(folder)
        except ValueError as error:
            return f"not usable: {error}"
        if copy.contents.name != entry.name:
            return f"not usable: a copy of {copy.contents.name}"
        return f"prepared, {len(copy.images):,} images"
    if entry.tfds and tfds.find(entry.tfds, data_dir):
        return "prepared by TensorFlow Datasets"
    found = preparing.find(entry, data_dir, convention)
    if found:
        return f"files found, but no copy yet: {found}"
    there, wanted = preparing.count(entry, data_dir, convention)
    if there:
        return f"{there} of {wanted} files found; from {entry.page}"
    if entry.twin:
        return "rendered on the device"
    return f"not here; from {entry.page}" if entry.published else "your own images"


def _describe(entry: Entry, options: argparse.Namespace) -> None:
    if options.picture:
        errors.require_writable(options.picture)
    folder = preparing.copy_folder(entry, options.dir, options.convention)
    if not is_url(options.dir) and prepared.exists(folder):
        copy = prepared.open_copy(folder)
        prepared.verify(copy)
        print(f"{folder}: complete and checked")
        for file in copy.manifest["files"]:
            print(f"made of {file['name']}, {file['bytes']:,} bytes")
    dataset = load(options.name, _fields(options.dir, options.convention))
    print(describe(dataset))
    if options.picture:
        options.picture.parent.mkdir(parents=True, exist_ok=True)
        picture(dataset).save(options.picture)
        print(f"picture: {options.picture}")


if __name__ == "__main__":
    sys.exit(main(sys.argv))
