"""Votes of FVM and m-FVM: which dimensions vary least while some factors are fixed."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from cfasl_jax.metrics.intervals import common_variance, resamples, share_interval
from cfasl_jax.metrics.protocols import Protocol
from cfasl_jax.metrics.sampling import Source, hold_out

NOTE = "no held-out vote repeats a training vote"

# The standard deviation of a share is estimated with an error of about 16%, like one
# with twenty degrees of freedom.
_FREEDOM = 20

# A vote gives an answer for something that is given: (given, answer), int [n] each.
Elected = tuple[np.ndarray, np.ndarray]
# The dimensions of each vote in the order of their variance, the smallest first: [n,
# A].
Elect = Callable[[np.ndarray], Elected]


@dataclasses.dataclass(frozen=True)
class Votes:
    """The votes that were drawn, before the majorities are computed.

    Attributes:
        variances: variance (ddof 1) of each dimension within each vote, float64 [n, D].
        whole: variance of each dimension over the images of all votes, float64 [D].
        groups: group of each vote, int [n], from 0: shares are means over groups.
        train: number of the n votes, the first ones, that are for training.
        images: codes of the random images that the global variances come from, [m, D].
        prune_std: a dimension is active if its standard deviation is at least this.
    """

    variances: np.ndarray
    whole: np.ndarray
    groups: np.ndarray
    train: int
    images: np.ndarray
    prune_std: float

    def shares(
        self, elect: Elect, protocol: Protocol, rng: np.random.Generator
    ) -> tuple[list[tuple[float, list[float]]], np.ndarray]:
        """Share of the majority among own and among held-out votes, with intervals.

        The majority is the most frequent answer in the training votes. The variance of
        a share is the sum of two parts: that of the votes, with the global variances as
        drawn, and that of the global variances. If these come from few images, their
        part is the larger one. Their replicates are drawn about the variances over the
        images of all votes, which are nearly exact: about those of the few images they
        would be wrong twice, and vary more than one draw does.

        Args:
            elect: says what is given in each vote and what the vote answers.
            protocol: for bootstrap and confidence.
            rng: source of randomness.

        Returns:
            The two shares with their intervals, and whether each vote agrees with the
            majority, bool [n].
        """
        # The bootstrap has a generator of its own, so that scores do not depend on it.
        (rng,) = rng.spawn(1)
        own, held_out = np.split(np.arange(len(self.variances)), [self.train])
        observed = self.images.var(axis=0, ddof=1, dtype=np.float64)
        votes = elect(self._ranked(observed))
        weights = resamples(rng, protocol.bootstrap, len(self.images))
        drawn = [
            elect(self._ranked(whole)) for whole in self._redrawn(observed, weights)
        ]
        redrawn = np.array([self._hits(each, own) for each in drawn])
        variances, typical = self._halves(votes, drawn, rng)
        variances[1] += common_variance(redrawn[:, held_out], self.groups[held_out])
        hits = self._hits(votes, own)
        results = []
        for i, part in enumerate((own, held_out)):
            share = mean_share(hits[part], self.groups[part])
            shares = np.array(
                [mean_share(each, self.groups[part]) for each in redrawn[:, part]]
            )
            third = np.mean((shares - shares.mean()) ** 3)
            ends = share_interval(
                share,
                variances[i],
                len(part),
                protocol.confidence,
                _FREEDOM,
                typical[i],
                third / max(variances[i], 1e-12) ** 1.5,
            )
            results.append((share, ends))
        return results, hits

    def _redrawn(self, observed: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Global variances of resamples [R, m], shifted to be about `whole`: [R, D]."""
        known = (observed > 0) & (self.whole > 0)
        shift = np.where(known, self.whole, 1.0) / np.where(known, observed, 1.0)
        return weighted_variances(self.images, weights) * shift

    def _ranked(self, whole: np.ndarray) -> np.ndarray:
        """Active dimensions of each vote, by increasing relative variance: int [n, A].

        The relative variance of a dimension is its variance within the vote divided by
        its variance `whole` [D] over all images. Ties are in the order of dimensions.
        """
        varies = np.ptp(self.images, axis=0) > 0
        active = np.flatnonzero(varies & (np.sqrt(whole) >= self.prune_std))
        order = self.variances[:, active] / whole[active]
        return active[order.argsort(axis=1, kind="stable")]

    def _hits(self, votes: Elected, train: np.ndarray) -> np.ndarray:
        """Whether each vote agrees with the training votes' majority: bool [n]."""
        given, answer = votes
        table = np.zeros((given.max() + 1, answer.max() + 1), np.int64)
        np.add.at(table, (given[train], answer[train]), 1)
        # There is no majority for anything that was never given in training.
        known = table.max(axis=1) > 0
        return known[given] & (table.argmax(axis=1)[given] == answer)

    def _halves(
        self, votes: Elected, drawn: Sequence[Elected], rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Variance of the own share, and the part of the held-out one's due to votes.

        For any statistic, half the squared difference between two disjoint random
        halves of all votes has the variance of one half as its mean. Bootstrap
        resamples of the votes would not do, since their copies would create majorities.
        If the halves also differ in their global variances, the difference includes the
        effect of these.

        Args:
            votes: the votes of the estimate.
            drawn: the votes of replicates with other global variances.
            rng: source of randomness.

        Returns:
            The two variances, and the mean own and held-out share of a half.
        """
        total = len(self.variances)
        half, quarter = total // 2, total // 2 * self.train // total
        squares, means = np.empty((2, len(drawn), 3))
        for r in range(len(drawn)):
            order = rng.permutation(total)
            shares = []
            for part, other in zip(
                (order[:half], order[half : 2 * half]),
                (drawn[r - 1], drawn[r]),
                strict=True,
            ):
                train, test = part[:quarter], part[quarter:]
                shares.append(
                    (
                        self._share(votes, part, part),
                        self._share(other, part, part),
                        self._share(votes, train, test),
                    )
                )
            squares[r] = np.square(np.diff(shares, axis=0)[0])
            means[r] = np.mean(shares, axis=0)
        same, both, held_out = squares.mean(axis=0) / 2
        of_own = same * half / self.train + max(both - same, 0.0)
        return np.array([of_own, held_out / 2]), means.mean(axis=0)[[0, 2]]

    def _share(self, votes: Elected, train: np.ndarray, test: np.ndarray) -> float:
        """Share, among test votes, of the majority of the training votes."""
        return mean_share(self._hits(votes, train)[test], self.groups[test])


def mean_share(hits: np.ndarray, groups: np.ndarray) -> float:
    """Mean over the groups that occur, int [n], of the share of hits, bool [n]."""
    shares = shares_by_group(hits, groups)
    return float(np.mean(shares[~np.isnan(shares)]))


def shares_by_group(
    hits: np.ndarray, groups: np.ndarray, num_groups: int = 0
) -> np.ndarray:
    """Share of hits, bool [n], in each group, int [n], of which there may be more.

    It is NaN for a group that does not occur.
    """
    counts = np.bincount(groups, minlength=num_groups)
    found = np.bincount(groups, hits, minlength=num_groups)
    return np.divide(found, counts, out=np.full(len(counts), np.nan), where=counts > 0)


def weighted_variances(codes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Variances (ddof 1) of codes [n, D], weighted by each row of [R, n]: [R, D]."""
    count = len(codes)
    centred = codes - codes.mean(axis=0, dtype=np.float64)
    means, squares = weights @ centred / count, weights @ centred**2
    return np.maximum(squares - count * means**2, 0.0) / (count - 1)


def within_variances(
    source: Source,
    fixed: np.ndarray,
    batch: int,
    train: int,
    protocol: Protocol,
    rng: np.random.Generator,
    metric: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Draws the images of each vote; variances of each dimension within and over them.

    Args:
        source: where images are drawn.
        fixed: bool [n, K], which factors are fixed in each of n votes.
        batch: images a vote.
        train: number of votes, the first ones, that are for training.
        protocol: for min_distinct.
        rng: source of randomness.
        metric: name of the metric for error messages.

    Returns:
        The variances (ddof 1) within each vote, float64 [n, D], and those of all images
        of all votes, [D]. Since the fixed values are random, these images are random
        ones of the data set.
    """

    def draw(chosen: np.ndarray) -> np.ndarray:
        anchors = rng.integers(0, source.num_images, len(chosen))
        return source.draw(rng, anchors, fixed[chosen], batch, protocol.min_distinct)

    codes = source.codes(hold_out(draw, len(fixed), train, metric))
    within = codes.var(axis=1, ddof=1, dtype=np.float64)
    return within, codes.var(axis=(0, 1), ddof=1, dtype=np.float64)


def variance_images(
    source: Source, protocol: Protocol, rng: np.random.Generator
) -> np.ndarray:
    """Codes of fvm_variance_samples random images, from which global variances come."""
    ids = rng.integers(0, source.num_images, protocol.fvm_variance_samples)
    return source.codes(ids)
