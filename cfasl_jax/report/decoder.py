"""The decoder as plain arrays, so that the page can run it without a framework."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from cfasl_jax.report.shapes import require


@dataclasses.dataclass(frozen=True, eq=False)
class DenseLayer:
    """y = x kernel + bias, then ReLU where `relu`.

    Attributes:
      kernel: [in, out].
      bias: [out].
      relu: whether a ReLU follows.
    """

    kernel: np.ndarray
    bias: np.ndarray
    relu: bool = True

    def __post_init__(self) -> None:
        """Checks the shapes."""
        require(self, kernel=("in", "out"), bias=("out",))


@dataclasses.dataclass(frozen=True, eq=False)
class TransposedConvLayer:
    """A transposed convolution, 4 x 4, stride 2, padding 1, then ReLU where `relu`.

    Input pixel (i, j) adds x[i, j] kernel[a, b] to output pixel
    (2 i + a - 1, 2 j + b - 1), where that lies in the image. The first such layer
    reads the flat output of the layer before it as [h, h, in], row by row.

    Attributes:
      kernel: [4, 4, in, out].
      bias: [out].
      relu: whether a ReLU follows.
    """

    kernel: np.ndarray
    bias: np.ndarray
    relu: bool = True

    def __post_init__(self) -> None:
        """Checks the shapes."""
        require(self, kernel=(4, 4, "in", "out"), bias=("out",))


@dataclasses.dataclass(frozen=True, eq=False)
class LieLayer:
    """z -> expm(sum_i z_i G_i), flattened row by row (CLG-VAE's first layer).

    Attributes:
      generators: [D, m, m].
    """

    generators: np.ndarray

    def __post_init__(self) -> None:
        """Checks the shapes."""
        require(self, generators=("D", "m", "m"))


Layer = DenseLayer | TransposedConvLayer | LieLayer


@dataclasses.dataclass(frozen=True, eq=False)
class Explorer:
    """What the page needs to decode any combination of latents by itself.

    Attributes:
      decoder: its layers in order; a sigmoid follows the last one.
      images: [n, H, W, C], the examples to choose from (8 to 16 keep the page small).
      latents: [n, D], their posterior means.
      section_generators: [S, D, D] or None, the generator behind a section's slider.
      generators: [S, L, D, D] or None, the whole codebook.
      switch: [n, n, S] or None, switches predicted from example i to example j.
      attention: [n, n, S, L] or None, the attention predicted for that pair.
    """

    decoder: Sequence[Layer]
    images: np.ndarray
    latents: np.ndarray
    section_generators: np.ndarray | None = None
    generators: np.ndarray | None = None
    switch: np.ndarray | None = None
    attention: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Checks the shapes."""
        n, D = self.latents.shape
        require(self, images=(n, "..."))
        require(
            self,
            section_generators=("S", D, D),
            generators=("S", "L", D, D),
            switch=(n, n, "S"),
            attention=(n, n, "S", "L"),
        )
        pair = (self.generators, self.switch, self.attention)
        if any(part is None for part in pair) and any(
            part is not None for part in pair
        ):
            raise ValueError(
                "Explorer needs generators, switch and attention together or none."
            )
