"""Working directories in a bucket, or at any other address that fsspec knows.

A run always works in a local directory. If its working directory is a URL, such as
gs://bucket/run, the local directory is a temporary copy: the files of the run are
copied there at the start, and changed files are copied back every half minute and at
the end. The files have the same names in both places, so that a copy of the bucket is
an ordinary working directory.

Paths that write to a bucket directly, such as those of etils.epath, cannot be used: an
object cannot be appended to (opening one for appending replaces it, and thereby the
log), TensorBoard's writer and the figures need files, and a network outage would end
the run.

A process may be killed at any moment, even while it copies. An object is written
completely or not at all, and the last object of a checkpoint marks it as complete: a
checkpoint without this mark is never read.

The directory of a study contains those of its runs, and is copied in the same way. A
bucket has no file locks, which workers would need to share the runs. So one worker at a
time has the whole directory, by its lease, see `cfasl_jax.lease`.
"""

import os
import re
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cfasl_jax import lease
from cfasl_jax.data.remote import file_system
from cfasl_jax.errors import ConfigError, FailedError, expanded
from cfasl_jax.lease import Lease

# A process that is killed loses what it wrote since the last copy.
INTERVAL_SECONDS = 30.0

# How often the copy at the end is tried, and the pause between two tries.
_TRIES = 3
_PAUSE_SECONDS = 5.0

_CHECKPOINTS = "checkpoints"
_DAMAGED = "damaged-"  # begins the names of checkpoints that could not be read
_MARK = "_CHECKPOINT_METADATA"

# Files below the top level that are read again: records, codes by which runs are
# compared, pages that show that a run is finished, and TensorBoard's events, which say
# how long it was trained. Figures are only written.
_READ, _EVENTS = (".json", ".jsonl", ".npy", ".html"), "/events.out.tfevents."


class CopyError(FailedError):
    """A part of a run could not be copied to its URL; the message says where it is."""


def location(text: str) -> Path | str:
    """A path, in which ~ is the home directory, or the URL of a remote directory.

    Raises:
        ConfigError: if ~NAME names no user, or if nothing is named.
    """
    path = text.removeprefix("file://")
    scheme = re.match(r"(?i)[a-z][\w+.-]*://", path)
    if not path[scheme.end() if scheme else 0 :].strip("/ " if scheme else None):
        raise ConfigError(f"{text!r} names no working directory")
    if bucket := re.match(r"(?i)(gs|s3):/(?!/)", path):
        raise ConfigError(
            f"{text!r} is no address of a bucket: write {bucket[1]}://BUCKET/DIR"
        )
    if not scheme:
        return expanded(path)
    return scheme[0].lower() + path[scheme.end() :].rstrip("/")


@contextmanager
def local(
    place: Path | str,
    writes: bool = True,
    alone: bool = False,
    checkpoints: bool = True,
) -> Iterator[Path]:
    """A local directory that represents a working directory inside the context.

    Args:
        place: see `location`; a path represents itself.
        writes: whether this process writes there. Otherwise it only gets the
            configuration and the newest checkpoint.
        alone: whether to wait until no other process has the URL for itself, and then
            to keep others out inside the context. This does not affect paths.
        checkpoints: whether checkpoints are needed. If not, they are neither copied
            from the URL nor changed there.

    Raises:
        ConfigError: if the URL cannot be used.
        CopyError: if the last changes could not be copied; they are kept.
    """
    if isinstance(place, Path):
        yield place
        return
    folder = Path(tempfile.mkdtemp(prefix="cfasl-"))
    kept = False
    try:
        mirror = _connect(place, folder, writes, alone, checkpoints)
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
    """A local folder and the remote folder that it mirrors."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self._fs, self._root = file_system(url)
        # The files in the bucket, by name, each with the state of the local file that
        # it is a copy of.
        self._copied: dict[str, tuple[int, int] | None] = {}
        self.lease = Lease(self._fs, self._root)

    def pull(self, newest_only: bool, checkpoints: bool) -> None:
        """Copy records and whole checkpoints from the remote folder."""
        self._fs.invalidate_cache()
        paths = self._fs.find(self._root)
        names = [path.removeprefix(self._root).lstrip("/") for path in paths]
        names = [name for name in names if name and name not in lease.NAMES]
        self._copied = {
            name: None
            for name in names
            if name[-1] != "/" and (checkpoints or _step(name) is None)
        }
        marked = [name for name in self._copied if name.endswith(f"/{_MARK}")]
        steps = {step for name in marked if (step := _step(name))}
        wanted = steps
        if newest_only:
            own = [step for step in steps if step.startswith(_CHECKPOINTS)]
            wanted = {max(own, key=_number)} if own else set()
        for name in self._copied:
            if _is_of_checkpoint(name):
                needed = _step(name) in wanted
            else:
                needed = name == "config.json" if newest_only else _is_read(name)
            if needed:
                self.lease.renew()  # a large directory takes longer than a lease lasts
                path = self.folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                self._fs.get_file(f"{self._root}/{name}", str(path))
                self._copied[name] = _state(path)
        if not newest_only and checkpoints:
            self._remove_all_but(steps)

    def push(self) -> None:
        """Copy what has changed, and remove the checkpoints that are gone.

        Raises:
            RuntimeError: if another process has taken the lease over.
        """
        self.lease.renew()
        # The checkpoints are listed first and the log is copied next, so that the log
        # in the bucket always has the lines of every step up to the newest checkpoint
        # there. They are listed twice, since those of a pack of runs are removed once
        # each run has its own: a checkpoint that was removed before the second listing
        # is in it under its new name.
        earlier = _checkpoints(self.folder)
        steps = _checkpoints(self.folder)
        for path in _files(self.folder, besides=_CHECKPOINTS):
            self._put(path)
        for folder in sorted(self.folder.rglob(f"{_CHECKPOINTS}/{_DAMAGED}*")):
            for path in _files(folder):
                self._put(path)
        for step in sorted(steps, key=_number):
            folder = self.folder / step
            mark, before = folder / _MARK, set(_files(folder))
            whole = all(self._put(path) for path in sorted(before - {mark}))
            if whole and set(_files(folder)) == before:
                self._put(mark)
        self._remove_all_but(earlier | steps)

    def _put(self, path: Path) -> bool:
        """Copy a file if it has changed; False where it vanished meanwhile."""
        self.lease.renew()
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

    def _remove_all_but(self, steps: set[str]) -> None:
        """Remove the other remote checkpoints, their marks first."""
        kept = {None, *steps}
        gone = [name for name in self._copied if _step(name) not in kept]
        for name in sorted(gone, key=lambda name: not name.endswith(f"/{_MARK}")):
            if self._fs.exists(f"{self._root}/{name}"):
                self._fs.rm_file(f"{self._root}/{name}")
            del self._copied[name]


def _connect(
    url: str,
    folder: Path,
    writes: bool,
    alone: bool = False,
    checkpoints: bool = True,
) -> _Mirror:
    """A mirror with its local files in place.

    Raises:
        ConfigError: if the URL cannot be used.
    """
    try:
        mirror = _Mirror(url, folder)
        if writes:
            mirror.lease.require_writable()
        if alone:
            mirror.lease.acquire(url)
        mirror.pull(not writes, checkpoints)
    except ImportError as error:
        raise ConfigError(f"{url} needs one more package: {_brief(error)}") from error
    # Each file system has errors of its own for a wrong name or missing credentials.
    except Exception as error:
        raise ConfigError(f"{url} cannot be used: {_brief(error)}") from error
    return mirror


@contextmanager
def _copying(mirror: _Mirror) -> Iterator[None]:
    """Copy changes from a thread at intervals, and all remaining ones at the end.

    Raises:
        CopyError: if the last changes could not be copied.
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
        mirror.lease.release()


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
                    f"({_brief(error)}): the run is in {mirror.folder}"
                ) from error
            time.sleep(_PAUSE_SECONDS)


def _files(folder: Path, besides: str = "") -> Iterator[Path]:
    """All files below a folder, but for half-written ones and those in some folders."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != besides]
        yield from (Path(parent, name) for name in names if not name.endswith(".tmp"))


def _checkpoints(root: Path) -> set[str]:
    """The checkpoints of all runs below a folder, such as "checkpoints/500"."""
    found = set()
    for parent, folders, _ in os.walk(root):
        if Path(parent).name == _CHECKPOINTS:
            steps = [Path(parent, name) for name in folders if name.isdigit()]
            found |= {step.relative_to(root).as_posix() for step in steps}
            folders.clear()
    return found


def _step(name: str) -> str | None:
    """The checkpoint that a file is of, such as "checkpoints/500"; None of others."""
    match = re.match(rf"((?:.*/)?{_CHECKPOINTS}/\d+)/", name)
    return match[1] if match else None


def _is_of_checkpoint(name: str) -> bool:
    """Whether a file is of a checkpoint, or of one that is damaged or half-written."""
    return _CHECKPOINTS in name.split("/")[:-1]


def _number(step: str) -> int:
    """500 of "checkpoints/500"."""
    return int(step.rpartition("/")[2])


def _is_read(name: str) -> bool:
    """Whether a process that resumes needs this file, which is not a checkpoint's."""
    return "/" not in name or name.endswith(_READ) or _EVENTS in name


def _state(path: Path) -> tuple[int, int]:
    """A value that changes whenever a file changes."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def _brief(error: Exception) -> str:
    """An error in one line; some errors only have the name of what was not found."""
    lines = str(error).splitlines() or [""]
    return f"{lines[0].strip()} ({type(error).__name__})"
