"""From a checkpoint and results.json to figures/ and report.html."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cfasl_jax import config as config_lib
from cfasl_jax import metrics, probes
from cfasl_jax.config import Config
from cfasl_jax.data.dataset import Dataset
from cfasl_jax.data.grid import FactorGrid
from cfasl_jax.encoding import Codes
from cfasl_jax.evaluate import ACTIVE_KL, RESULTS_FILE, evaluate, sample_indices
from cfasl_jax.losses import elbo
from cfasl_jax.model import Model, models
from cfasl_jax.report import arrays, page
from cfasl_jax.training import record

# Of the pictures alone; scores have seeds of their own.
_SEED = 1
_CODES = 2_048
_EXAMPLES = 8
# The explorer's examples: each costs its pixels in the page.
_EXPLORED = 12


def analyze(config: Config, dataset: Dataset, workdir: Path) -> Path:
    """Draw every figure of a run and write its page; return the page's path.

    With several seeds the page lets the reader choose among the best, the median and
    the worst run by MIG. Evaluates first where results.json is missing or older than
    the checkpoint.

    Raises:
        ConfigError: where the working directory holds no checkpoint.
    """
    trained = models(config, dataset, workdir)
    results = _results(config, dataset, workdir, trained[0].step)
    chosen = chosen_runs(results)
    analyses = [
        analysis(trained[run], dataset, workdir, results, run, label)
        for run, label in chosen
    ]
    # The page explores one run; its decoder is half of the page's size.
    first = trained[chosen[0][0]]
    examples = sample_indices(dataset, _CODES, _SEED)[:_EXPLORED]
    analyses[0] = dataclasses.replace(
        analyses[0], explorer=probes.explorer(first, probes.lookup(dataset, examples))
    )
    return page.write_report(analyses, results, config_lib.to_dict(config), workdir)


def chosen_runs(results: Mapping[str, Any]) -> list[tuple[int, str]]:
    """Best, median and worst run by MIG, with labels; all there are if up to three."""
    seeds = results["seeds"]
    values = results.get("scores", {}).get("mig", {}).get("values")
    if len(seeds) == 1:
        return [(0, f"seed {seeds[0]}")]
    if values is None:
        return [(run, f"seed {seed}") for run, seed in enumerate(seeds[:3])]
    order = sorted(range(len(seeds)), key=lambda run: -(values[run] or 0.0))
    ranks = {"best": 0, "median": len(order) // 2, "worst": len(order) - 1}
    if len(seeds) == 2:
        del ranks["median"]
    return [
        (order[rank], f"seed {seeds[order[rank]]}, {name} MIG")
        for name, rank in ranks.items()
    ]


def analysis(
    model: Model,
    dataset: Dataset,
    workdir: Path,
    results: Mapping[str, Any],
    run: int,
    label: str,
) -> arrays.Analysis:
    """All that the report draws of one run."""
    codes = Codes(model, dataset)
    indices = sample_indices(dataset, _CODES, _SEED)
    mu, logvar = (np.asarray(part) for part in codes.posterior(indices))
    kl = np.asarray(elbo.kl_per_dimension(mu, logvar)).mean(axis=0)
    active = kl > ACTIVE_KL
    examples = indices[: 2 * _EXAMPLES]
    x1, x2 = np.split(probes.lookup(dataset, examples), 2)
    steps, terms = record.read(workdir)
    parts: dict[str, Any] = {
        "reconstructions": probes.reconstructions(model, dataset, examples),
        "traversals": probes.traversals(model, mu[0], kl, active),
        "losses": arrays.LossCurves(steps, terms),
        "walk": probes.walk(model, x1, x2, kl, active),
        "covariance": np.cov(mu.T),
        "label": label,
    }
    if dataset.grid is not None:
        parts |= _factor_parts(dataset.grid, indices, mu, results, run)
    if model.has_codebook:
        parts |= _symmetry_parts(model, dataset, codes, x1, x2)
    return arrays.Analysis(**parts)


def _factor_parts(
    grid: FactorGrid,
    indices: np.ndarray,
    mu: np.ndarray,
    results: Mapping[str, Any],
    run: int,
) -> dict[str, Any]:
    factors = np.asarray(grid.factors(indices))
    protocol = metrics.get_protocol(results["protocol"])
    shown, information = probes.codes_by_factor(mu, factors, grid, protocol.mig_bins)
    dci = results["runs"][run]["metrics"].get("dci", {})
    importance = dci.get("importance")
    maps = arrays.FactorMaps(
        factor_names=grid.names,
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
        parts["factor_steps"] = probes.factor_steps(model, dataset, dataset.grid, start)
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
