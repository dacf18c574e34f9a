"""Models that come with the package: made, loaded, and scored against their cards."""

import json
import re
import shlex
import shutil
from pathlib import Path

import golden
import jax
import numpy as np
import pytest

import cfasl_jax
from cfasl_jax import command_line, evaluate, ship
from cfasl_jax import config as config_lib
from cfasl_jax.errors import ConfigError
from cfasl_jax.report import configuration
from cfasl_jax.run import provenance, shipped

ROOT = Path(ship.__file__).parent.parent
OLD = Path(golden.__file__).parent / "old_run"
NAME = "dsprites/beta_tcvae+cfasl"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A package without shipped models, and the root of the repository."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "shipped")
    monkeypatch.chdir(ROOT)
    return tmp_path / "shipped"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with one shipped model, of a real run of 20 steps."""
    place = tmp_path_factory.mktemp("package")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shipped, "FOLDER", place)
        patch.chdir(ROOT)
        assert run_ship(OLD) == 0
    return place


@pytest.fixture
def model(made, folder):
    """That model in this test's package -> the path of its card."""
    shutil.copytree(made, folder)
    return folder / f"{NAME}.json"


def run_ship(workdir, *options, name=NAME):
    return ship.main(["ship", f"--workdir={workdir}", f"--name={name}", *options])


def score(*options):
    return evaluate.main(["evaluate", f"--model={NAME}", *options])


def change(path, **entries):
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_a_shipped_model_is_the_run_up_to_rounding(model):
    before, after = cfasl_jax.load(OLD), cfasl_jax.load(NAME)
    assert (after.seed, after.step) == (before.seed, before.step)
    images = np.asarray(before.decode(np.eye(3, dtype=np.float32)))
    moved = np.abs(before.encode(images).mu - after.encode(images).mu).max()
    assert moved < 0.01
    np.testing.assert_allclose(before.generators(), after.generators(), rtol=1e-3)
    stored = np.load(model.with_suffix(".npz"))
    assert {stored[name].dtype for name in stored.files} == {np.dtype("float16")}


def test_a_card_says_where_the_model_comes_from(model):
    card, run = shipped.card(NAME), provenance.stored(OLD)
    assert card.config == run.config
    assert card.spec.source == "rendered"
    record = json.loads(model.read_text())
    written = json.loads((OLD / "config.json").read_text())
    assert record["provenance"] == written["provenance"]
    results = json.loads((OLD / "results.json").read_text())
    assert card.scores == results["runs"][0]
    assert 0 < record["weights"]["codes_moved_by"] < 0.01


def test_the_command_on_a_card_gives_the_configuration(model):
    words = shlex.split(shipped.card(NAME).command)
    assert words[:3] == ["python", "-m", "cfasl_jax.main"]
    assert words[3] == "--config=configs/dsprites.py"
    assert read_by(command_line.parse(words[2:]).config) == read_by(
        provenance.stored(OLD).config
    )


def read_by(config):
    return configuration.read_fields(config_lib.to_dict(config))


@pytest.mark.parametrize("own", [[], ["--config.codebook.elements=12"]])
def test_the_command_of_official_fidelity_is_short(folder, own):
    parsed = command_line.parse(
        [
            "main",
            "--config=configs/dsprites.py",
            "--config.fidelity=official",
            "--config.seeds=(3,)",
            *own,
        ]
    )
    words = shlex.split(ship.command(parsed.config))[4:]
    assert sorted(words) == [
        *own,
        "--config.codebook.learning_rate=2e-05",
        "--config.fidelity=official",
        "--config.seeds=(3,)",
    ]


def test_a_directory_of_that_name_wins(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    change(model, step=77)
    assert cfasl_jax.load(NAME).step == 77
    shutil.copytree(OLD, tmp_path / NAME)
    assert cfasl_jax.load(NAME).step == 20


def test_unknown_names_and_runs(model):
    with pytest.raises(
        ConfigError, match=re.escape(f"did you mean '{NAME}'")
    ) as caught:
        cfasl_jax.load("dsprites/beta_tcvae")
    assert "neither a directory nor the name of a shipped model" in str(caught.value)
    with pytest.raises(ConfigError, match="has no run 1"):
        cfasl_jax.load(NAME, run=1)


def test_without_shipped_models_an_unknown_name_is_still_told(folder):
    with pytest.raises(ConfigError, match=r"name of a shipped model$"):
        cfasl_jax.load("dsprites/beta_vae")


def test_it_meets_its_card_and_no_other(model, capsys, tmp_path):
    assert score(f"--output={tmp_path / 'scores.json'}", "--metrics=mig") == 0
    printed = capsys.readouterr().out
    assert f"{NAME} meets its card" in printed
    assert "dsprites: 737,280 images, rendered" in printed
    written = json.loads((tmp_path / "scores.json").read_text())
    assert written["provenance"]["data_source"] == "rendered"
    before = json.loads(model.read_text())["scores"]
    now = written["scores"]["mig"]["value"]
    assert abs(now - before["scores"]["mig"]["value"]) < 0.005
    before["scores"]["mig"] |= {"value": now + 0.02, "interval": None}
    change(model, scores=before)
    assert score("--metrics=mig") == 1
    assert f"{NAME} does not meet its card: mig should be" in capsys.readouterr().out
    change(model, scores=before | {"protocol": "dlib"})
    assert score("--metrics=mig", "--protocol=fast") == 0
    assert "by another protocol, dlib" in capsys.readouterr().out
    jax.clear_caches()


@pytest.mark.parametrize(
    ("value", "interval", "expected"),
    [
        (0.5, None, True),
        (0.5049, None, True),
        (0.506, None, False),
        (0.506, [0.4, 0.506], True),
        (0.394, [0.4, 0.6], False),
    ],
)
def test_a_score_meets_its_card_in_the_interval_or_by_rounding(
    value, interval, expected
):
    assert shipped.meets(value, {"value": 0.5, "interval": interval}) == expected


def code_of(arguments):
    """The exit code, which argparse raises for mistakes that it finds by itself."""
    try:
        return evaluate.main(arguments)
    except SystemExit as leaving:
        return leaving.code


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--codes=a.npy", "--model=b"], "not allowed with"),
        (["--model=dsprites/x"], "neither a directory nor"),
        ([f"--model={NAME}", "--factors=f.npy"], "--factors goes with --codes"),
        (["--codes=a.npy", "--data-dir=x"], "--data-dir goes with --model"),
    ],
)
def test_mistakes_in_scoring_get_code_2(model, capsys, options, message):
    assert code_of(["evaluate", *options]) == 2
    assert message in capsys.readouterr().err


def damaged(name):
    def damage(workdir, monkeypatch):
        path = workdir / name
        path.unlink()

    return damage


def older(workdir, monkeypatch):
    change(workdir / "results.json", step=10)


def shrink(name, value):
    return lambda _, monkeypatch: monkeypatch.setattr(ship, name, value)


@pytest.mark.parametrize(
    ("spoil", "options", "message"),
    [
        (damaged("results.json"), {}, "has no scores of its newest checkpoint"),
        (older, {}, "has no scores of its newest checkpoint"),
        (damaged("config.json"), {}, "holds no run"),
        (shrink("_MOST_MOVED", 0.0), {}, "move a code by up to"),
        (shrink("_MOST_BYTES", 1_000), {}, "more than 1,000"),
        (shrink("_MOST_MODELS", 0), {}, "0 shipped models already"),
        (shrink("_MOST_MODELS", 9), {"name": "shapes3d/x"}, "must be dsprites/METHOD"),
    ],
)
def test_what_cannot_be_shipped_is_refused(
    folder, tmp_path, monkeypatch, capsys, spoil, options, message
):
    shutil.copytree(OLD, tmp_path / "run")
    spoil(tmp_path / "run", monkeypatch)
    assert run_ship(tmp_path / "run", **options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert not folder.exists()


def test_mistakes_in_options(folder, capsys):
    assert run_ship(OLD, "--run=1") == 2
    assert "has no run 1" in capsys.readouterr().err
    assert run_ship("nowhere") == 2
    assert "no directory nowhere" in capsys.readouterr().err
    assert run_ship("gs://bucket/run") == 2
    assert "copy gs://bucket/run to this machine" in capsys.readouterr().err


@pytest.mark.parametrize("name", shipped.names())
def test_models_of_the_package_load_and_their_commands_train_them(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    model, card = cfasl_jax.load(name), shipped.card(name)
    D = card.config.latent_dim
    images = model.decode(np.zeros((1, D), np.float32))
    assert images.shape == (1, *card.spec.image_shape)
    assert model.encode(images).mu.shape == (1, D)
    assert np.isfinite(images).all()
    assert shipped.path(name, ".npz").stat().st_size <= 1_500_000
    trained = command_line.parse(shlex.split(card.command)[2:]).config
    assert read_by(trained) == read_by(card.config)
    config_lib.validate(card.config)
    jax.clear_caches()
