"""The report's numbers: scores, losses, and where they come from.

`results` is the content of results.json; each part is optional:

    provenance   {"data_source": e.g. "rendered", "device", "revision",
                  "packages": {name: version}}
    step         the step of the checkpoint
    durations    {what: seconds}
    losses       {term: number, or one number a run}
    seeds        one a run
    model        a mapping a run, of measures on random images (numbers are shown)
    protocol     the metrics' protocol
    left_out     sentences on scores that are missing
    scores       {metric: {"mean", "std", "interval": [low, high], "chance", "runs",
                  "values": one number a run}}, all scores between 0 and 1; whatever is
                 unknown is absent or None
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count, zip_longest
from typing import Any

import numpy as np

from cfasl_jax.report import names
from cfasl_jax.report.html import details, facts, table, text
from cfasl_jax.settings import flatten

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
    "factor_vae": "FactorVAE",
    "dip_vae_i": "DIP-VAE-I",
    "dip_vae_ii": "DIP-VAE-II",
    "annealed_vae": "AnnealedVAE",
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
            "Seeds": ", ".join(str(seed) for seed in results.get("seeds") or ())
            or None,
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
    known = results.get("scores") or {}
    sentences = [why[:1].upper() + why[1:] for why in results.get("left_out") or ()]
    items = "".join(f"<li>{text(sentence)}.</li>" for sentence in sentences)
    missing = f'<ul class="note">{items}</ul>' if items else ""
    if not known:
        return missing
    entries = {name: known[name] for name in names.ordered_scores(known)}
    protocol = results.get("protocol")
    caption = "Scores times 100" + (f", protocol {protocol}" if protocol else "")
    variants = {name: e for name, e in entries.items() if names.is_variant(name)}
    main = {name: e for name, e in entries.items() if name not in variants}
    parts = [_score_table(caption, main or variants) + _SCORE_NOTE]
    if main and variants:
        title = "Further readings of these scores"
        parts.append(details(title, _score_table(f"{title}, times 100", variants)))
    each = {n: e["values"] for n, e in main.items() if e.get("values")}
    if max((len(values) for values in each.values()), default=1) > 1:
        parts.append(details("Scores run by run", _run_by_run(each, results)))
    return "".join([*parts, missing])


def _score_table(caption: str, entries: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns a table of scores; one run has neither a mean nor a spread."""
    several = any((entry.get("runs") or 0) > 1 for entry in entries.values())
    mean = ("mean", "sd") if several else ("score",)
    runs = ("runs",) if several else ()
    head = ("metric", *mean, "95% interval", "chance", *runs)
    rows = [_score_row(name, entry, several) for name, entry in entries.items()]
    return table(caption, head, rows, numbers=True)


def _run_by_run(each: Mapping[str, Sequence[float]], results: Mapping[str, Any]) -> str:
    """Returns a table of every run's scores, a row a run."""
    rows = [
        (run, *(_percent(value) for value in row))
        for run, row in zip(_runs(results), zip_longest(*each.values()), strict=False)
    ]
    head = ("run", *map(names.score, each))
    return table("Scores times 100, run by run", head, rows, numbers=True)


def _runs(results: Mapping[str, Any]) -> Iterator[str]:
    """Yields a name for each run: its seed where that is known, then its number."""
    yield from (f"seed {seed}" for seed in results.get("seeds") or ())
    yield from (f"run {run}" for run in count(len(results.get("seeds") or ())))


def measures(results: Mapping[str, Any]) -> str:
    """Returns the table of each run's measures on random images; empty without."""
    runs = results.get("model") or []
    if not runs:
        return ""
    shown = [name for name, value in runs[0].items() if isinstance(value, int | float)]
    rows = [
        (run, *(f"{measured[name]:.4g}" for name in shown))
        for run, measured in zip(_runs(results), runs, strict=False)
    ]
    head = ("run", *map(names.term, shown))
    return table("Measured on random images", head, rows, numbers=True)


def _percent(value: float | None) -> str:
    """Returns a number between 0 and 1 times 100, a dash for None."""
    number = _MISSING if value is None else f"{value * 100:.2f}"
    return number.replace("-", "\N{MINUS SIGN}")


def floor(entry: Mapping[str, Any] | None) -> str:
    """Returns a score's chance floor times 100, a dash where it is not known."""
    return _percent((entry or {}).get("chance"))


def mean_and_spread(entry: Mapping[str, Any] | None) -> str:
    """Returns a score times 100 and its spread.

    That is the standard deviation over runs in brackets, "25.00 (5.00)", or the
    interval of a single run, "25.00 [20.00, 30.00]".
    """
    if entry is None:
        return _MISSING
    spread = ""
    if entry.get("std") is not None:
        spread = f" ({_percent(entry['std'])})"
    elif entry.get("interval"):
        spread = f" [{', '.join(map(_percent, entry['interval']))}]"
    return _percent(entry.get("mean")) + spread


def _score_row(name: str, entry: Mapping[str, Any], several: bool) -> tuple[str, ...]:
    """Returns a metric's row; an unknown number is a dash."""
    low, high = entry.get("interval") or (None, None)
    reach = _MISSING if low is None else f"{_percent(low)} to {_percent(high)}"
    spread = (_percent(entry.get("std")),) if several else ()
    runs = (str(entry.get("runs", _MISSING)),) if several else ()
    mean = _percent(entry.get("mean"))
    return names.score(name), mean, *spread, reach, floor(entry), *runs


def losses(results: Mapping[str, Any]) -> str:
    """Returns the table of the last losses; empty without any."""
    terms = results.get("losses") or {}
    if not terms:
        return ""
    rows = []
    several = False
    for name in names.ordered_terms(terms):
        values = np.atleast_1d(np.asarray(terms[name], float))
        row = [names.term(name), f"{values.mean():.5g}"]
        if len(values) > 1:
            several = True
            row.append(f"{values.min():.4g} to {values.max():.4g}")
        rows.append(row)
    head = ("term", "mean", "range over runs") if several else ("term", "value")
    return table("Losses of the checkpoint", head, rows, numbers=True)


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
