"""The figures of a run: which there are, their files and their words."""

import dataclasses

import numpy as np
import pytest
import report_synthetic as synthetic
from PIL import Image

from cfasl_jax.report import figures
from cfasl_jax.report.figures import (
    file_name,
    has_index,
    read_index,
    write_figures,
    write_index,
)

WHOLE = synthetic.complete()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    saved, failed = write_figures(WHOLE, tmp_path_factory.mktemp("figures"))
    assert failed == []
    return saved


def test_every_part_has_its_figures(saved):
    assert [figure.name for figure in saved] == [
        "reconstructions",
        "traversals",
        "composition",
        "sections",
        "walk",
        "steps_shape",
        "steps_floor_hue",
        "section_action",
        "posteriors",
        "scatter",
        "covariance",
        "factor_maps",
        "codebook_structure",
        "codebook_use",
        "section_moves",
        "equivariance",
    ]
    words = {figure.name: (figure.title, figure.caption) for figure in saved}
    assert words["steps_floor_hue"] == (
        "Stepping floor hue",
        "The factor floor hue runs through evenly spread values, the others stay; the "
        "rows are those of Stepping shape.",
    )
    assert words["steps_shape"][1].startswith("The factor runs")


def test_further_figures_do_not_lean_on_one_that_failed(tmp_path, monkeypatch):
    def draw(part):
        if part["factor"] == "shape":
            raise ValueError("no")
        return steps.draw(part)

    steps = next(kind for kind in figures.FIGURES if kind.further)
    kinds = [dataclasses.replace(steps, draw=draw)]
    monkeypatch.setattr(figures, "FIGURES", kinds)
    saved, failed = write_figures(WHOLE, tmp_path)
    assert failed == ["Stepping shape: drawing failed (ValueError: no)"]
    assert [figure.caption for figure in saved] == [steps.caption]


def test_figures_are_saved_as_image_and_as_vectors(saved):
    for figure in saved:
        pixels = np.asarray(Image.open(figure.image).convert("L"))
        assert pixels.shape[1] == pytest.approx(200 * figure.inches, abs=1)
        assert pixels.std() > 5, figure.name
        vectors = figure.image.with_suffix(".pdf").read_bytes()
        assert vectors.startswith(b"%PDF")
        assert vectors.rstrip().endswith(b"%%EOF")


def test_a_model_without_codebook_has_fewer(tmp_path):
    names = [p.name for p in write_figures(synthetic.baseline(1), tmp_path)[0]]
    assert names == ["reconstructions", "traversals", "posteriors"]


def test_index_keeps_the_words(saved, tmp_path):
    write_index(saved, saved[0].image.parent)
    assert read_index(saved[0].image.parent) == saved
    assert has_index(saved[0].image.parent)
    assert not has_index(tmp_path)


def test_files_are_named_safely_and_each_its_own():
    assert file_name("steps_a/b", []) == "steps_a_b"
    assert file_name("steps_a b", ["steps_a_b", "steps_A_B_2"]) == "steps_a_b_3"
    assert file_name("../..", []) == "figure"
    assert file_name("steps_ж", []) == "steps_ж"
    assert len(file_name("x" * 300, [])) == 40


def test_factors_may_be_called_anything(tmp_path):
    called = ["a/b", "a/b", "形状", "$x_1$", "", "́" * 99]
    steps = WHOLE.parts("factor_steps")[0]
    arrays = {
        f"factor_steps/{k}/{key}": np.array(name) if key == "factor" else value
        for k, name in enumerate(called)
        for key, value in steps.items()
    }
    maps = WHOLE.part("information")
    arrays |= {
        "information/factor_names": np.array(called),
        "information/normalised": np.resize(maps["normalised"], (3, len(called))),
    }
    saved, failed = write_figures(synthetic.baseline(**arrays), tmp_path)
    assert failed == []
    names = [figure.name for figure in saved]
    assert names[2:5] == ["steps_a_b", "steps_a_b_2", "steps_形状"]
    assert len(set(names)) == len(called) + 4
    assert all(figure.image.parent == tmp_path for figure in saved)
    assert all(figure.image.exists() for figure in saved)
