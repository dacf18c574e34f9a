"""Working directories in a bucket, or wherever else fsspec reaches.

A run always works in a local directory. Where its working directory is a URL, such as
gs://bucket/run, the local directory is a scratch copy: what the bucket holds of the run
is copied there at the start, and what changes is copied back, every half minute and at
the end. The files have the same names in both places, so that a copy of the bucket is
an ordinary working directory.

Paths that write to a bucket directly, such as etils.epath's, would not do instead: an
object cannot be appended to (opening one for that replaces it, and the log with it),
TensorBoard's writer and the figures need files, and an outage of the network would end
the run.

A process may be killed at any moment, also while it copies. An object is written whole
or not at all, and the last object of a checkpoint is its mark: a checkpoint without its
mark is never read.
"""

import os
import re
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec

from cfasl_jax.errors import ConfigError, expanded

# A process that is killed loses what it wrote since the last copy.
INTERVAL_SECONDS = 30.0

# How often the copy at the end is tried, and the pause between two tries.
_TRIES = 3
_PAUSE_SECONDS = 5.0

_CHECKPOINTS = "checkpoints"
_MARK = "_CHECKPOINT_METADATA"


class CopyError(RuntimeError):
    """A part of a run could not be copied to its URL; says where the run is instead."""


def location(text: str) -> Path | str:
    """A path, in which ~ is the home directory, or the URL of a remote directory.

    Raises:
        ConfigError: where ~NAME names no user.
    """
    if re.match(r"[a-z][\w+.-]*://", text) and not text.startswith("file://"):
        return text.rstrip("/")
    return expanded(text.removeprefix("file://"))


@contextmanager
def local(place: Path | str, writes: bool = True) -> Iterator[Path]:
    """A local directory that stands for a working directory while the context lasts.

    Args:
        place: see `location`; a path stands for itself.
        writes: whether this process writes there. One that does not gets the
            configuration and the newest checkpoint alone.

    Raises:
        ConfigError: where the URL cannot be used, in one sentence.
        CopyError: where the last changes could not be copied; they are kept.
    """
    if isinstance(place, Path):
        yield place
        return
    folder = Path(tempfile.mkdtemp(prefix="cfasl-"))
    kept = False
    try:
        mirror = _connect(place, folder, writes)
        if writes:
            with _copying(mirror):
                yield folder
        else:
            yield folder
    except ConfigError as error:
        # Users know the directory by its URL.
        raise ConfigError(str(error).replace(str(folder), place)) from error
    except CopyError:
        kept = True
        raise
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


class _Mirror:
    """A local folder and the remote one that it is copied from and to."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self._fs, self._root = fsspec.url_to_fs(url)
        # The files in the bucket, by name, each with the state of the local file that
        # it is a copy of.
        self._copied: dict[str, tuple[int, int] | None] = {}

    def require_writable(self) -> None:
        """Raise whatever the file system raises where nothing can be written."""
        self._fs.pipe_file(f"{self._root}/.access", b"")
        self._fs.rm_file(f"{self._root}/.access")

    def pull(self, newest_only: bool) -> None:
        """Copy files of the top level and whole checkpoints from the remote folder."""
        self._fs.invalidate_cache()
        paths = self._fs.find(self._root)
        names = [path.removeprefix(self._root).lstrip("/") for path in paths]
        self._copied = {name: None for name in names if name and name[-1] != "/"}
        marked = [name for name in names if name.endswith(f"/{_MARK}")]
        steps = {step for name in marked if (step := _step(name))}
        wanted = {max(steps, key=int)} if newest_only and steps else steps
        for name in self._copied:
            top = "/" not in name and (not newest_only or name == "config.json")
            if top or _step(name) in wanted:
                path = self.folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                self._fs.get_file(f"{self._root}/{name}", str(path))
                self._copied[name] = _state(path)
        if not newest_only:
            self._remove_all_but(steps)

    def push(self) -> None:
        """Copy what has changed, and remove the checkpoints that are gone."""
        # The checkpoints are listed first and the log is copied next: so the log in the
        # bucket always has the lines of every step up to the newest checkpoint there.
        folder = self.folder / _CHECKPOINTS
        found = os.listdir(folder) if folder.exists() else []
        steps = {name for name in found if name.isdigit()}
        for path in _files(self.folder, besides=folder):
            self._put(path)
        for step in sorted(steps, key=int):
            mark, before = folder / step / _MARK, set(_files(folder / step))
            whole = all(self._put(path) for path in sorted(before - {mark}))
            if whole and set(_files(folder / step)) == before:
                self._put(mark)
        self._remove_all_but(steps)

    def _put(self, path: Path) -> bool:
        """Copy a file if it has changed; False where it vanished meanwhile."""
        name = path.relative_to(self.folder).as_posix()
        try:
            state = _state(path)
            if self._copied.get(name) != state:
                self._fs.put_file(str(path), f"{self._root}/{name}")
        except FileNotFoundError:
            if path.exists():
                raise
            return False
        self._copied[name] = state
        return True

    def _remove_all_but(self, steps: Iterable[str | None]) -> None:
        """Remove the remote checkpoints of other steps, their marks first."""
        kept = {None, *steps}
        gone = [name for name in self._copied if _step(name) not in kept]
        for name in sorted(gone, key=lambda name: not name.endswith(f"/{_MARK}")):
            if self._fs.exists(f"{self._root}/{name}"):
                self._fs.rm_file(f"{self._root}/{name}")
            del self._copied[name]


def _connect(url: str, folder: Path, writes: bool) -> _Mirror:
    """A mirror with its local files in place.

    Raises:
        ConfigError: where there is no way to the URL.
    """
    try:
        mirror = _Mirror(url, folder)
        if writes:
            mirror.require_writable()
        mirror.pull(newest_only=not writes)
    except ImportError as error:
        raise ConfigError(f"{url} needs one more package: {_brief(error)}") from error
    # Each file system has errors of its own for a wrong name or missing credentials.
    except Exception as error:
        raise ConfigError(f"{url} cannot be used: {_brief(error)}") from error
    return mirror


@contextmanager
def _copying(mirror: _Mirror) -> Iterator[None]:
    """Copies changes now and then from a thread, and all of them in the end.

    Raises:
        CopyError: where the last ones could not be copied.
    """
    stop = threading.Event()
    thread = threading.Thread(
        target=_keep_copying, args=(mirror, stop), name="copying", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        _push_all(mirror)


def _keep_copying(mirror: _Mirror, stop: threading.Event) -> None:
    failing = False
    while not stop.wait(INTERVAL_SECONDS):
        try:
            mirror.push()
            failing = False
        except Exception as error:  # an outage must not end the run
            if not failing:
                message = f"cannot copy to {mirror.url} now: {_brief(error)}"
                print(f"{message}; trying again", file=sys.stderr)
            failing = True


def _push_all(mirror: _Mirror) -> None:
    for attempt in range(_TRIES):
        try:
            mirror.push()
            return
        except Exception as error:
            if attempt == _TRIES - 1:
                raise CopyError(
                    f"not everything could be copied to {mirror.url} "
                    f"({_brief(error)}): the run lies in {mirror.folder}"
                ) from error
            time.sleep(_PAUSE_SECONDS)


def _files(folder: Path, besides: Path | None = None) -> Iterator[Path]:
    """All files below a folder, but for half-written ones and another folder's."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if Path(parent, name) != besides]
        yield from (Path(parent, name) for name in names if not name.endswith(".tmp"))


def _step(name: str) -> str | None:
    """The step of a file of a checkpoint, as in its name; None of other files."""
    parts = name.split("/")
    return parts[1] if parts[0] == _CHECKPOINTS and len(parts) > 2 else None


def _state(path: Path) -> tuple[int, int]:
    """What changes whenever a file does."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def _brief(error: Exception) -> str:
    """An error in one line; some are a bare name of what was not found."""
    lines = str(error).splitlines() or [""]
    return f"{lines[0].strip()} ({type(error).__name__})"
