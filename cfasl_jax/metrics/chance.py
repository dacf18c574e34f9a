"""Chance floors: what each metric gives to codes of noise, computed once and kept.

A floor depends on the protocol, the factors and the number of dimensions. It is kept in
a file whose name is a hash of these and of the code of this package, so that a changed
definition is never answered from an old file.
"""

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import tempfile
from typing import Any

import numpy as np
import sklearn

from cfasl_jax.metrics.protocols import Protocol
from cfasl_jax.metrics.registry import compute, draw_pool, generator
from cfasl_jax.metrics.sampling import Grid, Source

_SEED = 0
# More codes than any published grid has images; a prime, so that images whose codes
# repeat beyond it do not line up with the factors.
_MOST_CODES = 1_000_003


def chance_floor(
    name: str,
    source: Source,
    dims: int,
    protocol: Protocol,
    cache_dir: pathlib.Path | str | None = None,
    jobs: int | None = None,
) -> dict[str, float]:
    """Scores of one metric on independent standard normal codes of D dimensions.

    Where the protocol scores means, an image has one code of noise, whatever vote it is
    in; where it scores samples, each draw has its own.

    Args:
        name: the metric.
        source: the images whose factors count; their codes do not.
        dims: D.
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


def noise(
    source: Source, dims: int, protocol: Protocol, rng: np.random.Generator
) -> Source:
    """The images of a source with codes of noise."""
    if protocol.codes == "sample" and isinstance(source, Grid):
        return source.with_codes(lambda ids: rng.standard_normal((len(ids), dims)))
    count = min(source.num_images, _MOST_CODES)
    table = rng.standard_normal((count, dims))
    return source.with_codes(lambda ids: table[ids % count])


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
        drawn = noise(source, dims, protocol, rng)
        pool = draw_pool(drawn, brief, rng)
        result = compute(name, drawn, pool, brief, rng, jobs)
        floors.append([result[score] for score in result["scores"]])
    means = np.mean(floors, axis=0).tolist()
    return dict(zip(result["scores"], means, strict=True))


def _key(source: Source, dims: int, protocol: Protocol) -> str:
    """Hash of all that a floor depends on."""
    digest = hashlib.sha256()
    parts: list[Any] = [dataclasses.asdict(protocol), source.sizes.tolist(), dims]
    parts += [_SEED, np.__version__, sklearn.__version__, _code_version()]
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
