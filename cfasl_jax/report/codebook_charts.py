"""Figures of the symmetry codebook: what its sections are like and which are used."""

import numpy as np
from matplotlib.figure import Figure

from cfasl_jax.report.arrays import Codebook
from cfasl_jax.report.matrices import heat_map
from cfasl_jax.report.style import COLUMN_WIDTH, PAGE_WIDTH, PALETTE, new_figure


def structure(part: Codebook) -> Figure:
    """Draws commutator norms and cosines, section against section."""
    names = [str(s) for s in range(len(part.section_use))]
    figure = new_figure(PAGE_WIDTH, 2.75)
    left, right = figure.subplots(1, 2)
    top = max(float(part.commutator.max()), 1e-12)
    panels = (
        (left, "commutator norm", part.commutator, top),
        (right, "cosine between directions", part.cosine, 1.0),
    )
    for axes, title, matrix, high in panels:
        image = heat_map(axes, matrix, names, names, limits=(0.0, high))
        axes.set_title(title, loc="left")
        axes.set(xlabel="section", ylabel="section")
        bar = figure.colorbar(image, ax=axes, aspect=22)
        bar.outline.set_visible(False)
    return figure


def use(part: Codebook) -> Figure:
    """Draws how often each section is on, and which elements it attends to."""
    S, L = part.element_use.shape
    figure = new_figure(PAGE_WIDTH, 0.7 + 0.2 * S)
    bars, axes = figure.subplots(1, 2, width_ratios=(1, 2.6), sharey=True)
    names = [str(s) for s in range(S)]
    image = heat_map(
        axes,
        part.element_use,
        names,
        [str(element) for element in range(L)],
        limits=(0.0, max(float(part.element_use.max()), 1 / L)),
    )
    axes.set_title("attention to elements", loc="left")
    axes.set_xlabel("element")
    bar = figure.colorbar(image, ax=axes, aspect=22)
    bar.outline.set_visible(False)
    bars.barh(np.arange(S), part.section_use, color=PALETTE[0], height=0.7)
    bars.set(xlim=(0, 1), xlabel="share of pairs", ylabel="section")
    bars.set_title("switched on", loc="left")
    return figure


def equivariance(part: Codebook) -> Figure:
    """Draws the equivariance error of each factor."""
    errors, names = part.equivariance_error, part.factor_names
    assert errors is not None
    assert names is not None
    figure = new_figure(COLUMN_WIDTH, 0.65 + 0.22 * len(errors))
    axes = figure.subplots()
    bars = axes.barh(np.arange(len(errors)), errors, color=PALETTE[0], height=0.65)
    axes.bar_label(bars, fmt="%.3g", padding=2, fontsize=6)
    axes.set_yticks(np.arange(len(errors)), names)
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.set_xlabel("mean squared distance of $z_1 g_c$ from $z_2$")
    return figure
