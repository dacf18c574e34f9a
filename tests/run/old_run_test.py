"""A working directory of an early version loads, is scored and drawn, and resumes.

`support/old_run` is a real run of 20 steps, beta-TCVAE with CFASL on rendered dSprites,
with numbers of its checkpoint rounded so that they compress.
"""

import json
import shutil
from pathlib import Path

import golden
import numpy as np
import pytest

import cfasl_jax
from cfasl_jax import data, main
from cfasl_jax.run import analyze, evaluate, probes

OLD = Path(golden.__file__).parent / "old_run"


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return shutil.copytree(OLD, tmp_path_factory.mktemp("old") / "run")


def test_it_loads_without_its_data(workdir, monkeypatch):
    def refuse(*_):
        raise AssertionError("the data set was opened")

    monkeypatch.setattr(data, "load", refuse)
    model = cfasl_jax.load(workdir)
    assert (model.step, model.seed) == (20, 1)
    images = model.decode(np.zeros((2, 3), np.float32))
    assert images.shape == (2, 64, 64, 1)
    assert model.symmetry(images, images).generator.shape == (2, 3, 3)


@pytest.fixture(scope="module")
def continued(workdir):
    """The directory after five more steps, scores and a report, of a few images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "_SAMPLE", 256)
        patch.setattr(probes, "_CODES", 256)
        assert main.main(["main", f"--workdir={workdir}", "--config.num_steps=25"]) == 0
    return workdir


def test_it_is_scored_drawn_and_resumed(continued):
    before, after = (
        json.loads((folder / "results.json").read_text()) for folder in (OLD, continued)
    )
    assert (before["step"], after["step"]) == (20, 25)
    lines = (OLD / "metrics.jsonl").read_text()
    assert (continued / "metrics.jsonl").read_text().startswith(lines)
    record = json.loads((continued / "config.json").read_text())
    assert record["dataset"]["image_shape"] == [64, 64, 1]


def test_it_is_redrawn_without_its_model(continued, monkeypatch):
    page = continued / "report.html"
    before, images = page.read_text("utf-8"), []
    names = ("traversals", "sections", "scatter", "factor_maps", "equivariance")
    for name in names:
        path = continued / f"figures/{name}.png"
        images.append(path.read_bytes())
        path.unlink()
    assert 'id="explorer-data"' in before
    assert ">modularity<" in before

    def no_model(*_):
        raise AssertionError("redrawing restored the model")

    monkeypatch.setattr(analyze, "models", no_model)
    page.unlink()
    command = ["main", "--mode=analyze", f"--workdir={continued}"]
    assert main.main(command) == 0
    assert page.read_text("utf-8") == before
    for name, image in zip(names, images, strict=True):
        assert (continued / f"figures/{name}.png").read_bytes() == image
    # An analysis of another checkpoint is of no use.
    results = json.loads((continued / "results.json").read_text())
    (continued / "results.json").write_text(json.dumps(results | {"step": 15}))
    with pytest.raises(AssertionError, match="restored the model"):
        main.main(command)
