"""Several trainings side by side on one page, made from the files of their reports."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from cfasl_jax.errors import ConfigError
from cfasl_jax.report import configuration, names, tables
from cfasl_jax.report.curves import LossCurves, compared_losses, compared_scores
from cfasl_jax.report.figures import FIGURES, SavedFigure, has_index, read_index
from cfasl_jax.report.html import details, document, figure, symbols, table, text
from cfasl_jax.report.results import is_rendered, read_results
from cfasl_jax.report.style import paper_style, save
from cfasl_jax.settings import flatten

_FIGURES = "comparison"
_SCORES = (
    "Times 100. A dot is the mean over seeds, a thin tick one seed, the line the 95% "
    "interval, the black bar the score of codes that know nothing about the factors."
)
_LOSSES = (
    "Every logged term against the training step; with several seeds the strong line "
    "is their median, a thin line each of them."
)
_BESIDE = (
    "First, from z_1, the composite symmetry that CFASL predicts, section by section; "
    "a bar marks a section that is switched on. Then what a baseline offers: one "
    "latent dimension after another is taken from z_2, the largest KL first. The pairs "
    "are the same where the data set is."
)


class Training(NamedTuple):
    """The files of a training in its working directory.

    Attributes:
        name: its name on the page.
        results: results.json.
        config: its configuration, nested.
        figures: its figures.
        curves: its loss curves.
    """

    name: str
    results: Mapping[str, Any]
    config: Mapping[str, Any]
    figures: Sequence[SavedFigure]
    curves: LossCurves


def read_training(
    folder: Path, name: str, config: Mapping[str, Any], curves: LossCurves
) -> Training:
    """Read what `write_comparison` shows of the working directory of a run.

    Raises:
        ConfigError: if it holds no results or figures; the message names the command
            to run first.
    """
    results = read_results(folder / "results.json")
    if results is None or not has_index(folder / "figures"):
        what = "results" if results is None else "figures of a report"
        raise ConfigError(
            f"{folder} holds no {what} yet: run "
            f"python -m cfasl_jax.main --mode=analyze --workdir={folder} first"
        )
    try:
        figures = read_index(folder / "figures")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"the list of figures in {folder / 'figures'} is damaged ({error}): run "
            f"python -m cfasl_jax.main --mode=analyze --workdir={folder} again"
        ) from error
    return Training(name, results, config, figures, curves)


def short_names(folders: Sequence[Path]) -> list[str]:
    """The last parts of each path, as many as are needed to make them different.

    Raises:
        ConfigError: if there are fewer than two paths, or one of them twice.
    """
    paths = [folder.resolve() for folder in folders]
    if len(paths) < 2:
        raise ConfigError(
            f"a comparison needs two directories or more, not {len(paths)}: "
            "--compare=DIR,DIR"
        )
    for place, path in enumerate(paths):
        if path in paths[:place]:
            raise ConfigError(f"{folders[place]} is named twice in --compare")
    most = max(len(path.parts) for path in paths)
    for count in range(1, most):
        tails = ["/".join(path.parts[-count:]) for path in paths]
        if len(set(tails)) == len(tails):
            break
    return tails


def write_comparison(trainings: Sequence[Training], folder: Path) -> Path:
    """Write one page that shows two or more trainings side by side.

    Args:
        trainings: in the order of the columns.
        folder: gets comparison.html, and its own figures in comparison/.

    Returns:
        The path of the page.
    """
    (folder / _FIGURES).mkdir(parents=True, exist_ok=True)
    with paper_style():
        scores, losses = _draw(trainings, folder / _FIGURES)
    sections = [
        ("scores", "Scores", scores + _score_tables(trainings)),
        ("losses", "Loss curves", losses),
        ("figures", "Figures", _rows(trainings)),
        ("differences", "What differs", _differences(trainings)),
    ]
    title = f"Comparison: {', '.join(training.name for training in trainings)}"
    page = folder / "comparison.html"
    content = document(title, _head(trainings), sections)
    page.write_text(content, encoding="utf-8")
    return page


def _draw(trainings: Sequence[Training], folder: Path) -> tuple[str, str]:
    """The figures of scores and of losses, each empty where there are none."""
    scores = {t.name: t.results.get("scores") or {} for t in trainings}
    metrics = [name for name in _metrics(trainings) if not names.is_variant(name)]
    curves = {t.name: t.curves for t in trainings if t.curves.terms}
    dots = lines = ""
    if metrics:
        drawn = compared_scores(scores, metrics)
        dots = _chart(drawn, folder, "scores", "Scores", _SCORES)
    if curves:
        drawn = compared_losses(curves)
        lines = _chart(drawn, folder, "losses", "Loss curves", _LOSSES)
    return dots, lines


def _chart(drawn: Figure, folder: Path, name: str, title: str, caption: str) -> str:
    """Save a figure of this page and return its HTML."""
    image, width = save(drawn, folder, name), drawn.get_figwidth()
    return figure(SavedFigure(name, title, caption, image, width, title))


def _metrics(trainings: Sequence[Training]) -> list[str]:
    """The scores that any training has, in reading order."""
    present = [name for t in trainings for name in t.results.get("scores") or {}]
    return names.ordered_scores(present)


def _head(trainings: Sequence[Training]) -> str:
    """A description of each training, and why their numbers may not be comparable."""
    rows = [
        (
            training.name,
            configuration.title(training.config),
            len(training.results.get("seeds") or ()) or "",
            training.results.get("step", ""),
            (training.results.get("provenance") or {}).get("data_source", ""),
            training.results.get("protocol", ""),
        )
        for training in trainings
    ]
    head = ("", "model and data", "seeds", "step", "data source", "protocol")
    notes = [_rendered(trainings)]
    for column, what in ((3, "steps"), (4, "data sources"), (5, "protocols")):
        values = {str(row[column]) for row in rows if row[column] != ""}
        if len(values) > 1:
            notes.append(f"The {what} differ: {', '.join(sorted(values))}.")
    datasets = {str(training.config.get("dataset")) for training in trainings}
    if len(datasets) > 1:
        notes.append(f"The data sets differ: {', '.join(sorted(datasets))}.")
    warning = " ".join(text(note) for note in notes if note)
    badge = f'<p class="warning" role="note">{warning}</p>' if warning else ""
    return badge + table("What is compared", head, rows)


def _rendered(trainings: Sequence[Training]) -> str:
    """A sentence that names the trainings on rendered data; empty if none."""
    rendered = [t.name for t in trainings if is_rendered(t.results)]
    if not rendered:
        return ""
    everything = len(rendered) == len(trainings)
    which = "all runs" if everything else ", ".join(rendered)
    return (
        f"Rendered data. The images of {which} were drawn by this project's own "
        "renderer. Their numbers may not be compared with scores on the real data."
    )


def _score_tables(trainings: Sequence[Training]) -> str:
    """The tables of scores: the main scores and, folded, their variants."""
    metrics = _metrics(trainings)
    variants = [name for name in metrics if names.is_variant(name)]
    main = [name for name in metrics if name not in variants]
    shown = _score_table(trainings, main) if main else ""
    if variants:
        title = "Further readings of these scores"
        shown += details(title, _score_table(trainings, variants))
    each = _by_factor(trainings, main)
    return shown + (details("Scores by factor", each) if each else "")


def _score_table(trainings: Sequence[Training], metrics: Sequence[str]) -> str:
    """A table of scores with spreads and chance, two columns for each training."""
    scores = [training.results.get("scores") or {} for training in trainings]
    rows = []
    for metric in metrics:
        row = [names.score(metric)]
        for entries in scores:
            entry = entries.get(metric)
            row += [tables.mean_and_spread(entry), tables.floor(entry)]
        rows.append(row)
    head = [part for t in trainings for part in (t.name, "chance")]
    caption = (
        "Scores times 100: mean (standard deviation) over seeds, or the score of one "
        "seed [95% interval], and what chance scores; "
        f"{tables.BELOW} marks a score below that"
    )
    return table(caption, ("metric", *head), rows, numbers=True)


def _by_factor(trainings: Sequence[Training], metrics: Sequence[str]) -> str:
    """A table for each list of factors, of the scores that are means over them."""
    found = [tuple(t.results.get("factors") or ()) for t in trainings]
    shown = ""
    for factors in dict.fromkeys(found):
        alike = [t for t, own in zip(trainings, found, strict=True) if own == factors]
        rows = []
        for metric in metrics:
            for t in alike:
                entry = (t.results.get("scores") or {}).get(metric) or {}
                if values := entry.get("by_factor"):
                    shares = map(tables.percent, values)
                    rows.append((names.score(metric), t.name, *shares))
        head = ("metric", "run", *map(names.spaced, factors))
        caption = "Scores times 100, by factor, means over seeds"
        shown += table(caption, head, rows, numbers=True) if rows else ""
    return shown


def _differences(trainings: Sequence[Training]) -> str:
    """A table of the fields in which the trainings differ."""
    flat = [
        flatten(t.config) | flatten({"provenance": t.results.get("provenance") or {}})
        for t in trainings
    ]
    fields = list(dict.fromkeys(name for fields in flat for name in fields))
    rows = [
        (field, *(fields.get(field, "") for fields in flat))
        for field in fields
        if len({str(fields.get(field)) for fields in flat}) > 1
    ]
    if not rows:
        return "<p>The configurations and versions are the same.</p>"
    return table("Fields that differ", ("field", *(t.name for t in trainings)), rows)


def _rows(trainings: Sequence[Training]) -> str:
    """One row for each key figure, with the figures of all trainings that have it."""
    rows = []
    for kind in FIGURES:
        shown = [(t.name, _figure(t, kind.name)) for t in trainings]
        count = sum(saved is not None for _, saved in shown)
        if kind.name == "sections" and 0 < count < len(trainings):
            rows.append(_symmetry_and_walk(trainings))
        elif kind.key and count:
            rows.append(_row(kind.title, kind.caption, shown))
    note = "Animations and further figures are in the report of each."
    return "\n".join(rows) + f'<p class="note">{note}</p>'


def _symmetry_and_walk(trainings: Sequence[Training]) -> str:
    """CFASL's symmetries, section by section, next to the baselines' walks."""
    shown = [(t.name, _figure(t, "sections")) for t in trainings]
    baselines = [t for t in trainings if _figure(t, "sections") is None]
    shown += [(t.name, _figure(t, "walk")) for t in baselines]
    return _row("Composite symmetry beside the largest-KL walk", _BESIDE, shown)


def _figure(training: Training, name: str) -> SavedFigure | None:
    """A training's figure by name."""
    return next((saved for saved in training.figures if saved.name == name), None)


def _row(
    title: str, words: str, shown: Sequence[tuple[str, SavedFigure | None]]
) -> str:
    """Figures beside each other under one heading."""
    columns = "".join(figure(saved, name) for name, saved in shown if saved)
    return (
        f"<h3>{text(title)}</h3>\n<p>{symbols(words)}</p>\n"
        f'<div class="columns">{columns}</div>'
    )
