"""Checking and downloading the authors' files; an interrupted download continues."""

import dataclasses
import fcntl
import hashlib
import http.client
import sys
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm

from cfasl_jax.data.recipe import DataFileError, reading

# A server that does not answer for this time, in seconds, cannot be reached: a firewall
# often drops connections without a word.
_CONNECT_SECONDS = 8.0
# A server that sends nothing for this time has stalled.
_STALL_SECONDS = 60.0
_PIECE = 1 << 20
_LARGE = 1 << 27  # checking a smaller file takes less than a second


class _Impatient(http.client.HTTPConnection):
    """A connection that is given up sooner while it is made than later on."""

    def connect(self) -> None:
        patience, self.timeout = self.timeout, _CONNECT_SECONDS
        super().connect()
        self.timeout = patience
        self.sock.settimeout(patience)


class _ImpatientHttps(_Impatient, http.client.HTTPSConnection):
    pass


class _Handler(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """Opens addresses by such connections."""

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Impatient, req)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_ImpatientHttps, req)


@dataclasses.dataclass(frozen=True)
class Archive:
    """A file that the authors of a data set publish.

    Attributes:
        name: of the file.
        url: where it can be downloaded.
        size: in bytes; None if it is not known.
        digest: its checksum, hexadecimal; None if it is not known.
        algorithm: name of the checksum in hashlib.
        instead: other files or folders that can be used in its place, such as the
            folder to which it unpacks.
    """

    name: str
    url: str
    size: int | None = None
    digest: str | None = None
    algorithm: str = "sha256"
    instead: tuple[str, ...] = ()

    def find(self, folder: Path) -> Path | None:
        """The archive, or what can be used in its place, in a folder."""
        archive = folder / self.name
        if archive.is_file():
            return archive
        paths = (folder / name for name in self.instead)
        return next((path for path in paths if path.exists()), None)


def check(path: Path, archive: Archive) -> None:
    """Raise a DataFileError if a file has an archive's name but not its checksum."""
    if archive.digest is None or path.name != archive.name or not path.is_file():
        return
    found = digest(path, archive.algorithm)
    if found != archive.digest:
        raise DataFileError(
            f"{path} differs from the published file: its {archive.algorithm} is "
            f"{found} instead of {archive.digest}; delete it and download it again "
            f"from {archive.url}"
        )


def digest(path: Path, algorithm: str = "sha256") -> str:
    """The checksum of a file, hexadecimal, with a progress bar on a terminal."""
    hasher = hashlib.new(algorithm)
    size = path.stat().st_size
    with (
        reading(path),
        path.open("rb") as file,
        tqdm(
            desc=f"checking {path.name}",
            total=size,
            unit="B",
            unit_scale=True,
            leave=False,
            disable=size < _LARGE or not sys.stderr.isatty(),
        ) as progress,
    ):
        while piece := file.read(_PIECE):
            hasher.update(piece)
            progress.update(len(piece))
    return hasher.hexdigest()


def fetch(archive: Archive, folder: Path) -> Path:
    """An archive in a folder, downloaded unless it is there already.

    The part that has arrived is kept as NAME.part. A connection that breaks is opened
    again, as long as every connection brings new bytes; otherwise, another call can
    continue where this one stopped.

    Raises:
        DataFileError: if the server cannot be reached, the connection breaks, or the
            server offers another file than the published one.
    """
    path, part = folder / archive.name, folder / f"{archive.name}.part"
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with part.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be downloading it
        if path.is_file():
            part.unlink(missing_ok=True)
            return path
        try:
            _complete(archive, part)
        except (OSError, http.client.HTTPException) as error:
            arrived, kind = _size(part), type(error).__name__
            if not arrived:
                part.unlink(missing_ok=True)
            reason = str(error).strip("<>").removeprefix("urlopen error ")
            raise DataFileError(
                f"the download of {archive.url} broke off after {arrived:,} bytes "
                f"({reason or kind}); run the same command again to go on"
                if arrived
                else f"{archive.url} cannot be downloaded: {reason or kind}"
            ) from error
        if archive.digest not in (None, digest(part, archive.algorithm)):
            part.unlink()
            raise DataFileError(
                f"{archive.url} gave another file than the published one: its "
                f"{archive.algorithm} is not {archive.digest}"
            )
        part.replace(path)
    return path


def _complete(archive: Archive, part: Path) -> None:
    """Download the rest of a partial file, with as many connections as needed."""
    while True:
        have = _size(part)
        try:
            _append(archive, part)
            return
        except (OSError, http.client.HTTPException) as error:
            refused = isinstance(error, urllib.error.HTTPError)
            if refused or _size(part) <= have:
                raise


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _append(archive: Archive, part: Path) -> None:
    """Download the rest of a partial file, with one connection."""
    have = _size(part)
    if archive.size is not None and have >= archive.size:
        if have == archive.size:
            return
        have = 0  # it belongs to another file
    request = urllib.request.Request(archive.url)
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        opener = urllib.request.build_opener(_Handler)
        response = opener.open(request, timeout=_STALL_SECONDS)
    except urllib.error.HTTPError as error:
        if have and error.code == 416:  # nothing is left to download
            return
        raise
    with response:
        if response.status != 206:  # the server cannot go on, and sends all again
            have = 0
        elif not response.headers.get("Content-Range", f"bytes {have}-").startswith(
            f"bytes {have}-"
        ):
            raise OSError("the server sent another part than it was asked for")
        left = int(response.headers.get("Content-Length", 0))
        _require_size(archive, have + left if left else None, response)
        with (
            part.open("ab" if have else "wb") as file,
            tqdm(
                desc=f"downloading {archive.name}",
                initial=have,
                total=have + left if left else None,
                unit="B",
                unit_scale=True,
                disable=not sys.stderr.isatty(),
            ) as progress,
        ):
            got = 0
            while piece := response.read1(_PIECE):
                file.write(piece)
                got += len(piece)
                progress.update(len(piece))
    expected = left or (archive.size or got + have) - have
    if got != expected:
        raise OSError(f"{got:,} of {expected:,} bytes arrived")


def _require_size(
    archive: Archive, offered: int | None, response: http.client.HTTPResponse
) -> None:
    """Refuse a file that cannot be the published one, before anything is written."""
    kind = response.headers.get("Content-Type", "unknown type")
    if kind.startswith("text/html"):
        raise DataFileError(
            f"{archive.url} answers with a web page instead of {archive.name}: open it "
            "in a browser to see why"
        )
    if None in (archive.size, offered) or offered == archive.size:
        return
    raise DataFileError(
        f"{archive.url} offers {offered:,} bytes ({kind}) where {archive.name} has "
        f"{archive.size:,}"
    )
