"""Files that are written completely or not at all."""

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def cache_directory() -> Path:
    """The directory of files of this package that may be deleted at any time."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "cfasl_jax"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the place of `path` if the context succeeds.

    Several processes may replace the same file: each writes to a name of its own.

    Raises:
        OSError: with the name of the file, if it cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        if error.errno is None:  # it has words alone, of a library
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def cached(path: Path) -> dict[str, Any] | None:
    """A JSON object that can be made again; None where it is missing or damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file completely or not at all.

    Raises:
        OSError: with the name of the file, if it cannot be written.
    """
    text = json.dumps(value, indent=2) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
