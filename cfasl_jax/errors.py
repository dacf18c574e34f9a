"""Errors of users and of machines, each reported in one clear sentence."""

import argparse
import difflib
import errno
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn


class ConfigError(ValueError):
    """A request of the user cannot be fulfilled; the message is one clear sentence."""


class FailedError(RuntimeError):
    """A command failed, but not by a mistake of its user; the message says why."""


class ArgumentParser(argparse.ArgumentParser):
    """A parser that reports an error in one sentence, without the usage."""

    def error(self, message: str) -> NoReturn:
        """Raise a ConfigError."""
        raise ConfigError(message)


def whole_number(least: int, most: int = 2**31 - 1) -> Callable[[str], int]:
    """A type of `argparse`: whole numbers in a range."""

    def read(text: str) -> int:
        number = int(text) if text.removeprefix("-").isdecimal() else None
        if number is None or not least <= number <= most:
            raise argparse.ArgumentTypeError(
                f"must be a whole number from {least} to {most:,}, not {text!r}"
            )
        return number

    return read


def expanded(path: str | Path) -> Path:
    """A path in which ~ is replaced, which not every shell does in an argument.

    Raises:
        ConfigError: if ~NAME names no user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"there is no user whose home is {Path(path).parts[0]}"
        ) from error


def require_writable(path: Path) -> None:
    """Raise a ConfigError unless a file can be written: before the work that fills it.

    Nothing is left behind; folders that are missing are not made yet.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a directory")
        if path.exists() and not path.is_file():
            # A file is written beside it and takes its place: no device survives that.
            raise OSError(errno.EINVAL, "it is a device or a pipe, not a file")
        folder = next(parent for parent in path.parents if parent.exists())
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))  # a full disk lets empty files be made
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error


# What the shell reports after a process ended on Ctrl-C or SIGTERM: 128 + the signal.
INTERRUPTED, TERMINATED = 130, 143

# Errors of a place that is full, read-only, forbidden or broken: no other command would
# help. The last three do not say whether a file was read or written.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_OF_PLACES = (*_FULL, errno.EACCES, errno.EPERM, errno.EIO)

# Errors of a path that no file can have.
_NO_NAME = (errno.ENAMETOOLONG, errno.ELOOP)


def exit_code(
    command: Callable[[], int | None],
    mistakes: tuple[type[Exception], ...] = (ConfigError,),
    interrupted: str = "interrupted",
) -> int:
    """Run a command, print any error in one sentence, and return the exit code.

    Ctrl-C and SIGTERM end it by an exception, so that all that is open is closed.

    Args:
        command: the command, which returns its exit code; None means 0.
        mistakes: types of errors that count as the user's, with exit code 2.
        interrupted: the message after Ctrl-C or SIGTERM.

    Returns:
        The command's own code; 2 after a mistake of the user, 1 if a file could not be
        read or written, 130 after Ctrl-C, 143 after SIGTERM.
    """
    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: _terminate}
    final = [number for number in handlers if _ends_at_once(number)]
    for number in final:
        signal.signal(number, handlers[number])
    try:
        return command() or 0
    except BrokenPipeError:  # as in COMMAND | head, which stops reading
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except mistakes as error:
        return fail(f"error: {_sentence(error)}", 2)
    except FailedError as error:
        return fail(f"error: {_sentence(error)}", 1)
    except OSError as error:
        if error.errno in _NO_NAME:
            return fail(f"error: {_sentence(error)}", 2)
        if error.errno not in _OF_PLACES:
            raise
        verb = "write" if error.errno in _FULL else "use"
        place = error.filename or "the output"
        return fail(f"error: cannot {verb} {place}: {error.strerror}", 1)
    except KeyboardInterrupt:
        return fail(interrupted, INTERRUPTED)
    except SystemExit as end:
        if end.code != TERMINATED:
            raise
        return fail(interrupted, TERMINATED)
    finally:
        for number in final:
            signal.signal(number, signal.SIG_DFL)


def _ends_at_once(number: int) -> bool:
    """Whether a signal would end the process at once, and this thread may change it."""
    main = threading.current_thread() is threading.main_thread()
    return main and signal.getsignal(number) is signal.SIG_DFL


def _terminate(*_: object) -> NoReturn:
    raise SystemExit(TERMINATED)


def _sentence(error: Exception) -> str:
    """What an error says, in one line; names of files may have line breaks."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}".replace("\n", "\\n")
    return str(error).replace("\n", "\\n")


def fail(message: str, code: int) -> int:
    """Print a sentence to stderr; return the exit code."""
    print(message, file=sys.stderr)
    return code


def make_interrupts_final() -> None:
    """Let Ctrl-C end the process at once and silently, until `exit_code` is called.

    A command needs seconds to import its modules, and Python would react to Ctrl-C in
    this time with a traceback.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


# More choices than this are not listed if one of them resembles the given value.
_MOST_LISTED = 12


def require_choice(kind: str, value: object, choices: Iterable[str]) -> None:
    """Raise a ConfigError unless the value is one of the choices.

    Its message suggests the most similar choice, and lists all choices unless there are
    many of them and one is similar.
    """
    choices = tuple(choices)
    if value in choices:
        return
    hint = near_miss(value, choices)
    if hint and len(choices) > _MOST_LISTED:
        raise ConfigError(f"unknown {kind} {value!r}{hint}")
    raise ConfigError(f"unknown {kind} {value!r}: one of {', '.join(choices)}{hint}")


def near_miss(value: object, choices: Iterable[str]) -> str:
    """The end of a sentence that suggests the most similar choice; empty without one.

    Case is ignored, and a dotted name may be given by its last part.
    """
    by_name = {choice.lower(): choice for choice in choices}
    wanted = str(value).lower()
    near = difflib.get_close_matches(wanted, list(by_name), n=1)
    if not near:
        last_parts = {name.rpartition(".")[2]: name for name in by_name}
        near = [
            last_parts[part]
            for part in difflib.get_close_matches(wanted, list(last_parts), n=1)
        ]
    return f"; did you mean {by_name[near[0]]!r}?" if near else ""
