"""Whole runs: resumed, killed, stopped, spread over processes, gone wrong."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import chex
import jax
import numpy as np
import pytest
import tiny

from cfasl_jax import objectives
from cfasl_jax.config import ConfigError
from cfasl_jax.training import loop, record
from cfasl_jax.training.checkpoints import Checkpoints

WORKER = Path(__file__).parent / "worker.py"


@pytest.fixture(autouse=True)
def tiny_networks(monkeypatch):
    monkeypatch.setattr(objectives, "build", lambda *_: tiny.objective())


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Compiled programs, shared by the processes that this file starts."""
    return tmp_path_factory.mktemp("xla")


def start(workdir, num_steps, cache, **environment):
    """A worker process; its programs come from the cache after the first."""
    environment = {
        **os.environ,
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        **environment,
    }
    return subprocess.Popen(
        [sys.executable, str(WORKER), str(workdir), str(num_steps)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    output, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    return output


def final_state(workdir, num_steps):
    config = tiny.config(num_steps=num_steps)
    return loop.restore(config, tiny.objective(), tiny.dataset(), workdir)


def metrics(workdir):
    return (workdir / record.METRICS_FILE).read_text()


def test_train_writes_every_logged_step_and_keeps_few_checkpoints(tmp_path):
    config = tiny.config(seeds=(1, 2), num_steps=13)
    state = loop.train(config, tiny.dataset(), tmp_path)
    np.testing.assert_array_equal(state.step, [13, 13])
    steps, terms = record.read(tmp_path)
    assert steps.tolist() == [2, 4, 6, 8, 10, 12, 13]
    assert terms["loss"].shape == (2, 7)
    assert terms["reconstruction"][:, -1].mean() < terms["reconstruction"][:, 0].mean()
    kept = sorted(int(p.name) for p in (tmp_path / "checkpoints").iterdir())
    assert kept == [12, 13]
    assert sum(1 for _ in (tmp_path / "tensorboard").rglob("events*")) == 2
    again = loop.train(config, tiny.dataset(), tmp_path)  # nothing left to do
    chex.assert_trees_all_equal(again, state)


def test_a_run_in_two_parts_is_the_run_in_one_bit_by_bit(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    expected = loop.train(tiny.config(num_steps=12), tiny.dataset(), whole)
    for num_steps in (4, 8, 12):
        got = loop.train(tiny.config(num_steps=num_steps), tiny.dataset(), parts)
    chex.assert_trees_all_equal(got, expected)
    assert metrics(parts) == metrics(whole)


def test_killed_at_random_moments_a_run_ends_bitwise_the_same(tmp_path, cache):
    num_steps = 400
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(start(whole, num_steps, cache))
    rng = np.random.default_rng(0)
    kills = 0
    while kills < 3:
        process = start(killed, num_steps, cache)
        before = newest(killed)
        while newest(killed) == before and process.poll() is None:
            time.sleep(0.01)
        # Checkpoints are now being written every few milliseconds.
        time.sleep(rng.uniform(0, 0.3))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
        if process.returncode == 0:
            break
    assert kills > 0
    finish(start(killed, num_steps, cache))
    chex.assert_trees_all_equal(
        final_state(killed, num_steps), final_state(whole, num_steps)
    )
    assert metrics(killed) == metrics(whole)


def newest(workdir):
    """Name of the newest whole checkpoint, or None."""
    folder = workdir / "checkpoints"
    names = (
        [int(p.name) for p in folder.iterdir() if p.name.isdigit()]
        if (folder.exists())
        else []
    )
    return max(names, default=None)


def test_sigterm_saves_and_the_next_call_goes_on(tmp_path, cache):
    workdir = tmp_path / "run"
    process = start(workdir, 100_000, cache)
    while not (workdir / record.METRICS_FILE).exists() or not metrics(workdir):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=100)
    assert process.returncode == 143, errors
    stopped = newest(workdir)
    assert f"stopped at step {stopped}" in output
    assert int(metrics(workdir).splitlines()[-1].split(",")[0].split(":")[1]) == stopped


def test_two_processes_train_what_one_trains(tmp_path, cache):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    shared, alone = tmp_path / "shared", tmp_path / "alone"
    processes = [
        start(
            shared,
            4,
            cache,
            JAX_COORDINATOR_ADDRESS=address,
            JAX_NUM_PROCESSES="2",
            JAX_PROCESS_ID=str(i),
        )
        for i in range(2)
    ]
    finish(start(alone, 4, cache))
    for process in processes:
        finish(process)
    _, got = record.read(shared)
    _, expected = record.read(alone)
    # The first line is the mean over steps 1 and 2, both before rounding has grown.
    first, expected_first = (
        {k: v[:, 0] for k, v in t.items()} for t in (got, expected)
    )
    chex.assert_trees_all_close(first, expected_first, rtol=1e-5, atol=1e-7)
    assert len(metrics(shared).splitlines()) == 2


def test_checkpoints_restore_onto_another_number_of_devices(tmp_path):
    assert jax.device_count() == 4
    state = loop.train(tiny.config(num_steps=4), tiny.dataset(), tmp_path)
    with Checkpoints(tmp_path, keep=2) as checkpoints:
        restored = checkpoints.restore(state)
    for leaf, expected in zip(
        jax.tree.leaves(restored), jax.tree.leaves(state), strict=True
    ):
        assert isinstance(leaf, np.ndarray)  # no device is named in it
        np.testing.assert_array_equal(leaf, expected)


def test_non_finite_loss_stops_and_keeps_the_last_checkpoint(tmp_path):
    config = tiny.config(num_steps=40)
    loop.train(tiny.config(num_steps=4), tiny.dataset(), tmp_path)
    with Checkpoints(tmp_path, keep=2) as checkpoints:
        state = checkpoints.restore(
            loop.initial_state(config, tiny.objective(), tiny.dataset())
        )
        broken = jax.tree.map(lambda x: x.copy(), state)
        broken.params["codebook"]["generators"][:] = np.nan
        checkpoints.save(6, broken.replace(step=broken.step + 2))
    with pytest.raises(loop.NonFiniteLossError, match=r"commutator.*step 7 \(seed 1\)"):
        loop.train(config, tiny.dataset(), tmp_path)
    assert newest(tmp_path) == 6


def test_the_first_bad_step_and_run_are_named():
    terms = {"loss": np.ones((2, 4)), "kl": np.ones((2, 4))}
    loop.require_finite(terms, 10, (7, 8))
    terms["kl"][1, 2:] = np.inf
    terms["loss"][1, 2:] = np.nan
    with pytest.raises(
        loop.NonFiniteLossError, match=r"^kl not finite at step 13 \(seed 8\).*11 to 14"
    ):
        loop.require_finite(terms, 10, (7, 8))


def test_restoring_nothing_is_said_clearly(tmp_path):
    with pytest.raises(ConfigError, match="holds no checkpoint yet: train first"):
        final_state(tmp_path, 4)


def test_half_a_line_of_metrics_is_forgotten(tmp_path):
    path = tmp_path / record.METRICS_FILE
    path.write_text('{"step": 2, "loss": [1.0]}\n{"step": 4, "loss": [2.0]}\n{"st')
    with record.Record(tmp_path, (1,), first_step=2, num_steps=6) as log:
        log.write(4, {"loss": np.array([3.0])})
    steps, terms = record.read(tmp_path)
    assert steps.tolist() == [2, 4]
    assert terms["loss"].tolist() == [[1.0, 3.0]]
