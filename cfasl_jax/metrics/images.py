"""How many distinct images a protocol needs: what its evaluation has to encode."""

import itertools
from collections.abc import Sequence

import numpy as np

from cfasl_jax.metrics.protocols import Protocol, get_protocol
from cfasl_jax.metrics.registry import METRICS, get_metrics, pool_size


def num_images(
    protocol: Protocol | str,
    sizes: Sequence[int],
    metrics: Sequence[str] | None = None,
) -> dict[str, float]:
    """Expected number of distinct images that metrics draw from a complete grid.

    On the grid all images are equally likely to be in a vote, so that a vote with e
    distinct images expected among N leaves out any one of them with the chance 1 - e/N,
    and all votes together with the product of these. On dSprites "official" needs about
    386,000 of the 737,280 images, "dlib" all but a few hundred, "fast" 75,000.

    Args:
        protocol: a Protocol or its name.
        sizes: number of values of each factor, length K.
        metrics: names in METRICS; None means all.

    Returns:
        "points" (distinct images shared by the metrics on points), each metric that
        draws votes, and "all", in which images that several draw count once.
    """
    protocol, values = get_protocol(protocol), np.asarray(sizes, np.int64)
    total = float(np.prod(values, dtype=np.float64))
    # Logarithm of the chance that an image is left out, by part.
    left_out = {"points": _log_rest(min(pool_size(protocol), total), total)}
    for name in get_metrics(metrics):
        if METRICS[name].votes:
            left_out[name] = _VOTES[name](protocol, values, total)
    left_out["all"] = sum(left_out.values())
    return {name: -total * np.expm1(value) for name, value in left_out.items()}


def _log_rest(images: float, total: float) -> float:
    """log(1 - images/total), which is -inf if all images are drawn."""
    return np.log1p(-images / total) if images < total else -np.inf


def _votes(sizes: np.ndarray, k: int, votes: int, batch: int, total: float) -> float:
    """The same for votes of `batch` draws each, with k factors fixed at random."""
    fixed = list(itertools.combinations(range(len(sizes)), k))
    free = [total / np.prod(sizes[list(chosen)]) for chosen in fixed]
    distinct = [-images * np.expm1(batch * _log_rest(1, images)) for images in free]
    return votes * _log_rest(float(np.mean(distinct)), total)


def _variance(protocol: Protocol, total: float) -> float:
    """The same for the random images that the global variance comes from."""
    return protocol.fvm_variance_samples * _log_rest(1, total)


def _fvm(protocol: Protocol, sizes: np.ndarray, total: float) -> float:
    votes = protocol.fvm_train + protocol.fvm_eval
    drawn = _votes(sizes, 1, votes, protocol.fvm_batch, total)
    return drawn + _variance(protocol, total)


def _m_fvm(protocol: Protocol, sizes: np.ndarray, total: float) -> float:
    votes, batch = protocol.m_fvm_train + protocol.m_fvm_eval, protocol.m_fvm_batch
    ks = protocol.m_fvm_ks or range(2, len(sizes))
    drawn = sum(_votes(sizes, k, votes, batch, total) for k in ks)
    return drawn + _variance(protocol, total)


def _z_diff(protocol: Protocol, sizes: np.ndarray, total: float) -> float:
    if protocol.z_diff_images is not None and protocol.z_diff_images < total:
        return 0.0  # Its images are among those of the pool.
    points = protocol.z_diff_train + protocol.z_diff_eval
    return 2 * points * protocol.z_diff_batch * _log_rest(1, total)


_VOTES = {"fvm": _fvm, "m_fvm": _m_fvm, "z_diff": _z_diff}
