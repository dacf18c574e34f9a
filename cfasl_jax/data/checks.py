"""Published files and their checksums."""

import dataclasses
import hashlib
import sys
from pathlib import Path

from tqdm import tqdm

from cfasl_jax.data.recipe import DataFileError, reading

_PIECE = 1 << 22


@dataclasses.dataclass(frozen=True)
class Checksum:
    """A published file.

    Attributes:
        name: of the file.
        url: where it is published.
        algorithm: of the checksum, a name of hashlib.
        digest: the checksum, hexadecimal; None where none is known.
    """

    name: str
    url: str
    algorithm: str = "sha256"
    digest: str | None = None


def check(path: Path, published: Checksum) -> None:
    """Raise a DataFileError unless a file of a published name has its checksum."""
    if published.digest is None or path.name != published.name:
        return
    found = digest(path, published.algorithm)
    if found != published.digest:
        raise DataFileError(
            f"{path} differs from the published file: its {published.algorithm} is "
            f"{found} instead of {published.digest}; download it again from "
            f"{published.url}"
        )


def digest(path: Path, algorithm: str = "sha256") -> str:
    """The checksum of a file, hexadecimal, with a progress bar on a terminal."""
    hasher = hashlib.new(algorithm)
    with (
        reading(path),
        path.open("rb") as file,
        tqdm(
            desc=f"checking {path.name}",
            total=path.stat().st_size,
            unit="B",
            unit_scale=True,
            leave=False,
            disable=not sys.stderr.isatty(),
        ) as progress,
    ):
        while piece := file.read(_PIECE):
            hasher.update(piece)
            progress.update(len(piece))
    return hasher.hexdigest()
