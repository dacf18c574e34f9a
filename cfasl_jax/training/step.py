"""One training step as a pure function, and many of them as one program.

Random numbers are a function of the seed, the step and, if they belong to one sample or
one pair, of its place in the global batch. So N devices draw the same numbers as one
device, and a resumed run the same as an uninterrupted one.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from cfasl_jax.data.dataset import Dataset, as_pixels
from cfasl_jax.objectives import Noise, Objective
from cfasl_jax.settings import Hyper
from cfasl_jax.training import state as state_lib
from cfasl_jax.training.state import TrainState
from cfasl_jax.types import Terms


class Shard(NamedTuple):
    """The part of the global batch that one device computes.

    Attributes:
        sample: places of its samples in the global batch, int32 [b]: the first samples
            of its pairs, then the second ones.
        pair: places of its pairs among all pairs, int32 [b / 2].
        batch_size: B, samples in the global batch.
    """

    sample: jax.Array
    pair: jax.Array
    batch_size: int


def shard(num_pairs: int, num_devices: int, device: jax.Array | int) -> Shard:
    """The pairs of one device out of several; a pair's two samples stay together."""
    mine = num_pairs // num_devices
    pair = device * mine + jnp.arange(mine, dtype=jnp.int32)
    sample = jnp.concatenate([pair, num_pairs + pair])
    return Shard(sample, pair, batch_size=2 * num_pairs)


class Draws(NamedTuple):
    """What one step draws: images by index [b], and the loss's noise."""

    indices: jax.Array
    noise: Noise


def draw(key: jax.Array, objective: Objective, num_images: int, part: Shard) -> Draws:
    """The draws of one step for one device's part of the batch.

    Args:
        key: the key of this run and step.
        objective: determines the sizes of the noise.
        num_images: size of the data set.
        part: see `shard`.
    """
    index_key, eps_key, gumbel_key, element_key, coin_key, shuffle_key = (
        jax.random.fold_in(key, purpose) for purpose in range(6)
    )
    S = D = objective.latent_dim

    def each(key: jax.Array, places: jax.Array) -> jax.Array:
        return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, places)

    indices = jax.vmap(lambda k: jax.random.randint(k, (), 0, num_images))(
        each(index_key, part.sample)
    )
    eps = jax.vmap(lambda k: jax.random.normal(k, (D,)))(each(eps_key, part.sample))
    gumbel = jax.vmap(lambda k: jax.random.gumbel(k, (S, 2)))(
        each(gumbel_key, part.pair)
    )
    element = jax.random.randint(element_key, (S,), 0, objective.drawn_elements)
    # XLA removes noise that an objective does not use, so that it is never computed.
    coin = jax.random.uniform(coin_key)
    places = jnp.broadcast_to(
        jnp.arange(part.batch_size)[:, None], (part.batch_size, D)
    )
    permutation = jax.random.permutation(shuffle_key, places, independent=True)
    noise = Noise(eps, gumbel, element, coin, permutation)
    return Draws(indices, noise)


def train_step(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    state: TrainState,
    images: jax.Array,
    noise: Noise,
    hyper: Hyper,
    axis_name: str | None = None,
) -> tuple[TrainState, Terms]:
    """One step on given images and noise.

    Args:
        objective: what is minimised.
        optimizer: see `state.optimizer`.
        state: the state of one run.
        images: in [0, 1], [b, H, W, C].
        noise: see `Noise`.
        hyper: hyperparameters of this run.
        axis_name: device axis over which the batch is divided.

    Returns:
        The new state, and each unweighted loss term with the weighted total as "loss",
        and the norm of the gradient before it is clipped as "gradient_norm".
    """
    value_and_grad = jax.value_and_grad(objective.loss, has_aux=True)
    (total, terms), grads = value_and_grad(
        state.params,
        images,
        noise,
        hyper,
        state.step,
        state.controller,
        axis_name,
    )
    terms = {"loss": total, **terms}
    if axis_name is not None:
        grads, terms = jax.lax.pmean((grads, terms), axis_name)
    # Clipping would turn an infinite gradient into updates of 0, which nobody notices.
    terms["gradient_norm"] = optax.global_norm(grads)
    direction, opt_state = optimizer.update(grads, state.opt_state, state.params)
    updates = state_lib.scale_updates(direction, objective, hyper)
    params = optax.apply_updates(state.params, updates)
    controller = objective.base.advance(
        state.controller, state.step, terms["kl"], hyper
    )
    return TrainState(state.step + 1, params, opt_state, controller), terms


def train_steps(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    num_steps: int,
    state: TrainState,
    dataset: Dataset,
    seed: jax.Array,
    hyper: Hyper,
    part: Shard,
    axis_name: str | None = None,
    images: jax.Array | None = None,
) -> tuple[TrainState, Terms]:
    """`num_steps` steps of one run: draw, look images up, step; terms are [num_steps].

    Arguments are as in `train_step`; `part` is this device's part of the global batch.
    For a streamed data set, `images` are the images that the steps will draw, uint8
    [num_steps, b, H, W, C], which were looked up beforehand.
    """
    key = state_lib.keys(seed).steps

    @jax.vmap
    def draw_at(step: jax.Array) -> Draws:
        step_key = jax.random.fold_in(key, step)
        return draw(step_key, objective, dataset.num_images, part)

    # All steps draw at once: random bits take many small operations, which would
    # otherwise be started in every step. The bits are the same either way.
    drawn = draw_at(state.step + jnp.arange(num_steps, dtype=state.step.dtype))

    def body(
        state: TrainState, inputs: tuple[Draws, jax.Array | None]
    ) -> tuple[TrainState, Terms]:
        draws, found = inputs
        images = dataset.images(draws.indices) if found is None else found
        return train_step(
            objective,
            optimizer,
            state,
            as_pixels(images),
            draws.noise,
            hyper,
            axis_name,
        )

    return jax.lax.scan(body, state, (drawn, images), length=num_steps)
