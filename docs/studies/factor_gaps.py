"""Which latents tell what about which factors: a table of section 6 of RESULTS.md.

    python docs/studies/factor_gaps.py DATASET MODEL... [--draw FILE --titles TITLE...]

MODEL is a working directory or the name of a shipped model. For each factor it prints
the two latents with the most mutual information about it, as a share of the factor's
entropy, and the gap between them, whose mean over factors is MIG (20 bins, 10,000
rendered images, posterior means). With --draw, all shares are drawn, model by model.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import cfasl_jax
from cfasl_jax import data, errors
from cfasl_jax.metrics.points import gaps
from cfasl_jax.report import latent_figures, style
from cfasl_jax.run import evaluate, probes
from cfasl_jax.run.codes import Codes
from cfasl_jax.settings import Data

_IMAGES = 10_000
_BINS = 20


def shares(model: cfasl_jax.Model, dataset: data.Dataset) -> np.ndarray:
    """Mutual information of latents and factors [D, K], divided by entropies."""
    indices = evaluate.sample_indices(dataset, _IMAGES)
    factors = probes.labels(dataset, indices)
    if factors is None:
        raise ValueError(f"{dataset.name} has no factors")
    mu = np.asarray(Codes(model, dataset).posterior(indices).mu)
    return probes.codes_by_factor(mu, factors, _BINS)["information/normalised"]


def draw(
    maps: Sequence[np.ndarray],
    titles: Sequence[str],
    names: Sequence[str],
    path: Path,
) -> None:
    """Write a picture of the shares [D, K] of each model, side by side."""
    latents = latent_figures.latent_names(range(len(maps[0])))
    top = max(float(found.max()) for found in maps)
    with style.paper_style():
        figure = style.new_figure(style.PAGE_WIDTH, 0.8 + 0.17 * len(latents))
        panels = figure.subplots(1, len(maps), squeeze=False, sharey=True)[0]
        for panel, found, title in zip(panels, maps, titles, strict=True):
            image = latent_figures.heat_map(
                panel, found, latents, names, limits=(0.0, top)
            )
            panel.set_title(title, loc="left")
            panel.tick_params(axis="x", rotation=25)
        figure.colorbar(image, ax=panels, aspect=25).outline.set_visible(False)
        figure.savefig(path, dpi=200)


def main() -> None:
    """Print a Markdown table with a row for each model."""
    parser = argparse.ArgumentParser()
    parser.add_argument("dataset")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--draw", type=Path, metavar="FILE")
    parser.add_argument("--titles", nargs="+", metavar="TITLE")
    arguments = parser.parse_args()
    dataset = data.load(arguments.dataset, Data(source="rendered", dir=""))
    names = latent_figures.factor_labels(dataset.factor_names)
    print(f"| | {' | '.join(names)} | MIG |\n{'|---' * (len(names) + 2)}|")
    maps = [shares(cfasl_jax.load(name), dataset) for name in arguments.models]
    for name, found in zip(arguments.models, maps, strict=True):
        cells = []
        for share in found.T:
            i, j = np.argsort(-share)[:2]
            between = share[i] - share[j]
            cells.append(
                f"{between:.2f} ({share[i]:.2f} of {i}, {share[j]:.2f} of {j})"
            )
        print(f"| {name} | {' | '.join(cells)} | {gaps(found).mean():.3f} |")
    if arguments.draw:
        draw(maps, arguments.titles or arguments.models, names, arguments.draw)


if __name__ == "__main__":
    sys.exit(errors.exit_code(main, mistakes=(ValueError,)))
