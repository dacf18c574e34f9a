"""How commands end: mistakes, places that cannot be written, and Ctrl-C."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from cfasl_jax import errors
from cfasl_jax.errors import ConfigError

ROOT = Path(__file__).parent.parent


def raising(error):
    def command():
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ConfigError("no such thing"), 2, "error: no such thing\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/full/results.json"),
            1,
            "error: cannot write /full/results.json: No space left on device\n",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device"),  # standard output
            1,
            "error: cannot write the output: No space left on device\n",
        ),
        (
            OSError(errno.EIO, "Input/output error", "images.npy"),
            1,
            "error: cannot use images.npy: Input/output error\n",
        ),
        (
            OSError(errno.ENAMETOOLONG, "File name too long", "xxx"),
            2,
            "error: xxx: File name too long\n",
        ),
        (KeyboardInterrupt(), 130, "stopped here\n"),
    ],
)
def test_what_stops_a_command_is_one_sentence(capsys, error, code, said):
    assert errors.exit_code(raising(error), interrupted="stopped here") == code
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("a\nb.png cannot be read"), r"error: a\nb.png cannot be read"),
        (FileExistsError(errno.EEXIST, "File exists", "a"), "error: a: File exists"),
        (OSError("it broke"), "error: it broke"),
    ],
)
def test_a_mistake_is_told_in_one_line(capsys, error, said):
    assert errors.exit_code(raising(error), mistakes=(ValueError, OSError)) == 2
    assert capsys.readouterr().err == said + "\n"


def test_a_command_ends_with_its_own_code():
    assert errors.exit_code(lambda: None) == 0
    assert errors.exit_code(lambda: 143) == 143


@pytest.mark.parametrize("error", [OSError(errno.EINVAL, "?"), ValueError("a defect")])
def test_other_errors_are_not_hidden(error):
    with pytest.raises(type(error)):
        errors.exit_code(raising(error))


def test_interrupts_reach_the_command_and_are_final_around_it():
    before = signal.getsignal(signal.SIGINT)
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        errors.make_interrupts_final()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
        command = lambda: os.kill(os.getpid(), signal.SIGINT)  # noqa: E731
        assert errors.exit_code(command) == 130
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGINT, before)


def test_sigterm_ends_a_command_after_it_has_closed_what_it_opened(capsys):
    closed = []

    def command():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        finally:
            closed.append(True)

    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        assert errors.exit_code(command, interrupted="stopped here") == 143
        assert closed
        assert capsys.readouterr().err == "stopped here\n"
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)
    with pytest.raises(SystemExit):
        errors.exit_code(raising(SystemExit(0)))  # of --help


@pytest.mark.parametrize("name", ["main", "evaluate", "data", "study", "benchmark"])
def test_ctrl_c_while_a_command_imports_its_modules_is_silent(tmp_path, name):
    # In the place of JAX, a module in whose import Ctrl-C is pressed.
    (tmp_path / "jax.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    ended = subprocess.run(
        [sys.executable, "-m", f"cfasl_jax.{name}"],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == -signal.SIGINT  # 130 in a shell
    assert ended.stderr == ""


@pytest.mark.parametrize(
    ("text", "number"), [("1", 1), ("7", 7), ("0", None), ("-3", None), ("8", None)]
)
def test_whole_numbers_have_a_range(text, number):
    parser = errors.ArgumentParser()
    parser.add_argument("--count", type=errors.whole_number(1, 7))
    if number is not None:
        assert parser.parse_args([f"--count={text}"]).count == number
        return
    with pytest.raises(ConfigError, match=f"whole number from 1 to 7, not '{text}'"):
        parser.parse_args([f"--count={text}"])


@pytest.mark.parametrize(
    ("value", "nearest"),
    [("MIG", "mig"), ("epsilon", "weights.epsilon"), ("wieghts.epsilon", "weights.")],
)
def test_near_misses(value, nearest):
    assert nearest in errors.near_miss(value, ["mig", "weights.epsilon"])


def test_what_cannot_be_written_is_known_before_the_work(tmp_path, monkeypatch):
    errors.require_writable(tmp_path / "deep" / "results.json")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    (tmp_path / "results.json").mkdir()
    for path in (tmp_path / "file" / "results.json", tmp_path / "results.json"):
        with pytest.raises(ConfigError, match=r"cannot write .*results\.json: "):
            errors.require_writable(path)
    # A file put in the place of a device, such as /dev/null, would break the system.
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="it is a device or a pipe"):
        errors.require_writable(tmp_path / "pipe")

    def fail(**_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", fail)
    with pytest.raises(ConfigError, match=r"x\.json: Read-only file system"):
        errors.require_writable(tmp_path / "x.json")
