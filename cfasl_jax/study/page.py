"""study.html: a study's tables and figures in one page, from study.json."""

from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote

from matplotlib.figure import Figure

from cfasl_jax.report import html
from cfasl_jax.report import tables as report_tables
from cfasl_jax.report.figures import SavedFigure
from cfasl_jax.report.results import stages
from cfasl_jax.report.style import paper_style, save
from cfasl_jax.study import figures, tables
from cfasl_jax.study.rendering import Table, as_html
from cfasl_jax.study.tables import short

_STRIPS = (
    "Times 100. A tick is one seed, the dot their mean, the line its 95% interval "
    "(Student's t, from three seeds on), the black bar the score of codes that know "
    "nothing about the factors."
)
_PUBLISHED = " A hollow diamond is the published mean, on {data}."
_DIFFERENCES = (
    "Times 100, one arm minus the other, paired by seed: a tick is one pair, the dot "
    "their mean, the line its 95% interval (from three pairs on). Primary scores are "
    "in colour. An interval across 0 decides nothing."
)
_TUNING = (
    "Times 100. A tick is a tuning run, a dot the mean of a setting, in colour that of "
    "the setting that was chosen. None of these runs is in the tables above."
)
_TRADE_OFFS = (
    "Each dot is a reporting run: its score, times 100, against its reconstruction "
    "loss on random images."
)
_CURVES = (
    "Scores while training went on, times 100, by the protocol fast whatever that of "
    "the tables, and what describes the model. A thin line is one seed, the strong one "
    "the median at each step. study.json has every score and the KL of each dimension."
)


def write(results: Mapping[str, Any], root: Path) -> Path:
    """Write the page of a study and its figures.

    Args:
        results: study.json.
        root: the study's directory: gets study.html and figures/.
    """
    folder = root / "figures"
    folder.mkdir(parents=True, exist_ok=True)

    def draw(name: str, title: str, caption: str, of: Callable, *more: Any) -> str:
        with paper_style():
            figure: Figure | None = of(results, *more)
            if figure is None:
                return ""
            image = save(figure, folder, name)
        width = figure.get_figwidth()
        return html.figure(SavedFigure(name, title, caption, image, width, title))

    sections = [("scores", "Scores", _scores(results, draw))]
    sections += [
        ("comparisons", "Comparisons", _comparisons(results, draw)),
        ("published", "Published figures", _table(tables.published(results))),
        ("tuning", "Tuning", _tuning(results, draw)),
        ("trade-offs", "Reconstruction and scores", _trade_offs(results, draw)),
        (
            "curves",
            "Along the way",
            draw("curves", "Scores over steps", _CURVES, figures.curves),
        ),
        ("runs", "Runs", _runs(results)),
        ("files", "Files", _files()),
    ]
    page = root / "study.html"
    title = f"Study: {results['study']}"
    page.write_text(html.document(title, _head(results), sections), encoding="utf-8")
    return page


def _head(results: Mapping[str, Any]) -> str:
    """The question, the facts, and the warnings that must precede any number."""
    parts = [report_tables.RENDERED if tables.is_rendered(results) else ""]
    if results["unfinished"]:
        left = f"Runs that are still to be done: {results['unfinished']}"
        parts.append(html.warning("Not finished.", left))
    if results["budget"]:
        parts.append(html.warning("Unequal budgets.", results["budget"]))
    failed = [
        f"{name}, {setting}, seed {entry['seed']}: {entry['failed']}"
        for name, setting, entry in _all_entries(results)
        if "failed" in entry
    ]
    if failed:
        parts.append(html.warning("Runs that failed.", "; ".join(failed)))
    unchosen = [name for name, arm in results["arms"].items() if not arm["chosen"]]
    if unchosen and not results["unfinished"]:
        reason = "none of their settings has every score that chooses settings"
        parts.append(
            html.warning("Arms without a result.", f"{', '.join(unchosen)}: {reason}")
        )
    if results["question"]:
        parts.append(f"<p>{html.text(results['question'])}</p>")
    origins = [part for origin in results["provenance"] for part in stages(origin)]
    revisions = {origin["revision"] for origin in origins}
    kinds = {origin["device"] for origin in origins}
    parts.append(
        html.facts(
            {
                "Data": tables.origin(results),
                "Arms": len(results["arms"]),
                "Runs": len(_all_entries(results)),
                "Protocols": ", ".join(results["protocols"]),
                "Primary scores": ", ".join(map(short, results["primary"])),
                "Device": "; ".join(sorted(kinds)) or None,
                "Git revision": ", ".join(sorted(revisions)) or None,
            }
        )
    )
    return "\n".join(parts)


def _scores(results: Mapping[str, Any], draw: Callable[..., str]) -> str:
    caption = _STRIPS
    if results["published"]:
        caption += _PUBLISHED.format(data=results["published"]["data"])
    parts = []
    for protocol in results["protocols"]:
        if results["scores"].get(protocol):
            title = f"Scores by the protocol {protocol}"
            parts.append(_table(tables.scores(results, protocol, main=True)))
            name = f"scores_{protocol}"
            parts.append(draw(name, title, caption, figures.strips, protocol))
            more = _table(tables.scores(results, protocol, main=False))
            parts.append(html.details("Other scores", more) if more else "")
            each = _table(tables.by_factor(results, protocol))
            parts.append(html.details("Scores by factor", each) if each else "")
            parts.append(report_tables.protocol(protocol, {}))
    shown = tables.ordered(chain(*results["scores"].values()))
    parts.append(report_tables.definitions(shown) if shown else "")
    parts.append(_table(tables.measures(results)))
    return "\n".join(parts)


def _comparisons(results: Mapping[str, Any], draw: Callable[..., str]) -> str:
    table = _table(tables.differences(results))
    if not table:
        return ""
    protocol = results["protocols"][0]
    title = f"Paired differences by the protocol {protocol}"
    drawn = draw("differences", title, _DIFFERENCES, figures.differences, protocol)
    return f"{drawn}\n{table}"


def _tuning(results: Mapping[str, Any], draw: Callable[..., str]) -> str:
    drawn = draw("tuning", "Every tuning run", _TUNING, figures.tuning)
    rows = [
        [name, setting, *_means(results, found)]
        for name, arm in results["arms"].items()
        for setting, found in arm["settings"].items()
        if found["runs"]
    ]
    table = ""
    if rows:
        head = ["", "setting", *map(short, results["select"]), "mean rank", "runs"]
        caption = "Means over the tuning seeds, times 100."
        table = html.details("All settings", html.table(caption, head, rows, True))
    return "\n".join([_table(tables.settings(results)), drawn, table])


def _means(results: Mapping[str, Any], setting: Mapping[str, Any]) -> list[str]:
    """A setting's means of the selecting scores, its rank and its number of runs."""
    count = str(len(setting["runs"]))
    if not setting["means"]:
        failed = any("failed" in entry for entry in setting["runs"])
        return [
            *["\N{EN DASH}"] * len(results["select"]),
            "failed" if failed else "",
            count,
        ]
    means = [f"{100 * setting['means'][name]:.2f}" for name in results["select"]]
    return [*means, f"{setting['rank']:.2f}", count]


def _trade_offs(results: Mapping[str, Any], draw: Callable[..., str]) -> str:
    protocol = results["protocols"][0]
    title = f"Reconstruction against scores by the protocol {protocol}"
    return draw("trade_offs", title, _TRADE_OFFS, figures.trade_offs, protocol)


def _runs(results: Mapping[str, Any]) -> str:
    """Links to the runs' own pages."""
    items = []
    for name, arm in results["arms"].items():
        links = ", ".join(_link(entry) for entry in arm["reporting"])
        if links:
            items.append(
                f"<li>{html.text(name)}, {html.text(arm['chosen'])}: {links}</li>"
            )
    return f"<ul>{''.join(items)}</ul>" if items else ""


def _link(entry: Mapping[str, Any]) -> str:
    """To a run's page; a run without one, as plain text."""
    label = f"seed {entry['seed']}"
    if not entry.get("report"):
        return label
    return f'<a href="{quote(entry["folder"])}/report.html">{label}</a>'


def _files() -> str:
    links = (
        ("study.json", "everything on this page"),
        ("tables/", "each table as Markdown, LaTeX and CSV; runs.csv has every score"),
        ("figures/", "each figure as PNG and PDF"),
    )
    items = (f'<li><a href="{p}">{p}</a>: {html.text(what)}</li>' for p, what in links)
    return f"<ul>{''.join(items)}</ul>"


def _all_entries(results: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    """(arm, setting, entry) of every finished run."""
    listed = []
    for name, arm in results["arms"].items():
        for setting, found in arm["settings"].items():
            listed += [(name, setting, entry) for entry in found["runs"]]
        listed += [(name, arm["chosen"], entry) for entry in arm["reporting"]]
    return listed


def _table(table: Table | None) -> str:
    return as_html(table) if table else ""
