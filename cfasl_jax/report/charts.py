"""The figures made of numbers: loss curves, latents, code against factor, codebook."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cfasl_jax.report.arrays import LossCurves
from cfasl_jax.report.style import MUTED, PAGE_WIDTH, PALETTE, new_figure

_LOG_RANGE = 30.0


def loss_curves(part: LossCurves) -> Figure:
    """Draws a panel a term: the mean over runs, and the band from least to most."""
    columns = min(4, len(part.terms))
    rows = math.ceil(len(part.terms) / columns)
    figure = new_figure(PAGE_WIDTH, 1.25 * rows + 0.15)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, (name, values) in zip(panels, part.terms.items(), strict=False):
        _curve(panel, part.steps, values)
        panel.set_title(name.replace("_", " "), loc="left")
    for panel in panels[len(part.terms) :]:
        panel.set_axis_off()
    figure.supxlabel("step", fontsize=7.5)
    return figure


def _curve(axes: Axes, steps: np.ndarray, values: np.ndarray) -> None:
    """Draws one term [R, T]; a positive term that spans decades gets a log axis."""
    finite = values[np.isfinite(values)]
    mean = values.mean(0)
    marker = "." if len(steps) == 1 else None
    axes.plot(steps, mean, color=PALETTE[0], marker=marker)
    if len(values) > 1:
        low, high = values.min(0), values.max(0)
        axes.fill_between(steps, low, high, color=PALETTE[0], alpha=0.2, lw=0)
    if finite.size and finite.min() > 0 and finite.max() > _LOG_RANGE * finite.min():
        axes.set_yscale("log")
    axes.grid(axis="y", color=MUTED, alpha=0.2, lw=0.4)
    axes.xaxis.set_major_formatter(_thousands)
    axes.locator_params(axis="x", nbins=4)


def _thousands(value: float, _: float) -> str:
    """Formats a step count: 0, 500, 20k, 1.5M."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"
