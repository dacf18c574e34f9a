"""Runs of a study as they would have ended, with chosen scores and nothing trained."""

import json

from cfasl_jax.study import plan


def finish(root, study, score_of):
    """Writes what finished runs leave, until no run of the study is left.

    Args:
        root: the study's directory.
        study: its definition.
        score_of: run -> {score: value}, or a sentence for a run that failed.
    """
    entries = {}
    while todo := plan.pending(study, root, entries):
        for run in todo:
            write(root, run, score_of(run))


def write(root, run, scores):
    """Writes what one finished run leaves."""
    folder = root / run.folder
    if isinstance(scores, str):
        _json(folder / plan.FAILURE_FILE, {"failed": scores})
        return
    for protocol in run.protocols:
        _json(plan.scores_file(folder, protocol), results(run, scores))
    if run.reports:
        (folder / "report.html").write_text("")


def results(run, scores):
    """results.json of a run, as far as a study reads it."""
    metrics = {name: {} for name in run.config.eval.metrics}
    return {
        "step": run.config.num_steps,
        "seeds": [run.seed],
        "left_out": [],
        "provenance": {
            "data_source": "rendered",
            "device": "1 x cpu (cpu)",
            "revision": "0123456789ab",
            "packages": {},
        },
        "model": [
            {
                "reconstruction": 70.0 + run.seed,
                "kl": 12.5,
                "kl_per_dimension": [12.5],
                "active_dimensions": 1,
            }
        ],
        "factors": ["shape", "x_position"],
        "scores": {name: _score(name, value) for name, value in scores.items()},
        "runs": [{"metrics": metrics, "unavailable": {}}],
    }


def _score(name, value):
    """A score; MIG is a mean over factors."""
    entry = {"mean": value, "chance": 0.01}
    if name == "mig":
        entry["by_factor"] = [value / 2, 1.5 * value]
    return entry


def _json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
