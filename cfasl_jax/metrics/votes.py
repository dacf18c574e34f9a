"""Votes of FVM and m-FVM: dimensions that vary least while some factors are fixed."""

import dataclasses

import numpy as np

from cfasl_jax.metrics.points import active_mask
from cfasl_jax.metrics.protocols import Protocol
from cfasl_jax.metrics.sampling import Source, hold_out


@dataclasses.dataclass(frozen=True)
class Scale:
    """What the variances within a vote are divided by.

    Attributes:
        variance: variance of each active dimension over random images, float64 [A].
        active: which dimensions vary, bool [D].
    """

    variance: np.ndarray
    active: np.ndarray

    @property
    def num_active(self) -> int:
        """A, the number of active dimensions."""
        return int(self.active.sum())


def global_scale(source: Source, protocol: Protocol, rng: np.random.Generator) -> Scale:
    """Variances (ddof 1) of fvm_variance_samples random images, pruned by prune_std."""
    ids = rng.integers(0, source.num_images, protocol.fvm_variance_samples)
    codes = source.codes(ids)
    active = active_mask(codes, protocol.prune_std)
    return Scale(codes[:, active].var(axis=0, ddof=1, dtype=np.float64), active)


def normalized_variances(
    source: Source,
    fixed: np.ndarray,
    batch: int,
    train: int,
    scale: Scale,
    protocol: Protocol,
    rng: np.random.Generator,
    metric: str,
) -> np.ndarray:
    """Variance (ddof 1) of the active dimensions within each vote, over the global one.

    Args:
        source: the images.
        fixed: bool [n, K], which factors are fixed in each of n votes.
        batch: images a vote.
        train: how many votes, the first, are for training; no other repeats them.
        scale: the global variances.
        protocol: for min_distinct.
        rng: source of randomness.
        metric: named in errors.

    Returns:
        float64 [n, A].
    """

    def draw(chosen: np.ndarray) -> np.ndarray:
        anchors = rng.integers(0, source.num_images, len(chosen))
        return source.draw(rng, anchors, fixed[chosen], batch, protocol.min_distinct)

    codes = source.codes(hold_out(draw, len(fixed), train, metric))
    variances = codes[..., scale.active].var(axis=1, ddof=1, dtype=np.float64)
    return variances / scale.variance
