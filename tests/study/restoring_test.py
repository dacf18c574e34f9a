"""Runs that are known from a study.json alone count as finished ones."""

import json
from pathlib import Path

import pytest
import study_results
from study_worker import ENTRIES

from cfasl_jax import data
from cfasl_jax.errors import ConfigError
from cfasl_jax.run import provenance
from cfasl_jax.study import __main__ as command
from cfasl_jax.study import definition, outcome, plan, restoring, run_files
from cfasl_jax.training import record

ROOT = Path(__file__).parents[2]
PUBLISHED = sorted(ROOT.glob("docs/studies/*/study.json"))
CONTENT = ENTRIES | {
    "tuning": ENTRIES["tuning"] | {"seeds": (101, 102)},
    "reporting": {"seeds": (1, 2)},
    "reports": True,
}
TUNING, REPORTING = 2 * (2 * 2), 2 * 2


def build(**changes):
    return definition.from_dict(CONTENT | changes, "small")


def with_set(**fields):
    return build(set=ENTRIES["set"] | fields)


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


def changed(path, change):
    """Writes the study.json anew after a function has changed its content."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_study_is_the_same_without_the_folders_of_its_runs(finished, tmp_path):
    study, root = build(), tmp_path / "here"
    assert restoring.restore(study, root, finished) == TUNING + REPORTING
    before = json.loads(finished.read_text())
    after = json.loads(json.dumps(outcome.collect(study, root)))
    for arm in before["arms"].values():
        for entry in arm["reporting"]:
            entry["report"] = False  # the pages are gone
    assert after == before
    assert after["unfinished"] == 0
    assert after["arms"]["beta-VAE"]["reporting"][0]["curves"] == {"mig": [[5, 0.25]]}
    # Once more, the same runs count.
    assert restoring.restore(study, root, finished) == TUNING + REPORTING


def test_settings_that_udr_chose_stay_chosen(tmp_path):
    study, there = build(select=("udr",)), tmp_path / "there"
    study_results.finish(there, study, study_results.agreeing(there, "beta=4"))
    before = outcome.collect(study, there)
    assert before["arms"]["beta-VAE"]["chosen"] == "beta=4"
    listing = tmp_path / "study.json"
    listing.write_text(json.dumps(before))
    assert restoring.restore(study, tmp_path / "here", listing) == TUNING + REPORTING
    after = outcome.collect(study, tmp_path / "here")
    assert after["arms"]["beta-VAE"]["chosen"] == "beta=4"
    assert after["measures"] == before["measures"]
    # With one of its seeds missing there, a setting is tuned again as a whole.
    del before["arms"]["beta-VAE"]["settings"]["beta=1"]["runs"][0]["udr"]
    listing.write_text(json.dumps(before))
    count = restoring.restore(study, tmp_path / "again", listing)
    assert count == TUNING + REPORTING - 2


def test_more_seeds_leave_only_their_runs_to_do(finished, tmp_path):
    study = build(reporting={"seeds": (2, 3)})
    restoring.restore(study, tmp_path / "here", finished)
    left = plan.pending(study, tmp_path / "here", {})
    assert {(run.phase, run.seed) for run in left} == {("reporting", 3)}
    assert len(left) == 2


@pytest.mark.parametrize(
    ("changes", "restored"),
    [
        ({"protocols": ("fast", "dlib")}, TUNING),
        ({"set": ENTRIES["set"] | {"num_steps": 40}}, TUNING),
        ({"metrics": ("mig", "modularity", "sap")}, TUNING),
        ({"metrics": ()}, TUNING),
        ({"metrics": ("mig",), "primary": ("mig",)}, TUNING + REPORTING),
    ],
)
def test_runs_that_lack_steps_or_scores_are_done_again(
    changes, restored, finished, tmp_path
):
    study, root = build(**changes), tmp_path / "here"
    assert restoring.restore(study, root, finished) == restored
    left = plan.pending(study, root, {})
    assert len(left) == TUNING + REPORTING - restored


def test_tuning_that_is_not_finished_is_continued(finished, tmp_path):
    def leave_out_the_last_run(content):
        arm = content["arms"]["beta-VAE"]
        arm["settings"]["beta=4"]["runs"].pop()
        arm |= {"chosen": None, "configuration": None, "reporting": []}

    changed(finished, leave_out_the_last_run)
    study, root = build(), tmp_path / "here"
    assert restoring.restore(study, root, finished) == TUNING - 1 + REPORTING // 2
    (left,) = plan.pending(study, root, {})
    assert (left.setting, left.phase, left.seed) == ("beta=4", "tuning", 102)


def test_tuning_of_another_configuration_is_refused(finished, tmp_path):
    fields = CONTENT["tuning"]["set"] | {"batch_size": 4}
    study = build(tuning=CONTENT["tuning"] | {"set": fields})
    with pytest.raises(ConfigError, match="batch_size is 8 there and 4 here"):
        restoring.restore(study, tmp_path / "here", finished)


def test_what_a_directory_has_finished_is_kept(finished, tmp_path):
    study, root = build(), tmp_path / "here"
    run, *_ = plan.tuning_runs(study, study.arms[0])
    study_results.write(root, run, {"mig": 0.75, "modularity": 0.75})
    restoring.restore(study, root, finished)
    assert run_files.entry(root, run)["scores"]["fast"]["mig"]["value"] == 0.75
    assert [path.name for path in (root / run.folder).iterdir()] == ["scores"]
    # Results that come later, from a worker that was at it, count more too.
    run = plan.reporting_runs(study, study.arms[0], "beta=1")[0]
    study_results.write(root, run, {"mig": 0.75, "modularity": 0.75})
    assert run_files.entry(root, run)["scores"]["fast"]["mig"]["value"] == 0.75


def test_what_a_killed_worker_leaves_does_not_hinder(finished, tmp_path):
    study, root = build(), tmp_path / "here"
    locked, begun, *_ = plan.tuning_runs(study, study.arms[0])
    for run in (locked, begun):
        (root / run.folder).mkdir(parents=True)
        (root / run.folder / ".lock").touch()
    dataset = data.load("dsprites", begun.config.data)
    provenance.claim(root / begun.folder, begun.config, dataset.spec)
    (root / begun.folder / "checkpoints" / "5").mkdir(parents=True)
    record = (root / begun.folder / "config.json").read_text()
    restoring.restore(study, root, finished)
    assert plan.pending(study, root, {}) == []
    assert (root / begun.folder / "config.json").read_text() == record


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


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"learning_rate": 0.5}, r"learning_rate is 0\.01 there and 0\.5 here"),
        ({"data.source": "tfds"}, "data source is 'rendered' there and 'tfds' here"),
    ],
)
def test_another_configuration_is_refused(fields, message, finished, tmp_path):
    with pytest.raises(ConfigError, match=f"{finished} cannot be used: .*{message}"):
        restoring.restore(with_set(**fields), tmp_path / "here", finished)
    assert not (tmp_path / "here").exists()


def test_a_configuration_that_changes_later_is_refused(finished, tmp_path):
    root = tmp_path / "here"
    restoring.restore(build(), root, finished)
    later = with_set(batch_size=4)
    with pytest.raises(ConfigError, match="batch_size is 8 there and 4 here"):
        plan.pending(later, root, {})


def test_fields_of_a_later_version_are_refused(finished, tmp_path):
    def add_a_field(content):
        content["arms"]["beta-VAE"]["configuration"]["of_the_future"] = True

    changed(finished, add_a_field)
    with pytest.raises(ConfigError, match="does not know: of_the_future"):
        restoring.restore(build(), tmp_path / "here", finished)


def test_a_study_of_other_arms_has_nothing_to_restore(finished, tmp_path):
    arms = {f"our {name}": arm for name, arm in ENTRIES["arms"].items()}
    with pytest.raises(ConfigError, match="lists no finished run of this study"):
        restoring.restore(build(arms=arms), tmp_path / "here", finished)


@pytest.mark.parametrize("content", ['{"arms": 3}', "[]", "{", '{"arms": {"x": 1}}'])
def test_a_file_that_no_study_has_written_is_refused(content, finished, tmp_path):
    text = content.replace('"x"', json.dumps(build().arms[0].name))
    finished.write_text(text)
    with pytest.raises(ConfigError, match=f"{finished} was not written by a study"):
        restoring.restore(build(), tmp_path / "here", finished)
    with pytest.raises(ConfigError, match="there is no file"):
        restoring.restore(build(), tmp_path / "here", tmp_path / "none.json")


@pytest.mark.parametrize(
    "part",
    [
        {"scores": {"fast": {"mig": "x"}}},
        {"scores": {"fast": {"mig": {"value": "x", "chance": 0}}}},
        {"scores": {"fast": {"mig": {"value": 0, "chance": 0, "by_factor": [1]}}}},
        {"curves": {"mig": 3}},
        {"curves": {"mig": [[1, 2, 3]]}},
        {"kl": None},
        {"provenance": 7},
    ],
)
def test_damaged_runs_are_refused_before_anything_is_written(part, finished, tmp_path):
    def damage(content):
        content["arms"]["slow beta-VAE"]["reporting"][-1] |= part

    changed(finished, damage)
    with pytest.raises(ConfigError, match=f"{finished} was not written by a study"):
        restoring.restore(build(), tmp_path / "here", finished)
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.parent.name)
def test_published_studies_can_be_continued(path, tmp_path):
    published = json.loads(path.read_text())
    name, _, preset = published["study"].partition("-")
    study = definition.load(f"{ROOT}/configs/studies/{name}.py:{preset}".rstrip(":"))
    restoring.restore(study, tmp_path, path)
    again = outcome.collect(study, tmp_path)
    for part in ("unfinished", "scores", "measures", "differences", "provenance"):
        assert to_nine_digits(again[part]) == to_nine_digits(published[part])


def to_nine_digits(value):
    """As JSON; SciPy's versions differ in the last digits of an interval."""
    return json.loads(json.dumps(value), parse_float=lambda text: f"{float(text):.9g}")


def test_the_command_restores_before_it_reports(finished, tmp_path, capsys):
    study = tmp_path / "small.py"
    study.write_text(f"def get_study(preset=''):\n    return {CONTENT!r}\n")
    root = tmp_path / "here"
    options = ["study", f"--study={study}", f"--workdir={root}", "--report"]
    whole, parts = json.loads(finished.read_text()), []
    for name in whole["arms"]:
        parts.append(tmp_path / f"{name}.json")
        parts[-1].write_text(json.dumps(whole | {"arms": {name: whole["arms"][name]}}))
    restore = [f"--restore={part}" for part in parts]
    assert command.main([*options, *restore]) == 0
    assert capsys.readouterr().out.count("finished runs that count here: 6") == 2
    assert json.loads((root / "study.json").read_text())["unfinished"] == 0
    file = tmp_path / "file"
    file.touch()
    options[2] = f"--workdir={file}"
    assert command.main([*options, *restore]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_a_dry_run_restores_nothing(finished, tmp_path):
    options = ["--study=x.py", f"--workdir={tmp_path}", f"--restore={finished}"]
    assert command.parse(options).restore == [finished]
    with pytest.raises(ConfigError, match="--dry-run does not"):
        command.parse([*options, "--dry-run"])
