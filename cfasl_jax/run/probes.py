"""What a trained model does, as the arrays that the report draws.

Each function takes a model and gives one part of `report.arrays.Analysis`; shapes are
documented there. Images are uint8, codes are posterior means.
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import numpy as np

from cfasl_jax import codebook
from cfasl_jax.codebook import act, composite, displacement
from cfasl_jax.data.dataset import Dataset, Labels
from cfasl_jax.data.grid import FactorGrid
from cfasl_jax.metrics import information
from cfasl_jax.report import arrays
from cfasl_jax.report.arrays import kl_order
from cfasl_jax.run.codes import Codes
from cfasl_jax.run.model import Model, section_generators

_EXAMPLES = 8
_STEPS = 9
_TILE = 64
_MOST_VALUES = 10  # of a stepped factor
_MOST_PANELS = 9  # of the scatter
_REACH = 2.0  # traversals go from -2 to 2, two standard deviations of the prior


def lookup(dataset: Dataset, indices: np.ndarray) -> np.ndarray:
    """Images by index, uint8 [n, 64, 64, C], on the host."""
    return _tiled(dataset.host_images, np.asarray(indices))


def decode(model: Model, z: jax.Array | np.ndarray) -> np.ndarray:
    """Latents [..., D] -> uint8 [..., 64, 64, C]."""
    flat = np.asarray(z).reshape(-1, z.shape[-1])
    pixels = _tiled(lambda rows: jnp.round(model.decode(rows) * 255.0), flat)
    return pixels.astype(np.uint8).reshape(*z.shape[:-1], *pixels.shape[1:])


def _tiled(
    function: Callable[[np.ndarray], chex.Array], rows: np.ndarray
) -> np.ndarray:
    """A function of rows [n, ...], on one size of batch, which compiles once."""
    parts = []
    for start in range(0, len(rows), _TILE):
        part = rows[start : start + _TILE]
        filled = np.resize(part, (_TILE, *rows.shape[1:]))
        parts.append(np.asarray(function(filled))[: len(part)])
    return np.concatenate(parts)


def reconstructions(
    model: Model, dataset: Dataset, indices: np.ndarray
) -> arrays.Reconstructions:
    """Images at some indices, and decode(mu) of each."""
    originals = lookup(dataset, indices)
    return arrays.Reconstructions(originals, decode(model, model.encode(originals).mu))


def traversals(
    model: Model, z: np.ndarray, kl: np.ndarray, active: np.ndarray
) -> arrays.Traversals:
    """Every dimension of one code z [D] swept, the others held."""
    values = np.linspace(-_REACH, _REACH, _STEPS, dtype=np.float32)
    D = len(z)
    swept = np.tile(z, (D, _STEPS, 1))
    swept[np.arange(D), :, np.arange(D)] = values
    return arrays.Traversals(decode(model, swept), values, kl, active)


def composition(model: Model, x1: np.ndarray, x2: np.ndarray) -> arrays.Composition:
    """Pairs, decode(z1 g_c), and the way there by amounts from 0 to 1."""
    z1 = model.encode(x1).mu
    symmetry = model.symmetry(x1, x2)
    amounts = np.linspace(0, 1, _STEPS, dtype=np.float32)
    path = np.stack([act(z1, a * symmetry.generator) for a in amounts], axis=1)
    frames = decode(model, path)
    return arrays.Composition(
        x1=x1,
        x2=x2,
        reconstruction1=frames[:, 0],
        composed=frames[:, -1],
        switch=np.asarray(symmetry.switch),
        path=frames,
    )


def section_steps(model: Model, x1: np.ndarray, x2: np.ndarray) -> arrays.SectionSteps:
    """The exponent of the composite symmetry, built up section by section."""
    z1 = model.encode(x1).mu
    _, switch, attention = model.symmetry(x1, x2)
    S = switch.shape[1]
    upto = np.tri(S + 1, S, k=-1, dtype=np.float32)
    steps = [
        act(z1, composite(model.generators(), switch * row[None], attention))
        for row in upto
    ]
    frames = decode(model, np.stack(steps, axis=1))
    return arrays.SectionSteps(x1, x2, frames, switch=np.asarray(switch))


def walk(
    model: Model, x1: np.ndarray, x2: np.ndarray, kl: np.ndarray, active: np.ndarray
) -> arrays.Walk:
    """From z1 to z2 by exchanging dimensions, the largest KL first."""
    z1, z2 = np.asarray(model.encode(x1).mu), np.asarray(model.encode(x2).mu)
    order = kl_order(kl, active)
    codes = [z1]
    for dimension in order:
        codes.append(codes[-1].copy())
        codes[-1][:, dimension] = z2[:, dimension]
    return arrays.Walk(x1, x2, decode(model, np.stack(codes, axis=1)), order)


def factor_steps(
    model: Model, dataset: Dataset, grid: FactorGrid, start: np.ndarray
) -> list[arrays.FactorSteps]:
    """Each factor stepped through its values, from one combination [K]."""
    steps = []
    for k, (name, size) in enumerate(zip(grid.names, grid.sizes, strict=True)):
        values = np.linspace(0, size - 1, min(size, _MOST_VALUES)).round().astype(int)
        factors = np.tile(start, (len(values), 1))
        factors[:, k] = values
        originals = lookup(dataset, grid.indices(factors))
        z = model.encode(originals).mu
        M = model.symmetry(originals[:-1], originals[1:]).generator
        one_shot = jnp.concatenate([z[:1], act(z[:-1], M)])
        chained = [z[:1]]
        for generator in M:
            chained.append(act(chained[-1], generator[None]))
        steps.append(
            arrays.FactorSteps(
                factor=name,
                values=values,
                originals=originals,
                one_shot=decode(model, one_shot),
                chained=decode(model, jnp.concatenate(chained)),
            )
        )
    return steps


def section_action(model: Model, z: np.ndarray) -> arrays.SectionAction:
    """Each section alone acting on one code z [D], by amounts about 0.

    Amounts are scaled so that the section moves this code by up to about the reach of a
    traversal: generators of different sections differ in size.
    """
    G = section_generators(model.generators())
    speed = np.linalg.norm(z @ np.asarray(G), axis=-1)
    most = float(_REACH / max(np.median(speed), 1e-6))
    amounts = np.linspace(-most, most, _STEPS, dtype=np.float32)
    codes = [act(np.tile(z, (len(G), 1)), a * G) for a in amounts]
    return arrays.SectionAction(decode(model, np.stack(codes, axis=1)), amounts)


def codes_by_factor(
    mu: np.ndarray, labels: Labels, bins: int
) -> tuple[arrays.Codes, np.ndarray]:
    """Codes with the factors they tell most about, and I(z_d; v_k) / H(v_k), [D, K]."""
    binned = information.bin_codes(mu, bins)
    mi, entropies = information.mutual_information(
        binned, bins, labels.factors, labels.sizes
    )
    # In a sample even a factor that varies may have one value alone, and no entropy.
    normalised = mi / np.maximum(entropies, 1e-12)[None]
    best = np.argsort(-normalised.sum(axis=1), kind="stable")[:3]
    first, second, third = np.resize(best, 3).tolist()
    told = np.argsort(-normalised.max(axis=0), kind="stable")[:_MOST_PANELS]
    shown = np.sort(told)
    codes = arrays.Codes(
        mu,
        labels.factors[:, shown],
        [labels.names[k] for k in shown],
        (first, second, third),
    )
    return codes, normalised


def codebook_pictures(
    model: Model, dataset: Dataset, codes: Codes, pairs: int = 256
) -> arrays.Codebook:
    """How sections commute, which way they push, and what they are used for."""
    rng = np.random.default_rng(0)
    # Fewer pairs where the data set is small.
    pairs = min(pairs, dataset.num_images // 2)
    indices = rng.choice(dataset.num_images, 2 * pairs, replace=False)
    x1, x2 = np.split(lookup(dataset, indices), 2)
    _, switch, attention = model.symmetry(x1, x2)
    return arrays.Codebook(
        commutator=commutator_norms(model.generators()),
        cosine=section_cosines(model.generators(), codes.mean(indices)),
        section_use=np.asarray(switch.mean(axis=0)),
        element_use=np.asarray(attention.mean(axis=0)),
    )


def commutator_norms(generators: jax.Array) -> np.ndarray:
    """Mean ||A B - B A||_F over elements A of one section and B of another, [S, S]."""
    A = np.asarray(generators)
    products = A[:, :, None, None] @ A[None, None]
    difference = products - products.transpose(2, 3, 0, 1, 4, 5)
    return np.linalg.norm(difference, axis=(-2, -1)).mean(axis=(1, 3))


def section_cosines(generators: jax.Array, z: np.ndarray) -> np.ndarray:
    """Mean |cos| between the displacements of two sections' elements, [S, S]."""
    delta = np.asarray(displacement(generators, jnp.asarray(z[:32])))
    norm = np.linalg.norm(delta, axis=-1, keepdims=True)
    unit = np.divide(delta, norm, out=np.zeros_like(delta), where=norm > 0)
    S, L, B, D = unit.shape
    cos = np.zeros((S, S))
    for b in range(B):  # one sample at a time: [S L, S L] cosines
        flat = unit[:, :, b].reshape(S * L, D)
        cos += np.abs(flat @ flat.T).reshape(S, L, S, L).mean(axis=(1, 3))
    return cos / B


def equivariance(
    model: Model, dataset: Dataset, grid: FactorGrid, pairs: int = 256
) -> arrays.Equivariance:
    """Distances of z1 g_c, and of z1 itself, from z2 where one factor alone differs."""
    rng = np.random.default_rng(0)
    errors, distances = [], []
    for k, size in enumerate(grid.sizes):
        first = grid.sample(rng, pairs)
        second = first.copy()
        # A factor of one value cannot change.
        change = rng.integers(1, size, pairs) if size > 1 else 0
        second[:, k] = (first[:, k] + change) % size
        x1, x2 = (lookup(dataset, grid.indices(f)) for f in (first, second))
        z1, z2 = model.encode(x1).mu, model.encode(x2).mu
        carried = codebook.act(z1, model.symmetry(x1, x2).generator)
        errors.append(float(jnp.square(carried - z2).mean()))
        distances.append(float(jnp.square(z1 - z2).mean()))
    return arrays.Equivariance(grid.names, np.array(errors), np.array(distances))
