"""Prepare, list and describe data sets.

python -m cfasl_jax.data prepare cars3d --dir=DIR
python -m cfasl_jax.data list
python -m cfasl_jax.data describe cars3d --picture=cars3d.png
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from cfasl_jax.data import (
    CONVENTIONS,
    folders,
    load,
    prepared,
    sets,
    tfds_source,
    twins,
)
from cfasl_jax.data.inspection import describe, picture
from cfasl_jax.errors import ConfigError, require_choice
from cfasl_jax.settings import Data

COMMANDS = ("prepare", "list", "describe")


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def main(argv: Sequence[str]) -> int:
    """Run the command line; return the exit code: 0, 2 (bad input) or 130."""
    try:
        _run(list(argv[1:]))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; run the same command again", file=sys.stderr)
        return 130
    return 0


def _run(arguments: list[str]) -> None:
    if arguments and not arguments[0].startswith("-"):
        require_choice("command", arguments[0], COMMANDS)
    options = _parser().parse_args(arguments)
    if options.command == "list":
        _list(options.dir)
        return
    require_choice("data set", options.name, sets.NAMES)
    require_choice("convention", options.convention, CONVENTIONS)
    if options.command == "prepare":
        copy = sets.prepare(
            options.name, options.dir, options.convention, options.source
        )
        print(f"{copy.folder}: {len(copy.images):,} images, whole and checked")
        return
    _describe(options)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
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
    for command in (prepare, describe):
        command.add_argument("name", metavar="NAME", help=", ".join(sets.NAMES))
        command.add_argument(
            "--convention", default="paper", help="of smallnorb: paper or full"
        )
    prepare.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="FILE_OR_FOLDER",
        help="the authors' files, or your own images for custom",
    )
    describe.add_argument("--picture", type=Path, help="write a sheet of images, .png")
    listing = commands.add_parser("list", help="all data sets, and what is here")
    for command in (prepare, describe, listing):
        command.add_argument(
            "--dir",
            default="",
            help="folder of all data sets; default: TFDS_DATA_DIR or "
            "~/tensorflow_datasets",
        )
    return parser


def _list(data_dir: str) -> None:
    print(f"in {folders.root(data_dir)}:")
    for name in sets.NAMES:
        conventions = CONVENTIONS if name == "smallnorb" else ("paper",)
        for convention in conventions:
            shown = f"{name} ({convention})" if len(conventions) > 1 else name
            print(f"{shown:<18} {_state(name, data_dir, convention)}")


def _state(name: str, data_dir: str, convention: str) -> str:
    """What there is of a data set, in words."""
    folder = folders.prepared(name, data_dir, convention)
    if prepared.exists(folder):
        try:
            copy = prepared.open_copy(folder)
        except ValueError as error:
            return f"of no use: {error}"
        return f"prepared, {len(copy.images):,} images"
    if name in tfds_source.BUILDERS and tfds_source.is_prepared(name, data_dir):
        return "prepared by TensorFlow Datasets"
    if name in twins.NAMES:
        return "rendered on the device"
    if name == "custom":
        return "your own images"
    found = sets.find(name, data_dir, convention)
    return f"files found: {found}" if found else f"not here; from {sets.PAGES[name]}"


def _describe(options: argparse.Namespace) -> None:
    folder = folders.prepared(options.name, options.dir, options.convention)
    if prepared.exists(folder):
        copy = prepared.open_copy(folder)
        prepared.verify(copy)
        print(f"{folder}: whole and checked")
        for entry in copy.manifest["files"]:
            print(f"made of {entry['name']}, {entry['bytes']:,} bytes")
    dataset = load(
        options.name,
        Data(
            source="auto",
            dir=options.dir,
            path="",
            convention=options.convention,
            likelihood="auto",
            residency="auto",
        ),
    )
    print(describe(dataset))
    if options.picture:
        options.picture.parent.mkdir(parents=True, exist_ok=True)
        picture(dataset).save(options.picture)
        print(f"picture: {options.picture}")


if __name__ == "__main__":
    sys.exit(main(sys.argv))
