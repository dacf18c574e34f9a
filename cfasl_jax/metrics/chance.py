"""Chance floors: the score that each metric gives to noise, computed once and stored.

A floor depends on the protocol, the factors and the number of dimensions. It is stored
in a file whose name is a hash of these, of the libraries' versions and of VERSION.
"""

import dataclasses
import hashlib
import importlib.metadata
import json
import pathlib
from contextlib import suppress
from typing import Any

import numpy as np

from cfasl_jax import files
from cfasl_jax.metrics.protocols import Protocol
from cfasl_jax.metrics.registry import METRICS, compute, draw_pool, generator
from cfasl_jax.metrics.sampling import Grid, Samples, Source, Table

# Incremented with every change of a metric, or of this module, that changes a floor:
# floors that are stored under another version are not read.
VERSION = 1

_SEED = 0


def chance_floor(
    name: str,
    source: Source,
    dims: int,
    protocol: Protocol,
    cache_dir: pathlib.Path | str | None = None,
    jobs: int | None = None,
) -> dict[str, float]:
    """Scores of one metric on independent standard normal codes of D dimensions.

    Each image has one code of noise, which is the same in every vote. If the source is
    of samples, it has a new one in each vote, as samples of a model do.

    Args:
        name: the metric.
        source: the images; only their factors are used, not their codes.
        dims: D; for a metric that uses only active dimensions, their number.
        protocol: the protocol, which says how many draws of noise are averaged.
        cache_dir: where floors are stored; None means the user's cache folder.
        jobs: number of factors to treat in parallel.

    Returns:
        Score name -> floor; empty for a metric that has none.

    Raises:
        ValueError: if the metric cannot be computed on these images.
    """
    folder = pathlib.Path(cache_dir or files.cache_directory() / "chance")
    path = folder / f"{name}-{_key(source, dims, protocol)}.json"
    kept = files.cached(path)
    if kept is not None:
        return kept
    floor = _compute_floor(name, source, dims, protocol, jobs)
    # Where nothing can be written, the floor is computed again next time.
    with suppress(OSError):
        files.write_json(path, floor)
    return floor


class Noise:
    """Standard normal codes of images, drawn when an image is first asked for."""

    def __init__(self, rng: np.random.Generator, dims: int):
        """Takes the source of randomness and the number of dimensions D."""
        self._rng = rng
        self._ids, self._codes = np.empty(0, np.int64), np.empty((0, dims))

    def __call__(self, ids: np.ndarray) -> np.ndarray:
        """Codes of images: int64 [n] -> [n, D]."""
        new = np.setdiff1d(ids, self._ids)
        if new.size:
            drawn = self._rng.standard_normal((len(new), self._codes.shape[1]))
            place = np.searchsorted(self._ids, new)
            self._ids = np.insert(self._ids, place, new)
            self._codes = np.insert(self._codes, place, drawn, axis=0)
        return self._codes[np.searchsorted(self._ids, ids)]


def _compute_floor(
    name: str, source: Source, dims: int, protocol: Protocol, jobs: int | None
) -> dict[str, float]:
    # Intervals are not reported for noise, so that few resamples suffice.
    brief = dataclasses.replace(protocol, bootstrap=2, refits=1)
    draws, floors = METRICS[name].floor_draws, []
    for repeat in range(getattr(protocol, draws) if draws else 0):
        rng = generator(_SEED, f"chance {name} {repeat}")
        drawn = _noise(source, rng.spawn(1)[0], dims)
        pool = draw_pool(drawn, brief, rng)
        result = compute(name, drawn, pool, brief, rng, jobs)
        floors.append([result[score] for score in result["scores"]])
    if not floors:
        return {}
    means = np.mean(floors, axis=0).tolist()
    return dict(zip(result["scores"], means, strict=True))


def _noise(source: Source, rng: np.random.Generator, dims: int) -> Source:
    """The images of a source with codes that know nothing about their factors."""
    if not isinstance(source, Samples):
        return source.with_codes(Noise(rng, dims))

    def constant(value: float) -> Grid | Table:
        return means.with_codes(lambda ids: np.full((len(ids), dims), value))

    means = source.means
    return Samples(constant(0.0), constant(1.0), rng)


def _key(source: Source, dims: int, protocol: Protocol) -> str:
    """Hash of everything that a floor depends on."""
    digest = hashlib.sha256()
    parts: list[Any] = [dataclasses.asdict(protocol), source.sizes.tolist(), dims]
    versions = map(importlib.metadata.version, ("numpy", "scipy", "scikit-learn"))
    parts += [_SEED, VERSION, *versions]
    if isinstance(source, Samples):
        parts, source = [*parts, "samples"], source.means
    digest.update(json.dumps(parts, sort_keys=True).encode())
    if not isinstance(source, Grid):
        digest.update(source.factors(np.arange(source.num_images)).tobytes())
    return digest.hexdigest()[:32]
