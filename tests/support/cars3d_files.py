"""3D Cars in the authors' format, with few cars and angles."""

import dataclasses
import io
import tarfile

import numpy as np
import scipy.io

from cfasl_jax.data import cars3d
from cfasl_jax.data.grid import FactorGrid

CARS, AZIMUTHS, ELEVATIONS = 3, 5, 2
GRID = FactorGrid(cars3d.GRID.names, (ELEVATIONS, AZIMUTHS, CARS))
ARCHIVE = dataclasses.replace(cars3d.ARCHIVE, digest=None)


def mesh(car, side=128):
    """A car's array: smooth random pictures of [side, side, 3, azimuth, elevation]."""
    rng = np.random.default_rng(car)
    coarse = rng.integers(0, 256, (8, 8, 3, AZIMUTHS, ELEVATIONS), np.uint8)
    return np.kron(coarse, np.ones((side // 8, side // 8, 1, 1, 1), np.uint8))


def mat(**arrays):
    file = io.BytesIO()
    scipy.io.savemat(file, arrays, do_compression=True)
    return file.getvalue()


def contents():
    """Name -> bytes, in another order than that of the names."""
    masks = np.zeros((4, 4), np.uint8)
    files = {
        f"data/cars/car_{car + 1:03d}_mesh.mat": mat(im=mesh(car), mask=masks)
        for car in (2, 0, 1)
    }
    return {"data/sprites/a.mat": b"not a car", "data/cars/list.txt": b""} | files


def write_archive(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path
