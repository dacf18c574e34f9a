"""Comparison of one training step on a device with the CPU of the same machine."""

from functools import partial
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from cfasl_jax.data.dataset import Dataset, as_pixels
from cfasl_jax.objectives import Noise, Objective
from cfasl_jax.settings import Hyper
from cfasl_jax.training import state as state_lib
from cfasl_jax.training import step as step_lib
from cfasl_jax.types import Params, Terms

# The largest differences that count as agreement. Random real numbers are computed with
# logarithms and similar functions, and a rendered edge may be rounded to a neighbouring
# one of 256 levels. The difference of a term is relative to its value, or to a
# thousandth if the term is nearly 0.
MOST = {"draws": 1e-5, "pixels": 1.0, "terms": 1e-4, "gradient": 1e-3}
_LEAST_TERM = 1e-3
# With CFASL, the gradient of the parallel loss -log(cos^2 + 1e-9) amplifies the
# rounding of cosines near 0. On the first step of rendered dSprites with D = 10, the
# codebook's gradient in float32 is 7e-4 to 8e-4 away from the one in float64, with both
# ways of computing the matrix exponential, and the two are 1e-3 away from each other.
_MOST_WITH_CFASL = MOST | {"gradient": 5e-3}


class Difference(NamedTuple):
    """The difference between a device's step and the CPU's.

    Attributes:
        draws: the largest difference of two random numbers; infinite if integers
            differ.
        pixels: the largest difference of two pixels, from 0 to 255.
        terms: the largest relative difference of a loss term.
        gradient: the largest difference of a network's gradient in norm, relative to
            the norm.
    """

    draws: float
    pixels: float
    terms: float
    gradient: float

    def disagreements(self, cfasl: bool) -> list[str]:
        """A phrase for each difference that is larger than rounding explains."""
        most = _MOST_WITH_CFASL if cfasl else MOST
        return [
            f"{name} differ by {value:.2g}, more than {most[name]:g}"
            for name, value in self._asdict().items()
            if not value <= most[name]
        ]


class Step(NamedTuple):
    """The results of one step on one device, as arrays on the host.

    Attributes:
        images: the images that were drawn, uint8 [B, H, W, C].
        noise: the noise that was drawn, see `Noise`.
        terms: the loss and its terms.
        gradient: the gradients of all networks.
    """

    images: np.ndarray
    noise: Noise
    terms: Terms
    gradient: Params


def first_step(
    objective: Objective,
    dataset: Dataset,
    hyper: Hyper,
    num_pairs: int,
    device: jax.Device,
    precision: str = "highest",
    given: Step | None = None,
) -> Step:
    """The first step of seed 0.

    Args:
        objective: what is minimised.
        dataset: where images are looked up.
        hyper: hyperparameters of the run, plain numbers.
        num_pairs: P.
        device: the device that computes the step.
        precision: precision of the networks' matrix products.
        given: a step whose images and noise are used for the loss, so that only the
            loss is compared.
    """
    with jax.default_device(device), jax.default_matmul_precision(precision):
        images, noise = jax.device_get(_draw(objective, num_pairs, dataset))
        # Initial parameters are drawn by the CPU for all devices.
        params = _initial(objective, dataset.image_shape)
        used = (images, noise) if given is None else (given.images, given.noise)
        hyper = jax.tree.map(np.float32, hyper)
        terms, gradient = jax.device_get(_evaluate(objective, params, *used, hyper))
    return Step(images, noise, terms, gradient)


def difference(step: Step, expected: Step) -> Difference:
    """The difference between one device's step and another's; NaN if either has one."""
    pixels = np.abs(step.images.astype(int) - expected.images.astype(int))
    draws = [_distance(*pair) for pair in zip(step.noise, expected.noise, strict=True)]
    terms = [
        abs(float(value) - float(expected.terms[name]))
        / max(abs(float(expected.terms[name])), _LEAST_TERM)
        for name, value in step.terms.items()
    ]
    gradients = [
        _norm(jax.tree.map(np.subtract, gradient, expected.gradient[network]))
        / max(_norm(expected.gradient[network]), 1e-12)
        for network, gradient in step.gradient.items()
    ]
    # Unlike Python's, NumPy's maximum of numbers with a NaN among them is NaN.
    worst = [float(np.max(each)) for each in (draws, pixels, terms, gradients)]
    return Difference(*worst)


def _distance(drawn: Any, expected: Any) -> float:
    if jnp.issubdtype(np.asarray(drawn).dtype, jnp.integer):
        return 0.0 if np.array_equal(drawn, expected) else np.inf
    return float(np.abs(drawn - expected).max())


def _norm(tree: chex.ArrayTree) -> float:
    squares = [np.square(np.float64(leaf)).sum() for leaf in jax.tree.leaves(tree)]
    return float(np.sqrt(sum(squares)))


@partial(jax.jit, static_argnums=(0, 1))
def _draw(
    objective: Objective, num_pairs: int, dataset: Dataset
) -> tuple[jax.Array, Noise]:
    key = jax.random.fold_in(state_lib.keys(jnp.uint32(0)).steps, 0)
    part = step_lib.shard(num_pairs, 1, 0)
    draws = step_lib.draw(key, objective, dataset.num_images, part)
    return dataset.images(draws.indices), draws.noise


def _initial(objective: Objective, image_shape: tuple[int, int, int]) -> Params:
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        key = state_lib.keys(jnp.uint32(0)).init
        return jax.device_get(_init(objective, image_shape, key))


@partial(jax.jit, static_argnums=(0, 1))
def _init(
    objective: Objective, image_shape: tuple[int, int, int], key: jax.Array
) -> Params:
    return objective.init(key, image_shape)


@partial(jax.jit, static_argnums=0)
def _evaluate(
    objective: Objective,
    params: Params,
    images: jax.Array,
    noise: Noise,
    hyper: Hyper,
) -> tuple[Terms, Params]:
    def loss(params: Params) -> tuple[jax.Array, Terms]:
        return objective.loss(params, as_pixels(images), noise, hyper)

    (total, terms), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    return {"loss": total, **terms}, gradient
