"""Probes of a trained model, whose results are the arrays that the report draws.

Each function computes one part of an analysis and returns it by the names of
`report.analysis.ARRAYS`, where shapes are documented. Images are uint8, codes are
posterior means.
"""

import numpy as np

from cfasl_jax.data.dataset import Dataset, Labels
from cfasl_jax.losses import elbo
from cfasl_jax.metrics import information
from cfasl_jax.report.analysis import Run, kl_order
from cfasl_jax.run import codebook_probes, export
from cfasl_jax.run.codebook_probes import Arrays
from cfasl_jax.run.codes import Codes
from cfasl_jax.run.evaluate import sample_indices
from cfasl_jax.run.factors import controlled
from cfasl_jax.run.model import Model, NonFiniteError
from cfasl_jax.run.tiles import decode, encode, lookup
from cfasl_jax.types import ACTIVE_KL

# Of the pictures alone; scores have seeds of their own.
_SEED = 1
_CODES = 2_048
_EXAMPLES = 8
_EXPLORED = 12  # examples in the explorer: each costs its pixels in the page
_STEPS = 9  # of a traversal
_MOST_PANELS = 9  # of the scatter
_REACH = 2.0  # traversals go from -2 to 2, two standard deviations of the prior
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

# Why a figure may be left out; `report.figures` says which figures need what.
_NO_CODEBOOK = "A baseline has no symmetry codebook."
_TOO_FAR = "The codebook moves latents so far that they cannot be decoded."
_NO_FACTORS = "The data set has no ground-truth factors that vary."
_NO_GRID = (
    "Some combinations of the data set's factors are missing or occur more often than "
    "others, so that not every factor can be changed while the others stay."
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
    pairs = np.split(examples[: count // 2 * 2], 2)
    if count > 1:
        arrays |= walk(model, pairs[0], pairs[1], kl, active)
        if mu.shape[1] > 1:
            arrays["covariance/matrix"] = np.cov(mu.T)
    if model.has_codebook:
        try:
            arrays |= codebook_probes.probe(model, dataset, codes, mu, pairs, _SEED)
        except NonFiniteError:
            lacking["codebook"] = _TOO_FAR
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
    if controlled(dataset) is None:
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
