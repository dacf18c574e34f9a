"""The grid of ground-truth factors, which maps indices to combinations of values.

A grid of K factors with sizes n_1 ... n_K has n_1 * ... * n_K points. Index and factors
are related as in C order: the last factor varies fastest, as in the published files of
dSprites and 3D Shapes.
"""

import dataclasses
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np


@dataclasses.dataclass(frozen=True)
class FactorGrid:
    """Names and sizes of the ground-truth factors, in the order of the published data.

    Attributes:
        names: one name a factor, such as "scale".
        sizes: number of values of each factor; values are 0 ... size - 1.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.sizes):
            raise ValueError(
                f"a grid needs one name a factor: {len(self.names)} names, "
                f"{len(self.sizes)} sizes"
            )
        if any(size < 1 for size in self.sizes):
            raise ValueError(f"factor sizes must be at least 1: {self.sizes}")

    @property
    def num_factors(self) -> int:
        """K."""
        return len(self.sizes)

    @property
    def num_points(self) -> int:
        """Number of factor combinations: the product of the sizes."""
        return math.prod(self.sizes)

    @property
    def strides(self) -> tuple[int, ...]:
        """How far the index moves when a factor moves by one, for each factor."""
        return tuple(math.prod(self.sizes[k + 1 :]) for k in range(self.num_factors))

    def factors(self, indices: chex.Array) -> jax.Array:
        """Factor values of grid points: int [n] -> int32 [n, K]. Runs on the device."""
        chex.assert_rank(indices, 1)
        strides = jnp.asarray(self.strides, jnp.int32)
        sizes = jnp.asarray(self.sizes, jnp.int32)
        return (indices.astype(jnp.int32)[:, None] // strides[None]) % sizes[None]

    def indices(self, factors: np.ndarray) -> np.ndarray:
        """Index of grid points: int [..., K] -> int64 [...]. Runs on the host.

        Raises:
            ValueError: if a factor value is outside the grid.
        """
        factors = np.asarray(factors)
        if factors.shape[-1] != self.num_factors:
            raise ValueError(
                f"expected {self.num_factors} factors on the last axis, "
                f"got shape {factors.shape}"
            )
        if np.any(factors < 0) or np.any(factors >= np.asarray(self.sizes)):
            raise ValueError(f"factor values outside the grid {self.sizes}")
        return factors.astype(np.int64) @ np.asarray(self.strides, np.int64)

    def sample(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Uniform factor combinations, with replacement: int64 [count, K]."""
        return rng.integers(0, self.sizes, size=(count, self.num_factors))
