"""Shape checks of the report's arrays, with errors that name the field."""

import numpy as np


def require(owner: object, **patterns: tuple[str | int, ...]) -> dict[str | int, int]:
    """Checks the shapes of an object's arrays, an axis letter having one size only.

    Args:
      owner: the dataclass that holds the arrays; None fields are skipped.
      **patterns: field name -> axes, each a letter or a size; "..." at the end stands
        for the axes H, W, C of uint8 images.

    Returns:
      The size of every axis letter.

    Raises:
      ValueError: a rank, a size or an image's dtype is not as documented.
    """
    sizes: dict[str | int, int] = {}
    for field, axes in patterns.items():
        array = getattr(owner, field)
        if array is None:
            continue
        images = axes[-1] == "..."
        letters = (*axes[:-1], "H", "W", "C") if images else axes
        where = f"{type(owner).__name__}.{field}"
        if images and array.dtype != np.uint8:
            raise ValueError(f"{where} must hold uint8 images, not {array.dtype}.")
        names = ", ".join(str(letter) for letter in letters)
        if array.ndim != len(letters):
            raise ValueError(
                f"{where} must have the axes [{names}], not the shape {array.shape}."
            )
        for letter, size in zip(letters, array.shape, strict=True):
            expected = letter if isinstance(letter, int) else sizes.get(letter, size)
            if size != expected:
                raise ValueError(
                    f"{where} must have the axes [{names}] with {letter} = {expected}, "
                    f"not the shape {array.shape}."
                )
            sizes[letter] = size
    return sizes
