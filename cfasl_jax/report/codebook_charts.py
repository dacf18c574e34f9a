"""Figures of the symmetry codebook: what its sections are like and which are used."""

import numpy as np
from matplotlib.figure import Figure

from cfasl_jax.report.arrays import Codebook, Equivariance
from cfasl_jax.report.matrices import heat_map
from cfasl_jax.report.names import spaced
from cfasl_jax.report.style import COLUMN_WIDTH, PAGE_WIDTH, PALETTE, RULE, new_figure


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


def equivariance(part: Equivariance) -> Figure:
    """Draws the equivariance error of each factor, before that of doing nothing."""
    K = len(part.errors)
    figure = new_figure(COLUMN_WIDTH, 0.85 + 0.25 * K)
    axes = figure.subplots()
    rows = np.arange(K)
    axes.barh(rows, part.distances, color=RULE, height=0.8, label="$z_1$ from $z_2$")
    label = "$z_1 g_c$ from $z_2$"
    axes.barh(rows, part.errors, color=PALETTE[0], height=0.45, label=label)
    ends = np.maximum(part.errors, part.distances)
    for row in rows:
        note = f"{part.errors[row]:.2g} of {part.distances[row]:.2g}"
        axes.annotate(
            note,
            (ends[row], row),
            (3, 0),
            textcoords="offset points",
            va="center",
            fontsize=6,
        )
    axes.set_yticks(rows, [spaced(name) for name in part.factor_names])
    axes.invert_yaxis()
    axes.margins(x=0.3)
    axes.set_xlabel("mean squared distance")
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=2,
        borderaxespad=0.0,
        handlelength=1.2,
    )
    return figure
