"""dSprites and 3D Shapes from small files in the published formats."""

import data_files
import numpy as np
import pytest
from published_files import ENTRIES, SIZES, arrays, write

from cfasl_jax.data.recipe import read

CASES = [("dsprites", ".npz"), ("dsprites", ".hdf5"), ("shapes3d", ".h5")]


def recipe_of(name, path):
    return ENTRIES[name].version("paper").from_files(path)


def error(name, path):
    message = data_files.error(recipe_of, name, path)
    assert path.name in message
    return message


@pytest.mark.parametrize(("name", "suffix"), CASES)
def test_images_come_in_grid_order(tmp_path, name, suffix):
    images, classes = arrays(name)
    recipe = recipe_of(name, write(tmp_path, name, suffix, images, classes))
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
    assert "1 of 48 combinations of factors are missing" in message(images, twice)
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
    assert "is not the published file of shapes3d, which ends in .h5" in error(
        "shapes3d", path
    )
