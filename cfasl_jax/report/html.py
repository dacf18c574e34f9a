"""Functions that make HTML: escaped text, tables, images inlined as data."""

import base64
import html
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from PIL import Image, ImageSequence

from cfasl_jax.report.figures import SavedFigure

_LARGE = 60_000
_STILL_QUALITY = 92
_MOVING_QUALITY = 80


def text(value: object) -> str:
    """A value as HTML text, safe inside an attribute too."""
    return html.escape(str(value), quote=True)


def asset(name: str) -> str:
    """A style sheet or script of this package."""
    return (resources.files("cfasl_jax.report") / name).read_text("utf-8")


def data_uri(path: Path) -> str:
    """An image file as a data URI, so that the page needs no other file.

    Large images are compressed again to keep the page small; the file on disk is not
    changed.
    """
    kind, content = path.suffix.removeprefix("."), path.read_bytes()
    if len(content) > _LARGE:
        smaller = _as_webp(path)
        if len(smaller) < len(content):
            kind, content = "webp", smaller
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _as_webp(path: Path) -> bytes:
    """A still or moving image as WebP, which looks the same."""
    image = Image.open(path)
    frames, times = [], []
    for frame in ImageSequence.Iterator(image):
        frames.append(frame.convert("RGB"))
        times.append(frame.info.get("duration", 0))
    options: dict[str, Any] = {"quality": _STILL_QUALITY}
    if len(frames) > 1:
        options = {"quality": _MOVING_QUALITY, "save_all": True, "loop": 0}
        options |= {"append_images": frames[1:], "duration": times}
    buffer = io.BytesIO()
    frames[0].save(buffer, "WEBP", **options)
    return buffer.getvalue()


def section(name: str, title: str, *body: str) -> str:
    """A section with a heading that can be linked to."""
    inner = "\n".join(body)
    return (
        f'<section id="{text(name)}" aria-labelledby="{text(name)}-title">\n'
        f'<h2 id="{text(name)}-title">{text(title)}</h2>\n{inner}\n</section>'
    )


def symbols(caption: str) -> str:
    """A caption as HTML, z_1 and g_c with a true subscript."""
    return re.sub(r"_(\w)\b", r"<sub>\1</sub>", text(caption))


def figure(saved: SavedFigure, run: str = "") -> str:
    """A figure; an animation is folded, so that nothing moves unasked.

    Args:
        saved: the figure.
        run: the name of the run, which replaces the caption if figures of several runs
            are shown side by side.
    """
    title, caption = text(saved.title), saved.caption
    moving = ' data-moving="true"' if saved.moving else ""
    image = (
        f'<div class="frame" tabindex="0" role="group" aria-label="{title}">'
        f'<img data-name="{text(saved.name)}"{moving} '
        f'style="--inches:{saved.inches:.3g}" src="{data_uri(saved.image)}" '
        f'alt="{title}: {text(caption)}"></div>'
    )
    shown = details(f"Play: {saved.title}", image) if saved.moving else image
    words = text(run) or f"<strong>{title}.</strong> {symbols(caption)}"
    return f"<figure>\n{shown}\n<figcaption>{words}</figcaption>\n</figure>"


def figures(saved: Sequence[SavedFigure]) -> str:
    """Figures in reading order, each group under its heading."""
    groups: dict[str, list[str]] = {}
    for one in saved:
        groups.setdefault(one.group, []).append(figure(one))
    parts = (f"<h3>{text(name)}</h3>\n" + "\n".join(f) for name, f in groups.items())
    return "\n".join(parts)


def table(
    caption: str,
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    numbers: bool = False,
) -> str:
    """A table; the first cell of each row is its header.

    Args:
        caption: what it shows.
        head: the titles of the columns.
        rows: the cells, row by row.
        numbers: whether all cells but the first of a row are numbers, to be aligned.
    """
    kind = ' class="numbers"' if numbers else ""
    heads = "".join(f'<th scope="col">{text(cell)}</th>' for cell in head)
    body = "\n".join(
        f'<tr><th scope="row">{text(first)}</th>'
        + "".join(f"<td>{text(cell)}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return (
        '<div class="scroll" tabindex="0" role="group" '
        f'aria-label="{text(caption)}"><table{kind}><caption>{text(caption)}</caption>'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>{body}</tbody></table></div>"
    )


def facts(pairs: Mapping[str, object]) -> str:
    """A list of names and values; values that are None are left out."""
    items = (
        f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>"
        for name, value in pairs.items()
        if value is not None
    )
    return f'<dl class="facts">{"".join(items)}</dl>'


def details(summary: str, body: str) -> str:
    """A part that is folded until it is asked for."""
    return f"<details><summary>{text(summary)}</summary>{body}</details>"


def document(title: str, head: str, sections: Sequence[tuple[str, str, str]]) -> str:
    """A whole page.

    Args:
        title: of the page.
        head: HTML between the heading and the links to the sections.
        sections: (name, title, HTML) each; one with an empty body is left out.
    """
    shown = [entry for entry in sections if entry[2]]
    links = "".join(f'<li><a href="#{n}">{text(t)}</a></li>' for n, t, _ in shown)
    body = "\n".join(section(*entry) for entry in shown)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{text(title)}</title>
<style>
{asset("report.css")}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header>
<h1>{text(title)}</h1>
{head}
<nav aria-label="Sections"><ul>{links}</ul></nav>
</header>
<main id="content">
{body}
</main>
<script>
{asset("page.js")}</script>
</body>
</html>
"""


def warning(title: str, sentence: str) -> str:
    """A box that precedes the numbers that it is about."""
    end = "" if sentence.endswith(".") else "."
    return (
        f'<p class="warning" role="note"><strong>{text(title)}</strong> '
        f"{text(sentence)}{end}</p>"
    )
