"""The state that a training step changes, and the optimiser."""

from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import optax

from cfasl_jax.losses import control
from cfasl_jax.losses.control import Controller
from cfasl_jax.objectives import Objective
from cfasl_jax.settings import Hyper
from cfasl_jax.types import Params


@flax.struct.dataclass
class TrainState:
    """Everything that a checkpoint holds; with a leading axis of runs where R is named.

    Attributes:
        step: steps taken, int32 [].
        params: parameters of all networks.
        opt_state: the optimiser's state.
        controller: state of Control-VAE's controller; other objectives do not change
            it.
    """

    step: jax.Array
    params: Params
    opt_state: optax.OptState
    controller: Controller


class Keys(NamedTuple):
    """Keys of a run's independent streams of random numbers."""

    init: jax.Array
    steps: jax.Array


def keys(seed: jax.Array) -> Keys:
    """The keys that belong to a seed."""
    base = jax.random.key(seed)
    return Keys(init=jax.random.fold_in(base, 0), steps=jax.random.fold_in(base, 1))


def optimizer(objective: Objective, clip_norm: float) -> optax.GradientTransformation:
    """Adam's direction for a clipped gradient, without the learning rate.

    The learning rates are traced, so `scale_updates` applies them. A network for which
    the objective brings its own optimiser is neither clipped nor counted in the norm.
    """
    networks = optax.chain(
        optax.clip_by_global_norm(clip_norm),
        optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-8),
    )
    own = objective.base.optimizers()
    return optax.partition(
        {"networks": networks, **own},
        lambda params: {name: name if name in own else "networks" for name in params},
    )


def scale_updates(updates: Params, objective: Objective, hyper: Hyper) -> Params:
    """Multiply by minus the learning rate; some networks have their own."""
    own_rates = objective.learning_rates(hyper)

    def scale(path: tuple[Any, ...], update: jax.Array) -> jax.Array:
        names = tuple(entry.key for entry in path)
        rate = hyper.learning_rate
        for network, own_rate in own_rates.items():
            if names[: len(network)] == network:
                rate = own_rate
        return -rate * update

    return jax.tree_util.tree_map_with_path(scale, updates)


def init(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    seed: jax.Array,
    image_shape: tuple[int, int, int],
) -> TrainState:
    """The state of one run before its first step; a function of the seed alone."""
    params = objective.init(keys(seed).init, image_shape)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=optimizer.init(params),
        controller=control.start(),
    )
