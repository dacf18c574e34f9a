"""A lease of a remote folder: an object in it that names the one process that has it.

A bucket has no file locks. A process has the folder for itself as long as it keeps
writing the object again; one that is killed stops doing so, and another takes over.
"""

import sys
import time
import uuid
from contextlib import suppress
from typing import Any

# After this time without a renewal, in seconds, a process counts as dead.
LEASE_SECONDS = 300.0
# A renewal sooner than this after the last one does nothing.
RENEWAL_SECONDS = 15.0
_PAUSE_SECONDS = 5.0

_LEASE, _PROBE = ".worker", ".access"
# The objects that this module writes.
NAMES = (_LEASE, _PROBE)


class Lease:
    """This process's lease of a remote folder; it does nothing until it is acquired."""

    def __init__(self, files: Any, root: str) -> None:
        """Takes the file system, of fsspec, and the folder."""
        self.owner = str(uuid.uuid4()).encode()
        self._files, self._root, self._path = files, root, f"{root}/{_LEASE}"
        # When it was last written, by `time.monotonic`; None while it is not held.
        self._renewed: float | None = None

    def require_writable(self) -> float:
        """Raise an error of the file system unless the folder can be written.

        Returns:
            The time by its clock.
        """
        probe = f"{self._root}/{_PROBE}"
        self._files.pipe_file(probe, b"")
        self._files.invalidate_cache()
        now = self._files.modified(probe).timestamp()
        self._files.rm_file(probe)
        return now

    def acquire(self, url: str) -> None:
        """Return once this process has the folder, which users know by its URL."""
        told = False
        while not self.take():
            if not told:
                print(
                    f"another worker has {url}: waiting until it ends, or until "
                    f"it has not been heard from for {LEASE_SECONDS:.0f} seconds",
                    file=sys.stderr,
                )
            told = True
            time.sleep(_PAUSE_SECONDS)
        self._renewed = time.monotonic()

    def take(self) -> bool:
        """Try to take the lease; return whether it is ours. A stale one is removed."""
        try:
            self._files.pipe_file(self._path, self.owner, mode="create")
        except FileExistsError:
            now = self.require_writable()
            with suppress(FileNotFoundError):
                if now - self._files.modified(self._path).timestamp() > LEASE_SECONDS:
                    self._files.rm_file(self._path)
            return False
        # Another process may have removed our lease as the stale one that both saw.
        time.sleep(_PAUSE_SECONDS)
        self._files.invalidate_cache()
        return self._files.cat_file(self._path) == self.owner

    def renew(self) -> None:
        """Write the lease again, if it is held and this was not done just now.

        Raises:
            RuntimeError: if another process has the lease, because this one was not
                heard from for too long.
        """
        if self._renewed is None:
            return
        now = time.monotonic()
        if now - self._renewed >= RENEWAL_SECONDS:
            self._require_ours()
            self._files.pipe_file(self._path, self.owner)
            self._renewed = now

    def release(self) -> None:
        """Let other processes have the folder, unless one of them has it."""
        if self._renewed is not None:
            self._renewed = None
            with suppress(RuntimeError):
                self._require_ours()
                self._files.rm_file(self._path)

    def _require_ours(self) -> None:
        self._files.invalidate_cache()
        try:
            if self._files.cat_file(self._path) == self.owner:
                return
        except FileNotFoundError:
            pass
        raise RuntimeError("another worker has taken it over")
