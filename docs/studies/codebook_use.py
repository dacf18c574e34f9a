"""What the codebook of a trained model does: tables of sections 5 and 6 of RESULTS.md.

    python docs/studies/codebook_use.py DATASET THRESHOLD MODEL... [--draw FOLDER]

MODEL is a working directory or the name of a shipped model, THRESHOLD that of its
factor prediction. Pairs are random rendered images, latents are posterior means. With
--draw, two figures of the first model are written, as on the page of a run: its
posteriors, and the latents that each section moves.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

import cfasl_jax
from cfasl_jax import codebook, data, errors
from cfasl_jax.data.dataset import Dataset
from cfasl_jax.losses import elbo
from cfasl_jax.report import analysis, latent_figures, style
from cfasl_jax.run import codebook_probes, evaluate, probes
from cfasl_jax.run.codes import Codes
from cfasl_jax.settings import Data

_PAIRS = 2_048
_FEW = 512  # of them, for each section alone
_CONSTANT_STD = 0.1  # of a latent's mean over images, below which it is constant
_USED_KL = 0.1  # nats, above which a latent is used
_RENDERED = Data(source="rendered", dir="")


def measure(
    model: cfasl_jax.Model, x1: np.ndarray, x2: np.ndarray, threshold: float
) -> dict[str, float]:
    """Numbers on one model; errors are mean squared ones of latents."""
    z1, logvar = map(np.asarray, model.encode(x1))
    z2 = np.asarray(model.encode(x2).mu)
    kl = np.asarray(elbo.kl_per_dimension(z1, logvar)).mean(axis=0)
    symmetry = model.symmetry(x1, x2)
    M, on = np.asarray(symmetry.generator), np.asarray(symmetry.switch) > 0.5
    changed = np.abs(z1 - z2) > threshold
    often = on.mean(axis=0)
    always, never = often > 0.99, often < 0.01
    aligned = alignment(model, z1[:64])

    def carried(z: np.ndarray) -> np.ndarray:
        return np.asarray(codebook.act(z, symmetry.generator))

    constant = np.concatenate([z1, z2]).std(axis=0) < _CONSTANT_STD
    attention = np.asarray(symmetry.attention)[:_FEW]
    moves = codebook_probes.section_moves(model.generators(), attention, z1[:_FEW])
    along = np.square(moves)
    # Sections that act, and whose own latent varies with the image.
    acting = np.flatnonzero((often > 0.01) & ~constant)
    used, same = kl > _USED_KL, z1 * z2 > 0
    moving = used & ~constant
    translated = z1 + carried(np.where(constant, z1, 0))

    def error(z: np.ndarray, where: np.ndarray) -> float:
        return float(np.square(z - z2)[np.broadcast_to(where, z.shape)].mean())

    return {
        "sections on for every pair": always.sum(),
        "sections on for none": never.sum(),
        "switches that are right": (on == changed).mean(),
        "best constant switches": np.maximum(
            changed.mean(axis=0), 1 - changed.mean(axis=0)
        ).mean(),
        "alignment, on for every pair": mean(aligned[always]),
        "alignment, on for some pairs": mean(aligned[~always & ~never]),
        "alignment, on for none": mean(aligned[never]),
        "net displacement: share of constants": mean(
            along[acting][:, constant].sum(axis=1) / along[acting].sum(axis=1)
        ),
        "of the rest: share of the section's own latent": mean(
            along[acting, acting] / along[acting][:, ~constant].sum(axis=1)
        ),
        "of the rest: the same if all moved alike": 1 / (~constant).sum(),
        "share of M on its diagonal": np.square(np.diagonal(M, axis1=1, axis2=2)).sum()
        / np.square(M).sum(),
        "same sign: error of z1 g_c": error(carried(z1), same & used),
        "same sign: error of z1": error(z1, same & used),
        "other sign: error of z1 g_c": error(carried(z1), ~same & used),
        "other sign: error of z1": error(z1, ~same & used),
        "constant latents": constant.sum(),
        "largest constant": np.abs(z1.mean(axis=0))[constant].max(initial=0),
        "KL": kl.sum(),
        "KL of constants": kl[constant].sum(),
        "moving: error of z1": error(z1, moving),
        "moving: error of z1 g_c": error(carried(z1), moving),
        "moving: error if moved by the constants alone": error(translated, moving),
        "moving: error if the constants are 0": error(
            carried(np.where(constant, 0, z1)), moving
        ),
    }


def mean(values: np.ndarray) -> float:
    """The mean; nan, without a warning, of nothing."""
    return float(values.mean()) if len(values) else float("nan")


def alignment(model: cfasl_jax.Model, z: np.ndarray) -> np.ndarray:
    """Mean cos^2 of all pairs of each section's displacements of z, [S]."""
    delta = np.asarray(codebook.displacement(model.generators(), z))
    unit = delta / np.linalg.norm(delta, axis=-1, keepdims=True)
    unit = unit.reshape(len(unit), -1, unit.shape[-1])
    return np.square(unit @ unit.transpose(0, 2, 1)).mean(axis=(1, 2))


def draw(model: cfasl_jax.Model, dataset: Dataset, folder: Path) -> None:
    """Write posteriors.png and section_moves.png, as on the page of a run."""
    codes = Codes(model, dataset)
    posterior = codes.posterior(evaluate.sample_indices(dataset, _PAIRS))
    arrays = probes.posteriors(*map(np.asarray, posterior))
    arrays |= codebook_probes.codebook_pictures(model, dataset, codes)
    part = analysis.Run(0, "", arrays).part
    folder.mkdir(parents=True, exist_ok=True)
    with style.paper_style():
        for name in ("posteriors", "section_moves"):
            figure = getattr(latent_figures, name)(part(name))
            figure.savefig(folder / f"{name}.png", dpi=200)


def main() -> None:
    """Print a Markdown table with a column for each model."""
    parser = argparse.ArgumentParser()
    parser.add_argument("dataset")
    parser.add_argument("threshold", type=float)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--draw", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    models = [cfasl_jax.load(name) for name in arguments.models]
    images = data.load(arguments.dataset, _RENDERED)
    drawn = np.random.default_rng(7).integers(0, images.num_images, 2 * _PAIRS)
    x1, x2 = np.split(np.asarray(images.images(drawn.astype(np.int32))), 2)
    if arguments.draw:
        draw(models[0], images, arguments.draw)
    columns = [measure(model, x1, x2, arguments.threshold) for model in models]
    print(f"| | {' | '.join(arguments.models)} |\n{'|---' * (len(models) + 1)}|")
    for row in columns[0]:
        print(f"| {row} | {' | '.join(f'{column[row]:.3g}' for column in columns)} |")


if __name__ == "__main__":
    sys.exit(errors.exit_code(main, mistakes=(ValueError,)))
