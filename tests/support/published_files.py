"""dSprites and 3D Shapes in the published formats, with few factor values."""

import dataclasses

import h5py
import numpy as np

from cfasl_jax.data import dsprites, shapes3d
from cfasl_jax.data.grid import FactorGrid

SIZES = {"dsprites": (3, 2, 4, 1, 2), "shapes3d": (2, 3, 1, 2, 2, 2)}


def small(module, name):
    """The entry of a data set with fewer factor values and no known checksum."""
    grid = FactorGrid(module.GRID.names, SIZES[name])
    contents = dataclasses.replace(
        module.CONTENTS, grid=grid, num_images=grid.num_points
    )
    archive = dataclasses.replace(module.ARCHIVE, digest=None, size=None)
    return module.entry(contents, archive)


ENTRIES = {
    "dsprites": small(dsprites, "dsprites"),
    "shapes3d": small(shapes3d, "shapes3d"),
}


def arrays(name):
    """Images and classes of all combinations, in a mixed order."""
    sizes = SIZES[name]
    classes = np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), axis=1)
    rng = np.random.default_rng(2)
    classes = rng.permutation(classes)
    shape = (len(classes), 64, 64)
    if name == "dsprites":
        return rng.integers(0, 2, shape, np.uint8), classes
    return rng.integers(0, 256, (*shape, 3), np.uint8), classes


def write(folder, name, suffix, images, classes):
    path = folder / f"published{suffix}"
    coloured = np.concatenate([np.zeros((len(classes), 1), int), classes], axis=1)
    if suffix == ".npz":
        np.savez(path, imgs=images, latents_classes=coloured, latents_values=coloured)
    elif suffix == ".hdf5":
        with h5py.File(path, "w") as file:
            file["imgs"] = images
            file["latents/classes"] = coloured
    else:
        with h5py.File(path, "w") as file:
            file["images"] = images
            file["labels"] = classes * 0.25 - 3
    return path
