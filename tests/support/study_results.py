"""Runs of a study as they would have ended, with chosen scores and nothing trained."""

import json

import numpy as np

from cfasl_jax.run import agreement
from cfasl_jax.study import plan, run_files

CODES = np.random.default_rng(7).normal(size=(300, 3))


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


def noise(seed):
    """Codes that know nothing of the images."""
    return np.random.default_rng(seed).normal(size=CODES.shape)


def agreeing(root, setting):
    """A score_of that stores codes: only the seeds of this setting agree."""

    def score_of(run):
        codes = noise(run.seed)
        inactive = 1e-3 * codes[:, :1]
        if run.setting == setting:
            codes = np.roll(CODES, run.seed, axis=1)
        agreement.store(root / run.folder, np.hstack([codes, inactive])[None])
        return {"mig": 0.5, "modularity": 0.5}

    return score_of


def write(root, run, scores):
    """Writes what one finished run leaves."""
    folder = root / run.folder
    if isinstance(scores, str):
        _json(folder / run_files.FAILURE_FILE, {"failed": scores})
        return
    for protocol in run.protocols:
        _json(run_files.scores_file(folder, protocol), results(run, scores))
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
                "kl_per_dimension": [5.0, 4.0, 3.4, 0.005],
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
