"""Packs: which runs make one, and that a packed run is the run alone."""

import itertools
import json

import jax
import numpy as np
import pytest
import study_worker

from cfasl_jax.run import provenance
from cfasl_jax.settings import flatten
from cfasl_jax.study import definition, packs, plan, run_files
from cfasl_jax.training import loop, record
from cfasl_jax.training.checkpoints import Checkpoints

EVENTS = "tensorboard/*/events.out.tfevents.*"


@pytest.fixture
def small(monkeypatch, tmp_path):
    """The study of `study_worker`, in this process."""
    study_worker.use_small_networks(monkeypatch.setattr)
    return definition.load(str(study_worker.__file__))


def all_tuning(study):
    return [run for arm in study.arms for run in plan.tuning_runs(study, arm)]


def last_state(root, run):
    """The parameters in a run's last checkpoint."""
    spec = study_worker.dataset().spec
    return loop.restore(
        run.config, loop.objectives.build(None, None), spec, root / run.folder
    )


def test_settings_and_seeds_of_all_arms_make_one_program(small):
    # The arms differ in beta and the learning rate, which are traced.
    (pack,) = packs.group(all_tuning(small), 64)
    assert len(pack) == 4
    config = packs.together(pack)
    assert config.seeds == (101,) * 4
    assert dict(config.per_run) == {
        "beta": (1, 4, 1, 4),
        "learning_rate": (1e-2, 1e-2, 1e-4, 1e-4),
        "codebook.learning_rate": (2e-3, 2e-3, 2e-5, 2e-5),
    }
    for place, run in enumerate(pack):
        assert config.of_run(place) == run.config
    assert [len(part) for part in packs.group(all_tuning(small), 3)] == [3, 1]


def test_reporting_runs_are_packs_of_their_arm(small):
    runs = [
        run
        for arm in small.arms
        for run in plan.reporting_runs(small, arm, arm.settings[0].name)
    ]
    assert [[run.arm for run in pack] for pack in packs.group(runs, 64)] == [
        ["beta-VAE"] * 2,
        ["slow beta-VAE"] * 2,
    ]
    # Seeds alone differ.
    config = packs.together(packs.group(runs, 64)[0])
    assert (config.seeds, config.per_run) == ((1, 2), ())


def test_packs_keep_the_order_of_the_runs():
    """An unfinished study has whole pairs to compare, whatever fits into a pack."""
    untuned = study_worker.ENTRIES | {
        "arms": {
            name: {"config": study_worker._DSPRITES, "set": {"beta": beta}}
            for name, beta in (("beta-VAE", 1), ("strong beta-VAE", 4))
        }
    }
    study = definition.from_dict(untuned, "untuned")
    alone = [run for (run,) in packs.group(plan.known_runs(study, {}), 1)]
    assert [(run.seed, run.arm) for run in alone] == [
        (1, "beta-VAE"),
        (1, "strong beta-VAE"),
        (2, "beta-VAE"),
        (2, "strong beta-VAE"),
    ]


def test_what_is_part_of_the_program_keeps_runs_apart():
    arms = {
        "A": {"config": study_worker._DSPRITES, "grid": {"latent_dim": (2, 3)}},
        "B": {
            "config": study_worker._DSPRITES,
            "set": {"cfasl": True},
            "grid": {"codebook.elements": (2, 3)},
        },
    }
    study = definition.from_dict(study_worker.ENTRIES | {"arms": arms}, "apart")
    packed = packs.group(all_tuning(study), 64)
    assert sorted(len(pack) for pack in packed) == [1, 1, 1, 1]


def test_a_number_that_some_runs_lack_keeps_them_apart():
    grid = {"dip.lambda_d": (None, 1.0, 2.0)}
    arms = {
        "A": {
            "config": study_worker._DSPRITES,
            "set": {"objective": "dip_vae_i"},
            "grid": grid,
        }
    }
    study = definition.from_dict(study_worker.ENTRIES | {"arms": arms}, "apart")
    alone, pair = packs.group(all_tuning(study), 64)
    assert packs.together(alone).per_run == ()
    assert packs.together(pair).per_run == (("dip.lambda_d", (1.0, 2.0)),)


def test_arms_that_share_a_point_of_their_grids_share_a_program():
    arms = {
        name: {"config": study_worker._DSPRITES, "grid": {"beta": grid}}
        for name, grid in {"A": (1, 4), "B": (0.5, 1)}.items()
    }
    study = definition.from_dict(study_worker.ENTRIES | {"arms": arms}, "shared")
    (pack,) = packs.group(all_tuning(study), 64)
    config = packs.together(pack)
    assert [config.of_run(run).beta for run in range(4)] == [1, 4, 0.5, 1]


def test_a_packed_run_is_the_run_alone(small, tmp_path):
    data, runs = study_worker.dataset(), all_tuning(small)
    packs.train(runs, data, tmp_path / "packed")
    for run in runs[1:3]:  # another beta, and another learning rate
        packs.train([run], data, tmp_path / "alone")
        states = [last_state(tmp_path / place, run) for place in ("packed", "alone")]
        assert states[0].step.tolist() == [10]
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), *states
        )
        lines = [
            [json.loads(line) for line in log.read_text().splitlines()]
            for place in ("packed", "alone")
            for log in [tmp_path / place / run.folder / "metrics.jsonl"]
        ]
        assert [line["step"] for line in lines[0]] == [5, 10]
        for packed, alone in zip(*lines, strict=True):
            assert packed.keys() == alone.keys()
            for name, value in packed.items():
                np.testing.assert_allclose(value, alone[name], rtol=1e-5, atol=1e-5)
        stored = json.loads(
            (tmp_path / "packed" / run.folder / "config.json").read_text()
        )
        boards = [
            [path.parent.name for path in (tmp_path / place / run.folder).glob(EVENTS)]
            for place in ("packed", "alone")
        ]
        assert boards == [["seed_101"], ["seed_101"]]
        assert flatten(stored["config"])["beta"] == run.config.beta
        assert stored["config"]["seeds"] == [run.seed]
    assert list((tmp_path / "packed" / "packs").iterdir()) == []


def test_a_packed_run_was_trained_by_whoever_trained_the_pack(
    small, tmp_path, monkeypatch
):
    described, describe = itertools.count(), provenance.describe
    monkeypatch.setattr(
        provenance,
        "describe",
        lambda source: describe(source) | {"revision": str(next(described))},
    )
    runs = all_tuning(small)[:2]
    packs.train(runs, study_worker.dataset(), tmp_path)
    origins = [provenance.stored(tmp_path / run.folder).origin for run in runs]
    assert [origin["revision"] for origin in origins] == ["0", "0"]


def test_a_pack_that_was_cut_off_goes_on_where_it_was(small, tmp_path, monkeypatch):
    data, runs = study_worker.dataset(), all_tuning(small)[:2]
    packs.train(runs, data, tmp_path / "whole")

    def stop(checkpoints, step, state):
        save(checkpoints, step, state)
        checkpoints._manager.wait_until_finished()
        raise loop.InterruptedRunError("stopped", 15)

    save = Checkpoints.save
    monkeypatch.setattr(Checkpoints, "save", stop)
    with pytest.raises(loop.InterruptedRunError):
        packs.train(runs, data, tmp_path / "cut")
    monkeypatch.setattr(Checkpoints, "save", save)
    assert [run_files.steps_left(tmp_path / "cut", run) for run in runs] == [10, 10]
    packs.train(runs, data, tmp_path / "cut")
    for run in runs:
        jax.tree.map(
            np.testing.assert_array_equal,
            last_state(tmp_path / "cut", run),
            last_state(tmp_path / "whole", run),
        )


def test_a_pack_that_does_not_fit_into_memory_is_halved(small, tmp_path, monkeypatch):
    runs, trained = all_tuning(small), []

    def train(config, *_):
        trained.append(config.seeds)
        if len(config.seeds) > 1 and 4.0 in dict(config.per_run)["beta"]:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")

    monkeypatch.setattr(loop, "train", train)
    monkeypatch.setattr(packs, "_take_out", lambda *_: None)
    packs.train(runs, study_worker.dataset(), tmp_path)
    assert list((tmp_path / "packs").iterdir()) == []
    assert [len(seeds) for seeds in trained] == [4, 2, 1, 1, 2, 1, 1]


@pytest.mark.parametrize("stopped", [False, True])
def test_runs_that_fail_leave_their_pack_and_the_others_go_on(
    small, tmp_path, monkeypatch, capfd, stopped
):
    """The pack trains for five of ten steps, then one of the runs fails."""
    data, runs = study_worker.dataset(), all_tuning(small)[:3]
    require, take_out = loop.require_finite, packs._take_out

    def fail(terms, first_step, seeds):
        require(terms, first_step, seeds)
        if first_step == 5 and len(seeds) == 3:
            raise loop.NonFiniteLossError("kl not finite at step 7", [1])

    def stop(*arguments):
        take_out(*arguments)
        raise loop.InterruptedRunError("stopped", 15)

    monkeypatch.setattr(loop, "require_finite", fail)
    if stopped:  # between two files that say which runs go on
        monkeypatch.setattr(packs, "_take_out", stop)
        with pytest.raises(loop.InterruptedRunError):
            packs.train(runs, data, tmp_path / "packed")
        monkeypatch.setattr(packs, "_take_out", take_out)
    capfd.readouterr()
    packs.train(runs, data, tmp_path / "packed")
    assert capfd.readouterr().err.count("resuming after step 5") == 1 + stopped
    folders = [tmp_path / "packed" / run.folder for run in runs]
    failures = [folder / run_files.FAILURE_FILE for folder in folders]
    assert [path.exists() for path in failures] == [False, True, False]
    assert json.loads(failures[1].read_text()) == {"failed": "kl not finite at step 7"}
    left = [run_files.steps_left(tmp_path / "packed", run) for run in runs]
    assert left == [0, 10, 0]
    assert list((tmp_path / "packed" / "packs").iterdir()) == []
    packs.train([runs[2]], data, tmp_path / "alone")
    states = [last_state(tmp_path / place, runs[2]) for place in ("packed", "alone")]
    assert states[0].step.tolist() == [10]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), *states
    )
    steps, terms = record.read(tmp_path / "packed" / runs[2].folder)
    assert steps.tolist() == [5, 10]
    _, alone = record.read(tmp_path / "alone" / runs[2].folder)
    np.testing.assert_allclose(terms["loss"], alone["loss"], rtol=1e-5)
