"""All metrics on one set of codes, with their chance floors, as one record."""

import dataclasses
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cfasl_jax.metrics.chance import chance_floor
from cfasl_jax.metrics.points import (
    UnavailableError,
    check_codes,
    num_active,
    require_rows,
)
from cfasl_jax.metrics.protocols import Protocol, get_protocol
from cfasl_jax.metrics.registry import (
    METRICS,
    compute,
    draw_pool,
    generator,
    get_metrics,
)
from cfasl_jax.metrics.sampling import Encode, Samples, Source, Table, as_source


def score(
    encode: Encode | Source,
    sizes: Sequence[int] | np.ndarray,
    protocol: Protocol | str = "official",
    seed: int = 0,
    *,
    metrics: Sequence[str] | None = None,
    chance: bool = True,
    cache_dir: pathlib.Path | str | None = None,
    jobs: int | None = None,
    mean_codes: np.ndarray | None = None,
    report: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Scores codes with several metrics, each independent of which others are chosen.

    `encode` is called a few times with many images each, and some images occur in
    several calls. To encode each image only once, it should cache its codes.

    Args:
        encode: int factors [n, K] -> codes [n, D] on the grid; or a Table; or Samples,
            whose noise is then drawn by `seed`.
        sizes: number of values of each factor, length K.
        protocol: a Protocol or its name.
        seed: of all randomness.
        metrics: names in METRICS; None means all.
        chance: whether to report chance floors.
        cache_dir: where chance floors are kept; None means the user's cache folder.
        jobs: number of factors to treat in parallel; None means one for each core.
        mean_codes: if stored codes are samples, the posterior means [n, D] on which
            active dimensions are counted. Samples have them.
        report: called with the name of each metric before it starts.

    Returns:
        "scores": score name -> {"value", "interval" or None, "chance" or None, and for
        a score that is a mean over factors "by_factor", a number for each, or None
        where there is none};
        "metrics": metric name -> {"active_dims", "notes", "seconds"; for DCI also
        "importance"}; "unavailable": metric name -> the reason; "protocol",
        "protocol_fields", "codes", "seed", "sizes", "dims", "active_dims", "notes",
        "warnings" (the notes that hold for these codes only), "seconds".

    Raises:
        ValueError: for an unknown name, a bad source, or if no metric can be computed.
    """
    start, names = time.perf_counter(), get_metrics(metrics)
    protocol, source = get_protocol(protocol), as_source(encode, sizes)
    pool = draw_pool(source, protocol, generator(seed, "points"))
    if isinstance(source, Samples):
        mean_codes = source.means.codes(pool.ids)
    results = _empty(protocol, seed, source.sizes.tolist(), pool.codes, mean_codes)
    for name in names:
        if report is not None:
            report(name)
        rng, begun = generator(seed, name), time.perf_counter()
        try:
            result = compute(name, source, pool, protocol, rng, jobs)
        except UnavailableError as error:
            results["unavailable"][name] = str(error)
            continue
        seconds = time.perf_counter() - begun
        floor: dict[str, float] = {}
        if chance:
            # A metric that uses only active dimensions is compared with noise of that
            # many dimensions, any other metric with noise of all D dimensions.
            elects = METRICS[name].elects
            dims = result["active_dims"] if elects else results["dims"]
            floor = _floor(name, source, dims, protocol, cache_dir, jobs)
        _add(results, name, {**result, "seconds": seconds}, floor)
    _require_any(results)
    results["seconds"] = time.perf_counter() - start
    return results


def _floor(name: str, source: Source, dims: int, *where: Any) -> dict[str, float]:
    """The chance floor; empty if it cannot be computed.

    If a value of a factor is rare, some draws of images allow a metric and others do
    not, so that it may have a score but no floor.
    """
    if not dims:  # Without an active dimension there is nothing to compare with.
        return {}
    try:
        return chance_floor(name, source, dims, *where)
    except UnavailableError:
        return {}


def _empty(
    protocol: Protocol,
    seed: int,
    sizes: list[int],
    codes: np.ndarray,
    mean_codes: np.ndarray | None,
) -> dict[str, Any]:
    """A record without scores, for codes [n, D] and, if given, mean codes [m, D]."""
    notes = ["training and test samples never overlap"]
    if protocol.codes == "sample" and mean_codes is None:
        notes.append(
            "active dimensions are counted on samples, in which a dimension varies "
            "even where its mean does not"
        )
    return {
        "scores": {},
        "metrics": {},
        "unavailable": {},
        "protocol": protocol.label,
        "protocol_fields": dataclasses.asdict(protocol),
        "codes": protocol.codes,
        "seed": seed,
        "sizes": sizes,
        "dims": codes.shape[1],
        "active_dims": num_active(
            codes if mean_codes is None else mean_codes, protocol.prune_std
        ),
        "notes": notes,
        "warnings": [],
    }


def _add(
    results: dict[str, Any], name: str, result: dict[str, Any], floor: dict[str, float]
) -> None:
    """Enters the result of one metric into the record."""
    details = ("active_dims", "notes", "seconds", "importance")
    results["metrics"][name] = {key: result[key] for key in details if key in result}
    # Several metrics may have the same to say.
    new = [text for text in result["warnings"] if text not in results["warnings"]]
    results["warnings"] += new
    for key in result["scores"]:
        results["scores"][key] = {
            "value": result[key],
            "interval": result["intervals"][key],
            "chance": floor.get(key),
        }
        if key in result["by_factor"]:
            results["scores"][key]["by_factor"] = result["by_factor"][key]


def _require_any(results: dict[str, Any]) -> None:
    if not results["metrics"]:
        reasons = "; ".join(f"{k}: {v}" for k, v in results["unavailable"].items())
        raise ValueError(f"no metric can be computed on these codes ({reasons})")


def score_arrays(
    codes: np.ndarray,
    factors: np.ndarray,
    protocol: Protocol | str = "dlib",
    seed: int = 0,
    **options: Any,
) -> dict[str, Any]:
    """Scores codes from anywhere, given with the factors of their images.

    Metrics that draw images by their factors draw from the rows. A metric that cannot
    be computed on these rows is listed under "unavailable" with the reason.

    Args:
        codes: numbers [N, D].
        factors: integers [N, K], with at least 2 values for each factor.
        protocol: a Protocol or its name. Whether the codes are means or samples cannot
            be checked here: "codes" in the result is "as given".
        seed: of all randomness.
        **options: those of `score`.

    Returns:
        as `score`.

    Raises:
        ValueError: on bad arrays, fewer rows than the protocol needs, unknown names, or
            if no metric can be computed.
    """
    protocol, names = get_protocol(protocol), get_metrics(options.get("metrics"))
    table = Table(codes, factors)
    needed = {name: METRICS[name].num_points(protocol) for name in names}
    short = [name for name in names if needed[name] > table.num_images]
    if short:
        raise ValueError(
            f"the protocol {protocol.label} needs {max(needed.values())} rows, got "
            f"{table.num_images}: choose another protocol, or metrics other than "
            f"{', '.join(short)}"
        )
    results = score(table, table.sizes, protocol, seed, **options)
    results["codes"] = "as given"
    repeats = _num_repeats(np.asarray(codes), np.asarray(factors))
    if repeats:
        warning = (
            f"{repeats} rows repeat another row exactly: "
            "training and test points may hold the same values"
        )
        results["notes"].append(warning)
        results["warnings"].append(warning)
    return results


def score_unsupervised(
    codes: np.ndarray,
    protocol: Protocol | str = "dlib",
    seed: int = 0,
    *,
    metrics: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Scores codes of images without factors, with the metrics that need none.

    Args:
        codes: numbers [N, D] of N random images. If there are fewer than the protocol
            asks for, all are used and a note says so.
        protocol: a Protocol or its name.
        seed: of all randomness.
        metrics: names in METRICS; None means all that need no factors.

    Returns:
        as `score`; "sizes" is empty, and "codes" is "as given".

    Raises:
        ValueError: on bad codes, fewer than 16 of them, unknown names, or if no metric
            can be computed.
    """
    start, protocol = time.perf_counter(), get_protocol(protocol)
    codes = check_codes(codes)
    require_rows(codes)
    results = _empty(protocol, seed, [], codes, codes)
    for name in get_metrics(metrics):
        if METRICS[name].needs_factors:
            if metrics is not None:
                results["unavailable"][name] = "it needs the factors of the images"
            continue
        begun = time.perf_counter()
        try:
            result = METRICS[name].compute(codes, None, protocol, generator(seed, name))
        except UnavailableError as error:
            results["unavailable"][name] = str(error)
            continue
        _add(results, name, {**result, "seconds": time.perf_counter() - begun}, {})
    _require_any(results)
    results["codes"] = "as given"
    results["seconds"] = time.perf_counter() - start
    return results


def _num_repeats(codes: np.ndarray, factors: np.ndarray) -> int:
    """How many rows of codes [N, D] and factors [N, K] are a copy of an earlier row."""
    rows = np.concatenate([codes, factors], axis=1, dtype=np.float64)
    return len(rows) - len(np.unique(rows, axis=0))
