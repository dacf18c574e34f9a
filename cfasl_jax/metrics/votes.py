"""Votes of FVM and m-FVM: which dimensions vary least while some factors are fixed."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cfasl_jax.metrics.intervals import resamples, share_interval
from cfasl_jax.metrics.points import active_mask
from cfasl_jax.metrics.protocols import Protocol
from cfasl_jax.metrics.sampling import Source, hold_out

NOTE = "no held-out vote repeats a training vote"


@dataclasses.dataclass(frozen=True)
class Votes:
    """What has been drawn for an election.

    Attributes:
        variances: variance (ddof 1) of each dimension within each vote, float64 [n, D].
        train: how many of the n votes, the first ones, are for training.
        images: codes of the random images that the global variances come from, [m, D].
        prune_std: a dimension is active if its standard deviation is at least this.
    """

    variances: np.ndarray
    train: int
    images: np.ndarray
    prune_std: float

    @property
    def num_active(self) -> int:
        """The number of active dimensions."""
        return int(active_mask(self.images, self.prune_std).sum())

    def ranked(self) -> np.ndarray:
        """Active dimensions of each vote, the stillest first: int [n, A].

        How still a dimension is, is its variance within the vote over its variance
        over all images. Of equal ones the lower dimension comes first.
        """
        active = active_mask(self.images, self.prune_std)
        whole = self.images[:, active].var(axis=0, ddof=1, dtype=np.float64)
        order = (self.variances[:, active] / whole).argsort(axis=1, kind="stable")
        return np.flatnonzero(active)[order]

    def shares(
        self,
        statistic: Callable[["Ballot"], tuple[float, float]],
        protocol: Protocol,
        rng: np.random.Generator,
    ) -> list[tuple[float, list[float]]]:
        """A share of own votes and one of held-out votes, each with its interval.

        For the intervals everything that was drawn is drawn again: training votes, test
        votes, and the images of the global variances. Where these images are few, they
        move a score more than the votes do.

        Args:
            statistic: the two shares as a function of the votes.
            protocol: for bootstrap and confidence.
            rng: source of randomness.
        """
        # With a generator of its own, so that scores do not depend on the bootstrap.
        (rng,) = rng.spawn(1)
        counts = (self.train, len(self.variances) - self.train)
        once = np.ones(len(self.variances), np.int64)
        estimates = statistic(Ballot(self.ranked(), once))
        replicates = np.empty((protocol.bootstrap, 2))
        for r in range(protocol.bootstrap):
            rows = rng.integers(0, len(self.images), len(self.images))
            drawn = dataclasses.replace(self, images=self.images[rows])
            weights = [resamples(rng, 1, count)[0] for count in counts]
            replicates[r] = statistic(Ballot(drawn.ranked(), np.concatenate(weights)))
        return [
            (share, share_interval(share, column, count, protocol.confidence))
            for share, column, count in zip(
                estimates, replicates.T, counts, strict=True
            )
        ]


class Ballot(NamedTuple):
    """Dimensions of each vote, the stillest first, int [n, A]; weights of votes [n]."""

    ranked: np.ndarray
    weights: np.ndarray


def draw_votes(
    source: Source,
    images: np.ndarray,
    fixed: np.ndarray,
    batch: int,
    train: int,
    protocol: Protocol,
    rng: np.random.Generator,
    metric: str,
) -> Votes:
    """Draws the images of each vote and measures how much each dimension varies.

    Args:
        source: where images are drawn.
        images: codes of `variance_images`, [m, D].
        fixed: bool [n, K], which factors are fixed in each of n votes.
        batch: images a vote.
        train: how many votes, the first ones, are for training.
        protocol: for min_distinct and prune_std.
        rng: source of randomness.
        metric: named in errors.
    """

    def draw(chosen: np.ndarray) -> np.ndarray:
        anchors = rng.integers(0, source.num_images, len(chosen))
        return source.draw(rng, anchors, fixed[chosen], batch, protocol.min_distinct)

    codes = source.codes(hold_out(draw, len(fixed), train, metric))
    variances = codes.var(axis=1, ddof=1, dtype=np.float64)
    return Votes(variances, train, images, protocol.prune_std)


def variance_images(
    source: Source, protocol: Protocol, rng: np.random.Generator
) -> np.ndarray:
    """Codes of fvm_variance_samples random images, from which global variances come."""
    ids = rng.integers(0, source.num_images, protocol.fvm_variance_samples)
    return source.codes(ids)
