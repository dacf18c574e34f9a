"""Whose a working directory is, and what is written about a run."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

from cfasl_jax import config as config_lib
from cfasl_jax.errors import ConfigError
from cfasl_jax.run import provenance
from cfasl_jax.settings import replaced

SPEC = dataclasses.replace(tiny.dataset().spec, source="rendered")


@pytest.fixture
def trained(tmp_path):
    """A working directory with a (pretended) first checkpoint."""
    provenance.claim(tmp_path, tiny.config(), SPEC)
    (tmp_path / "checkpoints" / "4").mkdir(parents=True)
    return tmp_path


def test_the_same_configuration_comes_back(trained):
    provenance.claim(trained, tiny.config(), SPEC)
    assert provenance.stored(trained).config == tiny.config()


def test_another_configuration_is_refused_and_named(trained):
    with pytest.raises(ConfigError) as caught:
        provenance.claim(trained, tiny.config(beta=4.0, seeds=(2,)), SPEC)
    message = str(caught.value)
    assert "beta is 1.0 there and 4.0 here" in message
    assert "seeds is (1,) there and (2,) here" in message
    assert "num_steps" not in message
    assert provenance.stored(trained).config == tiny.config()


def test_another_data_source_is_refused(trained):
    with pytest.raises(ConfigError, match="'rendered' there and 'tfds' here"):
        provenance.claim(
            trained, tiny.config(), dataclasses.replace(SPEC, source="tfds")
        )


@pytest.mark.parametrize("cfasl", [True, False])
@pytest.mark.parametrize(
    ("name", "value", "objective"),
    [
        ("codebook.learning_rate", 7e-5, "beta_vae"),
        ("weights.alpha", 0.5, "beta_vae"),
        ("ours.even_heads", True, "beta_vae"),
        ("beta", 7.0, "control_vae"),
        ("factor.gamma", 7.0, "beta_vae"),
    ],
)
def test_fields_that_a_run_does_not_read_do_not_matter(
    tmp_path, cfasl, name, value, objective
):
    before = tiny.config(cfasl=cfasl, objective=objective)
    provenance.claim(tmp_path, before, SPEC)
    (tmp_path / "checkpoints" / "4").mkdir(parents=True)
    now = replaced(before, name, value)
    of_cfasl = name.partition(".")[0] in ("codebook", "weights", "ours")
    if of_cfasl and cfasl:
        with pytest.raises(ConfigError, match=f"{name} is"):
            provenance.claim(tmp_path, now, SPEC)
    else:
        provenance.claim(tmp_path, now, SPEC)
        assert provenance.stored(tmp_path).config == now


def test_another_objective_is_refused_by_its_name(tmp_path):
    provenance.claim(tmp_path, tiny.config(cfasl=False), SPEC)
    (tmp_path / "checkpoints" / "4").mkdir(parents=True)
    for other, field in (
        (tiny.config(cfasl=True), "cfasl"),
        (tiny.config(cfasl=False, objective="control_vae"), "objective"),
    ):
        with pytest.raises(ConfigError, match=f"{field} is") as caught:
            provenance.claim(tmp_path, other, SPEC)
        assert str(caught.value).count(" here") == 1


def test_what_a_model_needs_of_its_data_is_stored(trained):
    assert provenance.stored(trained)[:3] == (tiny.config(), SPEC, "rendered")


def edit(workdir, change):
    record = json.loads((workdir / "config.json").read_text())
    change(record)
    (workdir / "config.json").write_text(json.dumps(record))


def test_fields_that_an_early_version_lacked_mean_as_it_was_then(trained, capsys):
    def age(record):
        del record["format"], record["dataset"]
        for name in ("capacity", "control", "dip"):
            del record["config"][name]
        del record["config"]["data"]["residency"]
        del record["config"]["fidelity"]["frozen_integral"]

    edit(trained, age)
    assert provenance.stored(trained)[:3] == (tiny.config(), None, "rendered")
    assert capsys.readouterr().err == ""
    provenance.claim(trained, tiny.config(), SPEC)


def test_fields_of_a_later_version_are_named_and_left_out(trained, capsys):
    edit(trained, lambda record: record["config"]["weights"].update(zeta=1.0))
    assert provenance.stored(trained).config == tiny.config()
    assert "weights.zeta" in capsys.readouterr().err


def test_a_stored_protocol_that_is_gone_still_loads(trained):
    edit(trained, lambda record: record["config"]["eval"].update(protocol="gone"))
    assert provenance.stored(trained).config.eval.protocol == "gone"
    with pytest.raises(ConfigError, match=r"unknown eval\.protocol 'gone'"):
        config_lib.validate(provenance.stored(trained).config)


def test_checkpoints_without_a_record_are_nobodys(trained):
    (trained / "config.json").unlink()
    with pytest.raises(ConfigError, match=r"holds checkpoints, but no config\.json"):
        provenance.claim(trained, tiny.config(), SPEC)


def test_other_pixels_under_the_same_name_are_refused(trained):
    edit(trained, lambda record: record["dataset"].update(digest="a"))
    provenance.claim(trained, tiny.config(), SPEC)  # a digest that is not known
    edit(trained, lambda record: record["dataset"].update(digest="a"))
    other = dataclasses.replace(SPEC, digest="b")
    with pytest.raises(ConfigError, match="other pixels"):
        provenance.claim(trained, tiny.config(), other)


def test_images_that_lie_elsewhere_are_the_same_images(tmp_path):
    def at(place):
        config = tiny.config()
        where = dataclasses.replace(config.data, path=str(tmp_path / f"{place}.npz"))
        return dataclasses.replace(config, data=where)

    known = dataclasses.replace(SPEC, digest="a")
    workdir = tmp_path / "run"
    provenance.claim(workdir, at("here"), known)
    (workdir / "checkpoints" / "4").mkdir(parents=True)
    provenance.claim(workdir, at("there"), known)
    assert provenance.stored(workdir).config == at("there")
    with pytest.raises(ConfigError, match="other pixels"):
        provenance.claim(workdir, at("here"), dataclasses.replace(SPEC, digest="b"))
    with pytest.raises(ConfigError, match=r"data\.path is"):
        provenance.claim(workdir, at("here"), SPEC)  # whose pixels are not known


def test_another_repository_around_the_package_is_not_its_own(tmp_path):
    def git(*arguments):
        author = ("-c", "user.name=a", "-c", "user.email=b")
        command = ["git", "-C", str(tmp_path), *author, *arguments]
        subprocess.run(command, check=True, capture_output=True)

    module = tmp_path / "venv" / "provenance.py"
    module.parent.mkdir()
    module.write_bytes(Path(provenance.__file__).read_bytes())
    git("init")
    (tmp_path / ".gitignore").write_text("venv\n")
    git("add", ".gitignore")
    git("commit", "-m", "first")
    code = "import provenance; print(provenance._revision())"

    def revision():
        answer = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONPATH": str(module.parent)},
            capture_output=True,
            text=True,
            check=True,
        )
        return answer.stdout.strip()

    assert revision() == "unknown"
    git("add", "--force", "venv/provenance.py")
    git("commit", "-m", "its own")
    assert len(revision()) == 12


def test_only_one_process_trains_in_a_directory(tmp_path):
    code = (
        "import sys, pathlib; from cfasl_jax.run import provenance\n"
        "with provenance.held(pathlib.Path(sys.argv[1])): print('in')"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with provenance.held(tmp_path):
        other = subprocess.run(command, capture_output=True, text=True, check=False)
    assert other.returncode
    assert f"in use by process {os.getpid()} on" in other.stderr
    assert subprocess.run(command, check=True, capture_output=True).stdout == b"in\n"


def test_a_run_may_be_prolonged(trained):
    provenance.claim(trained, tiny.config(num_steps=1000), SPEC)
    assert provenance.stored(trained).config.num_steps == 1000


def test_the_provenance_of_a_training_outlives_later_calls(trained, monkeypatch):
    def at(revision):
        now = provenance.describe("rendered") | {"revision": revision}
        monkeypatch.setattr(provenance, "describe", lambda _: now)
        return now

    def origin():
        return dict(provenance.stored(trained).origin)

    first = origin()
    at("bbbb")
    assert provenance.of_scores(trained, "rendered")["training"] == first
    provenance.claim(trained, tiny.config(num_steps=4), SPEC)  # it is finished
    assert origin() == first
    now = at("cccc")
    provenance.claim(trained, tiny.config(num_steps=1000), SPEC)
    assert origin() == {**first, "resumed": [{"step": 4, **now}]}
    provenance.claim(trained, tiny.config(num_steps=1000), SPEC)  # nothing new
    assert origin() == {**first, "resumed": [{"step": 4, **now}]}
    then = at("dddd")
    (trained / "checkpoints" / "8").mkdir()
    provenance.claim(trained, tiny.config(num_steps=1000), SPEC)
    resumed = [{"step": 4, **now}, {"step": 8, **then}]
    assert origin() == {**first, "resumed": resumed}
    scored = provenance.of_scores(trained, "rendered")
    assert scored == {**then, "training": {**first, "resumed": resumed}}


def test_scores_of_the_same_call_have_the_provenance_of_the_training(trained):
    described = provenance.describe("rendered")
    assert provenance.of_scores(trained, "rendered") == described


def test_a_run_is_not_cut_short(trained):
    provenance.claim(trained, tiny.config(num_steps=4), SPEC)
    with pytest.raises(ConfigError, match=r"num_steps is 2, .* holds a run of 4 steps"):
        provenance.claim(trained, tiny.config(num_steps=2), SPEC)
    assert provenance.stored(trained).config.num_steps == 4
    provenance.claim(trained, tiny.config(num_steps=2), SPEC, trains=False)


def test_where_nothing_was_trained_nothing_is_left(tmp_path):
    workdir = tmp_path / "run"
    with pytest.raises(ConfigError, match="holds no checkpoint yet"):
        provenance.claim(workdir, tiny.config(), SPEC, trains=False)
    assert not workdir.exists()


def test_a_call_that_does_not_train_leaves_the_record(trained):
    before = (trained / "config.json").read_bytes()
    provenance.claim(trained, tiny.config(num_steps=1000), SPEC, trains=False)
    assert (trained / "config.json").read_bytes() == before
    with pytest.raises(ConfigError, match="beta"):
        provenance.claim(trained, tiny.config(beta=4.0), SPEC, trains=False)


def test_a_run_whose_schedule_spans_it_all_may_not(trained):
    before = tiny.config(objective="control_vae")
    edit(trained, lambda record: record.update(config=config_lib.to_dict(before)))
    longer = tiny.config(objective="control_vae", num_steps=1000)
    with pytest.raises(ConfigError, match="num_steps is 12 there and 1000 here"):
        provenance.claim(trained, longer, SPEC)


def test_a_call_that_failed_at_once_leaves_the_way_free(tmp_path):
    provenance.claim(tmp_path, tiny.config(batch_size=6), SPEC)
    provenance.claim(tmp_path, tiny.config(), SPEC)
    assert provenance.stored(tmp_path).config == tiny.config()


@pytest.mark.parametrize(
    "text",
    [
        '{"config": {',
        "{}",
        "[]",
        '{"config": "x", "provenance": {}}',
        '{"config": null}',
        '{"config": {}, "provenance": {}}',
    ],
)
def test_a_damaged_record_gets_one_sentence(trained, text):
    (trained / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=r"config\.json cannot be (read|used)"):
        provenance.stored(trained)
    with pytest.raises(ConfigError, match=r"config\.json cannot be (read|used)"):
        provenance.claim(trained, tiny.config(), SPEC)


def test_a_place_that_cannot_be_written_gets_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot write into"):
        provenance.claim(tmp_path / "file" / "run", tiny.config(), SPEC)


def test_description():
    described = provenance.describe("rendered")
    assert described["data_source"] == "rendered"
    assert described["revision"]
    assert "cpu" in described["device"]
