"""Grids of images: the right image in the right cell, under the right label."""

import itertools

import numpy as np
import pytest
import report_synthetic as synthetic

from cfasl_jax.report import image_figures, style

WHOLE = synthetic.complete()
GAP = 4


def cell(figure, row, column):
    """The image that a figure shows in one cell of its grid."""
    shown = figure.axes[0].images[0].get_array()
    return shown[row * (64 + GAP) :, column * (64 + GAP) :][:64, :64]


@pytest.mark.parametrize("channels", [1, 3])
def test_mosaic_places_every_image(channels):
    grid = synthetic.images(np.random.default_rng(0), 2, 3, channels=channels)
    whole = image_figures.mosaic(grid, gap=5)
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
    part = WHOLE.part("traversals")
    figure = image_figures.traversals(part)
    np.testing.assert_array_equal(cell(figure, 0, 3), part["frames"][2, 3])
    np.testing.assert_array_equal(cell(figure, 1, 0), part["frames"][0, 0])
    greyed = cell(figure, 2, 1)
    assert (abs(greyed - part["frames"][1, 1].astype(int)) > 0).any()
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words.index("dim 2") < words.index("dim 0") < words.index("dim 1")
    assert "KL 0.00, inactive" in words
    assert "KL 2.00" in words


def test_the_walk_exchanges_one_dimension_after_another():
    part = WHOLE.part("walk")
    figure = image_figures.walk(part)
    np.testing.assert_array_equal(cell(figure, 1, 2), part["frames"][1, 1])
    words = [text.get_text() for text in figure.axes[0].texts]
    assert "exchanged dim" in words
    assert [word for word in words if word.isdecimal()] == ["2", "0", "1"]


@pytest.mark.parametrize("D", [10, 20, 50])
def test_numbers_above_many_columns_do_not_overlap(D):
    rng = np.random.default_rng(0)
    pairs = {name: synthetic.images(rng, 2) for name in ("x1", "x2")}
    frames = synthetic.images(rng, 2, D + 1)
    part = pairs | {"frames": frames, "switch": np.ones((2, D)), "dimensions": range(D)}
    for draw in (image_figures.walk, image_figures.sections):
        with style.paper_style():
            figure = draw(part)
            figure.draw_without_rendering()
        texts = [
            t for t in figure.axes[0].texts if t.get_text().strip("+ ").isdecimal()
        ]
        spans = sorted(tuple(t.get_window_extent().intervalx) for t in texts)
        assert len(spans) > 4
        assert all(a[1] < b[0] for a, b in itertools.pairwise(spans)), draw


def test_composition_shows_the_symmetry_between_its_ends():
    part = WHOLE.part("composition")
    figure = image_figures.composition(part)
    path = part["path"]
    rows = (part["x1"], path[:, 0], path[:, -1], part["x2"])
    for row, expected in enumerate(rows):
        np.testing.assert_array_equal(cell(figure, row, 1), expected[1])
    words = [text.get_text() for text in figure.axes[0].texts]
    assert "2 of 3" in words
    assert "1 of 3" in words


def test_steps_of_a_factor_are_labelled_with_its_values():
    part = WHOLE.parts("factor_steps")[1]
    figure = image_figures.factor_steps(part)
    np.testing.assert_array_equal(cell(figure, 2, 3), part["chained"][3])
    words = [text.get_text() for text in figure.axes[0].texts]
    assert "floor hue" in words
    assert words.index("3") < words.index("9")


def test_sections_switched_on_are_underlined():
    part = WHOLE.part("sections")
    figure = image_figures.sections(part)
    np.testing.assert_array_equal(cell(figure, 1, 2), part["frames"][1, 1])
    bars = {
        ((p.get_y() - 64) / 68, (p.get_x() + 0.5) / 68) for p in figure.axes[0].patches
    }
    assert bars == {(0, 2), (0, 4), (1, 4)}
