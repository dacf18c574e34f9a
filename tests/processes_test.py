"""Several processes of one job: they train what one trains, and end together."""

import signal
import time

import chex
import pytest
import tiny
from processes import finish, newest, start_together

from cfasl_jax import objectives
from cfasl_jax.training import loop, record


@pytest.fixture(autouse=True)
def tiny_networks(monkeypatch):
    monkeypatch.setattr(objectives, "build", lambda *_: tiny.objective())


@pytest.fixture(scope="module")
def killed(tmp_path_factory, cache):
    """A streamed run of two processes, one of them killed; resumed. And its length."""
    workdir = tmp_path_factory.mktemp("killed")
    images = str(tmp_path_factory.mktemp("images") / "images.npy")
    tiny.streamed(images)
    first, second = start_together([workdir] * 2, 100_000, cache, images)
    while newest(workdir) is None:
        assert first.poll() is None, first.communicate()
        time.sleep(0.01)
    second.send_signal(signal.SIGKILL)
    # The first one is not left waiting: well below the time for missing heartbeats.
    _, errors = first.communicate(timeout=60)
    second.communicate()
    assert first.returncode == 1
    assert "lost another one: start all of them again" in errors
    length = newest(workdir) + 6
    for process in start_together([workdir] * 2, length, cache, images):
        finish(process)
    return workdir, length


def test_after_a_kill_all_resume_bitwise(killed, tmp_path, cache):
    workdir, length = killed
    for process in start_together([tmp_path] * 2, length, cache):
        finish(process)
    config = tiny.config(num_steps=length)
    resumed, whole = (
        loop.restore(config, tiny.objective(), tiny.dataset(), folder)
        for folder in (workdir, tmp_path)
    )
    assert resumed.step.tolist() == [length]
    chex.assert_trees_all_equal(resumed, whole)
    logs = [(f / record.METRICS_FILE).read_text() for f in (workdir, tmp_path)]
    assert logs[0] == logs[1]


def test_two_processes_train_what_one_trains(killed, tmp_path):
    loop.train(tiny.config(num_steps=2), tiny.dataset(), tmp_path)
    # The first line is the mean over steps 1 and 2, both before rounding has grown.
    got, expected = (
        {name: values[:, 0] for name, values in record.read(folder)[1].items()}
        for folder in (killed[0], tmp_path)
    )
    chex.assert_trees_all_close(got, expected, rtol=1e-5, atol=1e-7)


def test_processes_that_see_different_directories_stop(killed, tmp_path, cache):
    workdir, length = killed
    processes = start_together([workdir, tmp_path], length + 2, cache)
    messages = [process.communicate(timeout=100)[1] for process in processes]
    # One of them may be ended by the other's end before it has said why.
    assert all(process.returncode != 0 for process in processes)
    assert "all of them must see the same directory" in "".join(messages)
    assert newest(workdir) == length
