"""dSprites and 3D Shapes from small files in the published formats."""

import dataclasses

import data_files
import h5py
import numpy as np
import pytest

from cfasl_jax.data import published
from cfasl_jax.data.grid import FactorGrid
from cfasl_jax.data.layouts import LAYOUTS
from cfasl_jax.data.recipe import read

SIZES = {"dsprites": (3, 2, 4, 1, 2), "shapes3d": (2, 3, 1, 2, 2, 2)}
CASES = [("dsprites", ".npz"), ("dsprites", ".hdf5"), ("shapes3d", ".h5")]


@pytest.fixture(autouse=True)
def small_layouts(monkeypatch):
    for name, layout in LAYOUTS.items():
        grid = FactorGrid(layout.grid.names, SIZES[name])
        small = dataclasses.replace(layout, grid=grid)
        monkeypatch.setitem(LAYOUTS, name, small)


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


def error(name, path):
    message = data_files.error(published.recipe, name, path)
    assert path.name in message
    return message


@pytest.mark.parametrize(("name", "suffix"), CASES)
def test_images_come_in_grid_order(tmp_path, name, suffix):
    images, classes = arrays(name)
    recipe = published.recipe(name, write(tmp_path, name, suffix, images, classes))
    loaded = read(recipe)
    for row, image in zip(classes, images, strict=True):
        index = np.ravel_multi_index(tuple(row), SIZES[name])
        expected = image if name == "shapes3d" else 255 * image[..., None]
        np.testing.assert_array_equal(loaded[index], expected)


@pytest.mark.parametrize(("name", "suffix"), CASES)
def test_mutilated_files_are_named(tmp_path, name, suffix):
    images, classes = arrays(name)

    def message(images, classes):
        return error(name, write(tmp_path, name, suffix, images, classes))

    assert "instead of uint8" in message(images[:, :32], classes)
    assert "instead of uint8" in message(images.astype(np.int16), classes)
    assert "instead of uint8" in message(images[:-1], classes)
    assert "factors have shape" in message(images, classes[:-1])
    assert "factors have shape" in message(images, classes[:, :-1])
    assert "values instead of" in message(images, classes.clip(max=1))
    twice = np.concatenate([classes[1:], classes[1:2]])
    assert "1 of 48 combinations missing" in message(images, twice)
    if name == "dsprites":
        assert "the value 255, above 1" in message(255 * images, classes)


@pytest.mark.parametrize(("name", "suffix"), CASES)
@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_truncated_files_are_named(tmp_path, name, suffix, kept):
    path = write(tmp_path, name, suffix, *arrays(name))
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    assert "cannot be read" in error(name, path) or "damaged" in error(name, path)


def test_missing_members_and_other_files_are_named(tmp_path):
    path = tmp_path / "other.npz"
    np.savez(path, imgs=arrays("dsprites")[0])
    assert "has no array 'latents_classes'" in error("dsprites", path)
    assert "is not the published file of shapes3d: 3dshapes.h5" in error(
        "shapes3d", path
    )
