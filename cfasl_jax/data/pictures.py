"""Pictures of any size as images of 64 x 64: cropped, resized, decoded in parallel."""

import io
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps

from cfasl_jax.data.dataset import SIDE

Item = TypeVar("Item")

BICUBIC = Image.Resampling.BICUBIC
LANCZOS = Image.Resampling.LANCZOS

_BLOCK = 512
_GREY_MODES = ("1", "L", "LA")


def shrink(image: np.ndarray, resample: Image.Resampling) -> np.ndarray:
    """Resize uint8 [H, W] or [H, W, 3] to [64, 64, C] with Pillow."""
    picture = Image.fromarray(image).resize((SIDE, SIDE), resample)
    return np.asarray(picture).reshape(SIDE, SIDE, -1)


def crop(image: np.ndarray, side: int) -> np.ndarray:
    """The central square of an image [H, W, ...], rounded towards the top left."""
    top, left = ((length - side) // 2 for length in image.shape[:2])
    return image[top : top + side, left : left + side]


def decode(file: bytes | Path) -> np.ndarray:
    """A picture file -> uint8 [H, W] or [H, W, C], as it is stored."""
    with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as picture:
        return np.asarray(picture)


def is_grey(path: Path) -> bool:
    """Whether a picture file has one channel; only its header is read.

    Raises:
        ValueError: if its pixels have more than 8 bits.
    """
    with Image.open(path) as picture:
        if picture.mode[0] in "IF":
            raise ValueError(f"its pixels have more than 8 bits (mode {picture.mode})")
        return picture.mode in _GREY_MODES


def square(path: Path, channels: int) -> np.ndarray:
    """A picture file -> uint8 [64, 64, C]: its largest central square, resized.

    Photographs are rotated as their EXIF data say; transparent parts become white.
    """
    with Image.open(path) as opened:
        picture = ImageOps.exif_transpose(opened)
        if picture.has_transparency_data:
            white = Image.new("RGBA", picture.size, "white")
            picture = Image.alpha_composite(white, picture.convert("RGBA"))
        image = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
    return shrink(crop(image, min(image.shape[:2])), LANCZOS)


def parallel(
    function: Callable[[Item], np.ndarray], items: Iterable[Item]
) -> Iterator[np.ndarray]:
    """Apply a function to items in threads, in blocks: yields stacks [n <= 512, ...].

    Pillow decodes and resizes outside Python's lock, so threads share the work.
    """
    items = iter(items)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while block := list(islice(items, _BLOCK)):
            yield np.stack(list(pool.map(function, block)))
