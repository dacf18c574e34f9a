"""Chance floors: what each metric gives to codes of noise, computed once and kept.

A floor depends on the protocol, the factors and the number of dimensions. It is kept in
a file whose name is a hash of these and of the code of this package, so that a changed
definition is never answered from an old file.
"""

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import os
import pathlib
import tempfile
from typing import Any

import numpy as np
from scipy.special import ndtri

from cfasl_jax.metrics.protocols import Protocol
from cfasl_jax.metrics.registry import compute, draw_pool, generator
from cfasl_jax.metrics.sampling import Grid, Source

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

    An image has one code of noise, whatever vote it is in, just as a model's images are
    encoded, and sampled, once each.

    Args:
        name: the metric.
        source: the images whose factors count; their codes do not.
        dims: D; for a metric that elects among active dimensions, their number.
        protocol: the protocol; chance_repeats draws are averaged.
        cache_dir: where floors are kept; None means `default_cache_dir()`.
        jobs: factors in parallel.

    Returns:
        score name -> floor.

    Raises:
        ValueError: if the metric cannot be computed on these images.
    """
    folder = pathlib.Path(cache_dir) if cache_dir else default_cache_dir()
    path = folder / f"{name}-{_key(source, dims, protocol)}.json"
    kept = _read(path)
    if kept is not None:
        return kept
    floor = _compute_floor(name, source, dims, protocol, jobs)
    _write(path, floor)
    return floor


def default_cache_dir() -> pathlib.Path:
    """$XDG_CACHE_HOME/cfasl_jax/chance, by default below ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "cfasl_jax" / "chance"


def noise(ids: np.ndarray, dims: int, seed: int) -> np.ndarray:
    """One standard normal code an image, a function of its id and the seed alone.

    Counter-based: the counter id * D + d, started at a random place by the seed, goes
    twice through the mixing function of SplitMix64 (Steele et al. 2014), and its upper
    53 bits through the quantile function.

    Args:
        ids: int64 [n].
        dims: D.
        seed: from 0 to 2^63 - 1.

    Returns:
        float64 [n, D].
    """
    with np.errstate(over="ignore"):
        first = ids.astype(np.uint64)[:, None] * np.uint64(dims)
        counter = first + np.arange(dims, dtype=np.uint64)
        start = _mixed(np.array([seed], np.uint64))
        bits = _mixed(_mixed(counter + start) ^ start)
    return ndtri(((bits >> np.uint64(11)) + 0.5) * 2.0**-53)


def _mixed(bits: np.ndarray) -> np.ndarray:
    """SplitMix64: the next multiple of the golden ratio, its bits spread: uint64."""
    bits = bits * np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _compute_floor(
    name: str, source: Source, dims: int, protocol: Protocol, jobs: int | None
) -> dict[str, float]:
    # The intervals of noise are not reported.
    brief = dataclasses.replace(protocol, bootstrap=1)
    repeats = protocol.chance_repeats
    if name == "dci":
        repeats = protocol.chance_repeats_dci
    floors = []
    for repeat in range(repeats):
        rng = generator(_SEED, f"chance {name} {repeat}")
        key = int(rng.integers(0, 2**63))
        drawn = source.with_codes(functools.partial(noise, dims=dims, seed=key))
        pool = draw_pool(drawn, brief, rng)
        result = compute(name, drawn, pool, brief, rng, jobs)
        floors.append([result[score] for score in result["scores"]])
    means = np.mean(floors, axis=0).tolist()
    return dict(zip(result["scores"], means, strict=True))


def _key(source: Source, dims: int, protocol: Protocol) -> str:
    """Hash of all that a floor depends on."""
    digest = hashlib.sha256()
    parts: list[Any] = [dataclasses.asdict(protocol), source.sizes.tolist(), dims]
    versions = map(importlib.metadata.version, ("numpy", "scipy", "scikit-learn"))
    parts += [_SEED, *versions, _code_version()]
    digest.update(json.dumps(parts, sort_keys=True).encode())
    if not isinstance(source, Grid):
        digest.update(source.factors(np.arange(source.num_images)).tobytes())
    return digest.hexdigest()[:32]


@functools.cache
def _code_version() -> str:
    """Hash of the source files of this package."""
    digest = hashlib.sha256()
    for path in sorted(pathlib.Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _read(path: pathlib.Path) -> dict[str, float] | None:
    """The floor in a file; None where there is none or it is damaged."""
    try:
        kept = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return kept if isinstance(kept, dict) else None


def _write(path: pathlib.Path, floor: dict[str, float]) -> None:
    """Writes the whole file or none of it; a folder that cannot be written is no error.

    The floor is then computed anew next time.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=path.name, delete=False
        ) as file:
            json.dump(floor, file)
        os.replace(file.name, path)
    except OSError:
        return
