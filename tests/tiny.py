"""Small networks and data, so that whole training steps compile in a second."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cfasl_jax import config as config_lib
from cfasl_jax.codebook import Codebook
from cfasl_jax.config import Fidelity
from cfasl_jax.data.dataset import Dataset
from cfasl_jax.data.grid import FactorGrid
from cfasl_jax.objectives import Hyper, Objective
from configs import default

SIDE = 6
GRID = FactorGrid(("x", "y"), (4, 5))


class Encoder(nn.Module):
    """A linear encoder with the interface of the real one."""

    latent_dim: int

    @nn.compact
    def __call__(self, images):
        flat = images.reshape(len(images), -1)
        return nn.Dense(self.latent_dim)(flat), 0.1 * nn.Dense(self.latent_dim)(flat)


class Decoder(nn.Module):
    """A linear decoder with the interface of the real one."""

    @nn.compact
    def __call__(self, z):
        return nn.Dense(SIDE * SIDE)(z).reshape(-1, SIDE, SIDE, 1)


def objective(D=3, L=2, cfasl=True, likelihood="bernoulli", **switches):
    codebook = Codebook(latent_dim=D, elements=L, scale=0.3) if cfasl else None
    return Objective(Encoder(D), Decoder(), codebook, likelihood, Fidelity(**switches))


def hyper(**changes):
    values = Hyper(
        beta=2.0,
        alpha=0.7,
        gamma=1.1,
        lamb=0.9,
        epsilon=0.3,
        threshold=0.2,
        temperature=1.0,
        learning_rate=1e-2,
        codebook_learning_rate=1e-3,
    )
    return jax.tree.map(np.float32, values._replace(**changes))


def lookup(store, indices):
    return store[indices]


def dataset():
    rng = np.random.default_rng(0)
    n = GRID.num_points
    return Dataset(
        store=jnp.asarray(rng.integers(0, 256, (n, SIDE, SIDE, 1)), jnp.uint8),
        name="tiny",
        source="made by the tests",
        grid=GRID,
        num_images=n,
        channels=1,
        likelihood="bernoulli",
        lookup=lookup,
    )


def config(**changes):
    """A small valid configuration; fields of the top level alone."""
    values = default.get_config().to_dict()
    values |= {"latent_dim": 3, "hidden": 8, "batch_size": 8, "num_steps": 12}
    values |= {"log_every": 2, "learning_rate": 1e-2} | changes
    values["codebook"]["elements"] = 2
    values["checkpoint"] = {"every": 4, "keep": 2} | changes.get("checkpoint", {})
    return config_lib.from_dict(values)


def replace(objective, **changes):
    return dataclasses.replace(objective, **changes)
