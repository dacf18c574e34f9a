"""Entropy and mutual information of samples, in nats.

Two estimators: plug-in on equal-width histograms (MIG, modularity), and k nearest
neighbours for a continuous code and a discrete factor (InfoMEC).
"""

import numpy as np
from scipy.special import digamma, xlogy


def bin_codes(codes: np.ndarray, bins: int) -> np.ndarray:
    """Equal-width bin of each code: [n, D] -> int64 [n, D] in 0 ... bins - 1.

    The bins of a dimension span its range. A bin includes its left edge, and the last
    bin both edges (as in numpy.histogram). A dimension that is constant, or whose range
    is too small for this many bins in floating point, has all codes in one bin.
    """
    binned = np.zeros(codes.shape, np.int64)
    room = bins * np.spacing(np.abs(codes).max(axis=0))
    for d in np.flatnonzero(np.ptp(codes, axis=0) > room):
        edges = np.histogram_bin_edges(codes[:, d], bins)
        binned[:, d] = np.searchsorted(edges[1:-1], codes[:, d], side="right")
    return binned


def entropy(counts: np.ndarray) -> np.ndarray:
    """Entropy of the distributions on the last axis: counts [..., a] -> [...].

    H = log n - (1/n) sum_a c_a log c_a.
    """
    total = counts.sum(axis=-1)
    return np.log(total) - xlogy(counts, counts).sum(axis=-1) / total


def joint_counts(
    binned: np.ndarray,
    bins: int,
    factor: np.ndarray,
    size: int,
) -> np.ndarray:
    """Contingency tables of each dimension against a factor.

    Args:
        binned: int [n, D], each in 0 ... bins - 1.
        bins: number of bins.
        factor: int [n], each in 0 ... size - 1.
        size: number of values of the factor.

    Returns:
        [D, bins, size].
    """
    dims = binned.shape[1]
    cell = (np.arange(dims)[None] * bins + binned) * size + factor[:, None]
    counts = np.bincount(cell.reshape(-1), minlength=dims * bins * size)
    return counts.reshape(dims, bins, size)


def mutual_information(
    binned: np.ndarray,
    bins: int,
    factors: np.ndarray,
    sizes: tuple[int, ...],
) -> tuple[np.ndarray, np.ndarray]:
    """Plug-in mutual information of each dimension and factor, and factor entropies.

    I(c; v) = H(c) + H(v) - H(c, v).

    Args:
        binned: int [n, D], each in 0 ... bins - 1.
        bins: number of bins.
        factors: int [n, K].
        sizes: number of values of each factor, length K.

    Returns:
        mutual information [D, K] and entropy of the factors [K].
    """
    information = np.empty((binned.shape[1], len(sizes)))
    entropies = np.empty(len(sizes))
    for k, size in enumerate(sizes):
        joint = joint_counts(binned, bins, factors[:, k], size)
        entropies[k] = entropy(joint[0].sum(axis=0))
        of_code, of_both = (
            entropy(joint.sum(axis=2)),
            entropy(joint.reshape(len(joint), -1)),
        )
        information[:, k] = of_code + entropies[k] - of_both
    return np.maximum(information, 0.0), entropies


def neighbor_information(code: np.ndarray, factor: np.ndarray, neighbors: int) -> float:
    """Mutual information of one continuous code and a discrete factor (Ross 2014).

    I = <psi(n) + psi(k_i) - psi(n_i) - psi(m_i)>, where n_i counts the points with the
    factor value of i, k_i = min(neighbors, n_i - 1), and m_i counts the points, of any
    value and i included, nearer to i than its k_i-th neighbour among those n_i. Points
    whose value occurs once are left out.

    Args:
        code: [n], without ties (add jitter first).
        factor: int [n].
        neighbors: k.

    Returns:
        The estimate, which can be negative if there is no information.
    """
    counts = np.bincount(factor)
    kept = counts[factor] > 1
    code, factor = code[kept], factor[kept]
    if not code.size:
        return 0.0
    radius, nearest = np.empty(code.shape), np.empty(code.shape)
    for value in np.unique(factor):
        mine = np.flatnonzero(factor == value)
        mine = mine[np.argsort(code[mine], kind="stable")]
        nearest[mine] = near = min(neighbors, len(mine) - 1)
        radius[mine] = _kth_distance(code[mine], near)
    within = _num_nearer(np.sort(code), code, radius)
    of_point = digamma(nearest) - digamma(counts[factor])
    of_point -= digamma(np.maximum(within, 1))
    return float(digamma(len(code)) + of_point.mean())


def _kth_distance(ordered: np.ndarray, k: int) -> np.ndarray:
    """Distance to the k-th nearest other point, for sorted points [n], k < n: [n].

    The k nearest of a point and the point itself fill a window of k + 1 in a row.
    """
    ends = np.full(k, np.inf)
    padded = np.concatenate([-ends, ordered, ends])
    # Row j holds, for each point, the one j - k places further on.
    shifted = np.lib.stride_tricks.sliding_window_view(padded, len(ordered))
    reach = np.maximum(ordered - shifted[: k + 1], shifted[k:] - ordered)
    return reach.min(axis=0)


def _num_nearer(
    ordered: np.ndarray, code: np.ndarray, radius: np.ndarray
) -> np.ndarray:
    """How many of the sorted points [n] lie strictly nearer than radius: [m]."""
    last = len(ordered) - 1
    low = np.searchsorted(ordered, code - radius)
    high = np.searchsorted(ordered, code + radius, side="right") - 1
    # Rounding of code -+ radius may put the neighbour that defines the radius on either
    # side; the distances themselves decide.
    low += code - ordered[np.minimum(low, last)] >= radius
    low -= (low > 0) & (code - ordered[np.maximum(low - 1, 0)] < radius)
    high -= ordered[np.maximum(high, 0)] - code >= radius
    high += (high < last) & (ordered[np.minimum(high + 1, last)] - code < radius)
    return high - low + 1
