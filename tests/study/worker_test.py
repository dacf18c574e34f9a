"""Studies run by the command: killed, resumed, shared by workers, with failing runs."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import jax
import pytest
import study_results
import study_worker
import tiny

from cfasl_jax import data, files, lease, workdirs
from cfasl_jax.errors import ConfigError
from cfasl_jax.run import evaluate, provenance
from cfasl_jax.study import __main__ as command
from cfasl_jax.study import claims, cost, definition, outcome, plan, run_files, worker
from cfasl_jax.training import loop

WORKER = Path(study_worker.__file__)


def start(workdir):
    return subprocess.Popen(
        [sys.executable, str(WORKER), str(workdir)],
        env=os.environ | {"XDG_CACHE_HOME": str(workdir.parent / "cache")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(*processes):
    for process in processes:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    return errors


def kill_in_the_middle(process, workdir, checkpoints):
    """SIGKILL once so many checkpoints exist, in whatever the process does then."""
    deadline = time.monotonic() + 200
    while len(list(workdir.glob("runs/*/*/*/checkpoints/[0-9]*"))) < checkpoints:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_killed_and_shared_studies_end_like_one_left_alone(tmp_path):
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    finish(start(alone))
    results = json.loads((alone / "study.json").read_text())
    assert results["unfinished"] == 0
    assert [len(arm["reporting"]) for arm in results["arms"].values()] == [1, 1]
    assert (alone / "study.html").exists()

    killed, other = start(shared), start(shared)
    kill_in_the_middle(killed, shared, checkpoints=3)
    finish(other, start(shared))
    assert (shared / "study.json").read_text() == (alone / "study.json").read_text()
    # Each run was trained by one worker at a time: every step is logged once.
    for log in shared.glob("runs/*/*/*/metrics.jsonl"):
        steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
        assert steps == list(range(5, max(steps) + 1, 5)), log


@pytest.fixture
def small(monkeypatch, tmp_path):
    """The study of `study_worker`, in this process."""
    study_worker.use_small_networks(monkeypatch.setattr)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return definition.load(str(WORKER))


def test_a_dry_run_says_what_the_study_costs_and_trains_nothing(
    small, tmp_path, capsys
):
    options = [f"--study={WORKER}", f"--workdir={tmp_path / 'study'}", "--dry-run"]
    assert command.main(["study", *options]) == 0
    printed = capsys.readouterr().out
    # Two settings with one tuning seed of 10 steps, two reporting seeds of 20.
    assert "beta-VAE: 2 settings, 4 runs, 4 left, 60 steps at" in printed
    assert "in all 8 runs and 120 steps left" in printed
    assert not (tmp_path / "study" / "runs").exists()
    study_results.finish(
        tmp_path / "study", small, lambda _: {"mig": 0.5, "modularity": 0.5}
    )
    assert command.main(["study", *options]) == 0
    assert "all runs are finished" in capsys.readouterr().out


def test_scores_that_the_factors_do_not_allow_cost_no_training(
    small, tmp_path, capsys, monkeypatch
):
    """Of own images, what they hold is known once they are read."""
    without = tiny.replace(study_worker.dataset(), grid=None)
    monkeypatch.setattr(data, "load", lambda *_: without)
    options = [f"--study={WORKER}", f"--workdir={tmp_path / 'study'}"]
    assert command.main(["study", *options]) == 2
    assert "mig needs at least 2 factors, and" in capsys.readouterr().err
    assert not (tmp_path / "study" / "runs").exists()


@pytest.fixture
def url(tmp_path, monkeypatch):
    """Of a directory in memory, which stands for one in a bucket."""
    monkeypatch.setattr(workdirs, "_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(lease, "_PAUSE_SECONDS", 0.0)
    return f"memory://{tmp_path.parent.name}/{tmp_path.name}"


def test_a_study_in_a_bucket_goes_on_on_a_new_machine(small, url, monkeypatch, capsys):
    arms = {"beta-VAE": study_worker.ENTRIES["arms"]["beta-VAE"] | {"grid": {}}}
    entries = study_worker.ENTRIES | {"arms": arms, "reporting": {"seeds": (1, 2)}}
    study = definition.from_dict(entries, "small", WORKER.parent)
    monkeypatch.setattr(definition, "load", lambda _: study)
    monkeypatch.setattr(cost, "describe", lambda *_: "")
    train, trained = loop.train, []

    def preempted_once(config, *more):
        trained.append(config)
        state = train(config, *more)
        if len(trained) == 2:
            raise loop.InterruptedRunError("stopped at step 20", 15)
        return state

    monkeypatch.setattr(loop, "train", preempted_once)
    options = ["study", f"--study={WORKER}", f"--workdir={url}"]
    assert command.main(options) == 128 + 15
    assert "for one worker at a time: a bucket has" in capsys.readouterr().err
    assert command.main(options) == 0
    # The first run was finished, and the last checkpoint of the second was there.
    assert len(trained) == 2
    assert f"study: {url}/study.html" in capsys.readouterr().out
    files, root = fsspec.url_to_fs(url)
    results = json.loads(files.cat_file(f"{root}/study.json"))
    assert results["unfinished"] == 0
    # The codes of the first run were there too.
    assert results["measures"]["udr"]["beta-VAE"]["n"] == 2
    logs = files.glob(f"{root}/runs/*/*/*/metrics.jsonl")
    assert len(logs) == 2
    for log in logs:
        lines = files.cat_file(log).decode().splitlines()
        assert [json.loads(line)["step"] for line in lines] == [5, 10, 15, 20]
    files.rm_file(f"{root}/study.html")
    assert command.main([*options, "--report"]) == 0
    assert files.exists(f"{root}/study.html")
    assert not files.exists(f"{root}/.worker")


def test_settings_are_chosen_without_factors(small, tmp_path):
    score = "gaussian_total_correlation"
    changes = {
        "arms": {"beta-VAE": study_worker.ENTRIES["arms"]["beta-VAE"]},
        "tuning": {"seeds": (101, 102), "set": {"num_steps": 10}},
        "metrics": (score,),
        "primary": (score,),
        "select": ("udr",),
    }
    study = definition.from_dict(study_worker.ENTRIES | changes, "by UDR")
    images = dataclasses.replace(study_worker.dataset(), grid=None)
    worker.work(study, images, tmp_path, 1)
    results = outcome.collect(study, tmp_path)
    arm = results["arms"]["beta-VAE"]
    udr = {name: found["means"]["udr"] for name, found in arm["settings"].items()}
    assert arm["chosen"] == max(udr, key=udr.get)
    first, second = arm["reporting"]
    assert 0 < first["udr"] == second["udr"] < 1  # of two runs, both have one value
    assert set(first["scores"]["fast"]) == {score}


@pytest.mark.parametrize("size", [1, 64])
def test_a_run_that_fails_is_recorded_and_the_study_goes_on(
    small, tmp_path, monkeypatch, size
):
    def fail(config, *_):
        runs = range(len(config.seeds))
        raise loop.NonFiniteLossError("loss not finite at step 3", runs)

    monkeypatch.setattr(loop, "train", fail)
    entries = worker.work(small, study_worker.dataset(), tmp_path, size)
    assert len(entries) == 4  # the tuning runs; no setting can be chosen
    results = outcome.collect(small, tmp_path)
    (run,) = results["arms"]["beta-VAE"]["settings"]["beta=4"]["runs"]
    assert run["failed"] == "loss not finite at step 3"
    assert results["arms"]["beta-VAE"]["chosen"] is None


def test_a_claimed_run_is_left_to_its_owner(small, tmp_path):
    run = plan.tuning_runs(small, small.arms[0])[0]
    with claims.claim(tmp_path / run.folder) as ours:
        assert ours
        assert not worker._do_if_free([run], None, tmp_path)


@pytest.mark.parametrize("left", ["scores", "a failure", "a checkpoint"])
def test_a_run_of_another_configuration_is_not_the_studys(small, tmp_path, left):
    run = plan.tuning_runs(small, small.arms[0])[0]
    folder = tmp_path / run.folder
    provenance.claim(folder, run.config, study_worker.dataset().spec)
    other = dataclasses.replace(run, config=dataclasses.replace(run.config, beta=40.0))
    assert run_files.entry(tmp_path, other) is None  # nothing was made of it yet
    if left == "a checkpoint":
        mark = folder / "checkpoints" / "10" / "_CHECKPOINT_METADATA"
        mark.parent.mkdir(parents=True)
        mark.write_text("")
        assert run_files.entry(tmp_path, run) is None
    else:
        found = {"mig": 0.5} if left == "scores" else "loss not finite at step 3"
        study_results.write(tmp_path, run, found)
        assert run_files.entry(tmp_path, run) is not None
    with pytest.raises(ConfigError, match=r"beta is 1\.0 there and 40\.0 here"):
        run_files.entry(tmp_path, other)


def test_a_damaged_file_of_speeds_is_measured_anew(small, tmp_path, monkeypatch):
    monkeypatch.setattr(cost, "_measure", lambda *_: 0.5)
    (tmp_path / "speeds.json").write_text('{"half": 1} 2}')
    runs = plan.tuning_runs(small, small.arms[0])[:1]
    dataset = study_worker.dataset()
    assert cost._seconds_a_step(runs, dataset, tmp_path) == 0.5
    assert list(json.loads((tmp_path / "speeds.json").read_text()).values()) == [0.5]


def test_another_program_is_measured_again(small, tmp_path, monkeypatch):
    times = []
    monkeypatch.setattr(cost, "_measure", lambda *_: times.append(1) or len(times))
    first, *_, other = plan.tuning_runs(small, small.arms[0])
    larger = dataclasses.replace(
        first, config=dataclasses.replace(first.config, batch_size=64)
    )
    measured = [
        cost._seconds_a_step([run], study_worker.dataset(), tmp_path)
        for run in (first, other, larger, first)
    ]
    assert first.config.beta != other.config.beta
    assert measured == [1, 1, 2, 1]


def test_too_little_memory_is_one_sentence(small, tmp_path, monkeypatch, capsys):
    def fail(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")

    monkeypatch.setattr(loop, "train", fail)
    monkeypatch.setattr(definition, "load", lambda _: small)
    monkeypatch.setattr(cost, "describe", lambda *_: "")
    options = ["study", f"--study={WORKER}", f"--workdir={tmp_path}"]
    assert command.main(options) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: there is not enough memory: train fewer runs")


def test_a_run_of_a_longer_study_is_refused_and_keeps_its_scores(
    small, tmp_path, monkeypatch
):
    run = plan.reporting_runs(small, small.arms[0], small.arms[0].settings[0].name)[0]
    longer = study_results.results(run, {"mig": 0.5}) | {"step": 40}
    path = tmp_path / run.folder / evaluate.RESULTS_FILE
    files.write_json(path, longer)
    monkeypatch.setattr(provenance, "latest_step", lambda _: 40)
    monkeypatch.setattr(evaluate, "evaluate", lambda *_: longer)
    with pytest.raises(ConfigError, match="longer than this study's 20 steps"):
        worker._do_if_free([run], study_worker.dataset(), tmp_path)
    assert json.loads(path.read_text()) == longer


def test_a_run_counts_only_if_it_was_scored_by_all_metrics_asked_for(small, tmp_path):
    run = plan.tuning_runs(small, small.arms[0])[0]
    assert run.config.eval.metrics

    def asking(*names):
        scoring = dataclasses.replace(run.config.eval, metrics=names)
        config = dataclasses.replace(run.config, eval=scoring)
        return dataclasses.replace(run, config=config)

    def counts(other):
        return run_files.entry(tmp_path, other) is not None

    study_results.write(tmp_path, run, {"mig": 0.5})
    path = run_files.scores_file(tmp_path / run.folder, run.protocols[0])
    results = json.loads(path.read_text())
    assert counts(run)
    assert not counts(asking("mig", "irs"))
    # Early versions stored with the run, not with its scores, what was asked for.
    provenance.claim(tmp_path / run.folder, run.config, study_worker.dataset().spec)
    assert not counts(asking())
    files.write_json(path, results | {"metrics": list(run.config.eval.metrics)})
    assert not counts(asking())
    files.write_json(path, results | {"metrics": []})
    assert counts(asking())
