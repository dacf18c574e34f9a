"""Arrays that exist only for a model with a symmetry codebook.

Axes as in `cfasl_jax.report.arrays`.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from cfasl_jax.report.shapes import require


@dataclasses.dataclass(frozen=True, eq=False)
class Composition:
    """Pairs (x1, x2) and the image that the composite symmetry makes of x1.

    Attributes:
      x1: [n, H, W, C].
      x2: [n, H, W, C].
      reconstruction1: [n, H, W, C], decode(z1).
      composed: [n, H, W, C], decode(z1 g_c), which should show x2.
      switch: [n, S] or None, the predicted switches.
      path: [n, T, H, W, C] or None, decode(z1 expm(a M)) for T amounts a from 0 to 1.
    """

    x1: np.ndarray
    x2: np.ndarray
    reconstruction1: np.ndarray
    composed: np.ndarray
    switch: np.ndarray | None = None
    path: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Checks the shapes."""
        images = dict.fromkeys(
            ("x1", "x2", "reconstruction1", "composed"), ("n", "...")
        )
        require(self, **images, switch=("n", "S"), path=("n", "T", "..."))


@dataclasses.dataclass(frozen=True, eq=False)
class SectionSteps:
    """The composite symmetry taken apart: one section after another in the exponent.

    Attributes:
      x1: [n, H, W, C].
      x2: [n, H, W, C].
      frames: [n, S + 1, H, W, C]; frame 0 is decode(z1), frame i has the first i
        sections of `order` in the exponent.
      order: [n, S] or None, the section added at each step; None means 0 to S - 1.
      switch: [n, S] or None, the predicted switch of section s (indexed by s, not by
        step), by which an unused section can be told from one that does nothing.
    """

    x1: np.ndarray
    x2: np.ndarray
    frames: np.ndarray
    order: np.ndarray | None = None
    switch: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Checks the shapes."""
        sizes = require(
            self, x1=("n", "..."), x2=("n", "..."), frames=("n", "S + 1", "...")
        )
        n, S = sizes["n"], sizes["S + 1"] - 1
        require(self, order=(n, S), switch=(n, S))


@dataclasses.dataclass(frozen=True, eq=False)
class FactorSteps:
    """One factor stepped through its values, and the symmetries predicted from it.

    Attributes:
      factor: the factor's name.
      values: [T], the factor's values in the order of the steps.
      originals: [T, H, W, C], the images with these values.
      one_shot: [T, H, W, C]; frame t > 0 is decode(z_{t-1} g), with g predicted from
        the pair (x_{t-1}, x_t); frame 0 is decode(z_0).
      chained: [T, H, W, C]; the same symmetries applied one after another to z_0.
    """

    factor: str
    values: np.ndarray
    originals: np.ndarray
    one_shot: np.ndarray
    chained: np.ndarray

    def __post_init__(self) -> None:
        """Checks the shapes."""
        fields = ("originals", "one_shot", "chained")
        images = dict.fromkeys(fields, ("T", "..."))
        require(self, values=("T",), **images)


@dataclasses.dataclass(frozen=True, eq=False)
class SectionAction:
    """Each section alone acting on one example with a growing amount.

    Attributes:
      frames: [S, T, H, W, C], decode(z expm(amount G_s)).
      amounts: [T].
    """

    frames: np.ndarray
    amounts: np.ndarray

    def __post_init__(self) -> None:
        """Checks the shapes."""
        require(self, frames=("S", "T", "..."), amounts=("T",))


@dataclasses.dataclass(frozen=True, eq=False)
class Codebook:
    """What the symmetry codebook has learned.

    Attributes:
      commutator: [S, S], mean Frobenius norm of A B - B A over the elements A of one
        section and B of the other.
      cosine: [S, S], mean absolute cosine between the directions in which the sections
        move z.
      section_use: [S], share of the pairs in which the section is switched on.
      element_use: [S, L], mean attention to each element, each row summing to 1.
    """

    commutator: np.ndarray
    cosine: np.ndarray
    section_use: np.ndarray
    element_use: np.ndarray

    def __post_init__(self) -> None:
        """Checks the shapes."""
        require(
            self,
            section_use=("S",),
            commutator=("S", "S"),
            cosine=("S", "S"),
            element_use=("S", "L"),
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Equivariance:
    """How far the predicted symmetry misses, factor by factor.

    Attributes:
      factor_names: K names.
      errors: [K], mean squared distance between z1 g_c and z2 over pairs that differ
        in that factor alone.
      distances: [K], the same of z1 and z2: what doing nothing would miss by.
    """

    factor_names: Sequence[str]
    errors: np.ndarray
    distances: np.ndarray

    def __post_init__(self) -> None:
        """Checks the shapes."""
        K = len(self.factor_names)
        require(self, errors=(K,), distances=(K,))
