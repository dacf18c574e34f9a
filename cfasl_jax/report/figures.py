"""Draws every figure that a run has arrays for."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cfasl_jax.report import charts
from cfasl_jax.report.arrays import Analysis, LossCurves
from cfasl_jax.report.kinds import KINDS, Kind
from cfasl_jax.report.names import spaced
from cfasl_jax.report.plates import Plate
from cfasl_jax.report.style import paper_style, save


def write_figures(analysis: Analysis, folder: Path) -> list[Plate]:
    """Draws every figure that the analysis has arrays for.

    Args:
      analysis: the saved arrays of one run.
      folder: where NAME.png and NAME.pdf go; made if missing.

    Returns:
      The figures in reading order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plates = []
    with paper_style():
        for kind in KINDS:
            for part, caption in _parts(analysis, kind):
                factor = getattr(part, "factor", "")
                name = kind.name.format(factor=factor.replace(" ", "_"))
                title = kind.title.format(factor=spaced(factor))
                figure = kind.draw(part)
                image, width = save(figure, folder, name), figure.get_figwidth()
                plates.append(
                    Plate(name, title, caption, image, width, kind.group, kind.key)
                )
    return plates


def _parts(analysis: Analysis, kind: Kind) -> Iterator[tuple[Any, str]]:
    """Yields what the figures of a kind are drawn from, and their captions."""
    part = getattr(analysis, kind.part)
    if isinstance(part, Sequence):
        for place, item in enumerate(part):
            yield item, "As above." if place else kind.caption
    elif part is not None:
        yield part, kind.caption


def write_losses(curves: LossCurves, folder: Path) -> Plate:
    """Draws the loss curves of all runs as losses.png and losses.pdf."""
    folder.mkdir(parents=True, exist_ok=True)
    runs = len(next(iter(curves.terms.values())))
    many = f" The strong line is the median of {runs} runs, a thin line each of them."
    with paper_style():
        figure = charts.loss_curves(curves)
        image, width = save(figure, folder, "losses"), figure.get_figwidth()
    return Plate(
        "losses",
        "Loss curves",
        "Every logged term against the training step. An axis is logarithmic where its "
        "term is positive and its largest value many times the smallest."
        + (many if runs > 1 else ""),
        image,
        width,
        "Training",
    )


def left_out(analysis: Analysis) -> dict[str, list[str]]:
    """Returns the titles of the figures that the run lacks something for, by why."""
    reasons: dict[str, list[str]] = {}
    for kind in KINDS:
        for need in kind.needs:
            if need in analysis.lacking:
                title = kind.title.format(factor="a factor")
                reasons.setdefault(analysis.lacking[need], []).append(title)
                break
    return reasons
