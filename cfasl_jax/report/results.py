"""results.json, the scores and losses of a finished run, as the report reads it.

Each part is optional:

    provenance   of the scores, {"data_source": e.g. "rendered", "device", "revision",
                  "packages": {name: version}}; if that of the training is another one,
                  also "training", with "resumed", a list of those of later parts
    step         the step of the checkpoint
    metrics      the names of metrics that were asked for; none mean all
    durations    {what: seconds}
    losses       {term: number, or one number for each run}
    seeds        one for each run
    model        one mapping for each run: measures on random images
    protocol     the metrics' protocol
    left_out     sentences on scores that are missing
    scores       {metric: {"mean", "std", "interval": [low, high], "chance", "runs",
                  "values": one number for each run, "by_factor": one for each
                  factor}}; an unknown value is absent or None
    factors      their names, in the order of "by_factor"
"""

import json
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from cfasl_jax.errors import ConfigError

# The types of the parts of results.json. A part that is absent or null was not
# measured.
_KINDS: dict[str, type] = {
    "provenance": dict,
    "protocol": str,
    "durations": dict,
    "losses": dict,
    "model": list,
    "left_out": list,
    "scores": dict,
    "factors": list,
    "runs": list,
}


def read_results(path: Path) -> dict[str, Any] | None:
    """The content of results.json; None where there is none.

    Raises:
        ConfigError: if it is damaged; the message says what to do.
    """
    if not path.exists():
        return None
    try:
        if not path.is_file():  # reading a pipe would wait for a writer
            raise ValueError("it is not a file")
        results = json.loads(path.read_text(encoding="utf-8"))
        _require_results(results)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"{path} is damaged ({error}): move it away, and the run is scored again"
        ) from error
    return results


def _require_results(results: Any) -> None:
    """Check the parts of results.json that its readers rely on.

    Raises:
        ValueError: if it has another form.
    """
    if not isinstance(results, dict):
        raise ValueError("it does not hold a JSON object")
    seeds = results.get("seeds")
    if not isinstance(results.get("step"), int) or not isinstance(seeds, list):
        raise ValueError("it names no step or no seeds")
    for name, kind in _KINDS.items():
        if not isinstance(results.get(name), kind | None):
            raise ValueError(f"{name!r} has an unexpected form")
    factors = results.get("factors") or []
    if not all(isinstance(name, str) for name in factors):
        raise ValueError("'factors' has an unexpected form")
    for name, entry in (results.get("scores") or {}).items():
        if not isinstance(entry, dict) or not _are_numbers(entry):
            raise ValueError(f"the score {name!r} has an unexpected form")
        if len(entry.get("by_factor") or factors) != len(factors):
            raise ValueError(
                f"the score {name!r} does not have one value for each factor"
            )
    for name, values in (results.get("losses") or {}).items():
        numbers = values if isinstance(values, list) else [values]
        if not numbers or not all(map(is_number, numbers)):
            raise ValueError(f"the loss {name!r} is not a number")
    if not all(isinstance(sentence, str) for sentence in results.get("left_out") or []):
        raise ValueError("'left_out' has an unexpected form")
    for name in ("model", "runs"):
        if not all(isinstance(run, dict) for run in results.get(name) or []):
            raise ValueError(f"{name!r} has an unexpected form")
    try:
        origins = stages(results.get("provenance"))
        parts = [origin.get("packages") for origin in origins]
    except (AttributeError, TypeError) as error:
        raise ValueError("'provenance' has an unexpected form") from error
    parts += [run.get("protocol_fields") for run in results.get("runs") or []]
    if not all(isinstance(part, dict | None) for part in parts):
        raise ValueError("versions or counts have an unexpected form")


def stages(origin: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """The provenance of each part of a training, and then that of the scores.

    Args:
        origin: "provenance" of results.json.
    """
    scored = origin or {}
    training = scored.get("training") or scored
    return [training, *training.get("resumed", ()), scored]


def _are_numbers(entry: Mapping[str, Any]) -> bool:
    """Whether the parts of a score that are shown are numbers, or absent."""
    single = [entry.get(name) for name in ("mean", "std", "chance", "runs")]
    lists = [entry.get(name) for name in ("interval", "values", "by_factor")]
    if not all(isinstance(numbers, list | None) for numbers in lists):
        return False
    if lists[0] is not None and len(lists[0]) != 2:
        return False
    numbers = [*single, *chain.from_iterable(each or [] for each in lists)]
    return all(number is None or is_number(number) for number in numbers)


def is_number(value: Any) -> bool:
    """Whether a value of a JSON file is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_rendered(results: Mapping[str, Any]) -> bool:
    """Whether the images were drawn by the project instead of read from files."""
    source = (results.get("provenance") or {}).get("data_source", "")
    return "rendered" in str(source).lower()
