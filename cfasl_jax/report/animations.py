"""Animations (GIF): traversals, sections acting, and a composition, to and fro."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cfasl_jax.report.arrays import Analysis, Composition, kl_order
from cfasl_jax.report.mosaics import mosaic
from cfasl_jax.report.plates import Plate

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
      frames: [T, rows, columns, H, W, C] uint8; cells past the labels are blank.
      labels: a label a cell, row by row.
      counter: what is written below the images in each frame.
    """

    frames: np.ndarray
    labels: Sequence[str]
    counter: Sequence[str]


def panels(frames: np.ndarray, labels: Sequence[str], counter: Sequence[str]) -> Clip:
    """Arranges M image sequences [M, T, H, W, C] in rows of five."""
    count = len(frames)
    columns = min(_COLUMNS, count)
    rows = -(-count // columns)
    blank = np.full((rows * columns, *frames.shape[1:]), 255, np.uint8)
    blank[:count] = frames
    grid = blank.reshape(rows, columns, *frames.shape[1:])
    return Clip(np.moveaxis(grid, 2, 0), labels, counter)


def write_gif(clip: Clip, path: Path) -> int:
    """Writes a clip as a GIF that runs to and fro, and returns its width in pixels."""
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
    """Draws one frame [rows, columns, H, W, C] with its labels."""
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


def _composition(part: Composition, path: np.ndarray) -> Clip:
    """Puts x1 above the growing composite symmetry above x2, a column a pair."""
    path = path[:_MOST_PAIRS].swapaxes(0, 1)
    still = [np.broadcast_to(x[:_MOST_PAIRS], path.shape) for x in (part.x1, part.x2)]
    frames = np.stack([still[0], path, still[1]], axis=1)
    n, T = path.shape[1], len(path)
    labels = ["x1"] * n + ["x1 transformed"] * n + ["x2"] * n
    return Clip(frames, labels, [f"amount {a:.2f}" for a in np.linspace(0, 1, T)])


def _clips(analysis: Analysis) -> Iterator[tuple[str, str, str, Clip]]:
    """Yields every animation that the analysis has arrays for."""
    part = analysis.traversals
    order = kl_order(part.kl, part.active)
    names = [f"dim {d}" + ("" if part.active[d] else ", inactive") for d in order]
    yield (
        "traversals_animated",
        "Latent traversals, animated",
        "One latent dimension a panel, swept to and fro, the largest KL first.",
        panels(part.frames[order], names, [f"value {v:+.2f}" for v in part.values]),
    )
    action = analysis.section_action
    if action is not None:
        yield (
            "section_action_animated",
            "Each section acting, animated",
            "One section a panel, its amount growing and shrinking.",
            panels(
                action.frames,
                [f"section {s}" for s in range(len(action.frames))],
                [f"amount {a:+.2f}" for a in action.amounts],
            ),
        )
    pairs = analysis.composition
    if pairs is not None and pairs.path is not None:
        yield (
            "composition_animated",
            "Composite symmetry, animated",
            "The symmetry from x_1 (top) to x_2 (bottom) with its amount going from 0 "
            "to 1 and back.",
            _composition(pairs, pairs.path),
        )


def write_animations(analysis: Analysis, folder: Path) -> list[Plate]:
    """Writes every animation that the analysis has arrays for, as NAME.gif."""
    folder.mkdir(parents=True, exist_ok=True)
    plates = []
    for name, title, caption, clip in _clips(analysis):
        path = folder / f"{name}.gif"
        inches = write_gif(clip, path) / _PIXELS_PER_INCH
        plates.append(Plate(name, title, caption, path, inches, "Animations"))
    return plates
