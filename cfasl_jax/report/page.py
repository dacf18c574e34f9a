"""report.html, the page of a run, which needs no other file and no network."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cfasl_jax.report import configuration, names, runs, tables
from cfasl_jax.report.analysis import Run
from cfasl_jax.report.animations import write_animations
from cfasl_jax.report.curves import LossCurves
from cfasl_jax.report.explorer import explorer
from cfasl_jax.report.figures import (
    SavedFigure,
    failure,
    file_name,
    left_out,
    write_figures,
    write_index,
    write_losses,
)
from cfasl_jax.report.html import asset, document, figure, figures, text

# So that a page can be mailed, the figures of further runs take at most this many
# bytes.
MOST_BYTES = 9_500_000


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A run with its figures on disk.

    Attributes:
        run: the run from which they were drawn.
        folder: their folder, below the working directory.
        figures: in reading order.
        failed: a sentence on each that could not be drawn.
    """

    run: Run
    folder: str
    figures: Sequence[SavedFigure]
    failed: Sequence[str]


def write_report(
    shown: Sequence[Run],
    losses: LossCurves | None,
    results: Mapping[str, Any],
    config: Mapping[str, Any],
    workdir: Path,
    defaults: Mapping[str, Any] | None = None,
) -> Path:
    """Draw every figure into WORKDIR/figures and write WORKDIR/report.html.

    Args:
        shown: the runs to choose from on the page. The page has all figures and the
            explorer of the first one, whose files are in figures/; those of another run
            are in figures/LABEL/, such as figures/seed_3/.
        losses: the loss curves of all runs.
        results: the content of results.json (its parts: `cfasl_jax.report.results`).
        config: the run's configuration, nested as in config.json.
        workdir: the run's folder; made if missing.
        defaults: the configuration that the data set's file in configs/ gives; None
            where it is not known.

    Returns:
        The path of the page.

    Raises:
        ValueError: there is no run, or several of which one has no label.
    """
    labels = [run.label for run in shown]
    if not shown or (len(shown) > 1 and not all(labels)):
        raise ValueError(
            "a report needs at least one run, and a label for each of several; "
            f"got the labels {labels}"
        )
    curves, failed = _losses(losses, workdir / "figures")
    drawn: list[Drawn] = []
    for run in shown:
        taken = [one.folder for one in drawn]
        folder = f"figures/{file_name(run.label, taken)}" if drawn else "figures"
        run = with_importance(run, results)
        drawn.append(_draw(run, workdir, folder, () if drawn else curves))
    training = "".join(map(figure, curves)) + _listed(failed)
    training += tables.measures(results) + tables.losses(results)

    provenance = configuration.section(config, defaults) + tables.provenance(results)

    def page(pictures: str) -> str:
        sections = [
            ("scores", "Scores", tables.scores(results)),
            ("explore", "Explorer", _explorer(drawn, results)),
            ("figures", "Figures", pictures),
            ("training", "Training", training),
            ("provenance", "Provenance", provenance),
            ("cite", "How to cite", tables.citations(results, config)),
        ]
        head = tables.rendered(results) + tables.summary(results, config)
        return document(configuration.title(config), head, sections)

    pictures = figures(drawn[0].figures) + _not_drawn(drawn[0])
    if len(drawn) > 1:
        room = MOST_BYTES - len(page(pictures).encode())
        pictures = _choice(drawn, pictures, room, results)
    path = workdir / "report.html"
    path.write_text(page(pictures), encoding="utf-8")
    return path


def with_importance(run: Run, results: Mapping[str, Any]) -> Run:
    """A run with DCI's importance from its scores, if these are of the same factors."""
    if "information/normalised" not in run.arrays:
        return run
    try:
        scored = results["runs"][run.run]["metrics"]["dci"]["importance"]
        added = {"information/importance": np.asarray(scored, float)}
        return dataclasses.replace(run, arrays={**run.arrays, **added})
    except (KeyError, IndexError, TypeError, ValueError):
        return run


def _losses(
    losses: LossCurves | None, folder: Path
) -> tuple[list[SavedFigure], list[str]]:
    """The figure of the loss curves, or why there is none."""
    if losses is None or not losses.terms:
        return [], []
    try:
        return [write_losses(losses, folder)], []
    # As in `write_figures`, the page must be made even without this figure.
    except Exception as error:
        return [], [failure("Loss curves", error)]


def _draw(
    run: Run, workdir: Path, folder: str, shared: Sequence[SavedFigure] = ()
) -> Drawn:
    """Draw the figures and animations of one run, and list them in their folder.

    Args:
        run: what they are drawn from.
        workdir: the run's folder.
        folder: where they go, below it.
        shared: figures drawn already that are listed with them.
    """
    place = workdir / folder
    still, failed = write_figures(run, place)
    moving, also_failed = write_animations(run, place)
    write_index([*still, *moving, *shared], place)
    return Drawn(run, folder, still + moving, failed + also_failed)


def _explorer(drawn: Sequence[Drawn], results: Mapping[str, Any]) -> str:
    """The interactive part, with the name of the run that it shows."""
    run = drawn[0].run
    interactive = explorer(run)
    if not interactive:
        return ""
    ranks = runs.ranking(results)
    name = f"Model: {run.label}" if run.label else ""
    if len(drawn) > 1 and ranks:
        name += f", the best by {names.score(next(iter(ranks)))}"
    return (f"<p>{text(name)}.</p>\n" if name else "") + interactive


def _not_drawn(drawn: Drawn) -> str:
    """A list of the figures that are missing and why; empty if none is."""
    sentences = [
        f"{why} Left out: {'; '.join(dict.fromkeys(titles))}."
        for why, titles in left_out(drawn.run).items()
    ]
    if "explorer" in drawn.run.lacking:
        sentences.append(drawn.run.lacking["explorer"])
    return _listed([*sentences, *(f"{sentence}." for sentence in drawn.failed)])


def _listed(sentences: Sequence[str]) -> str:
    """Sentences on what is missing; empty without any."""
    items = "".join(f"<li>{text(sentence)}</li>" for sentence in sentences)
    return f'<h3>Not drawn</h3>\n<ul class="note">{items}</ul>' if items else ""


def _choice(
    drawn: Sequence[Drawn], first: str, room: int, results: Mapping[str, Any]
) -> str:
    """The figures of all runs, of which the page shows the chosen one's.

    Args:
        drawn: the runs with their figures.
        first: HTML of the figures of the first one.
        room: bytes that the figures of the others may take in all.
        results: the scores by which a run can be chosen.
    """
    blocks = [first]
    for one in drawn[1:]:
        where = text(one.folder)
        block = figures([saved for saved in one.figures if saved.key])
        block += f'<p class="note">All its figures: {where}/.</p>' + _not_drawn(one)
        if len(block) > room:
            block = f"<p>There is no room in this page. Its figures: {where}/.</p>"
        room -= len(block.encode())
        blocks.append(block)
    sections = "\n".join(
        f'<section class="run" data-run="{one.run.run}" '
        f'aria-label="{text(one.run.label)}">'
        f"<p><strong>{text(one.run.label)}</strong></p>{block}</section>"
        for one, block in zip(drawn, blocks, strict=True)
    )
    chooser = runs.chooser([one.run for one in drawn], results)
    # The script must come after all runs' figures.
    return f"{chooser}\n{sections}\n<script>\n{asset('runs.js')}</script>"
