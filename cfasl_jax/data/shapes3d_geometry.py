"""The room of 3D Shapes and where rays meet it: camera, floor, walls and four objects.

Lengths are in half widths of the room. The room is centred on the z axis, the floor is
z = 0, and the object stands on the floor at the origin. The camera looks horizontally
at the axis and turns round it with the factor "orientation". Every number was fitted to
frames of the published data set (Burgess and Kim, 3D Shapes, 2018).

The published objects are meshes of triangles. Here rays meet smooth surfaces, which
differ from the meshes by little more than a tenth of a pixel at most, but light is
interpolated over the meshes.

Vectors are tuples (x, y, z) of arrays that broadcast against each other: the arrays
stay flat, which XLA vectorises on a CPU far better than a last axis of length 3.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Vector = tuple[jax.Array, jax.Array, jax.Array]
# Corners of the triangle round a point: share at the point, position, unit normal.
Facet = tuple[tuple[jax.Array, Vector, Vector], ...]

# A ray that meets nothing has this length, beyond anything in the room.
FAR = 1e6
# Shortest length that counts, so that no surface meets the ray that leaves it.
NEAR = 1e-4
# The meshes of cylinder, sphere and capsule: quads round the z axis, and quads between
# the poles, or from one end of a tube to the other.
SLICES = 28
STACKS = 16


class Room(NamedTuple):
    """Camera and room, lengths in half widths of the room.

    Attributes:
        camera_height: height of the camera above the floor.
        camera_distance: horizontal distance between the camera and the object.
        focal_length: in pixels of a 64 x 64 image.
        horizon: image row, from the top, at the height of the camera.
        depth: distance of the back wall from the object's axis.
        wall_height: height of the walls; above them is sky.
        cube: half the edge of the cube at scale 1, as the following lengths.
        cylinder_radius: radius of the upright cylinder.
        cylinder_height: height of the cylinder.
        sphere: radius of the sphere.
        capsule_radius: radius of the capsule.
        capsule_length: distance between the centres of the two ends of the capsule.
    """

    camera_height: float = 0.2153
    camera_distance: float = 0.7257
    focal_length: float = 69.4884
    horizon: float = 32.0000
    depth: float = 1.0116
    wall_height: float = 0.5724
    cube: float = 0.1004
    cylinder_radius: float = 0.1083
    cylinder_height: float = 0.2149
    sphere: float = 0.1221
    capsule_radius: float = 0.0932
    capsule_length: float = 0.1869


ROOM = Room()


def dot(a: Vector, b: Vector) -> jax.Array:
    """Inner product."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def along(origin: Vector, direction: Vector, length: jax.Array) -> Vector:
    """The point origin + length * direction."""
    return (
        origin[0] + length * direction[0],
        origin[1] + length * direction[1],
        origin[2] + length * direction[2],
    )


def normalise(a: Vector) -> Vector:
    """The vector scaled to length 1."""
    inverse = jax.lax.rsqrt(dot(a, a))
    return a[0] * inverse, a[1] * inverse, a[2] * inverse


def camera_rays(
    angle: jax.Array, rows: jax.Array, columns: jax.Array
) -> tuple[Vector, Vector, Vector]:
    """Position, viewing direction and rays of the camera.

    Args:
        angle: of the camera round the object, in radians.
        rows: image rows of the rays, 0 to 64 from the top.
        columns: image columns of the rays, 0 to 64 from the left; broadcasts to rows.

    Returns:
        The camera's position, the unit vector in which it looks, the unit rays.
    """
    sine, cosine = jnp.sin(angle), jnp.cos(angle)
    distance = ROOM.camera_distance
    height = jnp.asarray(ROOM.camera_height)
    position = distance * sine, -distance * cosine, height
    forward = -sine, cosine, jnp.zeros_like(sine)
    across = (columns - 32.0) / ROOM.focal_length
    up = (ROOM.horizon - rows) / ROOM.focal_length
    rays = cosine * across - sine, sine * across + cosine, up
    return position, forward, normalise(rays)


def room_hits(
    origin: Vector, rays: Vector
) -> tuple[jax.Array, jax.Array, Vector, jax.Array]:
    """Where rays from inside the room meet its floor and its walls.

    The walls are the planes x = -1, x = 1 and y = depth, here without an upper end.

    Returns:
        Length to the floor, length to the nearest wall, that wall's unit normal, and
        the coordinate along the wall, from left to right as seen from inside.
    """
    x, y, z = rays
    floor = jnp.where(z < 0, -origin[2] / jnp.where(z < 0, z, -1.0), FAR)
    back = jnp.where(y > 0, (ROOM.depth - origin[1]) / jnp.where(y > 0, y, 1.0), FAR)
    sideways = jnp.where(x == 0, 1e-9, x)
    side = (jnp.sign(sideways) - origin[0]) / sideways
    is_back = back < side
    wall = jnp.minimum(back, side)
    zero = jnp.zeros_like(wall)
    normal = (
        jnp.where(is_back, 0.0, -jnp.sign(sideways)),
        jnp.where(is_back, -1.0, 0.0),
        zero,
    )
    point = along(origin, rays, wall)
    position = jnp.where(is_back, point[0], -jnp.sign(sideways) * point[1])
    return floor, wall, normal, position


def _sphere(
    origin: Vector, rays: Vector, height: jax.Array, radius: jax.Array
) -> jax.Array:
    """Length to a sphere centred at (0, 0, height)."""
    start = origin[0], origin[1], origin[2] - height
    half = dot(start, rays)
    discriminant = half * half - dot(start, start) + radius * radius
    length = -half - jnp.sqrt(jnp.maximum(discriminant, 0.0))
    return jnp.where((discriminant > 0) & (length > NEAR), length, FAR)


def _tube(
    origin: Vector, rays: Vector, bottom: jax.Array, top: jax.Array, radius: jax.Array
) -> jax.Array:
    """Length to the side of an upright tube round the z axis, without its ends."""
    square = jnp.maximum(rays[0] * rays[0] + rays[1] * rays[1], 1e-12)
    half = origin[0] * rays[0] + origin[1] * rays[1]
    rest = origin[0] * origin[0] + origin[1] * origin[1] - radius * radius
    discriminant = half * half - square * rest
    length = (-half - jnp.sqrt(jnp.maximum(discriminant, 0.0))) / square
    height = origin[2] + length * rays[2]
    met = (discriminant > 0) & (length > NEAR) & (height > bottom) & (height < top)
    return jnp.where(met, length, FAR)


def _disc(
    origin: Vector, rays: Vector, height: jax.Array, radius: jax.Array
) -> jax.Array:
    """Length to a level disc centred at (0, 0, height)."""
    rise = jnp.where(rays[2] == 0, 1e-9, rays[2])
    length = (height - origin[2]) / rise
    x, y, _ = along(origin, rays, length)
    met = (x * x + y * y < radius * radius) & (length > NEAR)
    return jnp.where(met, length, FAR)


def cube_hit(
    origin: Vector, rays: Vector, scale: jax.Array
) -> tuple[jax.Array, Vector]:
    """Length to the cube and its unit normal there, by slabs."""
    half = ROOM.cube * scale
    start = origin[0], origin[1], origin[2] - half
    slopes = [jnp.where(jnp.abs(r) < 1e-9, 1e-9, r) for r in rays]
    pairs = list(zip(start, slopes, strict=True))
    enter = [(-jnp.sign(r) * half - s) / r for s, r in pairs]
    leave = [(jnp.sign(r) * half - s) / r for s, r in pairs]
    first = jnp.maximum(jnp.maximum(enter[0], enter[1]), enter[2])
    last = jnp.minimum(jnp.minimum(leave[0], leave[1]), leave[2])
    x, y, z = (
        jnp.where(entry == first, -jnp.sign(r), 0.0)
        for entry, r in zip(enter, slopes, strict=True)
    )
    return jnp.where((first < last) & (first > NEAR), first, FAR), (x, y, z)


def cylinder_hit(
    origin: Vector, rays: Vector, scale: jax.Array
) -> tuple[jax.Array, Vector]:
    """Length to the cylinder and its unit normal there."""
    radius = ROOM.cylinder_radius * scale
    top = ROOM.cylinder_height * scale
    side = _tube(origin, rays, jnp.zeros_like(top), top, radius)
    # The lower end closes the cylinder for rays from below, which shadows need.
    ends = jnp.minimum(
        _disc(origin, rays, top, radius),
        _disc(origin, rays, jnp.zeros_like(top), radius),
    )
    length = jnp.minimum(side, ends)
    x, y, _ = along(origin, rays, length)
    is_end = ends < side
    normal = (
        jnp.where(is_end, 0.0, x / radius),
        jnp.where(is_end, 0.0, y / radius),
        jnp.where(is_end, 1.0, 0.0),
    )
    return length, normal


def _round_hit(
    origin: Vector, rays: Vector, radius: jax.Array, axis: jax.Array | float
) -> tuple[jax.Array, Vector]:
    """Length to an upright capsule and its normal; with an axis of 0 it is a sphere."""
    top = radius + axis
    length = jnp.minimum(
        _sphere(origin, rays, radius, radius), _sphere(origin, rays, top, radius)
    )
    length = jnp.minimum(length, _tube(origin, rays, radius, top, radius))
    x, y, z = along(origin, rays, length)
    normal = x / radius, y / radius, (z - jnp.clip(z, radius, top)) / radius
    return length, normal


def sphere_hit(
    origin: Vector, rays: Vector, scale: jax.Array
) -> tuple[jax.Array, Vector]:
    """Length to the sphere and its unit normal there."""
    return _round_hit(origin, rays, ROOM.sphere * scale, 0.0)


def capsule_hit(
    origin: Vector, rays: Vector, scale: jax.Array
) -> tuple[jax.Array, Vector]:
    """Length to the capsule and its unit normal there."""
    return _round_hit(
        origin, rays, ROOM.capsule_radius * scale, ROOM.capsule_length * scale
    )


def _facet(
    point: Vector,
    normal: Vector,
    radius: jax.Array,
    bottom: jax.Array,
    length: jax.Array,
) -> Facet:
    """The facet at a point of an upright tube between two half spheres.

    Args:
        point: on the smooth surface.
        normal: of the smooth surface there, of length 1.
        radius: of the tube and of the half spheres.
        bottom: height of the tube's lower end.
        length: of the tube; with 0 the surface is a sphere.
    """
    turn, tilt = 2.0 * np.pi / SLICES, np.pi / STACKS
    above = point[2] - bottom
    is_tube = (above > 0) & (above < length)
    rise = jnp.clip(above / jnp.maximum(length, 1e-6), 0.0, 1.0) * STACKS
    elevation = jnp.arcsin(jnp.clip(normal[2], -1.0, 1.0)) / tilt
    column = jnp.arctan2(normal[1], normal[0]) / turn
    row = jnp.where(is_tube, rise, elevation)
    left, lower = jnp.floor(column), jnp.floor(row)
    # A quad of the mesh is two triangles, on either side of the diagonal from its upper
    # left to its lower right corner. Corners and shares are counted from the corner
    # that the diagonal does not touch.
    across, up = column - left, row - lower
    flip = (across + up > 1.0).astype(across.dtype)
    across, up = jnp.abs(flip - across), jnp.abs(flip - up)

    def corner(slice_: jax.Array, stack: jax.Array) -> tuple[Vector, Vector]:
        azimuth = slice_ * turn
        slope = jnp.where(is_tube, 0.0, stack * tilt)
        level = jnp.cos(slope)
        out = level * jnp.cos(azimuth), level * jnp.sin(azimuth), jnp.sin(slope)
        end = jnp.where(above > 0.5 * length, length, 0.0)
        height = bottom + jnp.where(is_tube, stack / STACKS * length, end)
        x, y, z = (radius * o for o in out)
        return (x, y, z + height), out

    return (
        (1.0 - across - up, *corner(left + flip, lower + flip)),
        (across, *corner(left + 1.0 - flip, lower + flip)),
        (up, *corner(left + flip, lower + 1.0 - flip)),
    )


def cube_facet(point: Vector, normal: Vector, scale: jax.Array) -> Facet:
    """The cube's faces are large and lit evenly: the point itself."""
    return ((jnp.ones_like(point[0]), point, normal),)


def cylinder_facet(point: Vector, normal: Vector, scale: jax.Array) -> Facet:
    """The cylinder's facets; on its top the point itself."""
    radius, height = ROOM.cylinder_radius * scale, ROOM.cylinder_height * scale
    side = _facet(point, normal, radius, jnp.zeros_like(height), height)
    is_end = normal[2] > 0.5

    def at_end(smooth: Vector, corner: Vector) -> Vector:
        x, y, z = (jnp.where(is_end, s, c) for s, c in zip(smooth, corner, strict=True))
        return x, y, z

    return tuple(
        (weight, at_end(point, place), at_end(normal, out))
        for weight, place, out in side
    )


def sphere_facet(point: Vector, normal: Vector, scale: jax.Array) -> Facet:
    """The sphere's facets."""
    radius = ROOM.sphere * scale
    return _facet(point, normal, radius, radius, jnp.zeros_like(radius))


def capsule_facet(point: Vector, normal: Vector, scale: jax.Array) -> Facet:
    """The capsule's facets."""
    radius = ROOM.capsule_radius * scale
    return _facet(point, normal, radius, radius, ROOM.capsule_length * scale)


OBJECT_HITS = (cube_hit, cylinder_hit, sphere_hit, capsule_hit)
OBJECT_FACETS = (cube_facet, cylinder_facet, sphere_facet, capsule_facet)
