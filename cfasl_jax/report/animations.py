"""Animations (GIF) of traversals, sections and compositions, running back and forth."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cfasl_jax.report.analysis import Part, Run, kl_order
from cfasl_jax.report.figures import SavedFigure, failure
from cfasl_jax.report.image_figures import mosaic

_SCALE = 2
_LABEL = 18
_COLUMNS = 5
_MOST_PAIRS = 5
_PIXELS_PER_INCH = 105.0
_STEP_MS = 110
_PAUSE_MS = 600


@dataclasses.dataclass(frozen=True, eq=False)
class Clip:
    """An animation before it is drawn.

    Attributes:
        frames: [T, rows, columns, H, W, C] uint8; cells after the last label are blank.
        labels: one for each cell, row by row.
        counter: the text below the images in each frame.
    """

    frames: np.ndarray
    labels: Sequence[str]
    counter: Sequence[str]


def panels(frames: np.ndarray, labels: Sequence[str], counter: Sequence[str]) -> Clip:
    """Arrange M image sequences [M, T, H, W, C] in rows of five."""
    count = len(frames)
    columns = min(_COLUMNS, count)
    rows = -(-count // columns)
    blank = np.full((rows * columns, *frames.shape[1:]), 255, np.uint8)
    blank[:count] = frames
    grid = blank.reshape(rows, columns, *frames.shape[1:])
    return Clip(np.moveaxis(grid, 2, 0), labels, counter)


def write_gif(clip: Clip, path: Path) -> int:
    """Write a clip as a GIF that runs to and fro, and return its width in pixels."""
    font = ImageFont.load_default(size=12)
    large = clip.frames.repeat(_SCALE, axis=3).repeat(_SCALE, axis=4)
    drawn = [
        _draw(frame, clip.labels, note, font)
        for frame, note in zip(large, clip.counter, strict=True)
    ]
    # One palette for all frames, so that colours do not flicker.
    sheet = Image.fromarray(np.concatenate([np.asarray(d) for d in drawn], axis=0))
    palette = sheet.quantize(256, dither=Image.Dither.NONE)
    small = [d.quantize(palette=palette, dither=Image.Dither.NONE) for d in drawn]
    looped = small + small[-2:0:-1]
    times = [_STEP_MS] * len(looped)
    times[0] = times[len(small) - 1] = _PAUSE_MS
    looped[0].save(
        path, save_all=True, append_images=looped[1:], duration=times, loop=0
    )
    return drawn[0].width


def _draw(
    grid: np.ndarray,
    labels: Sequence[str],
    note: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> Image.Image:
    """Draw one frame [rows, columns, H, W, C] with its labels."""
    tiles = Image.fromarray(mosaic(grid, gap=_LABEL))
    canvas = Image.new("RGB", (tiles.width, tiles.height + 2 * _LABEL), "white")
    canvas.paste(tiles, (0, _LABEL))
    pen = ImageDraw.Draw(canvas)
    _, columns, height, width, _ = grid.shape
    for place, label in enumerate(labels):
        row, column = divmod(place, columns)
        corner = (column * (width + _LABEL), row * (height + _LABEL) + 2)
        pen.text(corner, label, fill="#1a1a1a", font=font)
    pen.text((0, canvas.height - _LABEL + 2), note, fill="#5a5a5a", font=font)
    return canvas


def _composition(part: Part) -> Clip:
    """x1 above the growing composite symmetry above x2, one column for each pair."""
    path = part["path"][:_MOST_PAIRS].swapaxes(0, 1)
    x1, x2 = (
        np.broadcast_to(part[name][:_MOST_PAIRS], path.shape) for name in ("x1", "x2")
    )
    T, n = path.shape[:2]
    labels = ["x1"] * n + ["x1 transformed"] * n + ["x2"] * n
    counter = [f"amount {a:.2f}" for a in np.linspace(0, 1, T)]
    return Clip(np.stack([x1, path, x2], axis=1), labels, counter)


def _traversals(part: Part) -> Clip:
    """One panel for each latent dimension, the largest KL first."""
    active = part["active"]
    order = kl_order(part["kl"], active)
    names = [f"dim {d}" + ("" if active[d] else ", inactive") for d in order]
    counter = [f"value {v:+.2f}" for v in part["values"]]
    return panels(part["frames"][order], names, counter)


def _section_action(part: Part) -> Clip:
    """One panel for each section."""
    names = [f"section {s}" for s in range(len(part["frames"]))]
    return panels(part["frames"], names, [f"amount {a:+.2f}" for a in part["amounts"]])


# Part -> title, caption, and the function that makes a clip of it.
_ANIMATIONS = {
    "traversals": (
        "Latent traversals, animated",
        "One latent dimension in each panel, swept to and fro, the largest KL first.",
        _traversals,
    ),
    "section_action": (
        "Each section acting, animated",
        "One section in each panel, its amount growing and shrinking.",
        _section_action,
    ),
    "composition": (
        "Composite symmetry, animated",
        "The symmetry from x_1 (top) to x_2 (bottom) with its amount going from 0 to 1 "
        "and back.",
        _composition,
    ),
}


def write_animations(run: Run, folder: Path) -> tuple[list[SavedFigure], list[str]]:
    """Write every animation that a run has arrays for, as NAME_animated.gif.

    Returns:
        The animations, and a sentence on each that could not be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    saved, failed = [], []
    for name, (title, caption, make) in _ANIMATIONS.items():
        part = run.part(name)
        if not part:
            continue
        path = folder / f"{name}_animated.gif"
        try:
            inches = write_gif(make(part), path) / _PIXELS_PER_INCH
        # As in `write_figures`.
        except Exception as error:
            failed.append(failure(title, error))
            continue
        saved.append(SavedFigure(path.stem, title, caption, path, inches, "Animations"))
    return saved, failed
