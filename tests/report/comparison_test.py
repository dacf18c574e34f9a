"""Finished runs side by side, from the command line to the page."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import report_synthetic as synthetic
import tiny
from browser import Outline

from cfasl_jax import config as config_lib
from cfasl_jax import main
from cfasl_jax.report import comparison, curves
from cfasl_jax.report.curves import LossCurves
from cfasl_jax.report.figures import write_index
from cfasl_jax.report.page import write_report

SOURCE = {"data_source": "tfds shapes3d 2.0.0"}
OTHER = synthetic.RESULTS | {
    "provenance": synthetic.RESULTS["provenance"] | SOURCE,
    "protocol": "dlib",
    "seeds": [7],
    "factors": ["hue"],
    "scores": {
        "sap": {
            "mean": 0.5,
            "interval": [0.4, 0.6],
            "chance": 0.02,
            "runs": 1,
            "by_factor": [0.5],
        }
    },
}


def finish(folder, run, results, config, terms):
    """What a run leaves in its working directory."""
    fields = config_lib.to_dict(config)
    write_report([run], None, results, fields, folder)
    (folder / "results.json").write_text(json.dumps(results))
    record_config(folder, fields)
    lines = [{"step": step, **terms} for step in (10, 20)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text)


def record_config(folder, fields):
    record = {"config": fields, "provenance": {"data_source": "rendered"}}
    (folder / "config.json").write_text(json.dumps(record))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two runs: of CFASL on rendered data, and of a baseline on real ones."""
    root = tmp_path_factory.mktemp("runs")
    whole = synthetic.complete()
    ours = synthetic.only(whole, "composition", "sections", "walk", "factor_steps")
    config = tiny.config(dataset="shapes3d")
    terms = {"loss": [2.0, 3.0], "parallel": [1.0, 1.0]}
    finish(root / "a/run", ours, synthetic.RESULTS, config, terms)
    theirs = synthetic.only(whole, "walk")
    base = dataclasses.replace(config, cfasl=False)
    finish(root / "b/run", theirs, OTHER, base, {"loss": [5.0]})
    return root / "a/run", root / "b/run"


def compare(*arguments):
    return main.main(["main", "--mode=analyze", *arguments])


@pytest.fixture(scope="module")
def outline(folders, tmp_path_factory):
    place = tmp_path_factory.mktemp("page")
    assert compare(f"--compare={folders[0]},{folders[1]}", f"--workdir={place}") == 0
    for name in ("scores", "losses"):
        assert (place / f"comparison/{name}.png").stat().st_size > 1000
        assert (place / f"comparison/{name}.pdf").read_bytes().startswith(b"%PDF")
    page = (place / "comparison.html").read_text("utf-8")
    assert len(page) < 10e6
    return Outline(page)


def test_scores_stand_side_by_side_with_spread_and_floor(outline):
    words = outline.text
    assert "metric a/run chance b/run chance" in words
    assert "MIG 25.00 (5.00) 1.00 \N{EN DASH} \N{EN DASH}" in words
    assert "SAP 12.50 \N{EN DASH} 50.00 [40.00, 60.00] 2.00" in words


def test_scores_by_factor_stand_below_each_other_where_the_factors_are_the_same(
    outline, folders
):
    words = outline.text
    assert "metric run shape x position hue MIG a/run 37.50 12.50 \N{EN DASH}" in words
    assert "metric run hue SAP b/run 50.00" in words
    none = LossCurves(np.zeros(0), {})
    one = comparison.read_training(folders[0], "one", {}, none)
    text = Outline(comparison._score_tables([one, one._replace(name="two")])).text
    row = "37.50 12.50 \N{EN DASH}"
    assert f"metric run shape x position hue MIG one {row} MIG two {row}" in text


def test_what_forbids_a_comparison_is_said(outline):
    words = outline.text
    assert "The images of a/run were drawn" in words
    assert "The protocols differ: dlib, fast." in words
    assert "The data sources differ: rendered, tfds shapes3d 2.0.0." in words
    assert "The steps differ" not in words
    assert "The data sets differ" not in words
    assert "cfasl True False" in words
    assert "weights.alpha" not in words


def test_figures_stand_side_by_side(outline):
    words = [attrs["alt"] for tag, attrs, _ in outline.tags if tag == "img"]
    titles = [alt.partition(":")[0] for alt in words]
    assert titles.count("Latent traversals") == 2
    assert titles.count("Composite symmetry") == 1
    assert titles.count("Loss curves") == 1
    assert titles.count("Composite symmetry, section by section") == 1
    # The baseline's walk beside it, and then those of both.
    assert titles.count("Largest-KL walk") == 3
    place = titles.index("Composite symmetry, section by section")
    assert titles[place + 1] == "Largest-KL walk"
    assert "Stepping shape" not in titles
    assert "Composite symmetry beside the largest-KL walk" in outline.text


def test_fields_that_an_older_run_lacks_are_what_they_were_then(folders, tmp_path):
    older = tmp_path / "older"
    shutil.copytree(folders[0], older)
    fields = config_lib.to_dict(tiny.config(dataset="shapes3d"))
    del fields["ours"], fields["matmul_precision"], fields["codebook"]["expm"]
    record_config(older, fields)
    place = tmp_path / "page"
    assert compare(f"--compare={folders[0]},{older}", f"--workdir={place}") == 0
    words = Outline((place / "comparison.html").read_text("utf-8")).text
    assert "The configurations and versions are the same." in words


def test_the_page_goes_below_runs_by_default(folders, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert compare(f"--compare={folders[0]},{folders[1]}") == 0
    assert "comparison: runs/comparison/comparison.html" in capsys.readouterr().out
    assert (tmp_path / "runs/comparison/comparison.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--compare={a}"], "needs two directories or more, not 1"),
        (["--compare={a},{a}"], "is named twice"),
        (["--compare={a},{b}", "--mode=all"], "goes with --mode=analyze"),
        (["--compare={a},{b}", "--config={config}"], "leave out --config"),
        (["--compare={a},gs://bucket/run"], "copy gs://bucket/run here first"),
        (["--compare={a},{none}"], "holds no run"),
        (["--compare={a},{unscored}"], "holds no results yet: run python -m cfasl_jax"),
        (["--compare={a},{damaged}"], "results.json is damaged (it does not hold"),
        (["--compare={a},{undrawn}"], "no figures of a report yet: run python -m"),
    ],
)
def test_mistakes_end_with_one_sentence_and_code_2(
    folders, tmp_path, capsys, arguments, message
):
    names = ("unscored", "undrawn", "damaged")
    unscored, undrawn, damaged = (tmp_path / name for name in names)
    for folder in (unscored, undrawn, damaged):
        folder.mkdir()
        record_config(folder, config_lib.to_dict(tiny.config()))
    (undrawn / "results.json").write_text('{"step": 1, "seeds": [1]}')
    (damaged / "results.json").write_text("[]")
    (unscored / "figures").mkdir()
    write_index([], unscored / "figures")
    places = {
        "a": folders[0],
        "b": folders[1],
        "none": tmp_path / "none",
        "unscored": unscored,
        "undrawn": undrawn,
        "damaged": damaged,
        "config": "configs/dsprites.py",
    }
    assert compare(*(argument.format(**places) for argument in arguments)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert len(error.strip().splitlines()) == 1


def test_curves_and_scores_of_trainings_have_colours_of_their_own():
    steps = np.array([1, 2])
    trained = {
        "a": LossCurves(steps, {"loss": np.array([[1.0, 2.0], [3.0, 6.0]])}),
        "b": LossCurves(steps, {"loss": np.array([[5.0, 4.0]]), "kl": np.ones((1, 2))}),
    }
    loss, kl = curves.compared_losses(trained).axes
    np.testing.assert_allclose(loss.lines[2].get_ydata(), [2.0, 4.0])
    np.testing.assert_allclose(loss.lines[3].get_ydata(), [5.0, 4.0])
    colors = [line.get_color() for line in loss.lines]
    assert colors[0] == colors[2] != colors[3] == kl.lines[0].get_color()

    scores = {"a": synthetic.RESULTS["scores"], "b": OTHER["scores"]}
    mig, sap = curves.compared_scores(scores, ["mig", "sap"]).axes
    drawn = [np.asarray(line.get_xdata()).tolist() for line in mig.lines]
    assert drawn == [[20.0, 30.0], [20.0, 30.0], [25.0], [1.0, 1.0]]
    assert {line.get_ydata()[0] for line in sap.lines[1:3]} == {1}


def test_names_are_as_long_as_it_takes_to_tell_runs_apart(tmp_path):
    def names(*parts):
        return comparison.short_names([tmp_path / part for part in parts])

    assert names("x/a", "y/b") == ["a", "b"]
    assert names("x/a", "y/a", "y/b") == ["x/a", "y/a", "y/b"]
    assert names("a", "a/a") == [f"{tmp_path.name}/a", "a/a"]
