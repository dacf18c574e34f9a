"""What the figures show: the right image in the right cell, the right number."""

import base64
import io

import numpy as np
import pytest
import report_synthetic as synthetic
from PIL import Image

from cfasl_jax.report import (
    charts,
    codebook_charts,
    figures,
    html,
    image_figures,
    latent_charts,
    matrices,
    mosaics,
)
from cfasl_jax.report.animations import write_animations
from cfasl_jax.report.arrays import FactorMaps, LossCurves
from cfasl_jax.report.figures import write_figures
from cfasl_jax.report.plates import has_index, read_index, write_index

WHOLE = synthetic.complete()
GAP = 4


def cell(figure, row, column):
    """The image that a figure shows in one cell of its grid."""
    shown = figure.axes[0].images[0].get_array()
    return shown[row * (64 + GAP) :, column * (64 + GAP) :][:64, :64]


@pytest.fixture(scope="module")
def plates(tmp_path_factory):
    return write_figures(WHOLE, tmp_path_factory.mktemp("figures"))


def test_every_part_has_its_figures(plates):
    assert [plate.name for plate in plates] == [
        "reconstructions",
        "traversals",
        "composition",
        "sections",
        "walk",
        "steps_shape",
        "steps_floor_hue",
        "section_action",
        "scatter",
        "covariance",
        "factor_maps",
        "codebook_structure",
        "codebook_use",
        "equivariance",
    ]
    words = {plate.name: (plate.title, plate.caption) for plate in plates}
    assert words["steps_floor_hue"] == ("Stepping floor hue", "As above.")
    assert words["steps_shape"][1].startswith("The factor runs")


def test_figures_are_saved_as_image_and_as_vectors(plates):
    for plate in plates:
        pixels = np.asarray(Image.open(plate.image).convert("L"))
        assert pixels.shape[1] == pytest.approx(200 * plate.inches, abs=1)
        assert pixels.std() > 5, plate.name
        vectors = plate.image.with_suffix(".pdf").read_bytes()
        assert vectors.startswith(b"%PDF")
        assert vectors.rstrip().endswith(b"%%EOF")


def test_a_model_without_codebook_has_fewer(tmp_path):
    names = [p.name for p in write_figures(synthetic.baseline(1), tmp_path)]
    assert names == ["reconstructions", "traversals"]


@pytest.mark.parametrize("channels", [1, 3])
def test_mosaic_places_every_image(channels):
    grid = synthetic.images(np.random.default_rng(0), 2, 3, channels=channels)
    whole = mosaics.mosaic(grid, gap=5)
    assert whole.shape == (2 * 64 + 5, 3 * 64 + 2 * 5, 3)
    expected = np.full_like(whole, 255)
    for row in range(2):
        for column in range(3):
            for c in range(3):
                top, left = row * 69, column * 69
                image = grid[row, column, :, :, c if channels == 3 else 0]
                expected[top : top + 64, left : left + 64, c] = image
    np.testing.assert_array_equal(whole, expected)


def test_traversals_are_ordered_and_the_inactive_one_greyed():
    part = WHOLE.traversals
    figure = image_figures.traversals(part)
    np.testing.assert_array_equal(cell(figure, 0, 3), part.frames[2, 3])
    np.testing.assert_array_equal(cell(figure, 1, 0), part.frames[0, 0])
    greyed = cell(figure, 2, 1)
    assert (abs(greyed - part.frames[1, 1].astype(int)) > 0).any()
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words.index("dim 2") < words.index("dim 0") < words.index("dim 1")
    assert "KL 0.00, inactive" in words
    assert "KL 2.00" in words


def test_composition_shows_the_symmetry_between_its_ends():
    part = WHOLE.composition
    figure = image_figures.composition(part)
    rows = (part.x1, part.reconstruction1, part.composed, part.x2)
    for row, expected in enumerate(rows):
        np.testing.assert_array_equal(cell(figure, row, 1), expected[1])
    words = [text.get_text() for text in figure.axes[0].texts]
    assert "2 of 3" in words
    assert "1 of 3" in words


def test_steps_of_a_factor_are_labelled_with_its_values():
    part = WHOLE.factor_steps[1]
    figure = image_figures.factor_steps(part)
    np.testing.assert_array_equal(cell(figure, 2, 3), part.chained[3])
    words = [text.get_text() for text in figure.axes[0].texts]
    assert "floor hue" in words
    assert words.index("3") < words.index("9")


def test_sections_switched_on_are_underlined():
    figure = image_figures.section_steps(WHOLE.section_steps)
    np.testing.assert_array_equal(cell(figure, 1, 2), WHOLE.section_steps.frames[1, 1])
    bars = {
        ((p.get_y() - 64) / 68, (p.get_x() + 0.5) / 68) for p in figure.axes[0].patches
    }
    assert bars == {(0, 2), (0, 4), (1, 4)}


def test_covariance_is_drawn_by_decreasing_eigenvalue():
    figure = latent_charts.covariance(np.diag([1.0, 0.2, 3.0]))
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    np.testing.assert_allclose(heights, [3.0, 1.0, 0.2])
    vectors = figure.axes[1].images[0].get_array()
    np.testing.assert_allclose(vectors, [[0, 1, 0], [0, 0, 1], [1, 0, 0]], atol=1e-12)


def test_loss_curves_show_every_run_and_the_median(tmp_path):
    values = np.array([[1.0, 2.0, 3.0], [3.0, 4.0, 8.0], [2.0, 9.0, 4.0]])
    part = LossCurves(np.array([1, 2, 3]), {"kl": values, "loss": values})
    figure = charts.loss_curves(part)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["loss", "KL"]
    lines = figure.axes[1].lines
    np.testing.assert_allclose([line.get_ydata() for line in lines[:3]], values)
    np.testing.assert_allclose(lines[3].get_ydata(), [2.0, 4.0, 4.0])
    assert lines[3].get_linewidth() > 2 * lines[0].get_linewidth()
    plate = figures.write_losses(part, tmp_path)
    assert "the median of 3 runs" in plate.caption
    one = LossCurves(np.array([1, 2, 3]), {"kl": values[:1]})
    assert len(charts.loss_curves(one).axes[0].lines) == 1
    assert "median" not in figures.write_losses(one, tmp_path).caption


def test_only_positive_terms_over_decades_get_a_log_axis():
    terms = {
        "wide": np.array([[1.0, 1000.0]]),
        "signed": np.array([[-1.0, 1000.0]]),
        "narrow": np.array([[1.0, 2.0]]),
    }
    figure = charts.loss_curves(LossCurves(np.array([1, 2]), terms))
    scales = [axes.get_yscale() for axes in figure.axes]
    assert scales == ["log", "linear", "linear"]


@pytest.mark.parametrize(
    ("value", "high", "expected"),
    [
        (0.07, 1.0, ".07"),
        (1.0, 1.0, "1.00"),
        (0.004, 1.0, "0"),
        (-0.5, 1.0, "\N{MINUS SIGN}.50"),
        (0.0123, 0.05, ".012"),
        (123.4, 200.0, "123"),
    ],
)
def test_numbers_in_cells_are_short(value, high, expected):
    assert matrices.short(value, matrices.decimals(high)) == expected


def test_animations_run_to_and_fro(tmp_path):
    plates = write_animations(WHOLE, tmp_path)
    assert [plate.name for plate in plates] == [
        "traversals_animated",
        "section_action_animated",
        "composition_animated",
    ]
    clip = Image.open(plates[1].image)
    assert clip.n_frames == 2 * synthetic.T - 2
    for frame, step in ((1, 1), (synthetic.T, synthetic.T - 2)):
        clip.seek(frame)
        shown = np.asarray(clip.convert("RGB")).astype(int)[18 + 30, 30]
        expected = WHOLE.section_action.frames[0, step, 15, 15]
        np.testing.assert_allclose(shown, expected, atol=8)


def test_animations_in_the_page_keep_their_frames(tmp_path, monkeypatch):
    monkeypatch.setattr(html, "_LARGE", 0)
    path = write_animations(WHOLE, tmp_path)[1].image
    kind, content = html.data_uri(path).split(";base64,")
    assert kind == "data:image/webp"
    shown = Image.open(io.BytesIO(base64.b64decode(content)))
    file = Image.open(path)
    assert shown.n_frames == file.n_frames
    for frame in (1, file.n_frames - 1):
        shown.seek(frame)
        file.seek(frame)
        difference = np.asarray(shown.convert("RGB"), float) - file.convert("RGB")
        assert abs(difference).mean() < 4
        assert shown.info["duration"] == file.info["duration"]


def test_equivariance_error_stands_before_that_of_doing_nothing():
    figure = codebook_charts.equivariance(WHOLE.equivariance)
    pale, blue = figure.axes[0].containers
    np.testing.assert_allclose([bar.get_width() for bar in pale], [0.5, 0.1])
    np.testing.assert_allclose([bar.get_width() for bar in blue], [0.1, 0.2])
    notes = [note.get_text() for note in figure.axes[0].texts]
    assert notes == ["0.1 of 0.5", "0.2 of 0.1"]


def test_many_factors_stack_the_maps():
    rng = np.random.default_rng(0)
    names = tuple(f"attribute_{k}" for k in range(20))
    part = FactorMaps(names, rng.random((3, 20)), rng.random((3, 20)))
    upper, lower, _ = latent_charts.factor_maps(part).axes
    assert upper.get_position().y0 > lower.get_position().y1
    assert [t.get_text() for t in lower.get_xticklabels()][1] == "attribute 1"


def test_index_keeps_the_words(plates, tmp_path):
    write_index(plates, plates[0].image.parent)
    assert read_index(plates[0].image.parent) == plates
    assert has_index(plates[0].image.parent)
    assert not has_index(tmp_path)
