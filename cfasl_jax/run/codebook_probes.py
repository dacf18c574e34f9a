"""Probes of the codebook of a trained model.

As in `run.probes`, each function computes one part of an analysis, by the names of
`report.analysis.ARRAYS`, where shapes are documented.
"""

from collections.abc import Sequence

import chex
import jax
import numpy as np

from cfasl_jax.codebook import composite, displacement
from cfasl_jax.data.dataset import Dataset
from cfasl_jax.report.analysis import numbered
from cfasl_jax.report.explorer import section_reach
from cfasl_jax.run.codes import Codes
from cfasl_jax.run.factors import Controlled, controlled
from cfasl_jax.run.model import Model, section_generators
from cfasl_jax.run.tiles import act, decode, encode, lookup, symmetry

Arrays = dict[str, np.ndarray]

_STEPS = 9  # along a path
_MOST_VALUES = 10  # of a stepped factor
_FARTHEST = 10.0  # how far an action that is drawn moves a latent


def probe(
    model: Model,
    dataset: Dataset,
    codes: Codes,
    mu: np.ndarray,
    pairs: Sequence[np.ndarray],
    seed: int,
) -> Arrays:
    """All parts of the analysis that need a codebook.

    Args:
        model: the model of the run.
        dataset: the data set that it was trained on.
        codes: the codes of its images.
        mu: codes of random images, [N, D].
        pairs: random images x1 and x2, [n, 64, 64, C] each; n is 0 if there is only one
            image.
        seed: of the combination of factors from which each is stepped.
    """
    arrays = section_action(model, mu)
    if len(pairs[0]):
        arrays |= composition(model, *pairs) | sections(model, *pairs)
        arrays |= codebook_pictures(model, dataset, codes)
    by_factor = controlled(dataset)
    if by_factor is not None:
        start = by_factor.grid.sample(np.random.default_rng(seed), 1)[0]
        arrays |= factor_steps(model, dataset, by_factor, start)
        arrays |= equivariance(model, dataset, by_factor)
    return arrays


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


def factor_steps(
    model: Model, dataset: Dataset, by_factor: Controlled, start: np.ndarray
) -> Arrays:
    """Each factor that varies stepped through its values, from a point of the grid."""
    steps = []
    for k in by_factor.varying:
        size = by_factor.grid.sizes[k]
        values = np.linspace(0, size - 1, min(size, _MOST_VALUES)).round().astype(int)
        factors = np.tile(start, (len(values), 1))
        factors[:, k] = values
        originals = lookup(dataset, by_factor.indices(factors))
        z = encode(model, originals)
        M = symmetry(model, originals[:-1], originals[1:]).generator
        one_shot = np.concatenate([z[:1], act(z[:-1], M)])
        chained = [z[:1]]
        for generator in M:
            chained.append(act(chained[-1], generator[None]))
        steps.append(
            {
                "factor": by_factor.names[k],
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
    z, on = codes.mean(indices), np.asarray(switch).mean(axis=0)
    return {
        "section_moves/distance": section_moves(
            model.generators(), attention, z[:pairs]
        ),
        "section_moves/on": on,
        "codebook/commutator": commutator_norms(model.generators()),
        "codebook/cosine": section_cosines(model.generators(), z),
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
    model: Model, dataset: Dataset, by_factor: Controlled, pairs: int = 256
) -> Arrays:
    """Distances of z1 g_c, and of z1 itself, from z2 where one factor alone differs.

    A factor of one value cannot change and is left out.
    """
    rng = np.random.default_rng(0)
    grid = by_factor.grid
    errors, distances = [], []
    for k in by_factor.varying:
        first = grid.sample(rng, pairs)
        second = first.copy()
        change = rng.integers(1, grid.sizes[k], pairs)
        second[:, k] = (first[:, k] + change) % grid.sizes[k]
        x1, x2 = (lookup(dataset, by_factor.indices(f)) for f in (first, second))
        z1, z2 = encode(model, x1), encode(model, x2)
        carried = act(z1, symmetry(model, x1, x2).generator)
        errors.append(float(np.square(carried - z2).mean()))
        distances.append(float(np.square(z1 - z2).mean()))
    return {
        "equivariance/errors": np.array(errors),
        "equivariance/distances": np.array(distances),
        "equivariance/factor_names": np.array(
            [by_factor.names[k] for k in by_factor.varying]
        ),
    }
