"""A slow ray marcher of the 3D Shapes scene: plain Python floats, one ray at a time.

Objects are signed distance functions, found by marching and not by solving equations;
light is interpolated over the triangles of an explicit mesh; colours are mixed and
saturate for every ray, before the image is scaled down.
"""

import colorsys
import math
from functools import cache
from itertools import pairwise

import numpy as np

from cfasl_jax.data.shapes3d_geometry import ROOM
from cfasl_jax.data.shapes3d_shading import LIGHT, TILE

SAMPLES = 3
SLICES, STACKS = 28, 16


def distance(shape, scale, x, y, z):
    """Signed distance to the object: cube, cylinder, sphere, capsule."""
    if shape == 0:
        half = ROOM.cube * scale
        offsets = [abs(x) - half, abs(y) - half, abs(z - half) - half]
        outside = math.hypot(*(max(o, 0.0) for o in offsets))
        return outside + min(max(offsets), 0.0)
    if shape == 1:
        half = ROOM.cylinder_height * scale / 2
        radial = math.hypot(x, y) - ROOM.cylinder_radius * scale
        axial = abs(z - half) - half
        outside = math.hypot(max(radial, 0.0), max(axial, 0.0))
        return outside + min(max(radial, axial), 0.0)
    if shape == 2:
        radius = ROOM.sphere * scale
        return math.hypot(x, y, z - radius) - radius
    radius = ROOM.capsule_radius * scale
    top = radius + ROOM.capsule_length * scale
    return math.hypot(x, y, z - min(max(z, radius), top)) - radius


def march(shape, scale, origin, ray, longest):
    """Length at which a ray meets the object, or None."""
    length = 1e-4
    while length < longest:
        point = [o + length * r for o, r in zip(origin, ray, strict=True)]
        gap = distance(shape, scale, *point)
        if gap < 1e-6:
            return length
        length += gap
    return None


def normal_at(shape, scale, point):
    """Gradient of the distance, by central differences."""
    gradient = []
    for axis in range(3):
        ends = []
        for step in (1e-5, -1e-5):
            moved = list(point)
            moved[axis] += step
            ends.append(distance(shape, scale, *moved))
        gradient.append((ends[0] - ends[1]) / 2e-5)
    length = math.hypot(*gradient)
    return [g / length for g in gradient]


def outline(shape, scale):
    """The profile of a round object, upwards: radius, height, slope of the normal."""
    rows = [i / STACKS for i in range(STACKS + 1)]
    if shape == 1:
        radius, height = ROOM.cylinder_radius * scale, ROOM.cylinder_height * scale
        return [(radius, height * row, 0.0) for row in rows]
    length = 0.0 if shape == 2 else ROOM.capsule_length * scale
    radius = (ROOM.sphere if shape == 2 else ROOM.capsule_radius) * scale

    def half_sphere(centre, slopes):
        return [
            (radius * math.cos(s), centre + radius * math.sin(s), s) for s in slopes
        ]

    slopes = [math.pi * (row - 0.5) for row in rows]
    below = half_sphere(radius, slopes[: STACKS // 2 + 1])
    above = half_sphere(radius + length, slopes[STACKS // 2 :])
    if length == 0.0:
        return below + above[1:]
    tube = [(radius, radius + length * row, 0.0) for row in rows[1:-1]]
    return below + tube + above


@cache
def mesh(shape, scale):
    """All triangles of a round object: their corners' positions and normals."""
    rings = [
        [
            (
                (radius * math.cos(turn), radius * math.sin(turn), height),
                (
                    math.cos(slope) * math.cos(turn),
                    math.cos(slope) * math.sin(turn),
                    math.sin(slope),
                ),
            )
            for turn in (2 * math.pi * i / SLICES for i in range(SLICES + 1))
        ]
        for radius, height, slope in outline(shape, scale)
    ]
    triangles = []
    for lower, upper in pairwise(rings):
        for i in range(SLICES):
            triangles.append((lower[i], lower[i + 1], upper[i]))
            triangles.append((upper[i + 1], upper[i], lower[i + 1]))
    positions = np.array([[corner[0] for corner in three] for three in triangles])
    normals = np.array([[corner[1] for corner in three] for three in triangles])
    return positions, normals


def facet(shape, scale, point, normal):
    """Shares, positions and normals of the corners whose light a point of it shows."""
    if shape == 0 or (shape == 1 and normal[2] > 0.5):
        return [1.0], [point], [normal]
    positions, normals = mesh(shape, scale)
    # Where the line through the point, along the normal, meets each triangle's plane.
    first = positions[:, 0]
    outwards = np.broadcast_to(normal, first.shape)
    edges = np.stack([positions[:, 1] - first, positions[:, 2] - first, outwards], 2)
    # The triangles at the poles have two corners in one place.
    flat = np.abs(np.linalg.det(edges)) < 1e-12
    edges[flat] = np.eye(3)
    across, up, depth = np.linalg.solve(edges, (point - first)[..., None])[..., 0].T
    outside = -np.minimum(np.minimum(across, up), 1.0 - across - up)
    far = np.abs(depth) > 0.2 * ROOM.sphere * scale
    best = int(np.argmin(np.where(flat | far, np.inf, outside)))
    shares = [1.0 - across[best] - up[best], across[best], up[best]]
    return shares, positions[best].tolist(), normals[best].tolist()


def texture(x, y):
    """The pattern of walls and floor."""
    column, row = 10 * math.pi * x / TILE, 16 * math.pi * y / TILE
    dots = 2 * math.cos(column) * math.cos(row) + math.cos(2 * column)
    right = (x - 0.0257 + TILE / 2) % TILE - TILE / 2
    up = (y - 0.3137 + TILE / 2) % TILE - TILE / 2

    def ellipse(a, b, semi_a, semi_b, angle):
        along = (math.cos(angle) * a + math.sin(angle) * b) / semi_a
        across = (math.cos(angle) * b - math.sin(angle) * a) / semi_b
        return math.exp(-((along**2 + across**2) ** 2))

    body = ellipse(right, up, 0.0568, 0.0794, 0.38)
    tail = ellipse(right - 0.0601, up + 0.0819, 0.072, 0.0335, -0.516)
    return 1 + 0.0063 * dots - 0.06 * max(body, tail)


def unit(vector):
    length = math.hypot(*vector)
    return [v / length for v in vector]


def inner(a, b):
    return sum(p * q for p, q in zip(a, b, strict=True))


def arriving_light(point):
    """Direction to the spot light and its strength at a point."""
    towards = unit([LIGHT.x - point[0], LIGHT.y - point[1], LIGHT.z - point[2]])
    axis = unit([LIGHT.x - LIGHT.target_x, LIGHT.y - LIGHT.target_y, LIGHT.z])
    return towards, max(inner(towards, axis), 0.0) ** LIGHT.exponent


def ray_colour(factors, row, column):
    """Colour that one ray sees, each channel in [0, 1]."""
    floor, wall, thing = (colorsys.hsv_to_rgb(h / 10, 1, 1) for h in factors[:3])
    scale, shape = 0.75 + 0.5 * factors[3] / 7, factors[4]
    angle = math.radians(-30 + 60 * factors[5] / 14)
    sine, cosine = math.sin(angle), math.cos(angle)
    origin = [
        ROOM.camera_distance * sine,
        -ROOM.camera_distance * cosine,
        ROOM.camera_height,
    ]
    forward = [-sine, cosine, 0.0]
    across = (column - 32) / ROOM.focal_length
    up = (ROOM.horizon - row) / ROOM.focal_length
    ray = unit([cosine * across - sine, sine * across + cosine, up])

    # The planes x = -1, x = 1, y = depth and z = 0: offset, axis, normal.
    surfaces = []
    for axis, offset in ((0, -1.0), (0, 1.0), (1, ROOM.depth), (2, 0.0)):
        if ray[axis] != 0 and (offset - origin[axis]) / ray[axis] > 0:
            surfaces.append(((offset - origin[axis]) / ray[axis], axis, offset))
    length, axis, offset = min(surfaces)
    met = march(shape, scale, origin, ray, length)
    point = [o + (met or length) * r for o, r in zip(origin, ray, strict=True)]
    towards, strength = arriving_light(point)
    white = 0.0
    if met is not None:
        normal = normal_at(shape, scale, point)
        colour, brightness = thing, 0.0
        for share, place, out in zip(*facet(shape, scale, point, normal), strict=True):
            towards, strength = arriving_light(place)
            facing = inner(out, towards)
            light = LIGHT.object_ambient
            light += LIGHT.object_head * max(-inner(out, forward), 0.0)
            light += LIGHT.object_spot * strength * max(facing, 0.0)
            brightness += share * light
            white += share * (LIGHT.highlight * strength if facing > 0 else 0.0)
    elif axis == 2:
        colour = floor
        brightness = LIGHT.floor_ambient
        if march(shape, scale, point, towards, 2.0) is None:
            brightness += LIGHT.floor_spot * strength * towards[2]
        brightness *= texture(-point[1], point[0] + TILE / 2)
    elif point[2] > ROOM.wall_height:
        return [153 / 255, 226 / 255, 249 / 255]
    else:
        colour = wall
        normal = [0.0, 0.0, 0.0]
        normal[axis] = -math.copysign(1.0, offset)
        brightness = LIGHT.wall_ambient
        brightness += LIGHT.wall_head * max(-inner(normal, forward), 0.0)
        brightness += LIGHT.wall_spot * strength * max(inner(normal, towards), 0.0)
        brightness *= texture(point[0] if axis == 1 else -offset * point[1], point[2])
    return [min(1.0, brightness * c + white) for c in colour]


def lanczos(offset):
    """The Lanczos kernel of three lobes."""
    if offset == 0:
        return 1.0
    if abs(offset) >= 3:
        return 0.0
    x = math.pi * offset
    return 3 * math.sin(x) * math.sin(x / 3) / (x * x)


def pixel(factors, row, column):
    """One pixel of an image: three channels in [0, 1]."""
    total, norm = [0.0, 0.0, 0.0], 0.0
    for i in range(max(0, (row - 3) * SAMPLES), min(64, row + 4) * SAMPLES):
        for j in range(max(0, (column - 3) * SAMPLES), min(64, column + 4) * SAMPLES):
            y, x = (i + 0.5) / SAMPLES, (j + 0.5) / SAMPLES
            weight = lanczos(y - row - 0.5) * lanczos(x - column - 0.5)
            if weight == 0:
                continue
            colour = ray_colour(factors, y, x)
            total = [t + weight * c for t, c in zip(total, colour, strict=True)]
            norm += weight
    return [min(max(t / norm, 0.0), 1.0) for t in total]
