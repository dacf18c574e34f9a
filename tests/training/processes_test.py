"""Several processes of one job: they train what one trains, and end together."""

import signal
import time
from pathlib import Path
from typing import NamedTuple

import chex
import numpy as np
import pytest
import tiny
from processes import ending, finish, newest, start_together

from cfasl_jax import objectives
from cfasl_jax.training import loop, record


@pytest.fixture(autouse=True)
def tiny_networks(monkeypatch):
    monkeypatch.setattr(objectives, "build", lambda *_: tiny.objective())


class Killed(NamedTuple):
    """A streamed run of two processes, one of them killed; resumed to its length."""

    workdir: Path
    length: int


PROCESSES = 2


def kill_one(workdir, count, *arguments):
    """Start processes of one job and kill one of them; the newest checkpoint's step."""
    left = start_together([workdir] * count, 100_000, *arguments)
    victim = left.pop(1)
    while newest(workdir) is None:
        assert left[0].poll() is None, left[0].communicate()
        time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    # The others are not left waiting: well below the time for missing heartbeats. That
    # bounds it where gloo notices nothing, as in the first of four if the last dies.
    errors = [ending(process, timeout=60) for process in left]
    assert all(process.returncode != 0 for process in left)
    # Of several, one may be ended by another's end before it has said why.
    assert "lost another one: start all of them again" in "".join(errors)
    return newest(workdir)


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("killed")
    images = str(tmp_path_factory.mktemp("images") / "images.npy")
    tiny.streamed(images)
    length = kill_one(workdir, PROCESSES, "cfasl", images) + 6
    for process in start_together([workdir] * PROCESSES, length, "cfasl", images):
        finish(process)
    return Killed(workdir, length)


def test_of_four_processes_three_end_with_one_that_is_killed(tmp_path):
    assert kill_one(tmp_path, 4) > 0


def test_after_a_kill_all_resume_bitwise(killed, tmp_path):
    workdir, length = killed
    for process in start_together([tmp_path] * PROCESSES, length, "cfasl"):
        finish(process)
    config = tiny.config(num_steps=length)
    resumed, whole = (
        loop.restore(config, tiny.objective(), tiny.dataset().spec, folder)
        for folder in (workdir, tmp_path)
    )
    assert resumed.step.tolist() == [length]
    chex.assert_trees_all_equal(resumed, whole)
    logs = [(f / record.METRICS_FILE).read_text() for f in (workdir, tmp_path)]
    assert logs[0] == logs[1]


def test_processes_train_what_one_trains(killed, tmp_path):
    loop.train(tiny.config(num_steps=2), tiny.dataset(), tmp_path)
    # The first line is the mean over steps 1 and 2, both before rounding has grown.
    got, expected = (
        {name: values[:, 0] for name, values in record.read(folder)[1].items()}
        for folder in (killed.workdir, tmp_path)
    )
    # Near orthogonality the parallel loss turns rounding into gradient.
    norms = (log.pop("gradient_norm") for log in (got, expected))
    np.testing.assert_allclose(*norms, rtol=5e-3)
    chex.assert_trees_all_close(got, expected, rtol=1e-5, atol=1e-7)


def test_processes_that_see_different_directories_stop(killed, tmp_path):
    workdirs = [killed.workdir, tmp_path]
    processes = start_together(workdirs, killed.length + 2, "cfasl")
    messages = [ending(process, timeout=100) for process in processes]
    # One of them may be ended by the other's end before it has said why.
    assert all(process.returncode != 0 for process in processes)
    assert "all of them must see the same directory" in "".join(messages)
    assert newest(killed.workdir) == killed.length
