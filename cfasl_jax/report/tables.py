"""The report's tables: scores, losses, and their provenance.

Their input, `results`, is the content of results.json (`cfasl_jax.report.results`).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from cfasl_jax.metrics import METRICS, SCORES, Score
from cfasl_jax.objectives import OBJECTIVES
from cfasl_jax.report import configuration, names
from cfasl_jax.report.html import details, facts, table, text, warning
from cfasl_jax.report.results import is_number, is_rendered, stages
from cfasl_jax.settings import run_names
from cfasl_jax.types import ACTIVE_KL

_MISSING = "\N{EN DASH}"
RENDERED = warning(
    "Rendered data.",
    "These images were drawn by this project's own renderer, not read from the "
    "published data set. No number on this page may be compared with, or reported as, "
    "a score on the real data.",
)
_SCORE_NOTE = (
    '<p class="note">The interval is that of the mean over runs (Student\'s t); of a '
    "single run, that of its score over random draws. Chance is the score of codes "
    "that know nothing of the factors; \N{BLACK DOWN-POINTING TRIANGLE} marks a score "
    "below it.</p>"
)
_FACTOR_NOTE = (
    '<p class="note">These scores are means over factors. FVM and z-diff weigh a '
    "factor by the number of its votes, DCI completeness by its importance.</p>"
)
BELOW = "\N{BLACK DOWN-POINTING TRIANGLE}"
_PROTOCOLS = {
    "official": "Counts and choices of the paper's published code, with sampled codes: "
    "for comparison with the paper's tables.",
    "dlib": "Counts and choices of disentanglement_lib (Locatello et al. 2019), with "
    "posterior means: for comparison with the field's other numbers.",
    "fast": "The choices of dlib, but for explicitness, with far fewer images, votes "
    "and trees: for a quick look, not for reporting.",
}
_CFASL = (
    "Hee-Jun Jung, Jaehyoung Jeong, Kangil Kim: CFASL: Composite Factor-Aligned "
    "Symmetry Learning for Disentanglement in Variational AutoEncoder. TMLR 2024, "
    "arXiv:2401.08897"
)


def rendered(results: Mapping[str, Any]) -> str:
    """The badge of a page about rendered data; empty for files."""
    return RENDERED if is_rendered(results) else ""


def summary(results: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """The facts at the top of the page, before the first number."""
    *training, scored = stages(results.get("provenance"))
    durations = results.get("durations") or {}
    seeds = ", ".join(str(seed) for seed in results.get("seeds") or ())
    return facts(
        {
            "Data source": scored.get("data_source"),
            "Step": _grouped(results.get("step")),
            "Seeds": seeds or None,
            **configuration.hyperparameters(config),
            "Fidelity": configuration.fidelity(config.get("fidelity")),
            "Protocol of the scores": results.get("protocol"),
            "Trained until": results.get("trained_until"),
            **{f"Time, {name}": duration(value) for name, value in durations.items()},
            "Device": _in_turn(training, "device"),
            "Git revision": _in_turn(training, "revision"),
            **{
                f"{name} of the scores": scored.get(key)
                for name, key in (("Device", "device"), ("Git revision", "revision"))
                if scored.get(key) != training[-1].get(key)
            },
        }
    )


def _in_turn(parts: Sequence[Mapping[str, Any]], key: str) -> str | None:
    """What the parts of a training say, one after another; None if none knows it."""
    values = dict.fromkeys(str(part[key]) for part in parts if part.get(key))
    return ", then ".join(values) or None


def scores(results: Mapping[str, Any]) -> str:
    """The tables of scores, times 100, and what they mean; empty without any."""
    known = results.get("scores") or {}
    items = "".join(
        f"<li>{text(_sentence(why))}</li>" for why in results.get("left_out") or ()
    )
    missing = f'<ul class="note">{items}</ul>' if items else ""
    if not known:
        return missing
    entries = {name: known[name] for name in names.ordered_scores(known)}
    protocol = results.get("protocol")
    caption = "Scores times 100" + (f", protocol {protocol}" if protocol else "")
    variants = {name: e for name, e in entries.items() if names.is_variant(name)}
    main = {name: e for name, e in entries.items() if name not in variants}
    parts = [_score_table(caption, main or variants) + _SCORE_NOTE]
    parts.append(_dimensions(results))
    if main and variants:
        title = "Further readings of these scores"
        parts.append(details(title, _score_table(f"{title}, times 100", variants)))
    parts.append(_by_factor(main, results))
    each = {n: e["values"] for n, e in main.items() if e.get("values")}
    if max((len(values) for values in each.values()), default=1) > 1:
        parts.append(details("Scores run by run", _run_by_run(each, results)))
    parts.append(definitions(entries))
    parts.append(_protocol(results))
    return "".join([*parts, missing])


def _dimensions(results: Mapping[str, Any]) -> str:
    """A note on the active dimensions, on which FVM and m-FVM depend, run by run."""
    names_of_runs = run_names(results.get("seeds") or ())
    of_runs = zip(names_of_runs, results.get("runs") or (), strict=False)
    # A run that could not be scored has no scores, and no count of its own.
    runs = [(name, r) for name, r in of_runs if "active_dims" in r and r["scores"]]
    if not runs:
        return ""
    counts = [
        f"{run['active_dims']} of {run['dims']}"
        + (f" ({name})" if len(runs) > 1 else "")
        for name, run in runs
    ]
    warnings = dict.fromkeys(w for _, run in runs for w in run.get("warnings") or ())
    said = "".join(
        f" <strong>{text(_sentence(_with_labels(w)))}</strong>" for w in warnings
    )
    return (
        '<p class="note">Active dimensions, by the spread of their codes: '
        f"{text(', '.join(counts))}.{said}</p>"
    )


def _with_labels(sentence: str) -> str:
    """A sentence in which scores go by their names in the tables."""
    words = sentence.split(" ")
    return " ".join(SCORES[w].label if w in SCORES else w for w in words)


def _sentence(why: str) -> str:
    """A sentence on what is missing; metrics go by their names in the tables."""
    first, space, rest = why.partition(" ")
    metric = METRICS.get(first)
    shown = names.metric(first) if metric else first[:1].upper() + first[1:]
    return f"{shown}{space}{rest.removesuffix('.')}."


def definitions(entries: Iterable[str]) -> str:
    """What each score measures, and where it was published, folded."""
    known = [SCORES[name] for name in entries if name in SCORES]
    items = "".join(
        f"<dt>{text(score.label)}</dt><dd>{text(_defined(score))}</dd>"
        for score in known
    )
    listed = f'<dl class="definitions">{items}</dl>'
    return details("What the scores measure", listed)


def _defined(score: Score) -> str:
    """What a score measures as a sentence, and where its metric was published."""
    words = score.definition
    if score.variant_of:  # begins with the name of the score whose variant it is
        return f"{words}."
    better = " Lower is better." if score.lower_is_better else ""
    return f"{words[:1].upper()}{words[1:]}.{better} {score.reference}."


def _protocol(results: Mapping[str, Any]) -> str:
    """An explanation of the scores' protocol with all its counts, folded."""
    runs = results.get("runs") or [{}]
    fields = runs[0].get("protocol_fields") or {}
    return protocol(str(results.get("protocol") or ""), fields)


def protocol(name: str, fields: Mapping[str, Any]) -> str:
    """An explanation of a protocol and, where they are known, its counts, folded."""
    if not name:
        return ""
    words = _PROTOCOLS.get(name.removesuffix(" (modified)"), "")
    counts = table(f"Protocol {name}", ("field", "value"), fields.items())
    return details(
        f"What the protocol {name} means",
        f"<p>{text(words)} Scores under different protocols may not be compared.</p>"
        + (counts if fields else ""),
    )


def _score_table(caption: str, entries: Mapping[str, Mapping[str, Any]]) -> str:
    """A table of scores; one run has neither a mean nor a spread.

    Chance is the column next to the score, which means little without it: on a narrow
    screen, the columns further to the right are not visible at first.
    """
    several = any((entry.get("runs") or 0) > 1 for entry in entries.values())
    mean = "mean" if several else "score"
    spread = ("sd", "runs") if several else ()
    head = ("metric", mean, "chance", "95% interval", *spread)
    rows = [_score_row(name, entry, several) for name, entry in entries.items()]
    return table(caption, head, rows, numbers=True)


def _by_factor(
    entries: Mapping[str, Mapping[str, Any]], results: Mapping[str, Any]
) -> str:
    """A table of the scores that are means over factors; empty without any."""
    rows = [
        (names.score(name), *map(percent, entry["by_factor"]))
        for name, entry in entries.items()
        if entry.get("by_factor")
    ]
    if not rows:
        return ""
    several = max((entry.get("runs") or 0) for entry in entries.values()) > 1
    caption = "Scores times 100, by factor" + (", means over runs" if several else "")
    head = ("metric", *map(names.spaced, results["factors"]))
    return table(caption, head, rows, numbers=True) + _FACTOR_NOTE


def _run_by_run(each: Mapping[str, Sequence[float]], results: Mapping[str, Any]) -> str:
    """A table of every run's scores, one row for each run."""
    rows = [
        (run, *(percent(value) for value in row))
        for run, row in zip(
            run_names(results["seeds"]), zip_longest(*each.values()), strict=False
        )
    ]
    head = ("run", *map(names.score, each))
    return table("Scores times 100, run by run", head, rows, numbers=True)


def measures(results: Mapping[str, Any]) -> str:
    """The table of each run's measures on random images; empty without."""
    runs = results.get("model") or []
    if not runs:
        return ""
    shown = [name for name, value in runs[0].items() if isinstance(value, int | float)]
    rows = [
        (run, *(_four_digits(measured.get(name)) for name in shown))
        for run, measured in zip(run_names(results["seeds"]), runs, strict=False)
    ]
    head = ("run", *map(names.term, shown))
    caption = f"Measured on random images; active are those with KL > {ACTIVE_KL} nats"
    return table(caption, head, rows, numbers=True)


def _four_digits(value: Any) -> str:
    """A number with four digits, a dash for anything else."""
    return f"{value:.4g}" if is_number(value) else _MISSING


def percent(value: float | None) -> str:
    """A number between 0 and 1 times 100, a dash for None."""
    if value is None or not math.isfinite(value):
        return _MISSING
    return f"{value * 100:.2f}".replace("-", "\N{MINUS SIGN}")


def floor(entry: Mapping[str, Any] | None) -> str:
    """A score's chance floor times 100, a dash where it is not known."""
    return percent((entry or {}).get("chance"))


def mean_and_spread(entry: Mapping[str, Any] | None) -> str:
    """A score times 100 and its spread.

    That is the standard deviation over runs in brackets, "25.00 (5.00)", or the
    interval of a single run, "25.00 [20.00, 30.00]".
    """
    if entry is None or entry.get("mean") is None:
        return _MISSING
    spread = ""
    if entry.get("std") is not None:
        spread = f" ({percent(entry['std'])})"
    elif entry.get("interval"):
        spread = f" [{', '.join(map(percent, entry['interval']))}]"
    return _marked(entry) + spread


def _marked(entry: Mapping[str, Any]) -> str:
    """A score times 100, with a mark before it where it is below chance."""
    mean, chance = entry.get("mean"), entry.get("chance")
    below = mean is not None and chance is not None and mean < chance
    return f"{BELOW} {percent(mean)}" if below else percent(mean)


def _score_row(name: str, entry: Mapping[str, Any], several: bool) -> tuple[str, ...]:
    """A metric's row; a number that was not measured is a dash."""
    low, high = entry.get("interval") or (None, None)
    known = entry.get("mean") is not None and low is not None
    reach = f"{percent(low)} to {percent(high)}" if known else _MISSING
    runs = str(entry.get("runs") or _MISSING)
    spread = (percent(entry.get("std")), runs) if several else ()
    return names.score(name), _marked(entry), floor(entry), reach, *spread


def losses(results: Mapping[str, Any]) -> str:
    """The table of the last losses; empty without any."""
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


def provenance(results: Mapping[str, Any]) -> str:
    """The package versions, folded; empty where they are not known."""
    versions = (results.get("provenance") or {}).get("packages") or {}
    if not versions:
        return ""
    packages = table("Package versions", ("package", "version"), versions.items())
    return details("Package versions", packages)


def citations(results: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """What to cite: the method, its base objective, and the metrics that are shown."""
    entry = OBJECTIVES.get(str(config.get("objective")))
    cited = [_CFASL] if config.get("cfasl") else []
    if entry:
        cited.append(f"{entry.label}: {entry.reference}")
    shown = [SCORES[name] for name in results.get("scores") or {} if name in SCORES]
    for metric in dict.fromkeys(score.metric for score in shown):
        cited.append(f"{names.metric(metric)}: {METRICS[metric].reference}")
    items = "".join(f"<li>{text(reference)}.</li>" for reference in cited)
    return f'<ul class="note">{items}</ul>' if items else ""


def duration(seconds: Any) -> str:
    """A number of seconds in the units that suit it."""
    if not is_number(seconds) or not math.isfinite(seconds):
        return str(seconds)
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _grouped(step: Any) -> str | None:
    """A step count with its thousands apart, None as it is."""
    return f"{step:,}" if isinstance(step, int) else step
