"""Whole runs: resumed, killed, stopped, gone wrong."""

import dataclasses
import signal
import time

import chex
import jax
import numpy as np
import processes
import pytest
import tiny

from cfasl_jax import objectives
from cfasl_jax.errors import ConfigError
from cfasl_jax.training import checkpoints, loop, record
from cfasl_jax.training.checkpoints import Checkpoints


@pytest.fixture(autouse=True)
def tiny_networks(monkeypatch):
    monkeypatch.setattr(objectives, "build", lambda *_: tiny.objective())


def final_state(workdir, num_steps):
    config = tiny.config(num_steps=num_steps)
    spec = tiny.dataset().spec
    return loop.restore(config, objectives.build(config, spec), spec, workdir)


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


def test_a_run_in_two_parts_is_the_run_in_one_bit_by_bit(tmp_path, capsys):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    expected = loop.train(tiny.config(num_steps=12), tiny.dataset(), whole)
    for num_steps in (4, 8, 12):
        got = loop.train(tiny.config(num_steps=num_steps), tiny.dataset(), parts)
    chex.assert_trees_all_equal(got, expected)
    assert metrics(parts) == metrics(whole)
    said = capsys.readouterr().err
    assert [f"resuming after step {n}\n" in said for n in (0, 4, 8)] == [0, 1, 1]


def test_a_run_and_its_restored_state_trace_the_networks_once(tmp_path, monkeypatch):
    traced, init = [], loop.state_lib.init
    monkeypatch.setattr(loop.state_lib, "init", lambda *a: traced.append(1) or init(*a))
    config = tiny.config(num_steps=2, clip_norm=7.0)  # of no other test
    state = loop.train(config, tiny.dataset(), tmp_path)
    spec = tiny.dataset().spec
    restored = loop.restore(config, objectives.build(config, spec), spec, tmp_path)
    chex.assert_trees_all_equal(restored, state)
    assert traced == [1]


def test_a_chunk_is_started_before_the_one_before_is_read(tmp_path, monkeypatch):
    """But where a checkpoint is due, everything is read first."""
    events = []
    start, write, save = loop.Steps.__call__, record.Record.write, Checkpoints.save
    monkeypatch.setattr(
        loop.Steps, "__call__", lambda *a: events.append("start") or start(*a)
    )
    monkeypatch.setattr(
        record.Record, "write", lambda *a: events.append(f"log {a[1]}") or write(*a)
    )
    monkeypatch.setattr(
        Checkpoints, "save", lambda *a: events.append(f"save {a[1]}") or save(*a)
    )
    config = tiny.config(num_steps=8, checkpoint={"every": 6})
    loop.train(config, tiny.dataset(), tmp_path)
    assert events == [
        *("start", "start", "log 2", "start", "log 4", "log 6", "save 6"),
        *("start", "log 8", "save 8"),
    ]


def test_killed_at_random_moments_a_run_ends_bitwise_the_same(tmp_path, monkeypatch):
    base = tiny.objective(cfasl=False)
    monkeypatch.setattr(objectives, "build", lambda *_: base)
    num_steps = 200
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    processes.finish(processes.start(whole, num_steps))
    rng = np.random.default_rng(0)
    kills = 0
    while kills < 2:
        process = processes.start(killed, num_steps)
        before = processes.newest(killed)
        while processes.newest(killed) == before and process.poll() is None:
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
    processes.finish(processes.start(killed, num_steps))
    chex.assert_trees_all_equal(
        final_state(killed, num_steps), final_state(whole, num_steps)
    )
    assert metrics(killed) == metrics(whole)


def test_sigterm_saves_and_the_next_call_goes_on(tmp_path):
    workdir = tmp_path / "run"
    process = processes.start(workdir, 100_000)
    while not (workdir / record.METRICS_FILE).exists() or not metrics(workdir):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    errors = processes.ending(process, timeout=100)
    assert process.returncode == 143, errors
    stopped = processes.newest(workdir)
    assert f"stopped at step {stopped}" in errors
    assert int(metrics(workdir).splitlines()[-1].split(",")[0].split(":")[1]) == stopped


def test_ctrl_c_saves_and_a_second_one_ends_at_once(tmp_path):
    process = processes.start(tmp_path / "once", 100_000)
    while processes.newest(tmp_path / "once") is None:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    errors = processes.ending(process, timeout=100)
    assert process.returncode == 130, errors
    stopped = processes.newest(tmp_path / "once")
    assert f"stopped at step {stopped}" in errors
    with loop._stop_signals() as asked:
        signal.raise_signal(signal.SIGINT)
        assert asked.number == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        # A third one kills the process, whatever it is still writing.
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_while_the_last_steps_are_computed_ends_the_call_too(
    tmp_path, monkeypatch
):
    config = tiny.config(num_steps=4)
    write = record.Record.write

    def interrupted(log, step, terms):
        write(log, step, terms)
        if step == 4:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(record.Record, "write", interrupted)
    with pytest.raises(loop.InterruptedRunError, match="stopped at step 4; the same"):
        loop.train(config, tiny.dataset(), tmp_path)
    assert processes.newest(tmp_path) == 4
    assert int(loop.train(config, tiny.dataset(), tmp_path).step[0]) == 4


def test_a_signal_while_a_finished_run_is_read_ends_the_call_too(tmp_path, monkeypatch):
    config = tiny.config(num_steps=4)
    loop.train(config, tiny.dataset(), tmp_path)
    restore = Checkpoints.restore

    def interrupted(*arguments, **options):
        signal.raise_signal(signal.SIGTERM)
        return restore(*arguments, **options)

    monkeypatch.setattr(Checkpoints, "restore", interrupted)
    with pytest.raises(loop.InterruptedRunError, match="stopped at step 4; the same"):
        loop.train(config, tiny.dataset(), tmp_path)


def test_a_run_that_is_continued_from_any_step_saves_when_it_should(tmp_path):
    config = tiny.config(num_steps=3, checkpoint={"keep": 9})
    loop.train(config, tiny.dataset(), tmp_path)
    loop.train(dataclasses.replace(config, num_steps=11), tiny.dataset(), tmp_path)
    assert sorted(checkpoints.steps(tmp_path)) == [3, 4, 8, 11]
    assert record.read(tmp_path)[0].tolist() == [2, 3, 4, 6, 8, 10, 11]


def test_scores_along_the_way_stand_in_the_log(tmp_path):
    values = tiny.config().eval
    config = dataclasses.replace(
        tiny.config(num_steps=8, seeds=(1, 2)),
        eval=dataclasses.replace(values, every=4),
    )

    def score(state):
        return {"steps": [float(step) for step in state.step]}

    loop.train(config, tiny.dataset(), tmp_path, score)
    steps, terms = record.read(tmp_path)
    assert steps.tolist() == [2, 4, 6, 8]
    assert "eval/steps" not in terms
    ((at, scores),) = record.read_scores(tmp_path).values()
    assert at.tolist() == [4, 8]
    np.testing.assert_array_equal(scores, [[4, 8], [4, 8]])


def test_runs_with_hyperparameters_of_their_own_are_those_of_runs_alone(tmp_path):
    varied = (("beta", (1.0, 4.0)), ("weights.epsilon", (0.1, 0.01)))
    together = tiny.config(num_steps=4, seeds=(1, 1), per_run=varied)
    both = loop.train(together, tiny.dataset(), tmp_path / "both")
    _, terms = record.read(tmp_path / "both")
    for run in range(2):
        folder = tmp_path / f"run{run}"
        loop.train(together.of_run(run), tiny.dataset(), folder)
        alone = record.read(folder)[1]
        own = {name: values[run : run + 1] for name, values in terms.items()}
        # Near orthogonality the parallel loss turns rounding into gradient.
        chex.assert_trees_all_close(alone, own, rtol=2e-4)
        np.testing.assert_allclose(alone["loss"], own["loss"], rtol=1e-5)
    assert not np.allclose(
        both.params["encoder"]["Dense_0"]["kernel"][0],
        both.params["encoder"]["Dense_0"]["kernel"][1],
        atol=1e-4,
    )


def test_a_checkpoint_names_no_device(tmp_path):
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
            loop.initial_state(config, tiny.objective(), tiny.dataset().spec)
        )
        broken = jax.tree.map(lambda x: x.copy(), state)
        broken.params["codebook"]["generators"][:] = np.nan
        checkpoints.save(6, broken.replace(step=broken.step + 2))
    with pytest.raises(loop.NonFiniteLossError, match=r"commutator.*step 7 \(seed 1\)"):
        loop.train(config, tiny.dataset(), tmp_path)
    assert processes.newest(tmp_path) == 6


def test_a_gradient_that_is_not_finite_stops_although_the_losses_are(tmp_path):
    """The squares of such a gradient overflow, and clipping would make it 0."""
    config = tiny.config(num_steps=4, beta=1e25)
    with pytest.raises(loop.NonFiniteLossError, match=r"^gradient_norm not finite at"):
        loop.train(config, tiny.dataset(), tmp_path)
    assert processes.newest(tmp_path) is None


def test_the_norm_and_the_precision_of_the_configuration_are_used(
    tmp_path, monkeypatch
):
    precisions = []
    run_chunks = loop._run_chunks

    def spy(*arguments):
        precisions.append(jax.config.jax_default_matmul_precision)
        return run_chunks(*arguments)

    monkeypatch.setattr(loop, "_run_chunks", spy)
    # Far below Adam's epsilon, a clipped gradient hardly moves the parameters.
    config = tiny.config(num_steps=2, clip_norm=1e-15, matmul_precision="highest")
    trained = loop.train(config, tiny.dataset(), tmp_path)
    start = loop.initial_state(config, tiny.objective(), tiny.dataset().spec)
    chex.assert_trees_all_close(trained.params, start.params, atol=1e-6)
    assert precisions == ["highest"]


def test_the_first_bad_step_and_run_are_named():
    terms = {"loss": np.ones((2, 4)), "kl": np.ones((2, 4))}
    loop.require_finite(terms, 10, (7, 8))
    terms["kl"][1, 2:] = np.inf
    terms["loss"][1, 2:] = np.nan
    with pytest.raises(
        loop.NonFiniteLossError, match=r"^kl not finite at step 13 \(seed 8\).*11 to 14"
    ):
        loop.require_finite(terms, 10, (7, 8))
    with pytest.raises(loop.NonFiniteLossError, match=r"step 13 \(run 1, seed 7\)"):
        loop.require_finite(terms, 10, (7, 7))


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
