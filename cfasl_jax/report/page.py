"""The self-contained page of a run: report.html, with no other file and no network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cfasl_jax.report import tables
from cfasl_jax.report.animations import write_animations
from cfasl_jax.report.arrays import Analysis
from cfasl_jax.report.explorer import explorer
from cfasl_jax.report.figures import write_figures
from cfasl_jax.report.html import asset, document, figures, text
from cfasl_jax.report.plates import Plate, write_index


def write_report(
    analysis: Analysis | Sequence[Analysis],
    results: Mapping[str, Any],
    config: Mapping[str, Any],
    workdir: Path | str,
) -> Path:
    """Draws every figure into WORKDIR/figures and writes WORKDIR/report.html.

    Args:
      analysis: the saved arrays of one run; or of several, to choose from in the page,
        the main one first: it alone has an explorer, and figures/ holds its figures,
        those of the others being in figures/run_1/ and so on.
      results: the content of results.json (parts: `cfasl_jax.report.tables`).
      config: the run's configuration, nested as in config.json.
      workdir: the run's folder; made if missing.

    Returns:
      The path of the page.

    Raises:
      ValueError: there is no analysis, or several of which one has no label.
    """
    runs = [analysis] if isinstance(analysis, Analysis) else list(analysis)
    if not runs or (len(runs) > 1 and not all(run.label for run in runs)):
        raise ValueError(
            f"A report needs at least one analysis, and a label for each of several; "
            f"got the labels {[run.label for run in runs]}."
        )
    folder = Path(workdir) / "figures"
    plates = [
        _write_plates(run, folder / f"run_{i}" if i else folder)
        for i, run in enumerate(runs)
    ]
    sections = [
        ("scores", "Scores", tables.scores(results)),
        ("explore", "Explorer", _explorer(runs[0])),
        ("figures", "Figures", _figures(runs, plates)),
        ("losses", "Losses", tables.measures(results) + tables.losses(results)),
        ("provenance", "Provenance", tables.provenance(results, config)),
    ]
    head = tables.warning(results) + tables.summary(results, config)
    page = Path(workdir) / "report.html"
    page.write_text(document(tables.title(config), head, sections), encoding="utf-8")
    return page


def _write_plates(analysis: Analysis, folder: Path) -> list[Plate]:
    """Draws the figures and animations of one run and lists them beside."""
    plates = write_figures(analysis, folder) + write_animations(analysis, folder)
    write_index(plates, folder)
    return plates


def _explorer(analysis: Analysis) -> str:
    """Returns the interactive part; empty where the decoder was not saved."""
    if analysis.explorer is None:
        return ""
    part = analysis.traversals
    name = f"<p>Model: {text(analysis.label)}.</p>\n" if analysis.label else ""
    return name + explorer(analysis.explorer, part.kl, part.active)


def _figures(runs: Sequence[Analysis], plates: Sequence[list[Plate]]) -> str:
    """Returns the figures of all runs; with several, those of the chosen one show."""
    if len(runs) == 1:
        return figures(plates[0])
    options = "".join(
        f'<option value="{i}">{text(run.label)}</option>' for i, run in enumerate(runs)
    )
    chooser = (
        f'<p class="chooser"><label>Run <select id="run">{options}</select></label></p>'
    )
    blocks = "\n".join(
        f'<section class="run" data-run="{i}" aria-label="{text(run.label)}">'
        f"<p><strong>{text(run.label)}</strong></p>{figures(shown)}</section>"
        for i, (run, shown) in enumerate(zip(runs, plates, strict=True))
    )
    return f"{chooser}\n{blocks}\n<script>\n{asset('runs.js')}</script>"
