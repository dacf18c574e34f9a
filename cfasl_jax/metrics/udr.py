"""UDR, unsupervised disentanglement ranking (Duan et al. 2020, arXiv 1905.12614)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cfasl_jax.metrics.metric import Score


def udr(
    codes: Sequence[np.ndarray], informative: Sequence[np.ndarray] | None = None
) -> dict[str, Any]:
    """How well each of several runs agrees with the others, to choose without labels.

    Disentangled models tend to agree up to the order and the sign of dimensions,
    whereas entangled models tend to differ. With R[a, b] the absolute Spearman
    correlation of dimension a of run i with dimension b of run j, for informative
    dimensions only,

        UDR_ij = (mean_b max_a R[a, b]^2 / sum_a R[a, b]
                  + mean_a max_b R[a, b]^2 / sum_b R[a, b]) / 2,

    and 0 if a run has no informative dimension. UDR_i is the median over the other
    runs. This is what disentanglement_lib computes, which also offers Lasso
    coefficients in place of the correlations. In the paper's equation the sums over
    both directions are divided by the number of informative dimensions of both runs,
    which is different where these numbers are.

    Range 0 to 1; runs that agree up to order and sign score 1.

    Args:
        codes: of the same images by each of at least two runs, float [n, D] each. The
            authors compare runs that differ in their seed only.
        informative: which dimensions of each run count, bool [D] each: those whose KL
            from the prior exceeds 0.01 nats. None means those that vary.

    Returns:
        "udr": one score for each run, in their order; "pairs": UDR_ij [runs, runs] as
        nested lists, with 0 on the diagonal.

    Raises:
        ValueError: for a single run, or for codes of different numbers of images.
    """
    if len(codes) < 2:
        raise ValueError(f"UDR compares runs: at least 2 are needed, got {len(codes)}")
    lengths = {len(run) for run in codes}
    if len(lengths) > 1:
        raise ValueError(
            f"UDR needs codes of the same images: got {sorted(lengths)} of them"
        )
    if informative is None:
        informative = [np.ptp(run, axis=0) > 0 for run in codes]
    ranks = [
        _standardized_ranks(run[:, chosen])
        for run, chosen in zip(codes, informative, strict=True)
    ]
    runs = len(ranks)
    pairs = np.zeros((runs, runs))
    for i in range(runs):
        for j in range(i):
            correlation = np.abs(ranks[i].T @ ranks[j]) / len(codes[0])
            pairs[i, j] = pairs[j, i] = agreement(correlation)
    others = ~np.eye(runs, dtype=bool)
    scores = [
        float(np.median(row[other])) for row, other in zip(pairs, others, strict=True)
    ]
    return {"udr": scores, "pairs": pairs.tolist()}


def agreement(correlation: np.ndarray) -> float:
    """UDR_ij of absolute correlations [A, B]; 0 if A or B is 0."""
    if not correlation.size:
        return 0.0
    parts = []
    for axis in (0, 1):
        total = correlation.sum(axis=axis)
        largest = correlation.max(axis=axis)
        parts.append(np.mean(largest**2 / np.where(total > 0, total, 1.0)))
    return float(np.mean(parts))


def _standardized_ranks(codes: np.ndarray) -> np.ndarray:
    """Ranks of codes [n, D], ties sharing theirs, with mean 0 and variance 1."""
    from scipy.stats import rankdata  # takes a second to import

    ranks = rankdata(codes, axis=0)
    ranks -= ranks.mean(axis=0)
    std = ranks.std(axis=0)
    return ranks / np.where(std > 0, std, 1.0)


UDR = Score(
    "udr",
    "UDR",
    "how well the dimensions of a run agree, one by one, with those of other runs; the "
    "median over the other runs",
    reference="Duan et al. 2020, arXiv:1905.12614",
)
