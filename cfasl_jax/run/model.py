"""A trained model as plain functions: images in, codes, images and symmetries out."""

import dataclasses
from functools import partial
from pathlib import Path
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from cfasl_jax import codebook, data, objectives, workdirs
from cfasl_jax.config import Config
from cfasl_jax.data.dataset import Dataset, as_pixels
from cfasl_jax.errors import ConfigError
from cfasl_jax.objectives import Objective
from cfasl_jax.run import provenance
from cfasl_jax.training import loop
from cfasl_jax.types import Params, Posterior


class Symmetry(NamedTuple):
    """The composite symmetry predicted for P pairs.

    Attributes:
        generator: M, [P, D, D]; z1 expm(M) should be z2.
        switch: [P, S], 0 or 1.
        attention: [P, S, L].
    """

    generator: jax.Array
    switch: jax.Array
    attention: jax.Array


@dataclasses.dataclass(frozen=True)
class Model:
    """One run's networks with their parameters.

    Attributes:
        objective: the networks.
        params: of one run, without the axis of runs.
        seed: of the run.
        step: of the checkpoint.
    """

    objective: Objective
    params: Params
    seed: int
    step: int

    @property
    def has_codebook(self) -> bool:
        """Whether the run was trained with CFASL."""
        return self.objective.codebook is not None

    def encode(self, images: chex.Array) -> Posterior:
        """Images, uint8 or in [0, 1], [n, 64, 64, C] -> posterior, [n, D]."""
        return _encode(self.objective, self.params, images)

    def decode(self, z: chex.Array) -> jax.Array:
        """Latents [n, D] -> images in [0, 1], [n, 64, 64, C]."""
        return _decode(self.objective, self.params, z)

    def generators(self) -> jax.Array:
        """The codebook, [S, L, D, D].

        Raises:
            ValueError: for a baseline.
        """
        self.objective.require_codebook()
        return self.params["codebook"]["generators"]

    def transform(self, z: chex.Array, section: int, amount: float) -> jax.Array:
        """Let one section act: z expm(amount G_s), [n, D]; see `section_generators`."""
        G = section_generators(self.generators())[section]
        return codebook.act(z, jnp.broadcast_to(amount * G, (len(z), *G.shape)))

    def symmetry(self, x1: chex.Array, x2: chex.Array) -> Symmetry:
        """The symmetry that should carry x1 to x2, images as in `encode`.

        Raises:
            ValueError: for a baseline.
        """
        return _symmetry(self.objective, self.params, x1, x2)


@partial(jax.jit, static_argnums=0)
def _encode(objective: Objective, params: Params, images: chex.Array) -> Posterior:
    return objective.encode(params, _as_float(images))


@partial(jax.jit, static_argnums=0)
def _decode(objective: Objective, params: Params, z: chex.Array) -> jax.Array:
    return jax.nn.sigmoid(objective.decode(params, z))


@partial(jax.jit, static_argnums=0)
def _symmetry(
    objective: Objective, params: Params, x1: chex.Array, x2: chex.Array
) -> Symmetry:
    first, second = (objective.encode(params, _as_float(x)) for x in (x1, x2))
    generators, prediction = objective.read_pairs(params, first, second)
    sw = codebook.switch(prediction.logits)
    if objective.fidelity.soft_noisy_switch:
        gumbel = jax.random.gumbel(jax.random.key(0), prediction.logits.shape)
        sw = objective.switch(prediction.logits, gumbel)
    M = codebook.composite(generators, sw, prediction.attention)
    return Symmetry(M, sw, prediction.attention)


def _as_float(images: chex.Array) -> jax.Array:
    chex.assert_rank(images, 4)
    if images.dtype == jnp.uint8:
        return as_pixels(images)
    return images


def section_generators(generators: jax.Array) -> jax.Array:
    """What the elements of each section have in common, [S, L, D, D] -> [S, D, D].

    The elements of a section may push along their common direction with either sign, so
    their mean can cancel. The best approximation of all L elements by multiples of one
    matrix, from the singular value decomposition of [L, D^2], cannot. Its size is the
    root mean square of the multiples; its sign agrees with most of them.
    """
    S, L, D, _ = generators.shape
    flat = generators.reshape(S, L, D * D)
    u, singular, vt = jnp.linalg.svd(flat, full_matrices=False)
    sign = jnp.where(u[:, :, 0].sum(axis=-1) < 0, -1.0, 1.0)
    size = sign * singular[:, 0] / jnp.sqrt(L)
    return (size[:, None] * vt[:, 0]).reshape(S, D, D)


def models(config: Config, dataset: Dataset, workdir: Path) -> list[Model]:
    """The models of all runs in a working directory, from its newest checkpoint.

    Raises:
        ConfigError: where it holds no checkpoint.
    """
    objective = objectives.build(config, dataset)
    state = loop.restore(config, objective, dataset, workdir)
    return [
        Model(
            objective,
            params=jax.tree.map(lambda leaf, r=run: leaf[r], state.params),
            seed=seed,
            step=int(state.step[run]),
        )
        for run, seed in enumerate(config.seeds)
    ]


def load(workdir: str | Path, run: int = 0) -> Model:
    """The trained model in a working directory.

    Args:
        workdir: of a run of `cfasl_jax.main`, or its URL.
        run: which of the seeds that were trained together.

    Raises:
        ConfigError: where there is no such run or no checkpoint.
    """
    place = workdirs.location(str(workdir))
    with workdirs.local(place, writes=False) as folder:
        return _load(folder, run)


def _load(workdir: Path, run: int) -> Model:
    config = provenance.stored_config(workdir)
    if not 0 <= run < len(config.seeds):
        raise ConfigError(
            f"{workdir} has no run {run}: it holds runs 0 to {len(config.seeds) - 1}"
        )
    dataset = data.load(config.dataset, config.data)
    return models(config, dataset, workdir)[run]
