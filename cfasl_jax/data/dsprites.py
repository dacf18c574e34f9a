"""dSprites: its published files, and a renderer that draws its images from factors.

dSprites (Matthey, Higgins, Hassabis, Lerchner, 2017) shows one white shape on black,
64 x 64 pixels, each combination of five factors once. A pixel is white where its
centre lies inside the shape. The lengths below were fitted to 254 frames of the
published set, 253 of which the renderer gives without a wrong pixel; they are in
pixels, for scale 1; x runs to the right and y downwards, from the centre of the top
left pixel.
"""

from functools import partial

import chex
import jax
import jax.numpy as jnp

from cfasl_jax.data import published, tfds
from cfasl_jax.data.dataset import Contents, Dataset, rendered
from cfasl_jax.data.download import Archive
from cfasl_jax.data.entry import Entry, Version
from cfasl_jax.data.grid import FactorGrid
from cfasl_jax.data.published import Arrays

GRID = FactorGrid(
    names=("shape", "scale", "orientation", "x_position", "y_position"),
    sizes=(3, 6, 40, 32, 32),
)
CONTENTS = Contents("dsprites", GRID.num_points, 1, "bernoulli", GRID)

_STEM = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64"
ARCHIVE = Archive(
    f"{_STEM}.hdf5",
    url=f"https://github.com/google-deepmind/dsprites-dataset/raw/master/{_STEM}.hdf5",
    size=28_024_106,
    digest="729fa22e884c9c500e1f17415d580746b4c5894fbbb780a1319bbcfa39a745bb",
    instead=(f"{_STEM}.npz",),
)
# The first column of the factors is the only colour.
_ARRAYS = {
    ".hdf5": Arrays("imgs", "latents/classes", skipped=1),
    ".npz": Arrays("imgs", "latents_classes", skipped=1),
}
_WHITE = 1

_SIZE = 64
_FIRST_CENTRE, _LAST_CENTRE = 15.5, 47.5

_SQUARE_HALF_SIDE = 9.598
_ELLIPSE_SEMI_AXES = (12.766, 7.2135)
# The heart's curve is 32 units wide; its origin lies above the centre of rotation.
_HEART_UNIT_X, _HEART_UNIT_Y = 0.5996, 0.6622
_HEART_ORIGIN_Y = -1.4363


def render(factors: jax.Array) -> jax.Array:
    """Images of factor combinations, on the device; pure, for use inside jit and vmap.

    Args:
        factors: int [n, 5], values in the order of GRID: shape (0 square, 1 ellipse,
            2 heart), scale (0.5 to 1), orientation (0 to 2 pi, counterclockwise on the
            screen), x position (left to right), y position (top to bottom).

    Returns:
        uint8 [n, 64, 64, 1] of 0 and 255.
    """
    chex.assert_shape(factors, (None, GRID.num_factors))
    chex.assert_type(factors, int)
    u, v = _sprite_coordinates(factors)
    shape = factors[:, 0, None, None]
    inside = jnp.where(
        shape == 0,
        _in_square(u, v),
        jnp.where(shape == 1, _in_ellipse(u, v), _in_heart(u, v)),
    )
    return jnp.where(inside, jnp.uint8(255), jnp.uint8(0))[..., None]


def _sprite_coordinates(factors: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Pixel centres as the sprite sees them, unrotated and of scale 1: two [n, 64, 64].

    The first and the last orientation are the same angle in the published set. Taking
    the angle modulo its period makes their images equal bit by bit as well.
    """
    _, scales, orientations, x_positions, y_positions = GRID.sizes
    period = orientations - 1
    scale = 0.5 + 0.5 * factors[:, 1] / (scales - 1)
    angle = 2 * jnp.pi * (factors[:, 2] % period) / period
    reach = _LAST_CENTRE - _FIRST_CENTRE
    centre_x = _FIRST_CENTRE + reach * factors[:, 3] / (x_positions - 1)
    centre_y = _FIRST_CENTRE + reach * factors[:, 4] / (y_positions - 1)

    pixels = jnp.arange(_SIZE, dtype=jnp.float32)[None]
    x = ((pixels - centre_x[:, None]) / scale[:, None])[:, None, :]
    y = ((pixels - centre_y[:, None]) / scale[:, None])[:, :, None]
    cos, sin = jnp.cos(angle)[:, None, None], jnp.sin(angle)[:, None, None]
    return cos * x - sin * y, sin * x + cos * y


def _in_square(u: jax.Array, v: jax.Array) -> jax.Array:
    return jnp.maximum(jnp.abs(u), jnp.abs(v)) < _SQUARE_HALF_SIDE


def _in_ellipse(u: jax.Array, v: jax.Array) -> jax.Array:
    semi_u, semi_v = _ELLIPSE_SEMI_AXES
    return (u / semi_u) ** 2 + (v / semi_v) ** 2 < 1


def _in_heart(u: jax.Array, v: jax.Array) -> jax.Array:
    """Whether points lie inside the heart, with its tip at the bottom.

    The outline is the well-known curve, upwards positive,

        x = 16 sin^3 t,  y = 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t
                           = (4 - 2 q - 8 q^2) + cos t (19 - 8 q),  q = cos^2 t.

    A vertical line at x meets it where sin^2 t = (x / 16)^(2/3), with either sign of
    cos t; the points between are those closer to the first term than the second.
    """
    x = u / _HEART_UNIT_X
    y = (_HEART_ORIGIN_Y - v) / _HEART_UNIT_Y
    # Through exp and log, since the library's cube root is eight times slower on the
    # CPU; at x = 0 the logarithm is -inf and the root 0, as it should be.
    cube_root = jnp.exp(jnp.log((x / 16) ** 2) / 3)
    q = jnp.maximum(1 - cube_root, 0)
    middle = 4 - 2 * q - 8 * q**2
    return (y - middle) ** 2 < q * (19 - 8 * q) ** 2


def _look_up(store: tuple[()], indices: jax.Array) -> jax.Array:
    return render(GRID.factors(indices))


def twin() -> Dataset:
    """dSprites with its images drawn on the device."""
    return rendered(CONTENTS, _look_up)


def entry(contents: Contents = CONTENTS, archive: Archive = ARCHIVE) -> Entry:
    """dSprites, or a part of it with fewer factor values."""
    version = Version(
        contents,
        partial(published.recipe, contents=contents, arrays=_ARRAYS, white=_WHITE),
        (archive,),
        partial(tfds.grid_recipe, contents=contents, white=_WHITE),
    )
    return Entry(
        contents.name,
        label="dSprites",
        page="https://github.com/google-deepmind/dsprites-dataset",
        versions={"paper": version},
        tfds="dsprites",
        twin=twin,
    )


ENTRY = entry()
