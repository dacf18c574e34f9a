"""The self-contained page of a run: report.html, with no other file and no network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cfasl_jax.report import names, runs, tables
from cfasl_jax.report.animations import write_animations
from cfasl_jax.report.arrays import Analysis, LossCurves
from cfasl_jax.report.explorer import explorer
from cfasl_jax.report.figures import left_out, write_figures, write_losses
from cfasl_jax.report.html import document, figure, figures, text
from cfasl_jax.report.plates import Plate, write_index

# A page is to be mailed; the figures of further runs fill it up to this many bytes.
MOST_BYTES = 9_500_000


def write_report(
    analyses: Sequence[Analysis],
    losses: LossCurves | None,
    results: Mapping[str, Any],
    config: Mapping[str, Any],
    workdir: Path | str,
) -> Path:
    """Draws every figure into WORKDIR/figures and writes WORKDIR/report.html.

    Args:
      analyses: the saved arrays of the runs to choose from in the page, the main one
        first: the page has all its figures and its explorer. figures/ holds its files,
        figures/LABEL/ (such as figures/seed_3/) those of another.
      losses: the loss curves of all runs.
      results: the content of results.json (parts: `cfasl_jax.report.tables`).
      config: the run's configuration, nested as in config.json.
      workdir: the run's folder; made if missing.

    Returns:
      The path of the page.

    Raises:
      ValueError: there is no analysis, or several of which one has no label.
    """
    labels = [analysis.label for analysis in analyses]
    if not analyses or (len(analyses) > 1 and not all(labels)):
        raise ValueError(
            "A report needs at least one analysis, and a label for each of several; "
            f"got the labels {labels}."
        )
    folder = Path(workdir) / "figures"
    curves = [write_losses(losses, folder)] if losses and losses.terms else []
    plates = [_write_plates(analyses[0], folder, curves)]
    for analysis in analyses[1:]:
        plates.append(_write_plates(analysis, folder / _folder(analysis)))
    training = "".join(figure(plate) for plate in curves)
    training += tables.measures(results) + tables.losses(results)

    def page(shown: str) -> str:
        sections = [
            ("scores", "Scores", tables.scores(results)),
            ("explore", "Explorer", _explorer(analyses, results)),
            ("figures", "Figures", shown),
            ("training", "Training", training),
            ("provenance", "Provenance", tables.provenance(results, config)),
        ]
        head = tables.warning(results) + tables.summary(results, config)
        return document(tables.title(config), head, sections)

    shown = figures(plates[0]) + _left_out(analyses[0])
    if len(analyses) > 1:
        room = MOST_BYTES - len(page(shown).encode())
        shown = _choice(analyses, plates, shown, room, results)
    path = Path(workdir) / "report.html"
    path.write_text(page(shown), encoding="utf-8")
    return path


def _folder(analysis: Analysis) -> str:
    """Returns the name of the folder of a further run's figures."""
    return analysis.label.replace(" ", "_")


def _write_plates(
    analysis: Analysis, folder: Path, shared: Sequence[Plate] = ()
) -> list[Plate]:
    """Draws the figures and animations of one run and lists them beside.

    Args:
      analysis: of the run.
      folder: where they go.
      shared: drawn figures that are listed with them.
    """
    plates = write_figures(analysis, folder) + write_animations(analysis, folder)
    write_index([*plates, *shared], folder)
    return plates


def _explorer(analyses: Sequence[Analysis], results: Mapping[str, Any]) -> str:
    """Returns the interactive part; empty where the decoder was not saved."""
    first = analyses[0]
    if first.explorer is None:
        return ""
    ranks = runs.ranking(results)
    name = f"Model: {first.label}" if first.label else ""
    if len(analyses) > 1 and ranks:
        name += f", the best by {names.score(next(iter(ranks)))}"
    words = f"<p>{text(name)}.</p>\n" if name else ""
    part = first.traversals
    return words + explorer(first.explorer, part.kl, part.active)


def _left_out(analysis: Analysis) -> str:
    """Returns a list of the figures that are missing and why; empty if none is."""
    items = "".join(
        f"<li>{text(why)} Left out: {text('; '.join(dict.fromkeys(titles)))}.</li>"
        for why, titles in left_out(analysis).items()
    )
    return f'<h3>Not drawn</h3>\n<ul class="note">{items}</ul>' if items else ""


def _choice(
    analyses: Sequence[Analysis],
    plates: Sequence[list[Plate]],
    first: str,
    room: int,
    results: Mapping[str, Any],
) -> str:
    """Returns the figures of all runs, of which the page shows the chosen one's.

    Args:
      analyses: the runs.
      plates: each run's figures.
      first: HTML of the figures of the first one.
      room: bytes that the figures of the others may take in all.
      results: the scores by which a run can be chosen.
    """
    blocks = [first]
    for place, analysis in enumerate(analyses[1:], start=1):
        where = f"figures/{_folder(analysis)}"
        key = [plate for plate in plates[place] if plate.key]
        block = figures(key) + f'<p class="note">All its figures: {text(where)}/.</p>'
        if len(block) > room:
            block = (
                f"<p>There is no room in this page. Its figures: {text(where)}/.</p>"
            )
        room -= len(block.encode())
        blocks.append(block)
    sections = "\n".join(
        f'<section class="run" data-run="{analysis.run}" '
        f'aria-label="{text(analysis.label)}">'
        f"<p><strong>{text(analysis.label)}</strong></p>{block}</section>"
        for analysis, block in zip(analyses, blocks, strict=True)
    )
    return f"{runs.chooser(analyses, results)}\n{sections}\n{runs.script()}"
