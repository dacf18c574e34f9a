"""A working directory of an early version loads, is scored and drawn, and resumes.

`support/old_run` is a real run of 20 steps, beta-TCVAE with CFASL on rendered dSprites,
with numbers of its checkpoint rounded so that they compress.
"""

import json
import shutil
from pathlib import Path

import golden
import jax
import numpy as np
import pytest

import cfasl_jax
from cfasl_jax import data, main

OLD = Path(golden.__file__).parent / "old_run"


@pytest.fixture
def workdir(tmp_path):
    shutil.copytree(OLD, tmp_path / "run")
    return tmp_path / "run"


def test_it_loads_without_its_data(workdir, monkeypatch):
    def refuse(*_):
        raise AssertionError("the data set was opened")

    monkeypatch.setattr(data, "load", refuse)
    model = cfasl_jax.load(workdir)
    assert (model.step, model.seed) == (20, 1)
    images = model.decode(np.zeros((2, 3), np.float32))
    assert images.shape == (2, 64, 64, 1)
    assert model.symmetry(images, images).generator.shape == (2, 3, 3)


def test_it_is_scored_drawn_and_resumed(workdir):
    before = json.loads((workdir / "results.json").read_text())
    lines = (workdir / "metrics.jsonl").read_text()
    assert main.main(["main", f"--workdir={workdir}", "--config.num_steps=25"]) == 0
    after = json.loads((workdir / "results.json").read_text())
    assert (before["step"], after["step"]) == (20, 25)
    assert (workdir / "metrics.jsonl").read_text().startswith(lines)
    assert (workdir / "report.html").exists()
    record = json.loads((workdir / "config.json").read_text())
    assert record["dataset"]["image_shape"] == [64, 64, 1]
    jax.clear_caches()
