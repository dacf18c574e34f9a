"""A study's tables, from study.json."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cfasl_jax.report import names
from cfasl_jax.study import rendering
from cfasl_jax.study.rendering import Cell, Table
from cfasl_jax.study.statistics import summarise
from cfasl_jax.types import ACTIVE_KL

_MISSING = "\N{EN DASH}"

# The scores of the paper's tables, in their order; those of m-FVM come after them.
_PAPER = ("fvm", "z_diff", "mig", "sap", "disentanglement")
# Measures of every model, which need no factors, with their names in tables.
MEASURES = {
    "reconstruction": "reconstruction",
    "pixel_error": "pixel error",
    "kl": "KL",
    "active_dimensions": "active dimensions",
    "udr": "UDR",
}
_NOTE = (
    "Mean (standard deviation) over seeds, times 100. Bold: the arm beats every other "
    "one by a paired difference whose 95% interval excludes 0. Chance: the lowest and "
    "the highest floor of the arms."
)


def write(results: Mapping[str, Any], folder: Path) -> None:
    """Write every table as .md, .tex and .csv, and all runs as runs.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in all_tables(results):
        rendering.write(table, folder, origin(results))
    first = ("arm", "setting", "phase", "seed", "protocol", "score")
    head = (*first, "value", "chance", "data")
    rendering.write_csv(folder / "runs.csv", head, _runs(results))


def all_tables(results: Mapping[str, Any]) -> list[Table]:
    """Every table that the results allow."""
    protocols = results["protocols"]
    listed = [scores(results, name, main=True) for name in protocols]
    listed += [scores(results, name, main=False) for name in protocols]
    listed += [by_factor(results, name) for name in protocols]
    listed += [measures(results), differences(results), published(results)]
    return [table for table in [*listed, settings(results)] if table is not None]


def scores(results: Mapping[str, Any], protocol: str, main: bool) -> Table | None:
    """The paper's layout: a row for each arm, a column for each score, mean (sd).

    Args:
        results: study.json.
        protocol: one of its protocols.
        main: the paper's scores and the primary ones, or all others.
    """
    found = results["scores"].get(protocol, {})
    first = main_scores(results, protocol)
    shown = first if main else [n for n in ordered(found) if n not in first]
    if not shown:
        return None
    best = results["clear_best"][protocol]
    rows = []
    for arm in results["arms"]:
        of_arm = {score: found[score].get(arm) for score in shown}
        counts = {entry["n"] for entry in of_arm.values() if entry}
        cells = [_mean(of_arm[name], bold=best.get(name) == arm) for name in shown]
        rows.append([Cell(arm), Cell(_span(counts)), *cells])
    floors = [_floors(found[name]) for name in shown]
    rows.append([Cell("chance"), Cell(""), *map(Cell, floors)])
    name = f"scores_{protocol}" if main else f"other_scores_{protocol}"
    caption = f"{_NOTE} Protocol {protocol}; {origin(results)}.{_budget(results)}"
    caption += _certain(results, protocol, shown)
    return Table(name, caption, ["", "n", *map(short, shown)], rows)


def _certain(results: Mapping[str, Any], protocol: str, shown: Iterable[str]) -> str:
    """A sentence on the runs whose number of dimensions alone makes an m-FVM 100."""
    found = []
    for name in shown:
        for arm, content in results["arms"].items():
            seeds = [
                entry["seed"]
                for entry in content["reporting"]
                if f"m_fvm_{entry.get('active_dims', {}).get(protocol)}" == name
            ]
            if seeds:
                word = "seed" if len(seeds) == 1 else "seeds"
                found.append(f"{short(name)} of {arm} ({word} {_listed(seeds)})")
    if not found:
        return ""
    return (
        " With just k active dimensions, by the spread of their codes, m-FVMk is 100 "
        f"whatever they hold: {'; '.join(found)}."
    )


def by_factor(results: Mapping[str, Any], protocol: str) -> Table | None:
    """The paper's and primary scores that are means over factors, factor by factor."""
    rows, factors = [], []
    for score in main_scores(results, protocol):
        for name, arm in results["arms"].items():
            runs = [e for e in arm["reporting"] if _of_factors(e, protocol, score)]
            if not runs:
                continue
            factors = runs[0]["factors"]
            found = zip(*(_of_factors(e, protocol, score) for e in runs), strict=True)
            first = [Cell(name), Cell(short(score)), Cell(str(len(runs)))]
            rows.append(first + [_mean(summarise(each)._asdict()) for each in found])
    if not rows:
        return None
    caption = (
        "Scores that are means over factors, by factor: mean (standard deviation) over "
        f"seeds, times 100. Protocol {protocol}; {origin(results)}.{_budget(results)}"
    )
    head = ["", "score", "n", *map(names.spaced, factors)]
    return Table(f"by_factor_{protocol}", caption, head, rows)


def _of_factors(
    entry: Mapping[str, Any], protocol: str, score: str
) -> list[float | None]:
    """A run's values of a score by factor; empty if it has none."""
    of_run = entry.get("scores", {}).get(protocol, {}).get(score, {})
    return of_run.get("by_factor") or []


def measures(results: Mapping[str, Any]) -> Table | None:
    """Reconstruction loss, KL and active dimensions of each arm."""
    shown = [name for name in MEASURES if name in results["measures"]]
    if not shown:
        return None
    rows = []
    for arm in results["arms"]:
        of_arm = [results["measures"][name].get(arm) for name in shown]
        counts = {entry["n"] for entry in of_arm if entry}
        cells = [_mean(entry, scale=1) for entry in of_arm]
        rows.append([Cell(arm), Cell(_span(counts)), *cells])
    caption = (
        "Mean (standard deviation) over seeds, of a model on random images; "
        f"{origin(results)}.{_budget(results)} A dimension is active if its KL exceeds "
        f"{ACTIVE_KL} nats."
    )
    if "pixel_error" in shown:
        caption += " Pixel error: the root of the mean squared error, from 0 to 255."
    if "udr" in shown:
        caption += (
            " UDR, from 0 to 1, is how well the dimensions of a run agree with those "
            "of the other seeds, so that it needs no factors."
        )
    head = ["", "n", *(MEASURES[name] for name in shown)]
    return Table("measures", caption, head, rows)


def differences(results: Mapping[str, Any]) -> Table | None:
    """Every comparison: mean difference, interval, p and Holm's p."""
    rows = []
    listed = sorted(results["differences"], key=lambda entry: not entry["primary"])
    for entry in listed:
        if names.is_variant(entry["score"]) or entry["mean"] is None:
            continue
        ends = _MISSING
        if entry["interval"]:
            ends = " to ".join(_signed(end) for end in entry["interval"])
        rows.append(
            [
                Cell(f"{entry['first']} \N{MINUS SIGN} {entry['second']}"),
                Cell(short(entry["score"]) + (" *" if entry["primary"] else "")),
                Cell(entry["protocol"]),
                Cell(_signed(entry["mean"])),
                Cell(ends),
                Cell(_p(entry["p"])),
                Cell(_p(entry["p_holm"])),
                Cell(str(entry["n"])),
            ]
        )
    if not rows:
        return None
    caption = (
        "Differences of two arms, paired by seed, times 100: mean, its 95% interval "
        "(Student's t), p of the sign-flip permutation test, and p by Holm's "
        "correction over the primary scores (*) of each comparison. n pairs give no p "
        f"below 2 / 2^n; {origin(results)}.{_budget(results)}"
    )
    head = ["", "score", "protocol", "difference", "95% interval", "p", "Holm", "n"]
    return Table("differences", caption, head, rows)


def published(results: Mapping[str, Any]) -> Table | None:
    """This study's scores beside published ones."""
    elsewhere = results["published"]
    if elsewhere is None:
        return None
    protocol = "official" if "official" in results["protocols"] else None
    protocol = protocol or results["protocols"][0]
    found = results["scores"].get(protocol, {})
    rows = []
    for arm, figures in elsewhere["scores"].items():
        for name in ordered(figures):
            mean, sd = figures[name]
            here = _mean(found.get(name, {}).get(arm))
            there = Cell(f"{100 * mean:.2f} ({100 * sd:.2f})")
            rows.append([Cell(arm), Cell(short(name)), here, there])
    caption = (
        f"This study (protocol {protocol}, {origin(results)}) and "
        f"{elsewhere['source']} ({elsewhere['data']}): mean (standard deviation) over "
        f"seeds, times 100.{_budget(results)}"
    )
    if is_rendered(results):
        caption += (
            " The data differ: this study's images were drawn by this project's "
            "renderer, so that no figure of one column may be held against the other."
        )
    head = ["", "score", f"here, {origin(results)}", f"published, {elsewhere['data']}"]
    return Table("published", caption, head, rows)


def settings(results: Mapping[str, Any]) -> Table:
    """The settings that were tuned and chosen."""
    rows = [
        [
            Cell(name),
            Cell(str(len(arm["settings"]))),
            Cell(_listed(arm["tuning_seeds"])),
            Cell(arm["chosen"] or _MISSING),
            Cell(_listed(entry["seed"] for entry in arm["reporting"])),
            Cell(_span({e["step"] for e in arm["reporting"] if "step" in e})),
        ]
        for name, arm in results["arms"].items()
    ]
    head = ["", "settings", "tuning seeds", "chosen", "reporting seeds", "steps"]
    caption = "No arm was tuned."
    if any(arm["tuning_seeds"] for arm in results["arms"].values()):
        chosen_by = ", ".join(map(short, results["select"]))
        caption = (
            "Settings are chosen on tuning seeds alone, by the mean rank in "
            f"{chosen_by}."
        )
    caption += _budget(results)
    return Table("settings", caption, head, rows)


def main_scores(results: Mapping[str, Any], protocol: str) -> list[str]:
    """The paper's scores and the primary ones that have values."""
    found = results["scores"].get(protocol, {})
    wanted = [*_PAPER, *(name for name in ordered(found) if name.startswith("m_fvm"))]
    wanted += results["primary"]
    return [n for n in dict.fromkeys(wanted) if n in found and not names.is_variant(n)]


def ordered(found: Iterable[str]) -> list[str]:
    """Scores in reading order, without variants."""
    return [name for name in names.ordered_scores(found) if not names.is_variant(name)]


def short(name: str) -> str:
    """The name of a score in tables; "DCI" alone means disentanglement."""
    return "DCI" if name == "disentanglement" else names.score(name)


def origin(results: Mapping[str, Any]) -> str:
    """The data in a few words: "rendered dsprites"."""
    return f"{', '.join(results['data_source'])} {results['dataset']}".strip()


def is_rendered(results: Mapping[str, Any]) -> bool:
    """Whether the images were drawn by the project instead of read from files."""
    return any("rendered" in source for source in results["data_source"])


def _mean(
    entry: Mapping[str, Any] | None, bold: bool = False, scale: float = 100
) -> Cell:
    """Mean (sd); a dash without values."""
    if entry is None or entry["mean"] is None:
        return Cell(_MISSING)
    spread = "" if entry["sd"] is None else f" ({scale * entry['sd']:.2f})"
    return Cell(f"{scale * entry['mean']:.2f}{spread}", bold)


def _floors(by_arm: Mapping[str, Any]) -> str:
    """The arms' chance floors: one number, or the lowest and the highest."""
    floors = [e["chance"] for e in by_arm.values() if e["chance"] is not None]
    ends = [f"{100 * end(floors):.2f}" for end in (min, max)] if floors else [_MISSING]
    return "\N{EN DASH}".join(dict.fromkeys(ends))


def _signed(value: float) -> str:
    return f"{100 * value:+.2f}".replace("-", "\N{MINUS SIGN}")


def _p(value: float | None) -> str:
    if value is None or value >= 0.0005:
        return "" if value is None else f"{value:.3f}".removeprefix("0")
    return "< .001"


def _span(numbers: Iterable[int]) -> str:
    """One number, or the smallest and the largest."""
    ends = sorted(numbers)
    if not ends:
        return _MISSING
    one = ends[0] == ends[-1]
    return f"{ends[0]:,}" if one else f"{ends[0]:,}\N{EN DASH}{ends[-1]:,}"


def _listed(seeds: Iterable[int]) -> str:
    """Seeds as text; successive seeds are given as a range."""
    found = sorted(seeds)
    if len(found) > 2 and found == list(range(found[0], found[-1] + 1)):
        return f"{found[0]}\N{EN DASH}{found[-1]}"
    return ", ".join(map(str, found)) or _MISSING


def _budget(results: Mapping[str, Any]) -> str:
    return f" Unequal budgets: {results['budget']}" if results["budget"] else ""


def _runs(results: Mapping[str, Any]) -> list[list[Any]]:
    """All scores of all runs, one row for each score."""
    rows = []
    for name, arm in results["arms"].items():
        groups = [(s, "tuning", f["runs"]) for s, f in arm["settings"].items()]
        groups.append((arm["chosen"], "reporting", arm["reporting"]))
        for setting, phase, entries in groups:
            for entry in entries:
                for protocol, by_score in entry.get("scores", {}).items():
                    for score, found in by_score.items():
                        head = [name, setting, phase, entry["seed"], protocol, score]
                        values = found["value"], found["chance"], origin(results)
                        rows.append([*head, *values])
    return rows
