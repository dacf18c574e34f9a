"""From a checkpoint and results.json to figures/ and report.html."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cfasl_jax import config as config_lib
from cfasl_jax import metrics
from cfasl_jax.data.dataset import Dataset, Labels
from cfasl_jax.losses import elbo
from cfasl_jax.report import arrays, comparison, page, runs
from cfasl_jax.run import export, probes
from cfasl_jax.run.codes import Codes
from cfasl_jax.run.evaluate import ACTIVE_KL, RESULTS_FILE, evaluate, sample_indices
from cfasl_jax.run.model import Model, models
from cfasl_jax.settings import Config
from cfasl_jax.training import record

# Of the pictures alone; scores have seeds of their own.
_SEED = 1
_CODES = 2_048
_EXAMPLES = 8
# The explorer's examples: each costs its pixels in the page.
_EXPLORED = 12
_MOST_RUNS = 12

# Why a figure may be left out; `report.kinds` says which figures need what.
_NO_CODEBOOK = "A baseline has no symmetry codebook."
_NO_FACTORS = "The data set has no ground-truth factors."
_NO_GRID = (
    "The data set's factors are no full grid, so that one of them cannot be changed "
    "while the others stay."
)


def analyze(config: Config, dataset: Dataset, workdir: Path) -> Path:
    """Draw every figure of a run and write its page; return the page's path.

    With several seeds the page lets the reader choose a run, or the best, the median
    or the worst by a score. Evaluates first where results.json is missing or older than
    the checkpoint.

    Raises:
        ConfigError: where the working directory holds no checkpoint.
    """
    trained = models(config, dataset.spec, workdir)
    results = _results(config, dataset, workdir, trained[0].step)
    analyses = [
        analysis(trained[run], dataset, results, run) for run in drawn_runs(results)
    ]
    # The page explores one run; its decoder is half of the page's size.
    first = trained[analyses[0].run]
    examples = sample_indices(dataset, _CODES, _SEED)[:_EXPLORED]
    analyses[0] = dataclasses.replace(
        analyses[0], explorer=export.explorer(first, probes.lookup(dataset, examples))
    )
    curves = arrays.LossCurves(*record.read(workdir))
    fields = config_lib.to_dict(config)
    return page.write_report(analyses, curves, results, fields, workdir)


def compare(folders: Sequence[Path], workdir: Path) -> Path:
    """Write one page about several working directories; return its path.

    Args:
        folders: of runs that were analyzed.
        workdir: where the page and its figures go.

    Raises:
        ConfigError: where a folder holds no report, naming the command to run first.
    """
    trainings = [
        comparison.read_training(folder, name, arrays.LossCurves(*record.read(folder)))
        for folder, name in zip(folders, comparison.short_names(folders), strict=True)
    ]
    return comparison.write_comparison(trainings, workdir)


def drawn_runs(results: Mapping[str, Any]) -> list[int]:
    """The runs that the page shows, the best first by the first score that it ranks.

    All of them; of more than a dozen, those that are best, median or worst by a score,
    as far as there is room.
    """
    ranked = [run for ranks in runs.ranking(results).values() for run in ranks]
    every = range(len(results["seeds"]))
    return list(dict.fromkeys([*ranked, *every]))[:_MOST_RUNS]


def analysis(
    model: Model, dataset: Dataset, results: Mapping[str, Any], run: int
) -> arrays.Analysis:
    """All that the report draws of one run."""
    codes = Codes(model, dataset)
    indices = sample_indices(dataset, _CODES, _SEED)
    mu, logvar = (np.asarray(part) for part in codes.posterior(indices))
    kl = np.asarray(elbo.kl_per_dimension(mu, logvar)).mean(axis=0)
    active = kl > ACTIVE_KL
    examples = indices[: 2 * _EXAMPLES]
    examples = examples[: len(examples) // 2 * 2]
    x1, x2 = np.split(probes.lookup(dataset, examples), 2)
    parts: dict[str, Any] = {
        "reconstructions": probes.reconstructions(model, dataset, examples),
        "traversals": probes.traversals(model, mu[0], kl, active),
        "walk": probes.walk(model, x1, x2, kl, active),
        "covariance": np.cov(mu.T),
        "run": run,
        "label": f"seed {model.seed}",
        "lacking": _lacking(model, dataset),
    }
    known = labels(dataset, indices)
    if known is not None:
        parts |= _factor_parts(known, mu, results, run)
    if model.has_codebook:
        parts |= _symmetry_parts(model, dataset, codes, x1, x2)
    return arrays.Analysis(**parts)


def labels(dataset: Dataset, indices: np.ndarray) -> Labels | None:
    """The factors of some images that vary in the data set; None without any."""
    if dataset.grid is not None:
        names, sizes = dataset.grid.names, dataset.grid.sizes
        factors = np.asarray(dataset.grid.factors(indices))
        varying = [k for k, size in enumerate(sizes) if size > 1]
    elif dataset.labels is not None:
        names, sizes = dataset.labels.names, dataset.labels.sizes
        factors = dataset.labels.factors[indices]
        spread = np.ptp(dataset.labels.factors, axis=0)
        varying = np.flatnonzero(spread).tolist()
    else:
        return None
    if not varying:
        return None
    return Labels(
        tuple(names[k] for k in varying),
        tuple(sizes[k] for k in varying),
        factors[:, varying],
    )


def _lacking(model: Model, dataset: Dataset) -> dict[str, str]:
    """What a run or its data set has not, and a sentence for the reader about it."""
    lacking: dict[str, str] = {}
    if not model.has_codebook:
        lacking["codebook"] = _NO_CODEBOOK
    if dataset.grid is None:
        lacking["grid"] = _NO_GRID if dataset.labels else _NO_FACTORS
    if dataset.grid is None and dataset.labels is None:
        lacking["factors"] = _NO_FACTORS
    return lacking


def _factor_parts(
    known: Labels, mu: np.ndarray, results: Mapping[str, Any], run: int
) -> dict[str, Any]:
    protocol = metrics.get_protocol(results.get("protocol", "fast"))
    shown, information = probes.codes_by_factor(mu, known, protocol.mig_bins)
    scored = results["runs"][run]["metrics"] if "runs" in results else {}
    importance = scored.get("dci", {}).get("importance")
    maps = arrays.FactorMaps(
        factor_names=known.names,
        mutual_information=information,
        importance=None if importance is None else np.asarray(importance),
    )
    return {"codes": shown, "factor_maps": maps}


def _symmetry_parts(
    model: Model, dataset: Dataset, codes: Codes, x1: np.ndarray, x2: np.ndarray
) -> dict[str, Any]:
    parts: dict[str, Any] = {
        "composition": probes.composition(model, x1, x2),
        "section_steps": probes.section_steps(model, x1, x2),
        "codebook": probes.codebook_pictures(model, dataset, codes),
        "section_action": probes.section_action(
            model, np.asarray(model.encode(x1).mu[0])
        ),
    }
    if dataset.grid is not None:
        start = dataset.grid.sample(np.random.default_rng(_SEED), 1)[0]
        parts |= {
            "factor_steps": probes.factor_steps(model, dataset, dataset.grid, start),
            "equivariance": probes.equivariance(model, dataset, dataset.grid),
        }
    return parts


def _results(
    config: Config, dataset: Dataset, workdir: Path, step: int
) -> dict[str, Any]:
    """results.json, made first where there is none of the checkpoint at this step."""
    path = workdir / RESULTS_FILE
    if path.exists():
        results = json.loads(path.read_text(encoding="utf-8"))
        if results["step"] == step:
            return results
    return evaluate(config, dataset, workdir)
