"""What the report is made from: saved arrays, and nothing that needs a device.

`Analysis` holds everything that was computed from one run's checkpoint. A part that
makes no sense for a run (no codebook, no ground-truth factors) is None, and its figures
are left out. Shapes use the axes of the paper:

    n examples or pairs, T steps along a path, H = W = 64 pixels, C channels,
    D latent dimensions, S sections of L elements, K factors, N samples, R runs.

Images are uint8 in [0, 255], NHWC. Matrices act on row vectors: z -> z expm(A).
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from cfasl_jax.report.decoder import (
    DenseLayer,
    Explorer,
    LieLayer,
    TransposedConvLayer,
)
from cfasl_jax.report.shapes import require
from cfasl_jax.report.symmetry_arrays import (
    Codebook,
    Composition,
    Equivariance,
    FactorSteps,
    SectionAction,
    SectionSteps,
)

__all__ = [
    "Analysis",
    "Codebook",
    "Codes",
    "Composition",
    "DenseLayer",
    "Equivariance",
    "Explorer",
    "FactorMaps",
    "FactorSteps",
    "LieLayer",
    "LossCurves",
    "Reconstructions",
    "SectionAction",
    "SectionSteps",
    "TransposedConvLayer",
    "Traversals",
    "Walk",
    "kl_order",
]


@dataclasses.dataclass(frozen=True, eq=False)
class Reconstructions:
    """Images and what the model makes of them.

    Attributes:
      originals: [n, H, W, C].
      reconstructions: [n, H, W, C], decode(mu).
    """

    originals: np.ndarray
    reconstructions: np.ndarray

    def __post_init__(self) -> None:
        """Checks the shapes."""
        require(self, originals=("n", "..."), reconstructions=("n", "..."))


@dataclasses.dataclass(frozen=True, eq=False)
class Traversals:
    """One latent dimension at a time swept through `values`, the others held.

    Attributes:
      frames: [D, T, H, W, C].
      values: [T], what the dimension is set to.
      kl: [D], mean KL of each dimension's posterior from the prior, in nats.
      active: [D] bool, False where the posterior has collapsed onto the prior.
    """

    frames: np.ndarray
    values: np.ndarray
    kl: np.ndarray
    active: np.ndarray

    def __post_init__(self) -> None:
        """Checks the shapes."""
        require(
            self,
            frames=("D", "T", "..."),
            values=("T",),
            kl=("D",),
            active=("D",),
        )


@dataclasses.dataclass(frozen=True, eq=False)
class LossCurves:
    """Every logged loss term over training.

    Attributes:
      steps: [T], the logged steps.
      terms: name -> [R, T], one row a run.
    """

    steps: np.ndarray
    terms: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        """Checks the shapes."""
        for name, values in self.terms.items():
            if values.ndim != 2 or values.shape[1] != len(self.steps):
                raise ValueError(
                    f"The loss term {name!r} must have the axes [R, T] with T = "
                    f"{len(self.steps)}, not the shape {values.shape}."
                )


@dataclasses.dataclass(frozen=True, eq=False)
class Walk:
    """From z1 to z2, the dimensions exchanged one by one, largest KL first.

    Attributes:
      x1: [n, H, W, C].
      x2: [n, H, W, C].
      frames: [n, T, H, W, C]; frame 0 is decode(z1), frame i has i dimensions of z2.
      dimensions: [T - 1], the dimension exchanged at each step.
    """

    x1: np.ndarray
    x2: np.ndarray
    frames: np.ndarray
    dimensions: np.ndarray

    def __post_init__(self) -> None:
        """Checks the shapes."""
        sizes = require(
            self, x1=("n", "..."), x2=("n", "..."), frames=("n", "T", "...")
        )
        require(self, dimensions=(sizes["T"] - 1,))


@dataclasses.dataclass(frozen=True, eq=False)
class Codes:
    """Codes of a sample of images, with their factors.

    Attributes:
      latents: [N, D], posterior means.
      factors: [N, K] integers.
      factor_names: K names.
      informative: the three dimensions to plot, chosen once for the run.
    """

    latents: np.ndarray
    factors: np.ndarray
    factor_names: Sequence[str]
    informative: tuple[int, int, int]

    def __post_init__(self) -> None:
        """Checks the shapes."""
        sizes = require(self, latents=("N", "D"), factors=("N", "K"))
        if len(self.factor_names) != sizes["K"]:
            raise ValueError(
                f"Codes has {sizes['K']} factors and {len(self.factor_names)} names."
            )


@dataclasses.dataclass(frozen=True, eq=False)
class FactorMaps:
    """How much each code tells about each factor.

    Attributes:
      factor_names: K names.
      mutual_information: [D, K] or None, I(z_d; v_k) / H(v_k), between 0 and 1.
      importance: [D, K] or None, DCI's relative importance, each column summing to 1.
    """

    factor_names: Sequence[str]
    mutual_information: np.ndarray | None = None
    importance: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Checks the shapes."""
        sizes = require(self, mutual_information=("D", "K"), importance=("D", "K"))
        if not sizes:
            raise ValueError("FactorMaps needs at least one of its two maps.")
        if len(self.factor_names) != sizes["K"]:
            raise ValueError(
                f"FactorMaps has {sizes['K']} factors and "
                f"{len(self.factor_names)} names."
            )


@dataclasses.dataclass(frozen=True, eq=False)
class Analysis:
    """Everything computed from one run; None marks a part that makes no sense for it.

    Attributes:
      reconstructions: random images and their reconstructions.
      traversals: one dimension at a time.
      composition: pairs and their composite symmetry (CFASL only).
      section_steps: the composite symmetry section by section (CFASL only).
      walk: the largest-KL walk from z1 to z2.
      factor_steps: factors stepped through their values (CFASL, grid of factors).
      codes: codes and factors of a sample (with factors only).
      factor_maps: code against factor (with factors only).
      covariance: [D, D], covariance of the posterior means.
      codebook: codebook pictures (CFASL only).
      equivariance: error by factor (CFASL, grid of factors).
      section_action: each section acting alone (CFASL only).
      explorer: what the interactive part of the page needs.
      run: its place among the runs that results.json describes.
      label: what to call the run where there are several, e.g. "seed 3".
      lacking: what figures may need and this run has not ("codebook", "factors",
        "grid") -> a sentence that says why.
    """

    reconstructions: Reconstructions
    traversals: Traversals
    composition: Composition | None = None
    section_steps: SectionSteps | None = None
    walk: Walk | None = None
    factor_steps: Sequence[FactorSteps] = ()
    codes: Codes | None = None
    factor_maps: FactorMaps | None = None
    covariance: np.ndarray | None = None
    codebook: Codebook | None = None
    equivariance: Equivariance | None = None
    section_action: SectionAction | None = None
    explorer: Explorer | None = None
    run: int = 0
    label: str = ""
    lacking: Mapping[str, str] = dataclasses.field(default_factory=dict)


def kl_order(kl: np.ndarray, active: np.ndarray) -> np.ndarray:
    """Returns the dimensions [D], active ones first, each kind by decreasing KL."""
    return np.lexsort((-kl, ~active))
