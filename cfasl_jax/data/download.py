"""Downloads that can be interrupted, go on where they stopped, and are checked."""

import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from tqdm import tqdm

from cfasl_jax.data.checks import Checksum, digest
from cfasl_jax.data.recipe import DataFileError

_PROBE_SECONDS = 6.0
_STALL_SECONDS = 60.0
_PIECE = 1 << 20


def probe(url: str) -> str | None:
    """Ask for a file's header: None where the host has it, else what went wrong."""
    host = urllib.parse.urlsplit(url).hostname
    outcome: list[str | None] = [f"no answer from {host} within {_PROBE_SECONDS:g} s"]

    def ask() -> None:
        request = urllib.request.Request(url, method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=_PROBE_SECONDS):
                outcome[0] = None
        except OSError as error:
            reason = str(error).strip("<>")
            outcome[0] = f"{host} does not answer as it should ({reason})"

    # In a thread, since looking up a host name heeds no timeout.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PROBE_SECONDS)
    return outcome[0]


def fetch(published: Checksum, folder: Path) -> Path:
    """A published file in a folder, downloaded unless it is there.

    What has arrived so far is kept as NAME.part; another call goes on from there.

    Raises:
        DataFileError: where the host does not answer, the connection breaks, or what
            arrives is not the published file.
    """
    path = folder / published.name
    if path.is_file():
        return path
    problem = probe(published.url)
    if problem is not None:
        raise DataFileError(f"cannot download {published.url}: {problem}")
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{published.name}.part"
    try:
        _append(published, part)
    except OSError as error:
        raise DataFileError(
            f"the download of {published.url} broke off ({error}); run the same "
            "command again to go on"
        ) from error
    if published.digest not in (None, digest(part, published.algorithm)):
        part.unlink()
        raise DataFileError(
            f"{published.url} gave another file than the published one: its "
            f"{published.algorithm} is not {published.digest}"
        )
    part.replace(path)
    return path


def _append(published: Checksum, part: Path) -> None:
    """Download what a partial file lacks."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(published.url)
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.urlopen(request, timeout=_STALL_SECONDS)
    except urllib.error.HTTPError as error:
        if have and error.code == 416:  # nothing is left to download
            return
        raise
    with response:
        if response.status != 206:  # the host cannot go on, and sends all again
            have = 0
        left = int(response.headers.get("Content-Length", 0))
        with (
            part.open("ab" if have else "wb") as file,
            tqdm(
                desc=f"downloading {published.name}",
                initial=have,
                total=have + left if left else None,
                unit="B",
                unit_scale=True,
                disable=not sys.stderr.isatty(),
            ) as progress,
        ):
            got = 0
            while piece := response.read(_PIECE):
                file.write(piece)
                got += len(piece)
                progress.update(len(piece))
    if left and got != left:
        raise OSError(f"{got} of {left} bytes arrived")
