"""The report's numbers: scores, losses, and where they come from.

`results` is the content of results.json; each part is optional:

    provenance   {"data_source": e.g. "rendered", "device", "revision",
                  "packages": {name: version}}
    step         the step of the checkpoint
    durations    {what: seconds}
    losses       {term: number, or one number a run}
    seeds        one a run
    model        a mapping a run, of measures on held-out images (numbers are shown)
    protocol     the metrics' protocol
    scores       {metric: {"mean", "std", "interval": [low, high], "chance", "runs",
                  "values": one number a run}}, all scores between 0 and 1; whatever is
                 unknown is absent or None
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count, zip_longest
from typing import Any

import numpy as np

from cfasl_jax.config import flatten
from cfasl_jax.report.html import details, facts, table

_MISSING = "\N{EN DASH}"
_RENDERED = (
    '<p class="warning" role="note"><strong>Rendered data.</strong> These images were '
    "drawn by this project's own renderer, not read from the published data set. No "
    "number on this page may be compared with, or reported as, a score on the real "
    "data.</p>"
)
_SCORE_NOTE = (
    '<p class="note">The interval is that of the mean over runs (Student\'s t); of a '
    "single run, that of its score (bootstrap). Chance is the score of codes that know "
    "nothing of the factors.</p>"
)
_OBJECTIVES = {
    "beta_vae": "β-VAE",
    "beta_tcvae": "β-TCVAE",
    "control_vae": "Control-VAE",
    "clg_vae": "CLG-VAE",
}
_DATASETS = {
    "shapes3d": "3D Shapes",
    "dsprites": "dSprites",
    "cars3d": "3D Cars",
    "smallnorb": "smallNORB",
    "celeba": "CelebA",
}


def title(config: Mapping[str, Any]) -> str:
    """Returns what was trained on what, in the field's names."""
    objective = str(config.get("objective", "model"))
    dataset = str(config.get("dataset", "unnamed data"))
    model = _OBJECTIVES.get(objective, objective)
    if config.get("cfasl"):
        model = f"CFASL ({model})"
    return f"{model} on {_DATASETS.get(dataset, dataset)}"


def is_rendered(results: Mapping[str, Any]) -> bool:
    """Tells whether the images were drawn by the project instead of read from files."""
    source = (results.get("provenance") or {}).get("data_source", "")
    return "rendered" in str(source).lower()


def warning(results: Mapping[str, Any]) -> str:
    """Returns the badge of a page about rendered data; empty for files."""
    return _RENDERED if is_rendered(results) else ""


def summary(results: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """Returns the facts that a reader needs before the first number."""
    origin = results.get("provenance") or {}
    durations = results.get("durations") or {}
    fidelity = _fidelity(config.get("fidelity")) if config.get("cfasl") else None
    return facts(
        {
            "Data source": origin.get("data_source"),
            "Fidelity": fidelity,
            "Step": _grouped(results.get("step")),
            "Device": origin.get("device"),
            "Git revision": origin.get("revision"),
        }
        | {f"Time, {name}": duration(value) for name, value in durations.items()}
    )


def _fidelity(switches: Mapping[str, bool] | str | None) -> str | None:
    """Names the preset that the switches make up, or those that are on."""
    if not isinstance(switches, Mapping):
        return switches
    on = [name for name, is_on in switches.items() if is_on]
    if not on:
        return "corrected"
    return "official" if len(on) == len(switches) else ", ".join(on)


def scores(results: Mapping[str, Any]) -> str:
    """Returns the table of scores, times 100; empty without any."""
    entries = results.get("scores") or {}
    if not entries:
        return ""
    protocol = results.get("protocol")
    caption = "Scores times 100" + (f", protocol {protocol}" if protocol else "")
    head = ("metric", "mean", "sd", "95% interval", "chance", "runs")
    rows = [_score_row(name, entry) for name, entry in entries.items()]
    means = table(caption, head, rows) + _SCORE_NOTE
    each = {n: e["values"] for n, e in entries.items() if e.get("values")}
    if max((len(values) for values in each.values()), default=1) < 2:
        return means
    return means + details("Scores run by run", _run_by_run(each, _runs(results)))


def _run_by_run(each: Mapping[str, Sequence[float]], runs: Iterable[str]) -> str:
    """Returns a table of every run's scores, a row a run."""
    rows = [
        (run, *(_percent(value) for value in row))
        for run, row in zip(runs, zip_longest(*each.values()), strict=False)
    ]
    return table("Scores times 100, run by run", ("run", *each), rows)


def _runs(results: Mapping[str, Any]) -> Iterator[str]:
    """Yields a name for each run: its seed where that is known, then its number."""
    yield from (f"seed {seed}" for seed in results.get("seeds") or ())
    yield from (f"run {run}" for run in count(len(results.get("seeds") or ())))


def measures(results: Mapping[str, Any]) -> str:
    """Returns the table of each run's measures on held-out images; empty without."""
    runs = results.get("model") or []
    if not runs:
        return ""
    names = [name for name, value in runs[0].items() if isinstance(value, int | float)]
    rows = [
        (run, *(f"{measured[name]:.4g}" for name in names))
        for run, measured in zip(_runs(results), runs, strict=False)
    ]
    head = ("run", *(name.replace("_", " ") for name in names))
    return table("Measured on held-out images", head, rows)


def _percent(value: float | None) -> str:
    """Returns a number between 0 and 1 times 100, a dash for None."""
    return _MISSING if value is None else f"{value * 100:.2f}"


def mean_and_spread(entry: Mapping[str, Any] | None) -> str:
    """Returns a metric's mean times 100, with its standard deviation in brackets."""
    if entry is None:
        return _MISSING
    spread = "" if entry.get("std") is None else f" ({_percent(entry['std'])})"
    return _percent(entry.get("mean")) + spread


def _score_row(name: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns a metric's row; an unknown number is a dash."""
    low, high = entry.get("interval") or (None, None)
    reach = _MISSING if low is None else f"{_percent(low)} to {_percent(high)}"
    numbers = [_percent(entry.get(key)) for key in ("mean", "std", "chance")]
    return name, *numbers[:2], reach, numbers[2], str(entry.get("runs", _MISSING))


def losses(results: Mapping[str, Any]) -> str:
    """Returns the table of the last losses; empty without any."""
    terms = results.get("losses") or {}
    if not terms:
        return ""
    rows = []
    for name, value in terms.items():
        values = np.atleast_1d(np.asarray(value, float))
        spread = f"{values.min():.4g} to {values.max():.4g}" if len(values) > 1 else ""
        rows.append((name.replace("_", " "), f"{values.mean():.5g}", spread))
    return table("Losses of the checkpoint", ("term", "mean", "range over runs"), rows)


def provenance(results: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """Returns the package versions and the whole configuration, folded."""
    versions = (results.get("provenance") or {}).get("packages") or {}
    parts = []
    if versions:
        packages = table("Package versions", ("package", "version"), versions.items())
        parts.append(details("Package versions", packages))
    fields = table("Configuration", ("field", "value"), flatten(config).items())
    parts.append(details("Configuration", fields))
    return "\n".join(parts)


def duration(seconds: Any) -> str:
    """Returns a number of seconds in the units that suit it."""
    if not isinstance(seconds, int | float):
        return str(seconds)
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _grouped(step: Any) -> str | None:
    """Returns a step count with its thousands apart, None as it is."""
    return f"{step:,}".replace(",", " ") if isinstance(step, int) else step
