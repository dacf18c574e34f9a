"""Runs that are known from a study.json alone count as finished ones."""

import json

import pytest
import study_results
from study_worker import ENTRIES

from cfasl_jax.errors import ConfigError
from cfasl_jax.study import __main__ as command
from cfasl_jax.study import definition, outcome, plan, restoring
from cfasl_jax.training import record


def build(**changes):
    seeds = {"reporting": {"seeds": (1, 2)}}
    tuning = {"tuning": ENTRIES["tuning"] | {"seeds": (101, 102)}}
    return definition.from_dict(ENTRIES | seeds | tuning | changes, "small")


def score_of(run):
    return {"mig": 0.001 * run.seed + len(run.setting), "modularity": 0.5}


@pytest.fixture
def finished(tmp_path):
    """The path of the study.json of a finished study whose runs have curves."""
    study, root = build(), tmp_path / "there"
    study_results.finish(root, study, score_of)
    for run in plan.reporting_runs(study, study.arms[0], "beta=1"):
        line = {"step": 5, record.SCORES + "mig": [0.25]}
        (root / run.folder).mkdir(parents=True, exist_ok=True)
        (root / run.folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    path = tmp_path / "study.json"
    path.write_text(json.dumps(outcome.collect(study, root)))
    return path


def test_a_study_is_the_same_without_the_folders_of_its_runs(finished, tmp_path):
    study, root = build(), tmp_path / "here"
    assert restoring.restore(study, root, finished) == 2 * (2 * 2) + 2 * 2
    before = json.loads(finished.read_text())
    after = json.loads(json.dumps(outcome.collect(study, root)))
    for arm in before["arms"].values():
        for entry in arm["reporting"]:
            entry["report"] = False  # the pages are gone
    assert after == before
    assert after["unfinished"] == 0
    assert after["arms"]["beta-VAE"]["reporting"][0]["curves"] == {"mig": [[5, 0.25]]}
    # Once more, there is nothing new.
    assert restoring.restore(study, root, finished) == 0


def test_more_seeds_leave_only_their_runs_to_do(finished, tmp_path):
    study = build(reporting={"seeds": (2, 3)})
    restoring.restore(study, tmp_path / "here", finished)
    left = plan.pending(study, tmp_path / "here", {})
    assert {(run.phase, run.seed) for run in left} == {("reporting", 3)}
    assert len(left) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"protocols": ("fast", "dlib")},
        {"set": ENTRIES["set"] | {"num_steps": 40}},
    ],
)
def test_runs_of_another_length_or_protocol_are_done_again(changes, finished, tmp_path):
    study = build(**changes)
    assert restoring.restore(study, tmp_path / "here", finished) == 2 * (2 * 2)
    left = plan.pending(study, tmp_path / "here", {})
    assert [run.phase for run in left] == ["reporting"] * 4


def test_what_a_directory_holds_of_a_run_is_kept(finished, tmp_path):
    study, root = build(), tmp_path / "here"
    run, *_ = plan.tuning_runs(study, study.arms[0])
    study_results.write(root, run, {"mig": 0.75, "modularity": 0.75})
    restoring.restore(study, root, finished)
    assert plan.entry(root, run)["scores"]["fast"]["mig"]["value"] == 0.75


def test_runs_that_failed_are_done_again(tmp_path):
    study, there = build(), tmp_path / "there"

    def failing(run):
        return "loss not finite at step 7" if run.seed == 2 else score_of(run)

    study_results.finish(there, study, failing)
    path = tmp_path / "study.json"
    path.write_text(json.dumps(outcome.collect(study, there)))
    restoring.restore(study, tmp_path / "here", path)
    left = plan.pending(study, tmp_path / "here", {})
    assert [run.seed for run in left] == [2, 2]


def test_another_configuration_is_refused(finished, tmp_path):
    study = build(set=ENTRIES["set"] | {"learning_rate": 0.5})
    with pytest.raises(
        ConfigError, match=r"learning_rate is 0\.01 there and 0\.5 here"
    ):
        restoring.restore(study, tmp_path / "here", finished)
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize("content", ['{"arms": 3}', "[]", "{", '{"arms": {"x": 1}}'])
def test_a_file_that_no_study_has_written_is_refused(content, finished, tmp_path):
    text = content.replace('"x"', json.dumps(build().arms[0].name))
    finished.write_text(text)
    with pytest.raises(ConfigError, match=f"{finished} was not written by a study"):
        restoring.restore(build(), tmp_path / "here", finished)
    with pytest.raises(ConfigError, match="there is no file"):
        restoring.restore(build(), tmp_path / "here", tmp_path / "none.json")


def test_a_dry_run_restores_nothing(finished, tmp_path):
    options = ["--study=x.py", f"--workdir={tmp_path}", f"--restore={finished}"]
    assert command.parse(options).restore == finished
    with pytest.raises(ConfigError, match="--dry-run does not"):
        command.parse([*options, "--dry-run"])
