"""Small networks and data, so that whole training steps compile in a second."""

import dataclasses
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cfasl_jax import config as config_lib
from cfasl_jax.codebook import Codebook
from cfasl_jax.data.dataset import Dataset
from cfasl_jax.data.grid import FactorGrid
from cfasl_jax.data.storage import MappedImages
from cfasl_jax.lie_group import group_element
from cfasl_jax.models.discriminator import Discriminator
from cfasl_jax.objectives import OBJECTIVES, Noise, Objective
from cfasl_jax.objectives.cfasl import CFASL
from cfasl_jax.settings import (
    FIDELITIES,
    Annealed,
    CodebookSettings,
    Control,
    Dip,
    Factor,
    Fidelity,
    Hyper,
    Lie,
    Ours,
    Weights,
)
from configs import default

SIDE = 6
M = 4  # rows of a matrix of the Lie group
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

    side: int = SIDE

    @nn.compact
    def __call__(self, z):
        return nn.Dense(self.side**2)(z).reshape(-1, self.side, self.side, 1)


class LieEncoder(nn.Module):
    """A linear encoder with the features of the commutative Lie group VAE."""

    latent_dim: int

    def setup(self):
        self.matrix = nn.Dense(M * M)
        self.heads = [nn.Dense(self.latent_dim) for _ in range(2)]

    def __call__(self, images):
        features = nn.sigmoid(self.matrix(images.reshape(len(images), -1)))
        mu, logvar = (head(features) for head in self.heads)
        return mu, 0.1 * logvar, features


class LieDecoder(nn.Module):
    """The real group, read by a linear decoder."""

    latent_dim: int
    side: int = SIDE

    def setup(self):
        shape = (self.latent_dim, M, M)
        self.generators = self.param("generators", nn.initializers.normal(0.3), shape)
        self.reader = Decoder(self.side)

    def __call__(self, z):
        return self.read(self.code(z))

    def code(self, z):
        algebra = jnp.einsum("nd,dij->nij", z, self.generators)
        return group_element(algebra).reshape(len(z), -1)

    def read(self, code):
        return self.reader(code)


def base(name, switches=FIDELITIES["corrected"]):
    """A base objective on the data set below."""
    values = default.get_config().to_dict()
    values["fidelity"] = dataclasses.asdict(switches)
    values["batch_size"] = 8
    made = OBJECTIVES[name].make(config_lib.from_dict(values), dataset().spec)
    if name == "factor_vae":
        made = replace(made, discriminator=Discriminator(layers=2, hidden=5))
    return made


def objective(
    D=3,
    L=2,
    cfasl=True,
    likelihood="bernoulli",
    base_name="beta_vae",
    ours=None,
    **switches,
):
    """Any objective with small networks, for images of this module's data set."""
    fidelity = Fidelity(**switches)
    ours = ours or Ours()
    codebook = Codebook(D, L, scale=0.3, even_heads=ours.even_heads, action=ours.action)
    lie = base_name == "clg_vae"
    return Objective(
        encoder=LieEncoder(D) if lie else Encoder(D),
        decoder=LieDecoder(D) if lie else Decoder(),
        base=base(base_name, fidelity),
        cfasl=CFASL(codebook, fidelity, ours=ours) if cfasl else None,
        likelihood=likelihood,
        latent_dim=D,
    )


def family(name, cfasl, fidelity):
    """Any objective by a preset of fidelity, with small networks, for 64x64 images."""
    switches = dataclasses.asdict(FIDELITIES[fidelity])
    small = objective(D=3, L=3, cfasl=cfasl, base_name=name, **switches)
    if cfasl and fidelity == "official":
        codebook = replace(small.cfasl.codebook, scale=1.0)
        small = replace(small, cfasl=replace(small.cfasl, codebook=codebook))
    return replace(small, decoder=replace(small.decoder, side=64))


def hyper(**changes):
    """Hyperparameters of one run, every one different from the others."""
    values = Hyper(
        beta=2.0,
        capacity=3.0,
        feature_weight=0.6,
        control=Control(kp=0.5, ki=0.2, beta_min=1.0, beta_max=3.0),
        lie=Lie(hessian=1.3, commutator=0.8, feature_probability=0.4),
        factor=Factor(gamma=1.7, learning_rate=5e-3),
        dip=Dip(lambda_od=1.9, lambda_d=2.3),
        annealed=Annealed(gamma=1.5, steps=10),
        codebook=CodebookSettings(
            elements=2, scale=0.3, temperature=1.0, learning_rate=1e-3
        ),
        weights=Weights(alpha=0.7, gamma=1.1, lamb=0.9, epsilon=0.3),
        threshold=0.2,
        learning_rate=1e-2,
        num_steps=10,
    )
    return jax.tree.map(np.float32, replace(values, **changes))


def batch(B, D):
    """Images of B samples, and the noise of one step on them."""
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(B, SIDE, SIDE, 1)).astype(np.float32)
    places = np.repeat(np.arange(B)[:, None], D, axis=1)
    noise = Noise(
        eps=rng.normal(size=(B, D)).astype(np.float32),
        gumbel=rng.gumbel(size=(B // 2, D, 2)).astype(np.float32),
        element=np.arange(1, D + 1) % 2,
        coin=np.float32(0.9),
        permutation=rng.permuted(places, axis=0),
    )
    return images, noise


def lookup(store, indices):
    return store[indices]


def dataset(images=None):
    """Images [n, H, W, 1] by index; by default noise, one for each point of GRID."""
    if images is None:
        shape = (GRID.num_points, SIDE, SIDE, 1)
        images = np.random.default_rng(0).integers(0, 256, shape)
    return Dataset(
        store=jnp.asarray(images, jnp.uint8),
        name="tiny",
        source="made by the tests",
        grid=GRID,
        num_images=len(images),
        channels=1,
        likelihood="bernoulli",
        lookup=lookup,
    )


def streamed(path):
    """The default data set with its images in a memory-mapped file, made if need be."""
    resident = dataset()
    images = np.asarray(resident.store)
    if not Path(path).exists():
        np.save(path, images)
    mapped = MappedImages(str(path), images.shape)
    return replace(resident, store=(), lookup=mapped)


def config(**changes):
    """A small valid configuration; fields of the top level alone."""
    values = default.get_config().to_dict()
    values |= {"latent_dim": 3, "hidden": 8, "batch_size": 8, "num_steps": 12}
    values |= {"log_every": 2, "learning_rate": 1e-2} | changes
    values["codebook"]["elements"] = 2
    values["data"]["source"] = "rendered"
    values["checkpoint"] = {"every": 4, "keep": 2} | changes.get("checkpoint", {})
    return config_lib.from_dict(values)


def replace(objective, **changes):
    return dataclasses.replace(objective, **changes)
