"""smallNORB in the authors' format, with few toys and angles."""

import dataclasses
import gzip
import itertools
import struct

import numpy as np

from cfasl_jax.data import smallnorb

SIZES = (2, 3, 2)  # elevation, azimuth, lighting
CATEGORIES = 2


def small(name):
    """A convention on cut-down data without known checksums."""
    convention = smallnorb.CONVENTIONS[name]
    halves = [
        dataclasses.replace(half, instances=half.instances[:2], known={})
        for half in convention.halves
    ]
    return dataclasses.replace(
        convention, halves=tuple(halves), categories=CATEGORIES, sizes=SIZES
    )


def factors(half):
    """Published factors of a half's image pairs, in a mixed order: [rows, 5]."""
    ranges = [range(CATEGORIES), half.instances, *map(range, SIZES)]
    rows = np.array(list(itertools.product(*ranges)))
    return np.random.default_rng(3).permutation(rows)


def picture(row, camera, side=96):
    """A pair's image: coarse random blocks that tell all factors apart."""
    rng = np.random.default_rng([*row, camera])
    coarse = rng.integers(0, 256, (8, 8), np.uint8)
    return np.kron(coarse, np.ones((side // 8, side // 8), np.uint8))


def matrix(array, magic=None):
    """A file as its page describes it."""
    known = {np.dtype("uint8"): 0x1E3D4C55, np.dtype("int32"): 0x1E3D4C54}
    sizes = [*array.shape, *[1] * (3 - array.ndim)]
    head = struct.pack("<II", magic or known[array.dtype], array.ndim)
    return head + struct.pack(f"<{len(sizes)}i", *sizes) + array.tobytes()


def contents(half):
    """Kind -> array, as published: azimuths are doubled."""
    rows = factors(half)
    info = rows[:, 1:].astype(np.int32)
    info[:, 2] *= 2
    images = np.stack([[picture(row, camera) for camera in (0, 1)] for row in rows])
    return {"dat": images, "cat": rows[:, 0].astype(np.int32), "info": info}


def write(folder, name, zipped=True):
    folder.mkdir(exist_ok=True)
    for half in small(name).halves:
        for kind, array in contents(half).items():
            put(folder, half, kind, matrix(array), zipped)
    return folder


def put(folder, half, kind, content, zipped=True):
    """Write a file, in place of what there is of it, zipped or not."""
    (folder / f"{half.stem}-{kind}.mat.gz").unlink(missing_ok=True)
    path = folder / f"{half.stem}-{kind}.mat{'.gz' if zipped else ''}"
    path.write_bytes(gzip.compress(content, 1) if zipped else content)
    return path
