"""Strided and transposed 4x4 convolutions as matrix products.

Both have stride 2, so that both reduce to the same small operation. Divide images into
blocks of 2x2 pixels and treat the four pixels of a block as channels. Then

- the convolution is a 2x2 correlation with stride 1 from blocks to pixels, and
- the transposed convolution is such a correlation from pixels to blocks.

A 2x2 correlation can be computed as a matrix product in two ways: put the four
neighbours side by side and multiply once (`_gather`, then a product), or multiply every
position by all four taps and add the overlapping results (a product, then `_overlap`).
Each way is the adjoint of the other, so that the gradients of one consist of the
operations of the other. The side with fewer channels is the one that is copied four
times. The value and both gradients are then plain matrix products, by ordinary
differentiation, and XLA computes those efficiently on every device:

- On a CPU, XLA's gradients of dilated convolutions are slow: with matrix products a
  training step of the VAE takes about a third of the time (batch 64, two cores).
- On a GPU or TPU, several runs that are trained together become one batched product,
  whereas JAX's own convolution becomes one with a feature group for each run. XLA has
  no efficient gradients of grouped convolutions.

So the form "matmul" is used, unless a measurement on this kind of device has found
"lax", JAX's own convolution, to be faster: see `default_form`.

Axes: n samples, H x W or h x w pixels, C, P, Q channels.
"""

from typing import Literal

import chex
import jax.numpy as jnp
from jax import lax

from cfasl_jax import forms
from cfasl_jax.errors import require_choice

Form = Literal["lax", "matmul"]
FORMS: tuple[Form, ...] = ("lax", "matmul")

_KERNEL = 4
_TAPS = ((0, 0), (0, 1), (1, 0), (1, 1))
_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def default_form() -> Form:
    """Returns "matmul", unless "lax" was measured to be faster: `forms.fastest`."""
    return forms.fastest("conv", FORMS, "matmul")


def conv(x: chex.Array, kernel: chex.Array, form: Form) -> chex.Array:
    """Convolves with a 4x4 kernel, stride 2, no padding.

    y[n, i, j, o] = sum over a, b, c of x[n, 2i + a, 2j + b, c] kernel[a, b, c, o]:
    PyTorch's `Conv2d(C, O, 4, 2)` with its weight [O, C, a, b] read as [a, b, C, O].

    Args:
        x: images [n, H, W, C], H and W at least 4.
        kernel: weights [4, 4, C, O].
        form: "lax", JAX's own convolution, or "matmul"; they agree up to rounding.

    Returns:
        [n, (H - 2) // 2, (W - 2) // 2, O].

    Raises:
        ValueError: if `form` is unknown or x has fewer than 4x4 pixels.
    """
    _check(x, kernel, form)
    _, H, W, C = x.shape
    if min(H, W) < _KERNEL:
        raise ValueError(f"A 4x4 convolution needs 4x4 pixels or more, not {H}x{W}.")
    if form == "lax":
        return lax.conv_general_dilated(
            x, kernel, (2, 2), "VALID", dimension_numbers=_DIMENSIONS
        )
    # The last row of an odd height meets no kernel.
    blocks = _to_blocks(x[:, : H // 2 * 2, : W // 2 * 2])
    # kernel[2a + a', 2b + b', c, o]: tap (a, b), pixel (a', b') of the block.
    taps = kernel.reshape(2, 2, 2, 2, C, -1).transpose(0, 2, 1, 3, 4, 5)
    return _correlate(blocks, taps.reshape(4, 4 * C, -1), 0)


def conv_transpose(x: chex.Array, kernel: chex.Array, form: Form) -> chex.Array:
    """Spreads each pixel with a 4x4 kernel, stride 2, padding 1.

    y[n, 2i + a - 1, 2j + b - 1, o] += x[n, i, j, c] kernel[a, b, c, o] inside the
    image: PyTorch's `ConvTranspose2d(C, O, 4, 2, 1)` with its weight [C, O, a, b] read
    as [a, b, C, O], taps not flipped.

    Args:
        x: [n, h, w, C].
        kernel: weights [4, 4, C, O].
        form: as for `conv`.

    Returns:
        [n, 2h, 2w, O].

    Raises:
        ValueError: if `form` is unknown.
    """
    _check(x, kernel, form)
    if form == "lax":
        return lax.conv_general_dilated(
            x,
            kernel[::-1, ::-1],
            (1, 1),
            ((2, 2), (2, 2)),
            lhs_dilation=(2, 2),
            dimension_numbers=_DIMENSIONS,
        )
    C = x.shape[3]
    # Block i holds rows 2i - 1 and 2i: x[i - 1] meets taps 2, 3, and x[i] taps 0, 1.
    taps = kernel.reshape(2, 2, 2, 2, C, -1)[::-1, :, ::-1].transpose(0, 2, 4, 1, 3, 5)
    blocks = _correlate(x, taps.reshape(4, C, -1), 1)
    return _from_blocks(blocks)[:, 1:-1, 1:-1]


def _check(x: chex.Array, kernel: chex.Array, form: str) -> None:
    require_choice("form", form, FORMS)
    chex.assert_rank([x, kernel], 4)
    chex.assert_shape(kernel, (_KERNEL, _KERNEL, x.shape[3], None))


def _to_blocks(x: chex.Array) -> chex.Array:
    """[n, 2h, 2w, C] -> [n, h, w, 4C]."""
    n, H, W, C = x.shape
    x = x.reshape(n, H // 2, 2, W // 2, 2, C).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, H // 2, W // 2, 4 * C)


def _from_blocks(x: chex.Array) -> chex.Array:
    """[n, h, w, 4C] -> [n, 2h, 2w, C]."""
    n, h, w, C = x.shape
    x = x.reshape(n, h, w, 2, 2, C // 4).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, 2 * h, 2 * w, C // 4)


def _correlate(x: chex.Array, taps: chex.Array, padding: int) -> chex.Array:
    """2x2 correlation, stride 1: [n, h, w, P], [4, P, Q] -> [n, h', w', Q].

    y[i, j] = sum over a, b of x[i + a - padding, j + b - padding] taps[2a + b], with
    zeros beyond the border: h' = h - 1 + 2 padding.
    """
    _, P, Q = taps.shape
    if P <= Q:
        return _product(_gather(x, padding), taps.reshape(4 * P, Q))
    # The product spreads each position of x over its neighbours in y. A tap that reads
    # the next position spreads to the previous one, so the taps are reversed.
    products = _product(x, taps[::-1].transpose(1, 0, 2).reshape(P, 4 * Q))
    return _overlap(products, 1 - padding)


def _gather(x: chex.Array, padding: int) -> chex.Array:
    """Each position's 2x2 neighbours side by side: [n, h, w, P] -> [n, h', w', 4P]."""
    p = padding
    windows = [_pad(x, (p - a, p - 1 + a), (p - b, p - 1 + b)) for a, b in _TAPS]
    return lax.concatenate(windows, dimension=3)


def _overlap(x: chex.Array, padding: int) -> chex.Array:
    """The adjoint of `_gather`: [n, h', w', 4P] -> [n, h, w, P]."""
    p = padding
    parts = lax.split(x, (x.shape[3] // 4,) * 4, axis=3)
    first, *others = (
        _pad(part, (a - p, 1 - a - p), (b - p, 1 - b - p))
        for part, (a, b) in zip(parts, _TAPS, strict=True)
    )
    return sum(others, start=first)


def _pad(x: chex.Array, rows: tuple[int, int], columns: tuple[int, int]) -> chex.Array:
    """Pads with zeros before and after; a negative width crops."""
    config = ((0, 0, 0), (*rows, 0), (*columns, 0), (0, 0, 0))
    return lax.pad(x, jnp.zeros((), x.dtype), config)


def _product(x: chex.Array, matrix: chex.Array) -> chex.Array:
    """Multiplies the last axis: [n, h, w, K], [K, N] -> [n, h, w, N]."""
    # With all positions in one axis, the gradient with respect to `matrix` is a product
    # of matrices as they are in memory; with three axes XLA would first transpose x.
    product = x.reshape(-1, x.shape[-1]) @ matrix
    return product.reshape(*x.shape[:-1], -1)
