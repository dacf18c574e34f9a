"""Which latents tell what about which factors: a table of section 3 of RESULTS.md.

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
from cfasl_jax.metrics import information
from cfasl_jax.report import latent_figures, style
from cfasl_jax.run.codes import Codes
from cfasl_jax.settings import Data

_IMAGES = 10_000
_BINS = 20


def shares(model: cfasl_jax.Model, dataset: data.Dataset) -> np.ndarray:
    """Mutual information of latents and factors [D, K], divided by entropies."""
    grid = dataset.grid
    if grid is None:
        raise ValueError(f"{dataset.name} has no grid of factors")
    indices = np.random.default_rng(0).choice(dataset.num_images, _IMAGES, False)
    codes = np.asarray(Codes(model, dataset).posterior(indices.astype(np.int32)).mu)
    binned = information.bin_codes(codes, _BINS)
    factors = np.asarray(grid.factors(indices))
    found, entropies = information.mutual_information(
        binned, _BINS, factors, grid.sizes
    )
    return found / entropies


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
        order = np.argsort(-found, axis=0)[:2]
        first, second = np.take_along_axis(found, order, axis=0)
        cells = [
            f"{gap:.2f} ({a:.2f} of {i}, {b:.2f} of {j})"
            for gap, a, i, b, j in zip(
                first - second, first, order[0], second, order[1], strict=True
            )
        ]
        print(f"| {name} | {' | '.join(cells)} | {(first - second).mean():.3f} |")
    if arguments.draw:
        draw(maps, arguments.titles or arguments.models, names, arguments.draw)


if __name__ == "__main__":
    sys.exit(errors.exit_code(main, mistakes=(ValueError,)))
