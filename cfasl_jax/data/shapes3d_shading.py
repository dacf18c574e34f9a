"""How light falls in the room of 3D Shapes, and the brightness planes of an image.

Light follows the fixed-function model of OpenGL, in which the published images were
rendered: every material has an ambient part, a part lit by a lamp that looks along
with the camera, and a part lit by a spot light above the room, which casts the shadow
and the white highlight. On an object it is computed at the corners of its mesh and
interpolated linearly over each triangle. A colour channel of a surface is
min(1, brightness * colour + white): it saturates in the frame buffer, before the image
is scaled down.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cfasl_jax.data import shapes3d_geometry as geometry
from cfasl_jax.data.shapes3d_geometry import ROOM, Vector, dot

# Height and width of an image in pixels.
SIZE = 64
# Rays along one edge of a pixel: the published images were rendered without smoothing
# at 192 x 192, which the steps along their edges show.
SAMPLES = 3

# Edge of the square that the texture of walls and floor repeats.
TILE = 0.575

# Planes that weigh a colour channel below 1, planes that stand in for them where the
# channel is 1 and may saturate, and the sky.
PLANES = (
    "floor",
    "wall",
    "object",
    "highlight",
    "full floor",
    "full wall",
    "full object",
    "sky",
)


class Light(NamedTuple):
    """Lights and materials, fitted to frames of the published data set.

    Attributes:
        x, y, z: position of the spot light, in half widths of the room.
        target_x, target_y: the point of the floor at which it aims.
        exponent: of the cosine with which the spot light fades off its axis.
        floor_ambient, floor_spot: brightness of the floor, per unit of light.
        wall_ambient, wall_head, wall_spot: of the walls.
        object_ambient, object_head, object_spot: of the object.
        highlight: strength of the object's white highlight.
    """

    x: float = -0.4570
    y: float = 0.1754
    z: float = 2.2511
    target_x: float = -0.4058
    target_y: float = 0.1360
    exponent: float = 11.7679
    floor_ambient: float = 0.3488
    floor_spot: float = 0.9535
    wall_ambient: float = 0.3670
    wall_head: float = 0.5722
    wall_spot: float = 1.0526
    object_ambient: float = 0.3628
    object_head: float = 0.5881
    object_spot: float = 0.8826
    highlight: float = 0.1577


LIGHT = Light()


class View(NamedTuple):
    """What one camera angle sees without an object, at the resolution of the rays.

    Attributes:
        origin, forward, rays: the camera's position, its direction, its rays.
        length: of the rays, up to the floor or the plane of a wall.
        is_floor, is_sky: what the rays meet; a wall if neither.
        floor_point: where they meet it.
        floor_light: brightness that the spot light gives to the floor, without shadow.
        floor_pattern: of the floor's texture.
        to_light: unit vectors from there to the spot light.
        wall: brightness of the wall.
    """

    origin: Vector
    forward: Vector
    rays: Vector
    length: jax.Array
    is_floor: jax.Array
    is_sky: jax.Array
    floor_point: Vector
    floor_light: jax.Array
    floor_pattern: jax.Array
    to_light: Vector
    wall: jax.Array


class Placed(NamedTuple):
    """What an object adds to a view, at the resolution of the rays.

    Attributes:
        is_object: where the object is seen.
        brightness: of the object's colour, there.
        highlight: white light from the object, there.
        floor: brightness of the floor, with the object's shadow.
    """

    is_object: jax.Array
    brightness: jax.Array
    highlight: jax.Array
    floor: jax.Array


def _smooth_ellipse(
    x: jax.Array, y: jax.Array, semi_x: float, semi_y: float, angle: float
) -> jax.Array:
    """1 inside an ellipse turned by an angle in radians, falling to 0 outside."""
    sine, cosine = np.sin(angle), np.cos(angle)
    along = (cosine * x + sine * y) / semi_x
    across = (cosine * y - sine * x) / semi_y
    return jnp.exp(-((along * along + across * across) ** 2))


def pattern(x: jax.Array, y: jax.Array) -> jax.Array:
    """Brightness of the texture on walls and floor, near 1, repeating every TILE.

    Bright dots on a hexagonal lattice and one dark blotch a tile, of two ellipses.

    Args:
        x: coordinate to the right on the texture, in half widths of the room.
        y: coordinate upwards on the texture, of the same shape.
    """
    column = 2.0 * np.pi * 5.0 / TILE * x
    row = 2.0 * np.pi * 8.0 / TILE * y
    dots = 2.0 * jnp.cos(column) * jnp.cos(row) + jnp.cos(2.0 * column)
    right, up = x - 0.0257, y - 0.3137
    right, up = right - TILE * jnp.round(right / TILE), up - TILE * jnp.round(up / TILE)
    body = _smooth_ellipse(right, up, 0.0568, 0.0794, 0.38)
    tail = _smooth_ellipse(right - 0.0601, up + 0.0819, 0.072, 0.0335, -0.516)
    return 1.0 + 0.0063 * dots - 0.06 * jnp.maximum(body, tail)


def _power(base: jax.Array, exponent: float) -> jax.Array:
    """The power of a cosine, 0 for negative cosines; XLA's own is slow on a CPU."""
    return jnp.exp(exponent * jnp.log(jnp.maximum(base, 1e-6)))


def spot_light(point: Vector) -> tuple[Vector, jax.Array]:
    """Unit vector to the spot light and how much of its light arrives at a point."""
    to_light = geometry.normalise(
        (LIGHT.x - point[0], LIGHT.y - point[1], LIGHT.z - point[2])
    )
    axis = geometry.normalise(
        (
            jnp.asarray(LIGHT.x - LIGHT.target_x),
            jnp.asarray(LIGHT.y - LIGHT.target_y),
            jnp.asarray(LIGHT.z),
        )
    )
    return to_light, _power(dot(to_light, axis), LIGHT.exponent)


def look(angle: jax.Array) -> View:
    """The room from one camera angle (radians), without an object."""
    rows, columns = map(jnp.asarray, sample_positions())
    origin, forward, rays = geometry.camera_rays(angle, rows, columns)
    floor, wall, normal, position = geometry.room_hits(origin, rays)
    length = jnp.minimum(floor, wall)
    point = geometry.along(origin, rays, length)
    to_light, arriving = spot_light(point)
    is_floor = floor < wall
    head = jnp.maximum(-dot(normal, forward), 0.0)
    brightness = (
        LIGHT.wall_ambient
        + LIGHT.wall_head * head
        + LIGHT.wall_spot * arriving * jnp.maximum(dot(normal, to_light), 0.0)
    ) * pattern(position, point[2])
    return View(
        origin=origin,
        forward=forward,
        rays=rays,
        length=length,
        is_floor=is_floor,
        is_sky=~is_floor & (point[2] > ROOM.wall_height),
        floor_point=point,
        floor_light=LIGHT.floor_spot * arriving * to_light[2],
        floor_pattern=pattern(-point[1], point[0] + TILE / 2.0),
        to_light=to_light,
        wall=brightness,
    )


def object_brightness(
    view: View, point: Vector, normal: Vector
) -> tuple[jax.Array, jax.Array]:
    """Brightness of the object's colour and of its white highlight."""
    to_light, arriving = spot_light(point)
    facing = dot(normal, to_light)
    head = jnp.maximum(-dot(normal, view.forward), 0.0)
    brightness = (
        LIGHT.object_ambient
        + LIGHT.object_head * head
        + LIGHT.object_spot * arriving * jnp.maximum(facing, 0.0)
    )
    # OpenGL has no highlight on the side turned away from the light: on the sphere and
    # the capsule it ends within the triangles that have a corner on either side.
    highlight = jnp.where(facing > 0, LIGHT.highlight * arriving, 0.0)
    return brightness, highlight


def place(view: View, shape: int, scale: jax.Array) -> Placed:
    """An object put into a view.

    Args:
        view: the room from the camera's angle.
        shape: index into OBJECT_HITS.
        scale: size of the object.
    """
    hit = geometry.OBJECT_HITS[shape]
    length, normal = hit(view.origin, view.rays, scale)
    point = geometry.along(view.origin, view.rays, length)
    brightness = highlight = jnp.zeros_like(length)
    for share, *corner in geometry.OBJECT_FACETS[shape](point, normal, scale):
        coloured, white = object_brightness(view, *corner)
        brightness += share * coloured
        highlight += share * white
    blocked, _ = hit(view.floor_point, view.to_light, scale)
    lit = jnp.where(blocked < geometry.FAR, 0.0, view.floor_light)
    return Placed(
        is_object=length < view.length,
        brightness=brightness,
        highlight=highlight,
        floor=(LIGHT.floor_ambient + lit) * view.floor_pattern,
    )


def planes(view: View, placed: Placed) -> jax.Array:
    """The brightness planes of one image: float32 [8, 64, 64], ordered as PLANES."""
    is_object = placed.is_object
    is_floor = view.is_floor & ~is_object
    is_sky = view.is_sky & ~is_object
    is_wall = ~(is_object | is_floor | is_sky)
    full_object = jnp.minimum(placed.brightness + placed.highlight, 1.0)
    fine = jnp.stack(
        [
            jnp.where(is_floor, placed.floor, 0.0),
            jnp.where(is_wall, view.wall, 0.0),
            jnp.where(is_object, placed.brightness, 0.0),
            jnp.where(is_object, placed.highlight, 0.0),
            jnp.where(is_floor, jnp.minimum(placed.floor, 1.0), 0.0),
            jnp.where(is_wall, jnp.minimum(view.wall, 1.0), 0.0),
            jnp.where(is_object, full_object, 0.0),
            jnp.where(is_sky, 1.0, 0.0),
        ]
    )
    return scale_down(fine)


def sample_positions() -> tuple[np.ndarray, np.ndarray]:
    """Rows [SIZE * SAMPLES, 1] and columns [1, SIZE * SAMPLES] of rays, in pixels."""
    position = ((np.arange(SIZE * SAMPLES) + 0.5) / SAMPLES).astype(np.float32)
    return position[:, None], position[None, :]


def lanczos_weights() -> np.ndarray:
    """Weights [SIZE, SIZE * SAMPLES] that scale an axis down by the Lanczos-3 filter.

    The published images show this filter's overshoot along every edge.
    """
    centres = np.arange(SIZE) + 0.5
    positions = (np.arange(SIZE * SAMPLES) + 0.5) / SAMPLES
    offsets = np.abs(positions[None] - centres[:, None])
    weights = np.where(offsets < 3.0, np.sinc(offsets) * np.sinc(offsets / 3.0), 0.0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def scale_down(fine: jax.Array) -> jax.Array:
    """Filters [k, SIZE * SAMPLES, SIZE * SAMPLES] to [k, SIZE, SIZE]."""
    weights = lanczos_weights()
    return jnp.einsum(
        "ip,kpq,jq->kij",
        weights,
        fine,
        weights,
        precision=jax.lax.Precision.HIGHEST,
    )
