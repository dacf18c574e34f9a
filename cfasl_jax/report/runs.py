"""Several seeds of one training: their ranks, and the page's controls to choose one."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cfasl_jax.metrics import better
from cfasl_jax.report import names
from cfasl_jax.report.analysis import Run
from cfasl_jax.report.html import text

_PREFERRED = ("mig", "disentanglement", "fvm", "sap")


class Ranks(NamedTuple):
    """Positions of three runs among the seeds, by one score.

    Of two runs, the worse one is also the median.
    """

    best: int
    median: int
    worst: int


def ranking(results: Mapping[str, Any]) -> dict[str, Ranks]:
    """The best, the median and the worst run by each score, MIG's first.

    Runs without a score are left out of its ranks; of an even number of runs the
    median is the worse of the two in the middle.
    """
    scores = results.get("scores") or {}
    listed = [name for name in _PREFERRED if name in scores]
    listed += [name for name in scores if name not in listed]
    ranks = {}
    for name in listed:
        values = scores[name].get("values") or ()
        known = [run for run, value in enumerate(values) if value is not None]
        if known:
            order = sorted(known, key=values.__getitem__, reverse=better(name) > 0)
            ranks[name] = Ranks(order[0], order[len(order) // 2], order[-1])
    return ranks


def chooser(shown: Sequence[Run], results: Mapping[str, Any]) -> str:
    """The controls that pick a run: by its seed, or by its rank in a score."""
    places = {run.run for run in shown}
    ranks = {n: r for n, r in ranking(results).items() if places.issuperset(r)}
    options = "".join(
        f'<option value="{run.run}">{text(run.label)}</option>' for run in shown
    )
    parts = [f'<label>Run <select id="run">{options}</select></label>']
    if ranks:
        scores = "".join(
            f'<option value="{text(name)}">{text(names.score(name))}</option>'
            for name in ranks
        )
        buttons = "".join(
            f'<button type="button" data-rank="{rank}">{rank}</button>'
            for rank in Ranks._fields
        )
        parts = [
            f'<label>Score <select id="score">{scores}</select></label>',
            f'<span role="group" aria-label="Run by rank">{buttons}</span>',
            *parts,
        ]
    data = {
        name: {
            "name": names.score(name),
            "values": results["scores"][name]["values"],
            **ranked._asdict(),
        }
        for name, ranked in ranks.items()
    }
    # No "<" in it, or a name from outside could end the script.
    payload = json.dumps(data).replace("<", "\\u003c")
    return (
        f'<div class="chooser">{"".join(parts)}</div>\n'
        f'<p id="chosen" class="note" aria-live="polite"></p>\n'
        f'<script type="application/json" id="run-data">{payload}</script>'
    )
