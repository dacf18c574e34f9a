"""Charts of latents and codebook: the right numbers in the right place."""

import itertools

import numpy as np
import pytest
import report_synthetic as synthetic

from cfasl_jax.report import latent_figures, style

WHOLE = synthetic.complete()


def test_covariance_is_drawn_by_decreasing_eigenvalue():
    figure = latent_figures.covariance(WHOLE.part("covariance"))
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    np.testing.assert_allclose(heights, [3.0, 1.0, 0.2])
    vectors = figure.axes[1].images[0].get_array()
    np.testing.assert_allclose(vectors, [[0, 1, 0], [0, 0, 1], [1, 0, 0]], atol=1e-12)


def test_posteriors_are_drawn_by_decreasing_kl():
    figure = latent_figures.posteriors(WHOLE.part("posteriors"))
    spread, bars = figure.axes
    names = [label.get_text() for label in spread.get_yticklabels()]
    assert names == ["dim 2", "dim 0", "dim 1"]
    np.testing.assert_allclose(
        [bar.get_width() for bar in bars.patches], [2, 0.5, 0.001]
    )
    thin, thick = (np.array(lines.get_segments()) for lines in spread.collections)
    assert thin[:, :, 0].tolist() == [[-2.5, 1.5], [-1, 1], [0.88, 0.92]]
    assert thick[:, :, 0].tolist() == [[-1.5, 0.5], [-0.5, 0.5], [0.89, 0.91]]
    np.testing.assert_allclose(spread.lines[1].get_xdata(), [-0.5, 0, 0.9])
    pale = [(bar.get_x(), bar.get_width()) for bar in spread.patches]
    np.testing.assert_allclose(pale, [(-0.6, 0.2), (-0.5, 1.0), (0.1, 1.6)])
    assert spread.yaxis_inverted()


def test_equivariance_error_stands_before_that_of_doing_nothing():
    figure = latent_figures.equivariance(WHOLE.part("equivariance"))
    pale, blue = figure.axes[0].containers
    np.testing.assert_allclose([bar.get_width() for bar in pale], [0.5, 0.1])
    np.testing.assert_allclose([bar.get_width() for bar in blue], [0.1, 0.2])
    notes = [note.get_text() for note in figure.axes[0].texts]
    assert notes == ["0.1 of 0.5", "0.2 of 0.1"]


def test_sections_are_drawn_against_the_latents_that_they_move():
    part = WHOLE.part("section_moves")
    axes, bar = latent_figures.section_moves(part).axes
    np.testing.assert_array_equal(axes.images[0].get_array(), part["distance"])
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["0 (100%)", "1 (25%)", "2 (0%)"]
    assert bar.get_ylim() == (0.0, part["distance"].max())


def test_maps_show_what_their_titles_say():
    part = WHOLE.part("information")
    left, right, *_ = latent_figures.factor_maps(part).axes
    np.testing.assert_array_equal(left.images[0].get_array(), part["normalised"])
    np.testing.assert_array_equal(right.images[0].get_array(), part["importance"])
    part = WHOLE.part("codebook")
    left, right, *_ = latent_figures.codebook_structure(part).axes
    np.testing.assert_array_equal(left.images[0].get_array(), part["commutator"])
    np.testing.assert_array_equal(right.images[0].get_array(), part["cosine"])
    bars, *_ = [a for a in latent_figures.codebook_use(part).axes if a.patches]
    widths = [bar.get_width() for bar in bars.patches]
    np.testing.assert_array_equal(widths, part["section_use"])


@pytest.mark.parametrize("D", [10, 20, 64])
def test_numbers_of_many_dimensions_do_not_overlap(D):
    rng = np.random.default_rng(0)
    square = rng.random((D, D))
    parts = {
        "covariance": {"matrix": square + square.T},
        "section_moves": {"distance": square, "on": square[0]},
        "codebook_structure": {"commutator": square, "cosine": square},
        "codebook_use": {"element_use": square, "section_use": square[0]},
    }
    for name, part in parts.items():
        with style.paper_style():
            figure = getattr(latent_figures, name)(part)
            figure.draw_without_rendering()
        for axes in figure.axes:
            across = [t.get_window_extent().intervalx for t in axes.get_xticklabels()]
            down = [t.get_window_extent().intervaly for t in axes.get_yticklabels()]
            for spans in (across, down):
                shown = sorted(tuple(span) for span in spans if np.ptp(span) > 0)
                assert all(a[1] < b[0] for a, b in itertools.pairwise(shown)), name


def test_many_factors_stack_the_maps():
    rng = np.random.default_rng(0)
    names = tuple(f"attribute_{k}" for k in range(20))
    part = {
        "factor_names": names,
        "normalised": rng.random((3, 20)),
        "importance": rng.random((3, 20)),
    }
    upper, lower, _ = latent_figures.factor_maps(part).axes
    assert upper.get_position().y0 > lower.get_position().y1
    assert [t.get_text() for t in lower.get_xticklabels()][1] == "attribute 1"


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
    assert latent_figures.short(value, latent_figures.decimals(high)) == expected
