"""A trained model as plain functions that return codes, images and symmetries."""

import dataclasses
import math
import operator
import os
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

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


class NonFiniteError(ValueError):
    """A latent is not finite, or so large that the decoder's images are not."""


@dataclasses.dataclass(frozen=True, repr=False)
class Model:
    """One run's networks with their parameters.

    Shapes and types of arguments are always checked. Their values are only checked
    outside of `jax.jit`, where they are known. The number n of images or codes may be
    0.

    Attributes:
        objective: the networks.
        params: parameters of one run, without the axis of runs.
        seed: seed of the run.
        step: step of the checkpoint.
    """

    objective: Objective
    params: Params
    seed: int
    step: int

    def __repr__(self) -> str:
        H, W, C = self.image_shape
        kind = "with" if self.has_codebook else "without"
        return (
            f"Model(images {H}x{W}x{C}, {self.latent_dim} latent dimensions, "
            f"{kind} a codebook, seed {self.seed}, step {self.step})"
        )

    @property
    def has_codebook(self) -> bool:
        """Whether the run was trained with CFASL."""
        return self.objective.cfasl is not None

    @property
    def latent_dim(self) -> int:
        """D."""
        return self.objective.latent_dim

    @cached_property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the images that the decoder makes."""
        z = jax.ShapeDtypeStruct((1, self.latent_dim), jnp.float32)
        return jax.eval_shape(self.objective.decode, self.params, z).shape[1:]

    def encode(self, images: chex.Array) -> Posterior:
        """Images, uint8 or in [0, 1], [n, 64, 64, C] -> posterior, [n, D].

        Raises:
            ValueError: if the images have another shape, type or range.
        """
        images = self._checked_images(images)
        return _on_rows(partial(_encode, self.objective, self.params), images)

    def decode(self, z: chex.Array) -> jax.Array:
        """Latents [n, D] -> images in [0, 1], [n, 64, 64, C].

        Raises:
            ValueError: if z has another shape; a NonFiniteError if it has values that
                are not finite, or are too large.
        """
        z = self._checked_latents(z)
        images = _on_rows(partial(_decode, self.objective, self.params), z)
        if not _is_finite(images):
            raise NonFiniteError(
                "z is too large for the decoder, which computes in float32"
            )
        return images

    def generators(self) -> jax.Array:
        """The codebook, [S, L, E, E]: E is D, or D + 1 if it acts on [z, 1].

        Raises:
            ValueError: for a baseline.
        """
        return _require_codebook(self.objective).generators(self.params)

    def transform(self, z: chex.Array, section: int, amount: float) -> jax.Array:
        """Let one section act: z expm(amount G_s), [n, D]; see `section_generators`.

        Raises:
            ValueError: for a baseline, or if there is no such section, or if z or the
                amount cannot be used.
        """
        generators = section_generators(self.generators())
        G = generators[_checked_section(section, len(generators))]
        amount, z = _checked_amount(amount), self._checked_latents(z)

        def act(rows: chex.Array) -> jax.Array:
            return codebook.act(
                rows, jnp.broadcast_to(amount * G, (len(rows), *G.shape))
            )

        moved = _on_rows(act, z)
        if not _is_finite(moved):
            raise ValueError(f"an amount of {amount} moves z beyond what float32 holds")
        return moved

    def symmetry(self, x1: chex.Array, x2: chex.Array) -> Symmetry:
        """The symmetry that should carry x1 to x2, images as in `encode`.

        Raises:
            ValueError: for a baseline, or if x1 and x2 are not images, or not equally
                many.
        """
        _require_codebook(self.objective)
        x1, x2 = self._checked_images(x1, "x1"), self._checked_images(x2, "x2")
        if len(x1) != len(x2):
            raise ValueError(
                f"x1 and x2 must have the same number of images, not {len(x1)} and "
                f"{len(x2)}"
            )
        return _on_rows(partial(_symmetry, self.objective, self.params), x1, x2)

    def _checked_images(self, images: Any, name: str = "images") -> chex.Array:
        images, shape = _as_array(images, name), self.image_shape
        if images.shape[1:] != shape:
            raise ValueError(
                f"{name} must have the shape [n, {', '.join(map(str, shape))}], not "
                f"{list(images.shape)}"
            )
        if images.dtype != jnp.uint8 and not jnp.issubdtype(images.dtype, jnp.floating):
            raise ValueError(
                f"{name} must be uint8, from 0 to 255, or floats in [0, 1], not of "
                f"type {images.dtype}"
            )
        if images.dtype != jnp.uint8 and _has_values(images):
            low, high = float(images.min()), float(images.max())
            if math.isnan(low):
                raise ValueError(f"{name} must be in [0, 1], but some pixels are NaN")
            if low < -_ROUNDING or high > 1 + _ROUNDING:
                raise ValueError(
                    f"{name} of type {images.dtype} must be in [0, 1], not in "
                    f"[{low:g}, {high:g}]: give pixels from 0 to 255 as uint8"
                )
        return images

    def _checked_latents(self, z: Any) -> chex.Array:
        z, D = _as_array(z, "z"), self.latent_dim
        if z.ndim != 2 or z.shape[1] != D:
            raise ValueError(f"z must have the shape [n, {D}], not {list(z.shape)}")
        if z.dtype.kind not in "iu" and not jnp.issubdtype(z.dtype, jnp.floating):
            raise ValueError(f"z must be real numbers, not of type {z.dtype}")
        with np.errstate(over="ignore"):  # beyond float32 is infinity
            z = z.astype(jnp.float32)
        if not _is_finite(z):
            raise NonFiniteError(
                "z must be finite: it has NaN, or numbers beyond float32"
            )
        return z


# How far floats may be outside [0, 1]: after a resize, 1 may have become 1.0000002.
_ROUNDING = 1e-4


def _as_array(value: Any, name: str) -> chex.Array:
    """NumPy's and JAX's arrays unchanged; nested lists and the like as NumPy arrays."""
    if isinstance(value, jax.Array | np.ndarray):
        return value
    try:
        return np.asarray(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array: {error}") from error


def _has_values(array: chex.Array) -> bool:
    """Whether there are values that are known, which they are not during tracing."""
    return array.size > 0 and not isinstance(array, jax.core.Tracer)


def _is_finite(array: chex.Array) -> bool:
    """Whether all values are finite, as far as they are known."""
    return not _has_values(array) or bool(jnp.isfinite(array).all())


def _checked_section(section: Any, count: int) -> int:
    try:
        place = operator.index(section)
    except TypeError:
        place = -1
    if not 0 <= place < count:
        raise ValueError(
            f"section must be a whole number from 0 to {count - 1}, not {section!r}"
        )
    return place


def _checked_amount(amount: Any) -> chex.Numeric:
    if isinstance(amount, jax.core.Tracer):
        return amount
    try:
        number = math.nan if np.ndim(amount) else float(amount + 0)
    except (TypeError, OverflowError):
        number = math.nan
    if not abs(number) <= float(np.finfo(np.float32).max):
        raise ValueError(f"amount must be one finite number, not {amount!r}")
    return number


def _on_rows(function: Callable[..., Any], *arrays: chex.Array) -> Any:
    """A function of arrays [n, ...] with results [n, ...], for n = 0 too.

    Networks that reshape and tile their rows cannot take none.
    """
    if len(arrays[0]):
        return function(*arrays)
    row = [jax.ShapeDtypeStruct((1, *a.shape[1:]), a.dtype) for a in arrays]
    results = jax.eval_shape(function, *row)
    return jax.tree.map(lambda leaf: jnp.zeros((0, *leaf.shape[1:])), results)


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
    return as_pixels(images) if images.dtype == jnp.uint8 else jnp.asarray(images)


def section_generators(generators: jax.Array) -> jax.Array:
    """One generator that represents each section, [S, L, E, E] -> [S, E, E].

    The elements of a section may move latents along their common direction with either
    sign, so that they may cancel in a mean. So the generator is the matrix whose
    multiples best approximate all L elements, from the singular value decomposition of
    [L, E^2]. Its size is the root mean square of the multiples, and its sign is that of
    their sum.
    """
    S, L, E, _ = generators.shape
    flat = generators.reshape(S, L, E * E)
    u, singular, vt = jnp.linalg.svd(flat, full_matrices=False)
    sign = jnp.where(u[:, :, 0].sum(axis=-1) < 0, -1.0, 1.0)
    size = sign * singular[:, 0] / jnp.sqrt(L)
    return (size[:, None] * vt[:, 0]).reshape(S, E, E)


def models(
    config: Config, spec: Spec, workdir: Path, step: int | None = None
) -> list[Model]:
    """The models of all runs in a working directory, as `loop.restore` finds them.

    Raises:
        ConfigError: if it does not hold such a checkpoint.
    """
    objective = objectives.build(config, spec)
    state = loop.restore(config, objective, spec, workdir, step)
    return of_runs(config, objective, state)


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


def load(workdir: str | Path, run: int = 0, step: int | None = None) -> Model:
    """The trained model in a working directory, or one that comes with the package.

    Its data set is not needed.

    Args:
        workdir: working directory of a run of `cfasl_jax.main`, or its URL; or the name
            of a shipped model, such as "dsprites/beta_tcvae". If there is a directory
            of that name, it is used.
        run: index of the run among the seeds that were trained together; 0 for a
            shipped model.
        step: of the checkpoint; None means the newest one that can be read.
            `checkpoint.keep` says how many a run keeps, two unless it is set.

    Raises:
        ConfigError: if there is no such run, no such checkpoint, or neither a directory
            nor a shipped model of that name.
    """
    run = _whole("run", run)
    step = None if step is None else _whole("step", step)
    place = workdirs.location(str(workdir))
    # Unlike Path's own, this function takes any text for a path.
    if isinstance(place, Path) and not os.path.isdir(place):
        return load_shipped(str(workdir), run, step)
    with workdirs.local(place, writes=False) as folder:
        return _load(folder, run, step)


def _whole(name: str, number: object) -> int:
    try:
        return operator.index(number)  # type: ignore[arg-type]
    except TypeError as error:
        raise ConfigError(f"{name} must be a whole number, not {number!r}") from error


def load_shipped(name: str, run: int = 0, step: int | None = None) -> Model:
    """A model that comes with the package, by its name.

    Raises:
        ConfigError: if there is no such model, if `run` is not 0, or if `step` is not
            that of the model.
    """
    card = shipped.card(name)
    if step not in (None, card.step):
        raise ConfigError(
            f"the shipped model {name} is that of step {card.step}: it has no step "
            f"{step}"
        )
    if run != 0:
        raise ConfigError(
            f"the shipped model {name} is one run, 0: it has no run {run}"
        )
    objective = objectives.build(card.config, card.spec)
    return Model(objective, shipped.params(name), card.seed, card.step)


def _load(workdir: Path, run: int, step: int | None) -> Model:
    config, spec, *_ = provenance.stored(workdir)
    if not 0 <= run < len(config.seeds):
        raise ConfigError(
            f"{workdir} has no run {run}: it holds runs 0 to {len(config.seeds) - 1}"
        )
    if spec is None:  # stored by an early version
        spec = data.spec_of(config.dataset, config.data)
    return models(config, spec, workdir, step)[run]
