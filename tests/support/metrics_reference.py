"""Slow plain-loop versions of the metrics, from the papers' formulas, and test cases.

Nothing here is vectorised or shared with the package under test.
"""

import dataclasses
import math
from collections import Counter

import numpy as np
from scipy import stats

from cfasl_jax.metrics import PROTOCOLS

TINY = dataclasses.replace(
    PROTOCOLS["fast"],
    z_diff_train=120,
    z_diff_eval=60,
    z_diff_batch=16,
    z_diff_images=None,
    fvm_train=120,
    fvm_eval=60,
    fvm_batch=20,
    fvm_variance_samples=300,
    m_fvm_train=150,
    m_fvm_eval=150,
    m_fvm_batch=20,
    mig_samples=256,
    mig_bins=10,
    sap_train=160,
    sap_test=96,
    dci_train=160,
    dci_test=96,
    dci_trees=5,
    modularity_samples=256,
    explicitness_train=160,
    explicitness_test=96,
    infomec_train=160,
    infomec_test=96,
    infomec_neighbors=3,
    irs_samples=256,
    bootstrap=30,
    refits=5,
    chance_repeats_votes=3,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def grid(sizes):
    """All factor combinations [N, K], the last factor fastest."""
    return np.stack([axis.reshape(-1) for axis in np.indices(sizes)], axis=1)


def perfect(factors):
    """Codes equal to the factors."""
    return factors.astype(np.float64)


def constant(factors):
    return np.full(factors.shape, 0.7)


def duplicated(factors):
    return np.concatenate([perfect(factors)] * 2, axis=1)


def rotated(factors):
    """Each two factors turned by 45 degrees: (v0 + v1, v0 - v1, v2 + v3, ...)."""
    codes = perfect(factors)
    for d in range(0, codes.shape[1] - 1, 2):
        first, second = codes[:, d].copy(), codes[:, d + 1].copy()
        codes[:, d], codes[:, d + 1] = first + second, first - second
    return codes


def noise(factors, seed=5):
    return rng(seed).normal(size=factors.shape)


def mixed(factors, seed=7):
    """Codes that know something of everything, with noise and a dead dimension."""
    random = rng(seed)
    weights = random.normal(size=(factors.shape[1], 3))
    scaled = factors / factors.max(axis=0)
    known = scaled @ weights + 0.1 * random.normal(size=(len(factors), 3))
    useless = 1e-3 * random.normal(size=(len(factors), 1))
    return np.concatenate([known, scaled[:, :1], useless], axis=1)


def assert_refits_widen(metric, name, factors, protocol, few):
    """The interval includes the choice of training points; the score does not move."""
    codes = mixed(factors)
    without, included = (
        metric(codes, factors, dataclasses.replace(protocol, refits=n), rng(), 1)
        for n in (few, 50)
    )
    assert included[name] == without[name]
    widths = [np.ptp(each["intervals"][name]) for each in (without, included)]
    assert widths[0] < widths[1]


def entropy(labels):
    total = len(labels)
    return -sum(c / total * math.log(c / total) for c in Counter(labels).values())


def information(xs, ys):
    """Mutual information of two lists of labels, in nats."""
    total = len(xs)
    px, py, pxy = Counter(xs), Counter(ys), Counter(zip(xs, ys, strict=True))
    result = 0.0
    for (x, y), count in pxy.items():
        result += count / total * math.log(count * total / (px[x] * py[y]))
    return result


def histogram_bins(values, bins):
    """Equal-width bin of each value, the last bin closed on the right."""
    low, high = min(values), max(values)
    labels = []
    for value in values:
        if high == low:
            labels.append(0)
            continue
        label = 0
        while label < bins - 1 and value >= low + (high - low) * (label + 1) / bins:
            label += 1
        labels.append(label)
    return labels


def information_matrix(codes, factors, bins):
    matrix = []
    for d in range(codes.shape[1]):
        binned = histogram_bins(codes[:, d].tolist(), bins)
        row = []
        for k in range(factors.shape[1]):
            row.append(information(binned, factors[:, k].tolist()))
        matrix.append(row)
    return matrix


def mig(codes, factors, bins):
    matrix = information_matrix(codes, factors, bins)
    gaps = []
    for k in range(factors.shape[1]):
        column = sorted((row[k] for row in matrix), reverse=True)
        gaps.append((column[0] - column[1]) / entropy(factors[:, k].tolist()))
    return sum(gaps) / len(gaps)


def modularity(codes, factors, bins):
    scores = []
    for row in information_matrix(codes, factors, bins):
        theta = max(row)
        if theta < 1e-12:
            scores.append(0.0)
            continue
        best, deviation = row.index(theta), 0.0
        for k, value in enumerate(row):
            if k != best:
                deviation += value**2
        scores.append(1 - deviation / (theta**2 * (len(row) - 1)))
    return sum(scores) / len(scores)


def disentanglement(importance):
    """D of a nested list [D][K]; weights are the rows' shares of the whole."""
    total = sum(map(sum, importance))
    result = 0.0
    for row in importance:
        mass = sum(row)
        if mass == 0:
            continue
        bits = 0.0
        for value in row:
            if value > 0:
                bits -= value / mass * math.log(value / mass, len(row))
        result += mass / total * (1 - bits)
    return result


def variance(values):
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / (len(values) - 1)


def normalized_variances(codes, global_codes, prune_std):
    """Variances of a batch [n, D] over global ones; None for inactive dimensions."""
    result = []
    for d in range(codes.shape[1]):
        whole = variance(global_codes[:, d].tolist())
        if math.sqrt(whole) < prune_std:
            result.append(None)
        else:
            result.append(variance(codes[:, d].tolist()) / whole)
    return result


def lowest(values, k):
    """Positions of the k smallest values that are not None, as a set."""
    live = [(value, d) for d, value in enumerate(values) if value is not None]
    return frozenset(d for _, d in sorted(live)[:k])


def fixed_factors(factors):
    """Which factors keep one value throughout a batch [n, K]."""
    return frozenset(
        k for k in range(factors.shape[1]) if len(set(factors[:, k].tolist())) == 1
    )


class Spy:
    """An encoder that remembers the factors it was asked for, call by call."""

    def __init__(self, encode):
        self._encode, self.calls = encode, []

    def __call__(self, factors):
        self.calls.append(np.array(factors))
        return self._encode(factors)


def lookup(codes, sizes):
    """encode(factors) from codes of the complete grid."""
    table = codes.reshape(*sizes, -1)
    return lambda factors: table[tuple(factors.T)]


def udr_of_pair(first, second):
    """UDR of two runs by their codes, [n, A] and [n, B]: a plain loop."""
    rows, columns = first.shape[1], second.shape[1]
    matrix = [
        [abs(stats.spearmanr(first[:, a], second[:, b])[0]) for b in range(columns)]
        for a in range(rows)
    ]
    by_row = [max(row) ** 2 / sum(row) for row in matrix]
    turned = list(zip(*matrix, strict=True))
    by_column = [max(column) ** 2 / sum(column) for column in turned]
    return (sum(by_row) / rows + sum(by_column) / columns) / 2
