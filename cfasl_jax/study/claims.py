"""Claims, by which workers that share a directory divide the runs among them.

A claim is an exclusive flock on a file. It ends with the process that holds it, however
that ends. If a file system has no such locks, a claim is a lease: a file that its owner
touches at intervals, and that others remove once it has not been touched for a long
time.
"""

import errno
import fcntl
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cfasl_jax.errors import ConfigError

# How often an owner touches its lease, in seconds, and after what time without this it
# counts as dead.
HEARTBEAT_SECONDS = 20.0
LEASE_SECONDS = 300.0

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


@contextmanager
def claim(folder: Path) -> Iterator[bool]:
    """Claim a folder while the context lasts.

    Yields:
        Whether the claim is ours. It is False at once if another worker has it.

    Raises:
        ConfigError: if the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write into {folder}: {error.strerror}") from error
    with (folder / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            with _lease(folder / ".lease") as ours:
                yield ours
            return
        yield True


@contextmanager
def _lease(path: Path) -> Iterator[bool]:
    """Hold a lease while the context lasts, and keep it fresh; yields as `claim`."""
    owner = f"{socket.gethostname()} {os.getpid()} {uuid.uuid4()}"
    if _is_stale(path):
        _remove(path)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(owner)
    except FileExistsError:
        yield False
        return
    stop = threading.Event()
    thread = threading.Thread(target=_keep, args=(path, stop), daemon=True)
    thread.start()
    try:
        yield True
    finally:
        stop.set()
        thread.join()
        if path.exists() and path.read_text("utf-8") == owner:
            path.unlink()


def _keep(path: Path, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_SECONDS):
        with suppress(OSError):  # an outage, or the lease was taken for dead
            os.utime(path)


def _is_stale(path: Path) -> bool:
    """Whether a lease was not touched for too long, by the file system's clock."""
    probe = path.with_name(f"{path.name}.{uuid.uuid4()}")
    probe.touch()
    now = probe.stat().st_mtime
    probe.unlink()
    try:
        return now - path.stat().st_mtime > LEASE_SECONDS
    except FileNotFoundError:
        return False


def _remove(path: Path) -> None:
    """Remove a stale lease; one that another worker has just renewed is put back."""
    aside = path.with_name(f"{path.name}.{uuid.uuid4()}")
    try:
        path.rename(aside)  # of several workers one alone succeeds
    except FileNotFoundError:
        return
    if not _is_stale(aside):
        with suppress(OSError):  # a third worker was faster: the lease is that one's
            os.link(aside, path)
    aside.unlink()
