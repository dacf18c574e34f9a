"""Results as text for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any


def format_scores(results: Mapping[str, Any]) -> str:
    """A readable table of the results of `suite.score`, one line a score.

    Scores that are means over factors are also listed factor by factor, under the names
    in "factors" or, without them, by number.
    """
    width = max(len("score"), *map(len, results["scores"]))
    span = f"{results['protocol_fields']['confidence']:.0%} interval"
    lines = [f"{'score':{width}}  {'value':>7}  {span:>17}  {'chance':>7}"]
    for name, entry in results["scores"].items():
        between = format_interval(entry["interval"])
        lines.append(
            f"{name:{width}}  {entry['value']:z7.4f}  {between:>17}  "
            f"{_number(entry['chance']):>7}"
        )
    lines += _by_factor(results, width)
    for name, reason in results["unavailable"].items():
        lines.append(f"{name}: not computed, {reason}")
    lines += [f"note: {note}" for note in results["warnings"]]
    lines.append(
        f"protocol {results['protocol']}, codes {results['codes']}, "
        f"seed {results['seed']}, {results['active_dims']} of {results['dims']} "
        f"dimensions active, {results['seconds']:.1f} s"
    )
    return "\n".join(lines)


def _by_factor(results: Mapping[str, Any], width: int) -> list[str]:
    """Lines with each factor's values; none if no score is a mean over factors."""
    scores = results["scores"].items()
    rows = [(name, e["by_factor"]) for name, e in scores if "by_factor" in e]
    if not rows:
        return []
    factors = results.get("factors") or [f"factor {k}" for k in range(len(rows[0][1]))]
    widths = [max(len(name), 7) for name in factors]
    lines = [("by factor", factors)]
    lines += [(name, map(_number, values)) for name, values in rows]
    return [
        "  ".join([f"{name:{width}}", *map(str.rjust, cells, widths)])
        for name, cells in lines
    ]


def format_interval(ends: Sequence[float] | None) -> str:
    """Both ends of an interval, or a dash where there is none."""
    return f"{ends[0]:z.4f} to {ends[1]:z.4f}" if ends else "-"


def format_summary(summary: Mapping[str, Mapping[str, Any]]) -> str:
    """A readable table of `aggregate`, one line a score."""
    width = max(len("score"), *map(len, summary))
    lines = [
        f"{'score':{width}}  {'mean':>7}  {'std':>7}  {'95% interval':>17}  "
        f"{'runs':>4}  {'chance':>7}"
    ]
    for name, entry in summary.items():
        lines.append(
            f"{name:{width}}  {entry['mean']:z7.4f}  {_number(entry['std']):>7}  "
            f"{format_interval(entry['interval']):>17}  "
            f"{entry['runs']:4}  {_number(entry['chance']):>7}"
        )
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:z.4f}"
