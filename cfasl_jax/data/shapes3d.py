"""3D Shapes (Burgess and Kim, 2018): an object in a room, seen from 15 angles.

This module reads the published file, and renders the images from their factors.

An image is linear in the colours of floor, wall and object, up to saturation. The parts
that depend on the other three factors are ray-traced once, into a table of brightness
planes for the 480 combinations of scale, shape and orientation. An image is then a row
of the table mixed with three colours, which is cheap enough for every training step.
The table is an explicit argument, so that it exists once in device memory and is not
part of a compiled program.

The numbers were fitted to two thirds of the 53 frames of the authors' animation, in
which a frame has at most 143 colours. The mean absolute error of an image in [0, 1] is
0.0063 on these frames, 0.0065 on the other third, and 0.0105 at most.
"""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np

from cfasl_jax.data import published, tfds
from cfasl_jax.data import shapes3d_shading as shading
from cfasl_jax.data.dataset import Contents, Dataset, rendered
from cfasl_jax.data.download import Archive
from cfasl_jax.data.entry import Entry, Version
from cfasl_jax.data.grid import FactorGrid
from cfasl_jax.data.published import Arrays
from cfasl_jax.data.shapes3d_geometry import OBJECT_HITS
from cfasl_jax.data.shapes3d_shading import PLANES, SIZE
from cfasl_jax.forms import jit_once

GRID = FactorGrid(
    names=("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation"),
    sizes=(10, 10, 10, 8, 4, 15),
)
CHANNELS = 3
CONTENTS = Contents("shapes3d", GRID.num_points, CHANNELS, "gaussian", GRID)

ARCHIVE = Archive(
    "3dshapes.h5",
    url="https://storage.googleapis.com/3d-shapes/3dshapes.h5",
    size=267_573_662,
    digest="0a0f6ed98baff276a50f3a081a7434d788da63cb135a98189b2a5b5769be1785",
)
_ARRAYS = {".h5": Arrays("images", "labels")}
_WHITE = 255

SCALES = np.linspace(0.75, 1.25, 8)
ANGLES = np.radians(np.linspace(-30.0, 30.0, 15))
SKY = np.asarray([153, 226, 249]) / 255.0


def hue_colours() -> np.ndarray:
    """The ten colours of floor, wall and object: HSV (h, 1, 1), h = 0, 0.1 ... 0.9.

    Returns:
        float32 [10, 3], RGB in [0, 1].
    """
    hue = np.arange(10)[:, None] * 0.6
    offset = np.abs((hue + np.asarray([0.0, 4.0, 2.0])) % 6.0 - 3.0) - 1.0
    # Rounded, since a channel of 1 must be exactly 1: only such channels can saturate.
    return np.round(np.clip(offset, 0.0, 1.0), 6).astype(np.float32)


def light_table() -> jax.Array:
    """Ray-traces the brightness planes of all geometries. Wrap it in `jit_once`.

    Returns:
        float16 [15, 8, 4, 8, 64, 64]: orientation, scale, shape, plane, row, column.
    """
    scales = jnp.asarray(SCALES, jnp.float32)

    def of_angle(angle: jax.Array) -> jax.Array:
        view = shading.look(angle)

        # Two loops, since in a single one XLA would trace every ray again for each
        # plane.
        placed = [
            jax.lax.map(
                lambda scale, shape=shape: shading.place(view, shape, scale),
                scales,
            )
            for shape in range(len(OBJECT_HITS))
        ]
        together = jax.tree.map(lambda *parts: jnp.concatenate(parts), *placed)
        planes = jax.lax.map(lambda one: shading.planes(view, one), together)
        planes = planes.reshape(len(OBJECT_HITS), len(SCALES), *planes.shape[1:])
        return jnp.swapaxes(planes, 0, 1).astype(jnp.float16)

    return jax.lax.map(of_angle, jnp.asarray(ANGLES, jnp.float32))


def plane_weights(factors: jax.Array) -> jax.Array:
    """How much each plane adds to each channel: int [n, 6] -> float32 [n, 8, 3]."""
    colours = jnp.asarray(hue_colours())[factors[:, :3]]
    is_full = colours == 1.0
    white = jnp.where(is_full[:, 2:], 0.0, 1.0)
    sky = jnp.broadcast_to(jnp.asarray(SKY, jnp.float32), white.shape)
    partial = jnp.where(is_full, 0.0, colours)
    full = is_full.astype(jnp.float32)
    return jnp.concatenate([partial, white, full, sky], axis=1)


def render(factors: jax.Array, table: jax.Array) -> jax.Array:
    """Images of factor combinations. Runs on the device, inside a jitted step.

    Args:
        factors: int [n, 6], in the order of GRID.
        table: from light_table.

    Returns:
        uint8 [n, 64, 64, 3].
    """
    chex.assert_shape(factors, (None, GRID.num_factors))
    chex.assert_shape(table, (15, 8, 4, len(PLANES), 64, 64))
    scale, shape, orientation = factors[:, 3], factors[:, 4], factors[:, 5]
    planes = table[orientation, scale, shape]
    weights = plane_weights(factors)
    # One fused sum, several times faster on a CPU than the product of matrices.
    image = jnp.zeros((factors.shape[0], SIZE, SIZE, CHANNELS))
    for plane in range(len(PLANES)):
        brightness = planes[:, plane, :, :, None].astype(jnp.float32)
        image += brightness * weights[:, plane, None, None, :]
    return jnp.round(jnp.clip(image, 0.0, 1.0) * 255.0).astype(jnp.uint8)


def _look_up(table: jax.Array, indices: jax.Array) -> jax.Array:
    return render(GRID.factors(indices), table)


def twin() -> Dataset:
    """3D Shapes with its images drawn on the device."""
    return rendered(CONTENTS, _look_up, store=jit_once(light_table)())


def entry(contents: Contents = CONTENTS, archive: Archive = ARCHIVE) -> Entry:
    """3D Shapes, or a part of it with fewer factor values."""
    version = Version(
        contents,
        partial(published.recipe, contents=contents, arrays=_ARRAYS, white=_WHITE),
        (archive,),
        partial(tfds.grid_recipe, contents=contents, white=_WHITE),
    )
    return Entry(
        contents.name,
        label="3D Shapes",
        page="https://github.com/google-deepmind/3d-shapes",
        versions={"paper": version},
        tfds="shapes3d",
        twin=twin,
    )


ENTRY = entry()
