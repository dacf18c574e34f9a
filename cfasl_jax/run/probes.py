"""Probes of a trained model, whose results are the arrays that the report draws.

Each function computes one part of an analysis and returns it by the names of
`report.analysis.ARRAYS`, where shapes are documented. Images are uint8, codes are
posterior means.
"""

from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from cfasl_jax import codebook
from cfasl_jax.codebook import Symmetry, composite, displacement
from cfasl_jax.data.dataset import Dataset, Labels
from cfasl_jax.data.grid import FactorGrid
from cfasl_jax.losses import elbo
from cfasl_jax.metrics import information
from cfasl_jax.report.analysis import Run, kl_order, numbered
from cfasl_jax.report.explorer import section_reach
from cfasl_jax.run import export
from cfasl_jax.run.codes import Codes
from cfasl_jax.run.evaluate import ACTIVE_KL, sample_indices
from cfasl_jax.run.model import Model, section_generators

Arrays = dict[str, np.ndarray]

# Of the pictures alone; scores have seeds of their own.
_SEED = 1
_CODES = 2_048
_EXAMPLES = 8
_EXPLORED = 12  # examples in the explorer: each costs its pixels in the page
_STEPS = 9
_TILE = 64
_MOST_VALUES = 10  # of a stepped factor
_MOST_PANELS = 9  # of the scatter
_REACH = 2.0  # traversals go from -2 to 2, two standard deviations of the prior
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_FARTHEST = 10.0  # how far an action that is drawn moves a latent

# Why a figure may be left out; `report.figures` says which figures need what.
_NO_CODEBOOK = "A baseline has no symmetry codebook."
_NO_FACTORS = "The data set has no ground-truth factors that vary."
_NO_GRID = (
    "The data set's factors do not form a full grid, so that one of them cannot be "
    "changed while the others stay."
)
_NO_PAIRS = "The data set has a single image, so that there are no pairs of images."
_NO_PLANE = "There is a single latent dimension and none to set it against."


def probe(model: Model, dataset: Dataset, run: int, name: str, bins: int) -> Run:
    """All parts of the analysis of one trained run.

    Args:
        model: the model of the run.
        dataset: the data set that it was trained on.
        run: its index among the runs that were trained together.
        name: what it is called on the page.
        bins: bins of the codes' histograms, for the mutual information.
    """
    codes = Codes(model, dataset)
    indices = sample_indices(dataset, _CODES, _SEED)
    mu, logvar = (np.asarray(part) for part in codes.posterior(indices))
    at = posteriors(mu, logvar)
    kl = at["posteriors/kl"]
    active = kl > ACTIVE_KL
    lacking = _lacking(model, dataset)
    count = min(2 * _EXAMPLES, len(indices))
    examples = lookup(dataset, indices[:count])
    arrays = {
        **reconstructions(model, examples),
        **traversals(model, mu[0], kl, active),
        **at,
    }
    known = labels(dataset, indices)
    if known is not None:
        arrays |= codes_by_factor(mu, known, bins)
    else:
        lacking["factors"] = _NO_FACTORS
    if count > 1:
        x1, x2 = np.split(examples[: count // 2 * 2], 2)
        arrays |= walk(model, x1, x2, kl, active)
        if mu.shape[1] > 1:
            arrays["covariance/matrix"] = np.cov(mu.T)
        if model.has_codebook:
            arrays |= composition(model, x1, x2) | sections(model, x1, x2)
            arrays |= codebook_pictures(model, dataset, codes)
    if model.has_codebook:
        arrays |= section_action(model, mu)
    if model.has_codebook and dataset.grid is not None:
        start = dataset.grid.sample(np.random.default_rng(_SEED), 1)[0]
        arrays |= factor_steps(model, dataset, dataset.grid, start)
        arrays |= equivariance(model, dataset, dataset.grid)
    try:
        arrays |= export.explorer(model, lookup(dataset, indices[:_EXPLORED]))
    except export.ExportError as error:
        lacking["explorer"] = f"The explorer is left out: {error}."
    return Run(run, name, arrays, lacking)


def posteriors(mu: np.ndarray, logvar: np.ndarray) -> Arrays:
    """Where the posteriors of images, mu and logvar [n, D], lie in each dimension."""
    return {
        "posteriors/quantiles": np.quantile(mu, _QUANTILES, axis=0).T,
        "posteriors/sigma": np.sqrt(np.exp(logvar).mean(axis=0)),
        "posteriors/kl": np.asarray(elbo.kl_per_dimension(mu, logvar)).mean(axis=0),
    }


def _lacking(model: Model, dataset: Dataset) -> dict[str, str]:
    """What a run or its data set does not have, with a sentence for the reader."""
    lacking: dict[str, str] = {}
    if not model.has_codebook:
        lacking["codebook"] = _NO_CODEBOOK
    if dataset.grid is None:
        lacking["grid"] = _NO_GRID if dataset.labels else _NO_FACTORS
    if dataset.num_images < 2:
        lacking["pairs"] = _NO_PAIRS
    if model.objective.latent_dim < 2:
        lacking["plane"] = _NO_PLANE
    return lacking


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


def lookup(dataset: Dataset, indices: np.ndarray) -> np.ndarray:
    """Images by index, uint8 [n, 64, 64, C], on the host."""
    return _tiled(dataset.host_images, np.asarray(indices))


def decode(model: Model, z: jax.Array | np.ndarray) -> np.ndarray:
    """Latents [..., D] -> uint8 [..., 64, 64, C]."""
    flat = np.asarray(z).reshape(-1, z.shape[-1])
    pixels = _tiled(lambda rows: jnp.round(model.decode(rows) * 255.0), flat)
    return pixels.astype(np.uint8).reshape(*z.shape[:-1], *pixels.shape[1:])


def encode(model: Model, images: np.ndarray) -> np.ndarray:
    """Images [n, 64, 64, C] -> posterior means [n, D]."""
    return _tiled(lambda rows: model.encode(rows).mu, images)


def symmetry(model: Model, x1: np.ndarray, x2: np.ndarray) -> Symmetry:
    """The symmetries that should carry images x1 to x2, [n, 64, 64, C] each."""
    return _tiled(model.symmetry, x1, x2)


def act(z: np.ndarray, generator: chex.Array) -> np.ndarray:
    """Latents [n, D] and generators [n, E, E] -> z expm(generator), [n, D]."""
    return _tiled(codebook.act, z, np.asarray(generator))


def _tiled(function: Callable[..., Any], *arrays: np.ndarray) -> Any:
    """A function of rows [n, ...], on one size of batch, for which it compiles once."""

    def on_tile(start: int) -> Any:
        rows = [a[start : start + _TILE] for a in arrays]
        filled = [np.resize(part, (_TILE, *part.shape[1:])) for part in rows]
        kept = len(rows[0])
        return jax.tree.map(lambda x: np.asarray(x)[:kept], function(*filled))

    parts = [on_tile(start) for start in range(0, len(arrays[0]), _TILE)]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def reconstructions(model: Model, originals: np.ndarray) -> Arrays:
    """Images [n, 64, 64, C], and decode(mu) of each."""
    return {
        "reconstructions/originals": originals,
        "reconstructions/decoded": decode(model, encode(model, originals)),
    }


def traversals(
    model: Model, z: np.ndarray, kl: np.ndarray, active: np.ndarray
) -> Arrays:
    """Every dimension of one code z [D] swept, the others kept."""
    values = np.linspace(-_REACH, _REACH, _STEPS, dtype=np.float32)
    D = len(z)
    swept = np.tile(z, (D, _STEPS, 1))
    swept[np.arange(D), :, np.arange(D)] = values
    return {
        "traversals/frames": decode(model, swept),
        "traversals/values": values,
        "traversals/kl": kl,
        "traversals/active": active,
    }


def composition(model: Model, x1: np.ndarray, x2: np.ndarray) -> Arrays:
    """Pairs, and the path from x1 to decode(z1 g_c) for amounts from 0 to 1."""
    z1 = encode(model, x1)
    found = symmetry(model, x1, x2)
    amounts = np.linspace(0, 1, _STEPS, dtype=np.float32)
    path = np.stack([act(z1, a * found.generator) for a in amounts], axis=1)
    return {
        "composition/x1": x1,
        "composition/x2": x2,
        "composition/path": decode(model, path),
        "composition/switch": np.asarray(found.switch),
    }


def sections(model: Model, x1: np.ndarray, x2: np.ndarray) -> Arrays:
    """The exponent of the composite symmetry, built up section by section."""
    z1 = encode(model, x1)
    _, switch, attention = symmetry(model, x1, x2)
    S = switch.shape[1]
    upto = np.tri(S + 1, S, k=-1, dtype=np.float32)
    steps = [
        act(z1, composite(model.generators(), switch * row[None], attention))
        for row in upto
    ]
    return {
        "sections/x1": x1,
        "sections/x2": x2,
        "sections/frames": decode(model, np.stack(steps, axis=1)),
        "sections/switch": np.asarray(switch),
    }


def walk(
    model: Model, x1: np.ndarray, x2: np.ndarray, kl: np.ndarray, active: np.ndarray
) -> Arrays:
    """From z1 to z2 by exchanging dimensions, the largest KL first."""
    z1, z2 = encode(model, x1), encode(model, x2)
    order = kl_order(kl, active)
    codes = [z1]
    for dimension in order:
        codes.append(codes[-1].copy())
        codes[-1][:, dimension] = z2[:, dimension]
    return {
        "walk/x1": x1,
        "walk/x2": x2,
        "walk/frames": decode(model, np.stack(codes, axis=1)),
        "walk/dimensions": order,
    }


def factor_steps(
    model: Model, dataset: Dataset, grid: FactorGrid, start: np.ndarray
) -> Arrays:
    """Each factor that varies stepped through its values, from one combination [K]."""
    steps = []
    for k, (name, size) in enumerate(zip(grid.names, grid.sizes, strict=True)):
        if size < 2:
            continue
        values = np.linspace(0, size - 1, min(size, _MOST_VALUES)).round().astype(int)
        factors = np.tile(start, (len(values), 1))
        factors[:, k] = values
        originals = lookup(dataset, grid.indices(factors))
        z = encode(model, originals)
        M = symmetry(model, originals[:-1], originals[1:]).generator
        one_shot = np.concatenate([z[:1], act(z[:-1], M)])
        chained = [z[:1]]
        for generator in M:
            chained.append(act(chained[-1], generator[None]))
        steps.append(
            {
                "factor": name,
                "values": values,
                "originals": originals,
                "one_shot": decode(model, one_shot),
                "chained": decode(model, np.concatenate(chained)),
            }
        )
    return numbered("factor_steps", steps)


def section_action(model: Model, mu: np.ndarray) -> Arrays:
    """Each section alone acting on the first of the codes mu [N, D], about 0.

    The amounts are those of `explorer.section_reach`, and smaller if a section would
    otherwise move this code out of the decoder's reach, as it can where the codes have
    collapsed to 0, which no linear action moves.
    """
    G = np.asarray(section_generators(model.generators()))
    start, most = np.tile(mu[0], (len(G), 1)), section_reach(mu, G)
    while True:
        amounts = np.linspace(-most, most, _STEPS, dtype=np.float32)
        codes = [act(start, a * G) for a in amounts]
        if np.abs(np.asarray(codes) - start).max() <= _FARTHEST:
            break
        most /= 2
    return {
        "section_action/frames": decode(model, np.stack(codes, axis=1)),
        "section_action/amounts": amounts,
    }


def codes_by_factor(mu: np.ndarray, labels: Labels, bins: int) -> Arrays:
    """Codes mu [N, D] with the factors they tell most about, and how much."""
    binned = information.bin_codes(mu, bins)
    mi, entropies = information.mutual_information(
        binned, bins, labels.factors, labels.sizes
    )
    # In a sample even a factor that varies may have one value alone, and no entropy.
    normalised = mi / np.maximum(entropies, 1e-12)[None]
    told = np.argsort(-normalised.max(axis=0), kind="stable")[:_MOST_PANELS]
    shown = np.sort(told)
    names = np.array(labels.names)
    arrays = {
        "information/normalised": normalised,
        "information/factor_names": names,
    }
    if mu.shape[1] > 1:
        best = np.argsort(-normalised.sum(axis=1), kind="stable")[:3]
        arrays |= {
            "codes/latents": mu,
            "codes/factors": labels.factors[:, shown],
            "codes/factor_names": names[shown],
            "codes/dimensions": best,
        }
    return arrays


def codebook_pictures(
    model: Model, dataset: Dataset, codes: Codes, pairs: int = 256
) -> Arrays:
    """How sections commute, in which directions they move z, and how they are used."""
    rng = np.random.default_rng(0)
    # Fewer pairs where the data set is small.
    pairs = min(pairs, dataset.num_images // 2)
    indices = rng.choice(dataset.num_images, 2 * pairs, replace=False)
    x1, x2 = np.split(lookup(dataset, indices), 2)
    _, switch, attention = symmetry(model, x1, x2)
    z1, on = codes.mean(indices[:pairs]), np.asarray(switch).mean(axis=0)
    return {
        "section_moves/distance": section_moves(model.generators(), attention, z1),
        "section_moves/on": on,
        "codebook/commutator": commutator_norms(model.generators()),
        "codebook/cosine": section_cosines(model.generators(), codes.mean(indices)),
        "codebook/section_use": on,
        "codebook/element_use": np.asarray(attention).mean(axis=0),
    }


def commutator_norms(generators: jax.Array) -> np.ndarray:
    """Mean ||A B - B A||_F over elements A of one section and B of another, [S, S]."""
    A = np.asarray(generators)
    products = A[:, :, None, None] @ A[None, None]
    difference = products - products.transpose(2, 3, 0, 1, 4, 5)
    return np.linalg.norm(difference, axis=(-2, -1)).mean(axis=(1, 3))


def section_cosines(generators: jax.Array, z: np.ndarray) -> np.ndarray:
    """Mean |cos| between the displacements of two sections' elements, [S, S]."""
    delta = np.asarray(displacement(generators, z[:32]))
    norm = np.linalg.norm(delta, axis=-1, keepdims=True)
    unit = np.divide(delta, norm, out=np.zeros_like(delta), where=norm > 0)
    S, L, B, D = unit.shape
    cos = np.zeros((S, S))
    for b in range(B):  # one sample at a time: [S L, S L] cosines
        flat = unit[:, :, b].reshape(S * L, D)
        cos += np.abs(flat @ flat.T).reshape(S, L, S, L).mean(axis=(1, 3))
    return cos / B


def section_moves(
    generators: chex.Array, attention: chex.Array, z: np.ndarray
) -> np.ndarray:
    """How far each section alone moves each latent, [S, D].

    Elements of a section may cancel, so that the displacements of single elements do
    not show this.

    Args:
        generators: [S, L, E, E].
        attention: of each section to its elements for each of the codes, [n, S, L].
        z: codes [n, D].

    Returns:
        The root mean square over the codes.
    """
    M = np.einsum("nsl,slij->snij", attention, np.asarray(generators))
    moved = np.stack([act(z, section) - z for section in M])
    return np.sqrt(np.square(moved).mean(axis=1))


def equivariance(
    model: Model, dataset: Dataset, grid: FactorGrid, pairs: int = 256
) -> Arrays:
    """Distances of z1 g_c, and of z1 itself, from z2 where one factor alone differs.

    A factor of one value cannot change and is left out.
    """
    rng = np.random.default_rng(0)
    varying = [k for k, size in enumerate(grid.sizes) if size > 1]
    errors, distances = [], []
    for k in varying:
        first = grid.sample(rng, pairs)
        second = first.copy()
        change = rng.integers(1, grid.sizes[k], pairs)
        second[:, k] = (first[:, k] + change) % grid.sizes[k]
        x1, x2 = (lookup(dataset, grid.indices(f)) for f in (first, second))
        z1, z2 = encode(model, x1), encode(model, x2)
        carried = act(z1, symmetry(model, x1, x2).generator)
        errors.append(float(np.square(carried - z2).mean()))
        distances.append(float(np.square(z1 - z2).mean()))
    return {
        "equivariance/errors": np.array(errors),
        "equivariance/distances": np.array(distances),
        "equivariance/factor_names": np.array([grid.names[k] for k in varying]),
    }
