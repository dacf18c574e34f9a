"""A trained model as plain functions: images in, codes, images and symmetries out."""

import dataclasses
from functools import partial
from pathlib import Path

import chex
import jax
import jax.numpy as jnp

from cfasl_jax import codebook, data, objectives, workdirs
from cfasl_jax.codebook import Symmetry
from cfasl_jax.data.dataset import Spec, as_pixels
from cfasl_jax.errors import ConfigError
from cfasl_jax.objectives import Objective
from cfasl_jax.objectives.cfasl import CFASL
from cfasl_jax.run import provenance, shipped
from cfasl_jax.settings import Config
from cfasl_jax.training import loop
from cfasl_jax.training.state import TrainState
from cfasl_jax.types import Params, Posterior


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
        return self.objective.cfasl is not None

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
        _require_codebook(self.objective)
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
    return _require_codebook(objective).compose(params, first, second)[0]


def _require_codebook(objective: Objective) -> CFASL:
    """The symmetry codebook; a ValueError for a baseline, which has none."""
    if objective.cfasl is None:
        raise ValueError("a baseline has no symmetry codebook")
    return objective.cfasl


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


def models(config: Config, spec: Spec, workdir: Path) -> list[Model]:
    """The models of all runs in a working directory, from its newest checkpoint.

    Raises:
        ConfigError: where it holds no checkpoint.
    """
    objective = objectives.build(config, spec)
    return of_runs(config, objective, loop.restore(config, objective, spec, workdir))


def of_runs(config: Config, objective: Objective, state: TrainState) -> list[Model]:
    """The models of all runs, from a state on the host, [R]."""
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
    """The trained model in a working directory, or one that comes with the package.

    Its data set is not needed.

    Args:
        workdir: of a run of `cfasl_jax.main`, or its URL; or the name of a shipped
            model, such as "dsprites/beta_tcvae". A directory of that name wins.
        run: which of the seeds that were trained together; 0 for a shipped model.

    Raises:
        ConfigError: where there is no such run, no checkpoint, or neither a directory
            nor a shipped model of that name.
    """
    place = workdirs.location(str(workdir))
    if isinstance(place, Path) and not place.is_dir():
        return load_shipped(str(workdir), run)
    with workdirs.local(place, writes=False) as folder:
        return _load(folder, run)


def load_shipped(name: str, run: int = 0) -> Model:
    """A model that comes with the package, by its name.

    Raises:
        ConfigError: where there is no such model, or another run than 0 is asked for.
    """
    card = shipped.card(name)
    if run != 0:
        raise ConfigError(
            f"the shipped model {name} is one run, 0: it has no run {run}"
        )
    objective = objectives.build(card.config, card.spec)
    return Model(objective, shipped.params(name), card.seed, card.step)


def _load(workdir: Path, run: int) -> Model:
    config, spec, _ = provenance.stored(workdir)
    if not 0 <= run < len(config.seeds):
        raise ConfigError(
            f"{workdir} has no run {run}: it holds runs 0 to {len(config.seeds) - 1}"
        )
    if spec is None:  # stored by an early version
        spec = data.spec_of(config.dataset, config.data)
    return models(config, spec, workdir)[run]
