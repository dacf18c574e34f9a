"""Data sets by name; `load` is the one way in."""

from typing import Any

import jax
import jax.numpy as jnp

from cfasl_jax.config import ConfigError, require_choice
from cfasl_jax.data import dsprites, shapes3d, tfds_source
from cfasl_jax.data.dataset import Dataset, Lookup
from cfasl_jax.types import Likelihood

_LIKELIHOODS: dict[str, Likelihood] = {"dsprites": "bernoulli", "shapes3d": "gaussian"}
_MODULES = {"dsprites": dsprites, "shapes3d": shapes3d}


def load(name: str, source: str, directory: str) -> Dataset:
    """A data set, ready for the device.

    Args:
        name: "dsprites" or "shapes3d".
        source: "auto" takes a prepared real copy where there is one and the rendered
            twin otherwise; "tfds" and "rendered" are strict.
        directory: where real data lie; "" is TensorFlow Datasets' own default.

    Raises:
        ConfigError: where the name is unknown or the real data cannot be had.
    """
    require_choice("data set", name, _MODULES)
    if source == "auto":
        source = "tfds" if tfds_source.is_prepared(name, directory) else "rendered"
    if source == "rendered":
        return _RENDERED[name]()
    try:
        images = tfds_source.load(name, directory).images
    except (ValueError, OSError) as error:
        raise ConfigError(str(error)) from error
    return _dataset(name, source, jnp.asarray(images), _gather)


def _gather(images: jax.Array, indices: jax.Array) -> jax.Array:
    return images[indices]


def _rendered_dsprites() -> Dataset:
    return _dataset("dsprites", "rendered", (), _draw_dsprites)


def _draw_dsprites(store: tuple[()], indices: jax.Array) -> jax.Array:
    return dsprites.render(dsprites.GRID.factors(indices))


def _rendered_shapes3d() -> Dataset:
    table = jax.jit(shapes3d.light_table)()
    return _dataset("shapes3d", "rendered", table, _draw_shapes3d)


def _draw_shapes3d(table: jax.Array, indices: jax.Array) -> jax.Array:
    return shapes3d.render(shapes3d.GRID.factors(indices), table)


_RENDERED = {"dsprites": _rendered_dsprites, "shapes3d": _rendered_shapes3d}


def _dataset(name: str, source: str, store: Any, lookup: Lookup) -> Dataset:
    module = _MODULES[name]
    return Dataset(
        store=store,
        name=name,
        source=source,
        grid=module.GRID,
        num_images=module.GRID.num_points,
        channels=module.CHANNELS,
        likelihood=_LIKELIHOODS[name],
        lookup=lookup,
    )
