"""Scores of a run: each image is encoded once, and all metrics use these codes."""

import dataclasses
import math
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cfasl_jax import errors, files, metrics, objectives
from cfasl_jax.data.dataset import Dataset
from cfasl_jax.losses import elbo
from cfasl_jax.objectives import Objective
from cfasl_jax.run import agreement, provenance
from cfasl_jax.run.codes import Codes
from cfasl_jax.run.factors import NoScoresError, factor_source
from cfasl_jax.run.model import Model, models, of_runs
from cfasl_jax.settings import Config, run_names
from cfasl_jax.training import loop, record
from cfasl_jax.training.state import TrainState
from cfasl_jax.types import ACTIVE_KL, Params, Posterior

RESULTS_FILE = "results.json"

# The number of images on which KL and active dimensions are measured.
_SAMPLE = 2_048
# How many of them are reconstructed; each costs about as much as in a training step.
_RECONSTRUCTED = 256

# Scores during training have no intervals, which cost more than the scores.
_QUICK = dataclasses.replace(metrics.PROTOCOLS["fast"], bootstrap=2, refits=1)


def evaluate(config: Config, dataset: Dataset, workdir: Path) -> dict[str, Any]:
    """Score all runs of a working directory and write its results.json.

    Args:
        config: configuration of the run; config.eval.protocol names the protocol.
        dataset: the data set that the run was trained on.
        workdir: working directory, which holds a checkpoint.

    Returns:
        The content of results.json: provenance, step, "metrics" (the names that were
        asked for; none mean all), losses, reconstruction and KL of each run, of several
        runs also their UDR, and "left_out", sentences on scores that the data do not
        allow. If they allow any score, also "scores" by name, with their mean, standard
        deviation, interval, chance floor, values by run and, of those that are means
        over factors, values by factor; "factors", the names of these; and "runs", each
        run's full record.

    Raises:
        ConfigError: if there is no checkpoint, or the file cannot be written.
        OSError: if the file could be written before the scores were computed, but not
            afterwards. The scores were printed.
    """
    start = time.perf_counter()
    errors.require_writable(workdir / RESULTS_FILE)
    trained = models(config, dataset.spec, workdir)
    step, protocol = trained[0].step, metrics.get_protocol(config.eval.protocol)
    results: dict[str, Any] = {
        "provenance": provenance.of_scores(workdir, dataset.source),
        "dataset": dataset.name,
        "seeds": list(config.seeds),
        "step": step,
        "metrics": list(config.eval.metrics),
        "losses": _losses_at(workdir, step),
        "model": [],
    }
    sample = sample_indices(dataset, _SAMPLE)
    means: list[np.ndarray] = []  # of the sample by each run, [n, D]
    left_out, said = [], []  # said: what the tables of scores do not say
    runs: list[dict[str, Any] | None] = []  # None for a run that no metric can score
    for name, model in zip(run_names(config.seeds), trained, strict=True):
        codes = Codes(model, dataset)
        results["model"].append(describe_codes(model, dataset, codes))
        means.append(codes.mean(sample))
        print(f"scoring {name} by {protocol.name}", file=sys.stderr)
        try:
            scores, sentences = score_codes(
                codes, dataset, protocol, config.eval.metrics
            )
        except NoScoresError as error:
            scores, sentences = None, [str(error)]
        said += sentences
        left_out += sentences
        runs.append(scores)
        if scores:
            print(metrics.format_scores(scores))
            left_out += [
                f"{name} is not computed: {reason}"
                for name, reason in scores["unavailable"].items()
            ]
    if any(runs):
        results |= summarise(_complete(runs, config.seeds))
    agreement.store(workdir, np.stack(means))
    _add_udr(config, means, results["model"])
    # Several runs may have the same to say.
    results["left_out"] = list(dict.fromkeys(left_out))
    for sentence in dict.fromkeys(said):
        print(sentence)
    results["durations"] = {"evaluation": time.perf_counter() - start}
    files.write_json(workdir / RESULTS_FILE, results)
    return results


def _add_udr(
    config: Config, means: Sequence[np.ndarray], described: Sequence[dict[str, Any]]
) -> None:
    """Add and print the UDR of each run, among those that differ only in their seed."""
    alike = [
        dataclasses.replace(config.of_run(run), seeds=(0,)) for run in range(len(means))
    ]
    active = [is_active(of_run) for of_run in described]
    found = agreement.udr_of(alike, means, active)
    for of_run, name, udr in zip(
        described, run_names(config.seeds), found, strict=True
    ):
        if udr is not None:
            of_run["udr"] = udr
            print(f"UDR of {name}: {udr:.4f}")


def is_active(described: Mapping[str, Any]) -> np.ndarray:
    """Which dimensions of a run are active, bool [D], by what `describe_codes` says."""
    return np.asarray(described["kl_per_dimension"]) > ACTIVE_KL


def scorer(config: Config, dataset: Dataset) -> loop.Score | None:
    """Scores of a state during training: protocol fast, without chance floors.

    None where config.eval.every asks for none.

    They are a function of the state and the seeds, so that a resumed run logs the same
    as an uninterrupted one. Besides the metrics of config.eval.metrics there are
    "reconstruction", "active_dimensions" and, for each dimension, "kl_0", "kl_1", ...
    A score that the codes of one of several runs do not allow is NaN.
    """
    if not config.eval.every:
        return None
    objective = objectives.build(config, dataset.spec)

    def score(state: TrainState) -> dict[str, list[float]]:
        models_now = of_runs(config, objective, state)
        runs = [_quick_scores(model, config, dataset) for model in models_now]
        names = dict.fromkeys(name for run in runs for name in run)
        return {name: [run.get(name, math.nan) for run in runs] for name in names}

    return score


def _quick_scores(model: Model, config: Config, dataset: Dataset) -> dict[str, float]:
    codes = Codes(model, dataset)
    described = describe_codes(model, dataset, codes)
    values = {
        "reconstruction": described["reconstruction"],
        "active_dimensions": float(described["active_dimensions"]),
    }
    values |= {f"kl_{d}": kl for d, kl in enumerate(described["kl_per_dimension"])}
    try:
        scores, _ = score_codes(
            codes, dataset, _QUICK, config.eval.metrics, chance=False
        )
    except NoScoresError:  # these codes cannot be scored yet
        return values
    return values | {name: s["value"] for name, s in scores["scores"].items()}


def _losses_at(workdir: Path, step: int) -> dict[str, list[float]]:
    """Each term's logged value of every run at the checkpoint's step.

    A run that was killed has logged steps past its newest checkpoint. If the log does
    not reach the checkpoint, or was lost, there are no values.
    """
    steps, terms = record.read(workdir)
    if step not in steps:
        return {}
    column = int(np.flatnonzero(steps == step)[-1])
    at = {name: values[:, column] for name, values in terms.items()}
    # A term that was added later is not in the lines before.
    return {name: v.tolist() for name, v in at.items() if np.isfinite(v).all()}


def sample_indices(dataset: Dataset, count: int, seed: int = 0) -> np.ndarray:
    """Indices of distinct random images, int64 [n]; fewer in a smaller data set."""
    rng = np.random.default_rng(seed)
    count = min(count, dataset.num_images)
    return rng.choice(dataset.num_images, count, replace=False)


def describe_codes(model: Model, dataset: Dataset, codes: Codes) -> dict[str, Any]:
    """Reconstruction loss, pixel error, KL and active dimensions, on random images.

    The pixel error is the root of the mean squared error of reconstructed pixels, from
    0 to 255. It means the same for every likelihood, unlike the loss.

    The posterior means' mean and standard deviation tell dimensions that vary with the
    image from those that are constant, whose KL may be large too.
    """
    indices = sample_indices(dataset, _SAMPLE)
    few = jnp.asarray(indices[:_RECONSTRUCTED], jnp.int32)
    posterior = jax.tree.map(jnp.asarray, codes.posterior(indices))
    mu = np.asarray(posterior.mu)
    loss, error, kl = _losses(model.objective, model.params, dataset, few, posterior)
    return {
        "reconstruction": float(loss),
        "pixel_error": float(error),
        "kl": float(kl.sum()),
        "kl_per_dimension": kl.tolist(),
        "mean_per_dimension": mu.mean(axis=0, dtype=np.float64).tolist(),
        "std_per_dimension": mu.std(axis=0, dtype=np.float64).tolist(),
        "active_dimensions": int((kl > ACTIVE_KL).sum()),
    }


# One program, since these operations take seconds to compile one by one.
@partial(jax.jit, static_argnums=0)
def _losses(
    objective: Objective,
    params: Params,
    dataset: Dataset,
    indices: jax.Array,
    posterior: Posterior,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Mean reconstruction loss, pixel error and mean KL by dimension, [D].

    Args:
        objective: what was trained.
        params: of one run.
        dataset: of the images.
        indices: int32 [n], the images to reconstruct.
        posterior: [m, D] each, of images of which the first n are those at indices.
    """
    logits = objective.decode(params, posterior.mu[: len(indices)])
    pixels = dataset.pixels(indices)
    loss = elbo.reconstruction(logits, pixels, objective.likelihood)
    error = 255.0 * jnp.sqrt(jnp.square(jax.nn.sigmoid(logits) - pixels).mean())
    return loss.mean(), error, elbo.kl_per_dimension(*posterior).mean(0)


def score_codes(
    codes: Codes,
    dataset: Dataset,
    protocol: metrics.Protocol,
    names: Sequence[str],
    chance: bool = True,
) -> tuple[dict[str, Any], list[str]]:
    """One run's scores, and sentences on factors that are left out.

    The metrics that cannot be computed are in the scores, under "unavailable"; the
    names of the factors, in the order of "by_factor", under "factors".

    Args:
        codes: codes of the run.
        dataset: if it has no factors, the scores are those that need none.
        protocol: protocol of the scores.
        names: names of metrics; an empty sequence means all.
        chance: whether to report chance floors.

    Raises:
        NoScoresError: if no metric can be computed.
    """
    sampled, noise = protocol.codes == "sample", np.random.default_rng(codes.seed)
    options: dict[str, Any] = {"seed": codes.seed, "metrics": names or None}
    source: metrics.Grid | metrics.Table | metrics.Samples | None
    try:
        source, factors, left_out = factor_source(codes.mean, dataset)
        if sampled:
            deviations = factor_source(codes.deviation, dataset).images
            source = metrics.Samples(source, deviations, noise)
    except NoScoresError as error:
        source, factors, left_out = None, [], [str(error)]
    try:
        if source is None:
            drawn = sample_indices(dataset, protocol.unsupervised_samples, codes.seed)
            z = codes.mean(drawn)
            if sampled:
                z = z + codes.deviation(drawn) * noise.standard_normal(z.shape)
            scores = metrics.score_unsupervised(z, protocol, **options)
            scores["codes"] = protocol.codes
        else:
            options["chance"] = chance
            scores = metrics.score(source, source.sizes, protocol, **options)
        scores["factors"] = factors
    except ValueError as error:
        raise NoScoresError("; ".join([*left_out, str(error)])) from error
    return scores, left_out


def _complete(
    runs: Sequence[dict[str, Any] | None], seeds: Sequence[int]
) -> list[dict[str, Any]]:
    """A record for every run, so that its place says which run it belongs to."""
    first = next(run for run in runs if run)
    asked = [*first["metrics"], *first["unavailable"]]
    bare = {
        "scores": {},
        "metrics": {},
        "unavailable": dict.fromkeys(asked, "no metric can score this run"),
        "notes": [],
        "warnings": [],
    }
    return [
        run or {**first, **bare, "seed": seed}
        for run, seed in zip(runs, seeds, strict=True)
    ]


def summarise(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The summary of several runs' scores: mean, spread, interval, floor, values."""
    summary = metrics.aggregate(runs)
    for name, entry in summary.items():
        entries = [run["scores"].get(name) for run in runs]
        entry["values"] = [e and e["value"] for e in entries]
        # A single run has the interval of its own score.
        if len(runs) == 1:
            entry["interval"] = entries[0]["interval"]
    if len(runs) > 1:
        print(metrics.format_summary(summary))
    return {
        "protocol": runs[0]["protocol"],
        "factors": runs[0]["factors"],
        "scores": summary,
        "runs": list(runs),
    }
