"""Do scores rest on latents that say hardly anything? A table of RESULTS.md.

    python docs/studies/live_latents.py DATASET FILE.csv ARM=MODEL,MODEL... ARM=...

MODEL is a working directory or the name of a shipped model; an arm has one for each
seed, the base comes first. MIG, DCI and others do not depend on the scale of a latent,
so that one whose posterior mean varies in the third digit counts like any other. Each
model is scored by `dlib`, on rendered images, twice: with all latents and with the live
ones, which have a KL of more than 0.1 nats. FILE gets all values, and the differences
between arms, paired by seed, are printed. Models that are in FILE already are not
scored again.
"""

import argparse
import csv
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import cfasl_jax
from cfasl_jax import data, errors, metrics
from cfasl_jax.losses import elbo
from cfasl_jax.run import evaluate
from cfasl_jax.run.codes import Codes
from cfasl_jax.run.factors import factor_source
from cfasl_jax.settings import Data
from cfasl_jax.study.statistics import paired_difference

_IMAGES = 2_048  # for the KL
_LEAST_KL = 0.1  # nats
_METRICS = (
    *("fvm", "mig", "sap", "dci"),
    *("gaussian_total_correlation", "mutual_info_score"),
)
# Without intervals over images, which are not reported here.
_DLIB = dataclasses.replace(metrics.get_protocol("dlib"), bootstrap=2, refits=1)
_FIELDS = ("arm", "seed", "latents", "number", "score", "factor", "value")

Row = dict[str, str]


def rows(arm: str, model: cfasl_jax.Model, dataset: data.Dataset) -> Iterator[Row]:
    """The scores of a model with all and with the live latents."""
    codes = Codes(model, dataset)
    posterior = codes.posterior(evaluate.sample_indices(dataset, _IMAGES))
    kl = np.asarray(elbo.kl_per_dimension(*posterior)).mean(axis=0)
    for latents, kept in (("all", kl > -1), ("live", kl > _LEAST_KL)):
        source = factor_source(
            lambda indices, kept=kept: codes.mean(indices)[:, kept], dataset
        )
        found = metrics.score(
            source.images,
            source.images.sizes,
            _DLIB,
            model.seed,
            metrics=_METRICS,
            chance=False,
            jobs=1,
        )
        common = {
            "arm": arm,
            "seed": str(model.seed),
            "latents": latents,
            "number": str(kept.sum()),
        }
        for name, score in found["scores"].items():
            values = {"": score["value"]}
            values |= dict(zip(source.names, score.get("by_factor", ()), strict=False))
            for factor, value in values.items():
                yield {**common, "score": name, "factor": factor, "value": str(value)}


def print_differences(found: list[Row]) -> None:
    """A Markdown table of each arm less the first, of the scores of whole models."""
    by_seed: dict[tuple[str, ...], dict[int, float]] = {}
    for row in found:
        if not row["factor"]:
            key = row["score"], row["arm"], row["latents"]
            by_seed.setdefault(key, {})[int(row["seed"])] = float(row["value"])
    base, *others = dict.fromkeys(row["arm"] for row in found)
    print("| score | arm | latents | mean | less the base | seeds |")
    print("|---|---|---|---|---|---|")
    for (score, arm, latents), values in by_seed.items():
        mean, cell, n = np.mean(list(values.values())), "", len(values)
        if arm in others:
            difference = paired_difference(values, by_seed[score, base, latents])
            n = difference.n
            low, high = difference.interval or (np.nan, np.nan)
            cell = f"{difference.mean:+.3f} ({low:.3f} to {high:.3f})"
        print(f"| {score} | {arm} | {latents} | {mean:.3f} | {cell} | {n} |")


def main() -> None:
    """Score what is not in the file yet, and print the differences."""
    parser = argparse.ArgumentParser()
    parser.add_argument("dataset")
    parser.add_argument("file", type=Path)
    parser.add_argument("arms", nargs="+", metavar="ARM=MODEL,MODEL")
    arguments = parser.parse_args()
    dataset = data.load(arguments.dataset, Data(source="rendered", dir=""))
    found: list[Row] = []
    if arguments.file.exists():
        with arguments.file.open(newline="") as file:
            found = list(csv.DictReader(file))
    for words in arguments.arms:
        arm, _, places = words.partition("=")
        for place in places.split(","):
            model = cfasl_jax.load(place)
            if any((r["arm"], r["seed"]) == (arm, str(model.seed)) for r in found):
                continue
            found += rows(arm, model, dataset)
            with arguments.file.open("w", newline="") as file:
                writer = csv.DictWriter(file, _FIELDS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(found)
    print_differences(found)


if __name__ == "__main__":
    sys.exit(errors.exit_code(main, mistakes=(ValueError,)))
