"""A study's figures, from study.json."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cfasl_jax.report.curves import panel_grid, thousands
from cfasl_jax.report.style import (
    INK,
    MUTED,
    PAGE_WIDTH,
    PALETTE,
    drawable,
    new_figure,
)
from cfasl_jax.study import run_files
from cfasl_jax.study.tables import main_scores, short
from cfasl_jax.types import ACTIVE_KL

_COLUMNS = 3
_ROW = 0.22
_MARKERS = "os^D"

# Measures of a model that are logged during training, besides its scores.
_MEASURES = {
    "reconstruction": "reconstruction loss",
    "kl": "KL (nats)",
    "active_dimensions": f"dimensions with KL > {ACTIVE_KL} nats",
}


def strips(results: Mapping[str, Any], protocol: str) -> Figure | None:
    """One panel for each score: seeds, mean, interval, floor and published mean."""
    shown = main_scores(results, protocol)
    if not shown:
        return None
    scored = {arm for score in shown for arm in results["scores"][protocol][score]}
    arms = [arm for arm in results["arms"] if arm in scored]
    figure, panels = panel_grid(len(shown), 0.55 + _ROW * len(arms), _COLUMNS)
    elsewhere = (results["published"] or {}).get("scores", {})
    for panel, score in zip(panels, shown, strict=True):
        found = results["scores"][protocol][score]
        for row, arm in enumerate(arms):
            if (entry := found.get(arm)) is None or entry["mean"] is None:
                continue
            hue, _ = _look(results, arm)
            _row(panel, row, _values(results, arm, protocol, score), entry, hue)
            if entry["chance"] is not None:
                x = 100 * entry["chance"]
                panel.plot([x, x], [row - 0.35, row + 0.35], color=INK, lw=0.9)
            if score in elsewhere.get(arm, {}):
                mean = 100 * elsewhere[arm][score][0]
                panel.plot(mean, row + 0.3, "D", mfc="white", mec=MUTED, ms=3, mew=0.7)
        _dress(panel, short(score))
        _name_rows(panel, list(map(_name, arms)))
    return figure


def differences(results: Mapping[str, Any], protocol: str) -> Figure | None:
    """One panel for each score: the comparisons' paired differences with intervals."""
    shown = main_scores(results, protocol)
    found = {
        (entry["score"], entry["first"], entry["second"]): entry
        for entry in results["differences"]
        if entry["protocol"] == protocol and entry["mean"] is not None
    }
    compared = {tuple(pair) for _, *pair in found}
    pairs = [tuple(p) for p in results["comparisons"] if tuple(p) in compared]
    if not pairs or not shown:
        return None
    one = pairs[0][1] if len({second for _, second in pairs}) == 1 else ""
    names = [tuple(map(_name, pair)) for pair in pairs]
    labels = [a if one else f"{a}\n\N{MINUS SIGN} {b}" for a, b in names]
    height = 0.55 + _ROW * len(pairs) * (1 if one else 1.5)
    figure, panels = panel_grid(len(shown), height, _COLUMNS)
    for panel, score in zip(panels, shown, strict=True):
        panel.axvline(0, color=INK, lw=0.8)
        for row, pair in enumerate(pairs):
            if (entry := found.get((score, *pair))) is None:
                continue
            hue = PALETTE[0] if entry["primary"] else MUTED
            first, second = (_values(results, arm, protocol, score) for arm in pair)
            both = first.keys() & second.keys()
            by_seed = {seed: first[seed] - second[seed] for seed in both}
            _row(panel, row, by_seed, entry, hue)
        _dress(panel, short(score))
        _name_rows(panel, labels)
    words = f"difference to {_name(one)}" if one else "difference"
    figure.supxlabel(words, fontsize=7.5)
    return figure


def tuning(results: Mapping[str, Any]) -> Figure | None:
    """Every tuning run: panels by arm and score, with one row for each setting."""
    tuned = {
        name: arm
        for name, arm in results["arms"].items()
        if any(setting["runs"] for setting in arm["settings"].values())
    }
    scores = results["select"]
    if not tuned:
        return None
    heights = [0.5 + 0.15 * len(arm["settings"]) for arm in tuned.values()]
    figure = new_figure(PAGE_WIDTH, sum(heights) + 0.2)
    grid = figure.subplots(
        len(tuned), len(scores), squeeze=False, sharex="col", height_ratios=heights
    )
    for row, (name, arm) in enumerate(tuned.items()):
        labels = list(arm["settings"])
        for panel, score in zip(grid[row], scores, strict=True):
            for place, (label, setting) in enumerate(arm["settings"].items()):
                hue = PALETTE[0] if label == arm["chosen"] else MUTED
                found = [run_files.tuned(entry, score) for entry in setting["runs"]]
                values = [100 * value for value in found if value is not None]
                panel.plot(values, [place] * len(values), "|", color=hue, ms=5, mew=0.8)
                if values:
                    panel.plot(np.mean(values), place, "o", color=hue, ms=3.5)
            _dress(
                panel,
                f"{_name(name)}: {short(score)}"
                if panel is grid[row][0]
                else short(score),
            )
            _name_rows(panel, labels if panel is grid[row][0] else [""] * len(labels))
            panel.tick_params(axis="y", labelsize=5)
    return figure


def trade_offs(results: Mapping[str, Any], protocol: str) -> Figure | None:
    """One panel for each score: it is drawn against the runs' reconstruction losses."""
    shown = main_scores(results, protocol)
    if not shown:
        return None
    figure, panels = panel_grid(len(shown), 1.7, _COLUMNS, 0.5)
    for panel, score in zip(panels, shown, strict=True):
        for name, arm in results["arms"].items():
            points = [
                (entry["reconstruction"], value)
                for entry in arm["reporting"]
                if (value := _value(entry, protocol, score)) is not None
            ]
            x, y = np.array(points).T if points else ([], [])
            hue, marker = _look(results, name)
            panel.plot(
                x, y, marker, color=hue, ms=3.5, mec="white", mew=0.4, label=_name(name)
            )
        _dress(panel, short(score), rows=False)
        panel.grid(axis="y", color=MUTED, alpha=0.2, lw=0.4)
    figure.supxlabel("reconstruction loss", fontsize=7.5)
    _legend(figure, panels[0])
    return figure


def curves(results: Mapping[str, Any]) -> Figure | None:
    """One panel for each score or measure that was logged during training, over steps.

    Scores are those of the first table, times 100. A thin line is one run; the strong
    one joins the medians at the steps that all runs have.
    """
    runs = {
        name: [_curves(entry) for entry in arm["reporting"] if entry.get("curves")]
        for name, arm in results["arms"].items()
    }
    logged = {name for of_arm in runs.values() for run in of_arm for name in run}
    scores = main_scores(results, results["protocols"][0])
    shown = [name for name in (*scores, *_MEASURES) if name in logged]
    if not shown:
        return None
    figure, panels = panel_grid(len(shown), 1.7, _COLUMNS, 0.5)
    for panel, name in zip(panels, shown, strict=True):
        for arm, of_arm in runs.items():
            hue, marker = _look(results, arm)
            found = [run[name] for run in of_arm if name in run]
            for points in found:
                panel.plot(*_scaled(name, points).T, color=hue, lw=0.4, alpha=0.5)
            if found:
                median = _scaled(name, _median(found))
                panel.plot(*median.T, f"{marker}-", color=hue, ms=2.5, label=_name(arm))
        _dress(panel, _MEASURES.get(name) or short(name), rows=False)
        panel.xaxis.set_major_formatter(thousands)
    figure.supxlabel(
        "step (scores times 100; thin: one run; strong: the median at each step)",
        fontsize=7.5,
    )
    _legend(figure, panels[0])
    return figure


def _curves(entry: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """A run's curves [n, 2], with the total KL of the dimensions as "kl"."""
    found = {name: np.array(points) for name, points in entry["curves"].items()}
    each = [points for name, points in found.items() if name.startswith("kl_")]
    if each and all(np.array_equal(points[:, 0], each[0][:, 0]) for points in each):
        total = sum(points[:, 1] for points in each)
        found["kl"] = np.stack([each[0][:, 0], total], axis=1)
    return found


def _scaled(name: str, points: np.ndarray) -> np.ndarray:
    return points if name in _MEASURES else points * [1, 100]


def _median(runs: Sequence[np.ndarray]) -> np.ndarray:
    """The median over runs [n, 2] at the steps that all runs have."""
    steps = sorted(set.intersection(*(set(points[:, 0]) for points in runs)))
    values = [[dict(points)[step] for step in steps] for points in runs]
    return np.stack([steps, np.median(np.array(values), axis=0)], axis=1)


def _legend(figure: Figure, panel: Axes) -> None:
    """The arms' colours, above all panels."""
    handles, labels = panel.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3)


def _name(arm: str) -> str:
    """An arm's name as a figure can show it."""
    return drawable(arm, "an arm")


def _look(results: Mapping[str, Any], arm: str) -> tuple[str, str]:
    """An arm's colour and marker, which are its own in all figures of a study."""
    again, place = divmod(list(results["arms"]).index(arm), len(PALETTE))
    return PALETTE[place], _MARKERS[again % len(_MARKERS)]


def _row(
    axes: Axes,
    row: int,
    by_seed: Mapping[int, float],
    entry: Mapping[str, Any],
    hue: str,
) -> None:
    """The values of all seeds as ticks, their mean, and its interval as a line.

    An interval of two values, 13 standard errors to each side, would leave no room for
    anything else; it is only in the tables.
    """
    axes.plot([*by_seed.values()], [row] * len(by_seed), "|", color=hue, ms=6, mew=0.7)
    if entry["n"] > 2:
        ends = [100 * end for end in entry["interval"]]
        axes.plot(ends, [row, row], color=hue, lw=1.3, solid_capstyle="butt")
    axes.plot(100 * entry["mean"], row, "o", color=hue, ms=4)


def _dress(axes: Axes, title: str, rows: bool = True) -> None:
    axes.set_title(title, loc="left")
    axes.grid(axis="x", color=MUTED, alpha=0.2, lw=0.4)
    axes.locator_params(axis="x", nbins=5)
    axes.margins(x=0.08)
    if rows:
        axes.spines["left"].set_visible(False)


def _name_rows(axes: Axes, labels: Sequence[str]) -> None:
    """Label the rows, the first on top; only the first panel of a row is labelled."""
    axes.set_ylim(len(labels) - 0.4, -0.6)
    first = axes.get_subplotspec()
    named = first is None or first.is_first_col()
    axes.set_yticks(range(len(labels)), labels if named else [""] * len(labels))
    axes.tick_params(axis="y", length=0)


def _values(
    results: Mapping[str, Any], arm: str, protocol: str, score: str
) -> dict[int, float]:
    """Values of a score of an arm's reporting runs by seed."""
    entries = results["arms"][arm]["reporting"]
    found = {entry["seed"]: _value(entry, protocol, score) for entry in entries}
    return {seed: value for seed, value in found.items() if value is not None}


def _value(entry: Mapping[str, Any], protocol: str, score: str) -> float | None:
    """A run's score times 100."""
    value = entry.get("scores", {}).get(protocol, {}).get(score, {}).get("value")
    return None if value is None else 100 * value
