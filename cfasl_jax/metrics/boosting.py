"""Boosted decision trees: how much each dimension helps to predict a factor.

The published DCI is defined by scikit-learn's GradientBoostingClassifier at its
defaults, which sorts every dimension again in every node. `boost` grows the same trees
from one sort of each dimension. On one core, with 6,400 points of 10 dimensions, that
takes a seventh of scikit-learn's time: 0.41 s against 2.69 s for 20 stages of 6 labels,
0.52 s against 3.84 s for 5 stages of 32 labels.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
from scipy.special import expit, softmax

LEARNING_RATE, DEPTH = 0.1, 3
_EPSILON = np.finfo(np.float64).eps
# Values closer than this count as equal, so that no threshold separates them.
_TIE = np.float32(1e-7)


class Boosted(NamedTuple):
    """Importances [D], which sum to 1 unless all are 0, and predicted labels [n]."""

    importance: np.ndarray
    train: np.ndarray
    test: np.ndarray


def boost(
    codes: np.ndarray,
    labels: np.ndarray,
    test_codes: np.ndarray,
    trees: int,
    rng: np.random.Generator,
) -> Boosted:
    """The trees of scikit-learn's GradientBoostingClassifier (Friedman 2001).

    Each stage grows, for each label a (of two labels, for the second), one regression
    tree of depth 3 on the residuals r = 1[label = a] - p_a. A node is split, at any
    dimension and any midpoint between neighbouring values, where the sum of squared
    deviations falls most; this fall is added to the dimension's importance. A leaf adds
    0.1 (L - 1)/L sum r / sum p_a (1 - p_a) to the score of a (of two labels, without
    the middle factor). Equally good dimensions are chosen between at random; apart from
    this choice, the result is scikit-learn's up to rounding.

    Args:
        codes: [n, D].
        labels: int [n], at least 2 different ones.
        test_codes: [m, D].
        trees: number of stages.
        rng: chooses between equally good splits.
    """
    values, index = np.unique(labels, return_inverse=True)
    forest = _Forest.of(codes, test_codes, rng)
    one_hot = index == np.arange(len(values))[:, None]
    prior = one_hot.mean(axis=1)
    if len(values) == 2:
        one_hot, shrink = one_hot[1:], 1.0
        start = np.log(prior[1:] / prior[0])
    else:
        shrink = 1 - 1 / len(values)
        start = np.log(prior)
    scores = np.repeat(start[:, None], len(codes), axis=1)
    test_scores = np.repeat(start[:, None], len(test_codes), axis=1)
    for _ in range(trees):
        chance = expit(scores) if len(values) == 2 else softmax(scores, axis=0)
        residual, curvature = one_hot - chance, chance * (1 - chance)
        for a in range(len(scores)):
            forest.grow(residual[a])
            value = forest.leaf_values(residual[a], curvature[a])
            scores[a] += LEARNING_RATE * shrink * value[forest.leaf]
            test_scores[a] += LEARNING_RATE * shrink * value[forest.test_leaf]
    chosen = (_predicted(part) for part in (scores, test_scores))
    return Boosted(_normalized(forest.importance), *(values[row] for row in chosen))


@dataclasses.dataclass(frozen=True)
class _Forest:
    """Codes prepared for many trees, and the results of the trees so far.

    Attributes:
        codes: float32 [D, n], as in scikit-learn's trees.
        test_codes: float32 [D, m].
        order: the points in ascending order of each dimension, int [D, n].
        rng: chooses between equally good splits.
        importance: float64 [D].
        leaf: the leaf that each point fell into in the newest tree, int [n].
        test_leaf: the same of the test points, int [m].
    """

    codes: np.ndarray
    test_codes: np.ndarray
    order: np.ndarray
    rng: np.random.Generator
    importance: np.ndarray
    leaf: np.ndarray
    test_leaf: np.ndarray

    @classmethod
    def of(
        cls, codes: np.ndarray, test_codes: np.ndarray, rng: np.random.Generator
    ) -> "_Forest":
        rows = np.ascontiguousarray(codes.T, np.float32)
        test_rows = np.ascontiguousarray(test_codes.T, np.float32)
        counts = (rows.shape[1], test_rows.shape[1])
        leaves = (np.zeros(count, np.int64) for count in counts)
        order = np.argsort(rows, axis=1, kind="stable")
        return cls(rows, test_rows, order, rng, np.zeros(len(rows)), *leaves)

    def grow(self, residual: np.ndarray) -> None:
        """Grows one tree on residuals [n]: adds its importances, sets the leaves."""
        self._grow(residual, self.order, np.arange(self.test_codes.shape[1]), 0, 1)

    def leaf_values(self, residual: np.ndarray, curvature: np.ndarray) -> np.ndarray:
        """sum r / sum p (1 - p) in each leaf; 0 where nothing is left to gain."""
        above = np.bincount(self.leaf, residual)
        below = np.bincount(self.leaf, curvature)
        some = below > 1e-150
        return np.where(some, above / np.where(some, below, 1.0), 0.0)

    def _grow(
        self,
        residual: np.ndarray,
        order: np.ndarray,
        test: np.ndarray,
        depth: int,
        name: int,
    ) -> None:
        """Grows what is below a node.

        The node holds the points of `order` [D, m] and the test points `test`; the
        children of node i are 2 i and 2 i + 1.
        """
        split = None if depth == DEPTH else self._best_split(residual, order)
        if split is None:
            self.leaf[order[0]] = self.test_leaf[test] = name
            return
        d, count, threshold, gain = split
        self.importance[d] += gain
        below = self.test_codes[d, test] <= threshold
        if depth == DEPTH - 1:
            # Nothing is split any more: no order but this one is needed.
            parts = np.split(order[d : d + 1], [count], axis=1)
        else:
            left = np.zeros(len(residual), bool)
            left[order[d, :count]] = True
            chosen, flat = left[order].reshape(-1), order.reshape(-1)
            both = (chosen.nonzero()[0], (~chosen).nonzero()[0])
            parts = [flat[part].reshape(len(order), -1) for part in both]
        self._grow(residual, parts[0], test[below], depth + 1, 2 * name)
        self._grow(residual, parts[1], test[~below], depth + 1, 2 * name + 1)

    def _best_split(
        self, residual: np.ndarray, order: np.ndarray
    ) -> tuple[int, int, float, float] | None:
        """Dimension, points below the threshold, threshold, decrease of the squares.

        None if the residuals of the node's points `order` [D, m] are all the same, or
        if no dimension tells the points apart.
        """
        count = order.shape[1]
        mine = residual[order[0]]
        mean = mine.mean()
        if count < 2 or ((mine - mean) ** 2).mean() <= _EPSILON:
            return None
        # Of centred residuals with sum s below the threshold and -s above it, the
        # squares fall by s^2 / below + s^2 / above.
        sums = np.take(residual - mean, order)
        np.cumsum(sums, axis=1, out=sums)
        gain = np.square(sums, out=sums)[:, :-1]
        below = np.arange(1.0, count)
        gain *= count / (below * (count - below))
        best = _best(gain)
        if not self._tells_apart(order, best).all():
            # Thresholds between equal values do not exist. This is rare where codes
            # are continuous, so that it is worth finding out only afterwards.
            ordered = np.take_along_axis(self.codes, order, axis=1)
            gain[ordered[:, 1:] <= ordered[:, :-1] + _TIE] = -1.0
            best = _best(gain)
            if gain[best[0][0], best[1][0]] < 0:
                return None
        pick = self.rng.integers(len(best[0])) if len(best[0]) > 1 else 0
        d, at = int(best[0][pick]), int(best[1][pick])
        low, high = self.codes[d, order[d, at : at + 2]].astype(np.float64)
        return d, at + 1, low / 2 + high / 2, float(gain[d, at])

    def _tells_apart(
        self, order: np.ndarray, splits: tuple[np.ndarray, np.ndarray]
    ) -> np.ndarray:
        """Whether splits (dimensions [c], positions [c]) are between two values."""
        dims, at = splits
        low = self.codes[dims, order[dims, at]]
        return self.codes[dims, order[dims, at + 1]] > low + _TIE


def _best(gain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Dimensions [c] that reach the largest gain [D, m], up to rounding, and where."""
    at = gain.argmax(axis=1)
    largest = gain[np.arange(len(gain)), at]
    top = largest.max()
    dims = np.flatnonzero(largest >= top - 1e-10 * abs(top))
    return dims, at[dims]


def _predicted(scores: np.ndarray) -> np.ndarray:
    """Label numbers [n] of the largest of scores [L, n]; of one, the sign counts."""
    return scores.argmax(axis=0) if len(scores) > 1 else (scores[0] >= 0).astype(int)


def _normalized(importance: np.ndarray) -> np.ndarray:
    total = importance.sum()
    return importance / total if total > 0 else importance
