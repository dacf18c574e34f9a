"""Figures of loss curves and of the scores of several runs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from cfasl_jax.report import names
from cfasl_jax.report.style import (
    INK,
    MUTED,
    PAGE_WIDTH,
    PALETTE,
    drawable,
    new_figure,
)

_LOG_RANGE = 30.0
_MOST_LETTERS = 28


class LossCurves(NamedTuple):
    """Every logged loss term over training.

    Attributes:
        steps: [T], the logged steps.
        terms: name -> [R, T], one row for each run.
    """

    steps: np.ndarray
    terms: Mapping[str, np.ndarray]


def compared_losses(curves: Mapping[str, LossCurves]) -> Figure:
    """Draw the curves of trainings over each other, one panel for each term.

    A thin line is one run of a training, the strong one the median of its runs.

    Args:
        curves: by the name of the training, which is its entry in the legend.
    """
    present = [name for part in curves.values() for name in part.terms]
    terms = names.ordered_terms(dict.fromkeys(present))
    figure, panels = panel_grid(len(terms), 1.25, more=_room(len(curves)))
    for panel, term in zip(panels, terms, strict=True):
        for place, part in enumerate(curves.values()):
            if term in part.terms:
                _curve(panel, part.steps, part.terms[term], color(place))
        _dress(panel, [c.terms[term] for c in curves.values() if term in c.terms])
        panel.set_title(names.term(term), loc="left")
    figure.supxlabel("step", fontsize=7.5)
    if len(curves) > 1:
        _write_legend(figure, list(curves))
    return figure


def color(place: int) -> str:
    """The colour of the run at a place."""
    return PALETTE[place % len(PALETTE)]


def panel_grid(
    count: int, height: float, columns: int = 4, more: float = 0.15
) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels of a height in inches, and room for more."""
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    figure = new_figure(PAGE_WIDTH, height * rows + more)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels[count:]:
        panel.set_axis_off()
    return figure, list(panels[:count])


def _room(count: int) -> float:
    """The inches besides the panels, with a legend of so many entries."""
    return 0.15 + (0.22 + 0.14 * math.ceil(count / 2) if count > 1 else 0)


def _write_legend(figure: Figure, labels: Sequence[str]) -> None:
    """Write a legend of colours at the top of the figure."""
    handles = [Line2D([], [], color=color(i), lw=2) for i in range(len(labels))]
    figure.legend(
        handles,
        [
            drawable(shortened(label, 2 * _MOST_LETTERS), f"run {place}")
            for place, label in enumerate(labels)
        ],
        loc="outside upper left",
        ncols=2,
    )


def shortened(label: str, most: int = _MOST_LETTERS) -> str:
    """A label, whose middle is left out if it is long."""
    if len(label) <= most:
        return label
    half = (most - 1) // 2
    return f"{label[:half]}\N{HORIZONTAL ELLIPSIS}{label[-half:]}"


def _curve(axes: Axes, steps: np.ndarray, values: np.ndarray, hue: str) -> None:
    """Draw one term [R, T] of R runs, and their median."""
    style: dict[str, Any] = {"color": hue, "marker": "." if len(steps) == 1 else None}
    if len(values) > 1:
        axes.plot(steps, values.T, lw=0.4, alpha=0.5, **style)
    axes.plot(steps, np.median(values, axis=0), **style)


def _dress(axes: Axes, drawn: Sequence[np.ndarray]) -> None:
    """Scale a panel and draw its grid; values over several decades get a log axis."""
    values = np.concatenate([part.ravel() for part in drawn])
    finite = values[np.isfinite(values)]
    if finite.size and finite.min() > 0 and finite.max() > _LOG_RANGE * finite.min():
        axes.set_yscale("log")
        # Between one and two decades, ticks at decades only would be one or two ticks.
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0), numticks=6))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="y", color=MUTED, alpha=0.2, lw=0.4)
    axes.xaxis.set_major_formatter(thousands)
    axes.locator_params(axis="x", nbins=4)


def thousands(value: float, _: float) -> str:
    """Format a step count: 0, 500, 20k, 1.5M."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def compared_scores(
    scores: Mapping[str, Mapping[str, Mapping[str, Any]]], metrics: Sequence[str]
) -> Figure:
    """Draw one panel for each metric, with one row for each training.

    Args:
        scores: by the name of the training, as in results.json.
        metrics: which ones.
    """
    height = 0.42 + 0.16 * len(scores)
    figure, panels = panel_grid(len(metrics), height, more=_room(len(scores)))
    for panel, metric in zip(panels, metrics, strict=True):
        for place, entries in enumerate(scores.values()):
            if metric in entries:
                _score(panel, place, entries[metric])
        panel.set_title(names.score(metric), loc="left")
        panel.set_ylim(len(scores) - 0.5, -0.5)
        panel.set_yticks([])
        panel.spines["left"].set_visible(False)
        panel.grid(axis="x", color=MUTED, alpha=0.2, lw=0.4)
        panel.locator_params(axis="x", nbins=4)
        panel.margins(x=0.08)
    _write_legend(figure, list(scores))
    return figure


def _score(axes: Axes, row: int, entry: Mapping[str, Any]) -> None:
    """Draw one training's score times 100: interval, seeds, mean and chance floor."""
    hue = color(row)
    if entry.get("interval"):
        low, high = (100 * end for end in entry["interval"])
        axes.plot([low, high], [row, row], color=hue, lw=1.2, solid_capstyle="butt")
    values = [100 * v for v in entry.get("values") or () if v is not None]
    if len(values) > 1:
        axes.plot(values, [row] * len(values), "|", color=hue, ms=4, mew=0.6)
    if entry.get("mean") is not None:
        axes.plot(100 * entry["mean"], row, "o", color=hue, ms=4)
    if entry.get("chance") is not None:
        floor = 100 * entry["chance"]
        axes.plot([floor, floor], [row - 0.35, row + 0.35], color=INK, lw=1.0)
