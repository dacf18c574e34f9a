"""Descriptions of a data set: in words, and as a sheet of images."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from cfasl_jax.data.dataset import SIDE, Dataset

_COLUMNS = 10
_ROWS_WITHOUT_FACTORS = 6
_SEED = 0


def describe(dataset: Dataset) -> str:
    """Name, source, sizes and factors, each on a line of its own."""
    height, width, channels = dataset.image_shape
    kind = "image" if dataset.num_images == 1 else "images"
    lines = [
        f"{dataset.name}: {dataset.num_images:,} {kind} of {height} x {width} x "
        f"{channels}, {dataset.source}",
        f"likelihood of a pixel: {dataset.likelihood}",
    ]
    factors = dataset.grid or dataset.labels
    if factors is None:
        lines.append("no ground-truth factors")
        return "\n".join(lines)
    kind = "every combination once" if dataset.grid else "not every combination once"
    lines.append(f"factors, {kind}:")
    lines += [
        f"    {name}: {size} values"
        for name, size in zip(factors.names, factors.sizes, strict=True)
    ]
    return "\n".join(lines)


def picture(dataset: Dataset) -> Image.Image:
    """A sheet of images: a row steps through one factor, or shows random images."""
    rng = np.random.default_rng(_SEED)
    grid = dataset.grid
    if grid is None:
        shape = (_ROWS_WITHOUT_FACTORS, _COLUMNS)
        chosen = rng.integers(0, dataset.num_images, shape)
        return _sheet(list(dataset.host_images(chosen)))
    start = grid.sample(rng, 1)[0]
    rows = []
    for k, size in enumerate(grid.sizes):
        values = np.unique(np.linspace(0, size - 1, min(size, _COLUMNS)).round())
        factors = np.tile(start, (len(values), 1))
        factors[:, k] = values
        rows.append(dataset.host_images(grid.indices(factors)))
    return _sheet(rows)


def _sheet(rows: Sequence[np.ndarray]) -> Image.Image:
    """Rows of images, each uint8 [n, 64, 64, C], as one picture with white gaps."""
    gap = 4
    width, height = max(map(len, rows)), len(rows)
    step = SIDE + gap
    canvas = Image.new("RGB", (width * step + gap, height * step + gap), "white")
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            tile = Image.fromarray(np.squeeze(image)).convert("RGB")
            canvas.paste(tile, (gap + x * step, gap + y * step))
    return canvas
