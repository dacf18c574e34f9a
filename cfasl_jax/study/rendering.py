"""A table as Markdown, LaTeX (booktabs), CSV or HTML."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cfasl_jax.report import html


class Cell(NamedTuple):
    """A cell of a table.

    Attributes:
        text: as plain text.
        bold: whether it is a clear winner.
    """

    text: str
    bold: bool = False


class Table(NamedTuple):
    """A table, which can be written in several formats.

    Attributes:
        name: name of its files.
        caption: one or more sentences.
        head: the titles of the columns.
        rows: the cells of each row.
    """

    name: str
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def write(table: Table, folder: Path, data: str) -> None:
    """Write a table as .md, .tex and .csv; the last column of .csv names the data."""
    (folder / f"{table.name}.md").write_text(markdown(table), "utf-8")
    (folder / f"{table.name}.tex").write_text(latex(table), "utf-8")
    rows = [[*(cell.text for cell in row), data] for row in table.rows]
    write_csv(folder / f"{table.name}.csv", [*table.head, "data"], rows)


def markdown(table: Table) -> str:
    """A table in GitHub's Markdown."""

    def line(cells: Iterable[str]) -> str:
        escaped = (cell.replace("|", r"\|") for cell in cells)
        return f"| {' | '.join(escaped)} |"

    rows = (line(f"**{c.text}**" if c.bold else c.text for c in r) for r in table.rows)
    rule = line(["---", *["---:"] * (len(table.head) - 1)])
    return "\n".join([table.caption, "", line(table.head), rule, *rows]) + "\n"


def latex(table: Table) -> str:
    """A table in LaTeX, which needs the package booktabs."""

    def line(cells: Iterable[str]) -> str:
        return " & ".join(cells) + r" \\"

    def cell(cell: Cell) -> str:
        inner = _tex(cell.text)
        return rf"\textbf{{{inner}}}" if cell.bold else inner

    rows = [line(map(cell, row)) for row in table.rows]
    if table.rows and table.rows[-1][0].text == "chance":
        rows.insert(-1, r"\midrule")
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_tex(table.caption)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(table.head) - 1)}}}",
            r"\toprule",
            line(map(_tex, table.head)),
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def as_html(table: Table) -> str:
    """A table of the page."""
    # Cells are escaped, so that no text contains these characters.
    opening, closing = "\ue000", "\ue001"
    rows = [
        [f"{opening}{c.text}{closing}" if c.bold else c.text for c in row]
        for row in table.rows
    ]
    written = html.table(table.caption, table.head, rows, numbers=True)
    return written.replace(opening, "<strong>").replace(closing, "</strong>")


def _tex(text: str) -> str:
    """Plain text as LaTeX."""
    table = {
        "\\": r"\textbackslash{}",
        "\N{MINUS SIGN}": "$-$",
        "\N{EN DASH}": "--",
        "^": r"\textasciicircum{}",
        "~": r"\textasciitilde{}",
        **{character: f"\\{character}" for character in "&%$#_{}"},
    }
    return "".join(table.get(character, character) for character in text)


def write_csv(path: Path, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write rows below a head."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([head, *rows])
