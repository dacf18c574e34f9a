"""Rendered twins of dSprites and 3D Shapes: images drawn on the device."""

from typing import Any

import jax

from cfasl_jax.data import dsprites, shapes3d
from cfasl_jax.data.dataset import Dataset, Lookup
from cfasl_jax.data.layouts import LAYOUTS


def _draw_dsprites(store: tuple[()], indices: jax.Array) -> jax.Array:
    return dsprites.render(dsprites.GRID.factors(indices))


def _draw_shapes3d(table: jax.Array, indices: jax.Array) -> jax.Array:
    return shapes3d.render(shapes3d.GRID.factors(indices), table)


_LOOKUPS: dict[str, Lookup] = {"dsprites": _draw_dsprites, "shapes3d": _draw_shapes3d}
NAMES = tuple(_LOOKUPS)


def rendered(name: str) -> Dataset:
    """A rendered data set, one of NAMES."""
    layout = LAYOUTS[name]
    store: Any = jax.jit(shapes3d.light_table)() if name == "shapes3d" else ()
    return Dataset(
        store=store,
        name=name,
        source="rendered",
        grid=layout.grid,
        num_images=layout.grid.num_points,
        channels=layout.channels,
        likelihood=layout.likelihood,
        lookup=_LOOKUPS[name],
    )
