"""Loss curves: every run, their median, and an axis that suits them."""

import numpy as np

from cfasl_jax.report import curves, figures
from cfasl_jax.report.curves import LossCurves


def test_loss_curves_show_every_run_and_the_median(tmp_path):
    values = np.array([[1.0, 2.0, 3.0], [3.0, 4.0, 8.0], [2.0, 9.0, 4.0]])
    part = LossCurves(np.array([1, 2, 3]), {"kl": values, "loss": values})
    figure = curves.compared_losses({"": part})
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["loss", "KL"]
    lines = figure.axes[1].lines
    np.testing.assert_allclose([line.get_ydata() for line in lines[:3]], values)
    np.testing.assert_allclose(lines[3].get_ydata(), [2.0, 4.0, 4.0])
    assert lines[3].get_linewidth() > 2 * lines[0].get_linewidth()
    saved = figures.write_losses(part, tmp_path)
    assert "the median of 3 runs" in saved.caption
    one = LossCurves(np.array([1, 2, 3]), {"kl": values[:1]})
    assert len(curves.compared_losses({"": one}).axes[0].lines) == 1
    assert "median" not in figures.write_losses(one, tmp_path).caption


def test_only_positive_terms_over_decades_get_a_log_axis():
    terms = {
        "wide": np.array([[1.0, 1000.0]]),
        "signed": np.array([[-1.0, 1000.0]]),
        "narrow": np.array([[1.0, 2.0]]),
    }
    figure = curves.compared_losses({"": LossCurves(np.array([1, 2]), terms)})
    scales = [axes.get_yscale() for axes in figure.axes]
    assert scales == ["log", "linear", "linear"]
