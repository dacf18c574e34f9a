"""Several runs side by side in one page, made from what their reports left on disk."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cfasl_jax.config import flatten
from cfasl_jax.report import tables
from cfasl_jax.report.html import document, figure, symbols, table, text
from cfasl_jax.report.plates import Plate, read_index


def write_comparison(workdirs: Sequence[Path | str], page: Path | str) -> Path:
    """Writes one page that shows two or more runs side by side.

    Args:
      workdirs: folders that each hold a report (figures/, config.json, results.json).
      page: where the page goes.

    Returns:
      The path of the page.

    Raises:
      ValueError: there are fewer than two folders, or one holds no report.
    """
    folders = [Path(workdir) for workdir in workdirs]
    if len(folders) < 2:
        raise ValueError(f"A comparison needs two folders or more, not {len(folders)}.")
    plates = [read_index(folder / "figures") for folder in folders]
    results = [_read(folder / "results.json") for folder in folders]
    configs = [_read(folder / "config.json") for folder in folders]
    configs = [config.get("config", config) for config in configs]
    names = [folder.resolve().name for folder in folders]
    sections = [
        ("scores", "Scores", _scores(names, results)),
        ("differences", "What differs", _differences(names, results, configs)),
        ("figures", "Figures", _side_by_side(names, plates)),
    ]
    head = _warning(names, results)
    Path(page).write_text(
        document(f"Comparison: {', '.join(names)}", head, sections), encoding="utf-8"
    )
    return Path(page)


def _read(path: Path) -> dict[str, Any]:
    """Reads a JSON file of a run.

    Raises:
      ValueError: it is missing.
    """
    if not path.exists():
        raise ValueError(f"{path} is missing; run --mode=analyze there first.")
    return json.loads(path.read_text("utf-8"))


def _warning(names: Sequence[str], results: Sequence[dict[str, Any]]) -> str:
    """Returns a badge that names the runs on rendered data; empty without any."""
    rendered = [n for n, r in zip(names, results, strict=True) if tables.is_rendered(r)]
    if not rendered:
        return ""
    which = "All runs" if len(rendered) == len(names) else f"Runs {', '.join(rendered)}"
    return (
        f'<p class="warning" role="note"><strong>Rendered data.</strong> '
        f"{text(which)}: images drawn by this project's own renderer. Their numbers "
        "may not be compared with scores on the real data.</p>"
    )


def _scores(names: Sequence[str], results: Sequence[dict[str, Any]]) -> str:
    """Returns a table of mean scores, a column a run; empty without any."""
    scores = [result.get("scores") or {} for result in results]
    metrics = list(dict.fromkeys(name for entries in scores for name in entries))
    if not metrics:
        return ""
    protocol = ("protocol", *(str(result.get("protocol", "")) for result in results))
    rows = [
        (metric, *(tables.mean_and_spread(entries.get(metric)) for entries in scores))
        for metric in metrics
    ]
    caption = "Scores times 100, mean (standard deviation) over runs"
    return table(caption, ("metric", *names), [*rows, protocol])


def _differences(
    names: Sequence[str],
    results: Sequence[dict[str, Any]],
    configs: Sequence[dict[str, Any]],
) -> str:
    """Returns a table of the fields in which the runs differ."""
    flat = [
        flatten(config) | flatten({"provenance": result.get("provenance") or {}})
        for config, result in zip(configs, results, strict=True)
    ]
    fields = list(dict.fromkeys(name for fields in flat for name in fields))
    rows = [
        (field, *(fields.get(field, "") for fields in flat))
        for field in fields
        if len({str(fields.get(field)) for fields in flat}) > 1
    ]
    if not rows:
        return "<p>The configurations and versions are the same.</p>"
    return table("Fields that differ", ("field", *names), rows)


def _side_by_side(names: Sequence[str], plates: Sequence[list[Plate]]) -> str:
    """Returns each figure of all runs that have it, in one row."""
    known: dict[str, list[tuple[str, Plate]]] = {}
    for name, shown in zip(names, plates, strict=True):
        for plate in shown:
            known.setdefault(plate.name, []).append((name, plate))
    rows = []
    for entries in known.values():
        first = entries[0][1]
        columns = "".join(figure(plate, name) for name, plate in entries)
        rows.append(
            f"<h3>{text(first.title)}</h3>\n<p>{symbols(first.caption)}</p>\n"
            f'<div class="columns">{columns}</div>'
        )
    return "\n".join(rows)
