"""3D Cars from small files in the authors' format, sound and mutilated."""

import data_files
import numpy as np
import pytest
import resampling_reference
from cars3d_files import (
    AZIMUTHS,
    CARS,
    ELEVATIONS,
    GRID,
    contents,
    mat,
    mesh,
    write_archive,
)

from cfasl_jax.data import cars3d, preparing
from cfasl_jax.data.download import Archive
from cfasl_jax.data.recipe import DataFileError, read


def error(path, grid=GRID):
    message = data_files.error(cars3d.recipe, path, grid)
    assert path.name in message
    return message


def test_the_published_grid():
    assert cars3d.GRID.sizes == (4, 24, 183)
    assert cars3d.GRID.num_points == 17_568


def test_images_are_resized_and_in_grid_order(tmp_path):
    path = write_archive(tmp_path / "cars.tar.gz", contents())
    recipe = cars3d.recipe(path, GRID)
    images = read(recipe)
    assert images.shape == (ELEVATIONS * AZIMUTHS * CARS, 64, 64, 3)
    assert recipe.contents.grid is GRID
    index = 0
    for elevation in range(ELEVATIONS):
        for azimuth in range(AZIMUTHS):
            for car in range(CARS):
                stored = mesh(car)[..., azimuth, elevation]
                if index % 7 == 0:
                    expected = resampling_reference.resize(stored, 64, "lanczos")
                    np.testing.assert_allclose(images[index], expected, atol=1.5)
                index += 1


def test_an_unpacked_folder_gives_the_same(tmp_path):
    archive = write_archive(tmp_path / "cars.tar.gz", contents())
    folder = data_files.write_folder(tmp_path / "unpacked", contents())
    of_archive, of_folder = (
        read(cars3d.recipe(path, GRID)) for path in (archive, folder)
    )
    np.testing.assert_array_equal(of_archive, of_folder)


def test_a_missing_car_is_an_error(tmp_path):
    files = contents()
    del files["data/cars/car_002_mesh.mat"]
    message = error(write_archive(tmp_path / "cars.tar.gz", files))
    assert "holds 2 files car_*_mesh.mat where 3D Cars has 3" in message
    assert cars3d.PAGE in message
    assert "holds 2 files" in error(
        data_files.write_folder(tmp_path / "unpacked", files)
    )


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.98])
def test_a_truncated_archive_is_an_error(tmp_path, kept):
    path = write_archive(tmp_path / "cars.tar.gz", contents())
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    assert "cannot be read" in error(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (mat(im=mesh(1, side=64)), r"'im' is uint8 (64, 64, 3, 5, 2) instead of"),
        (mat(im=mesh(1).astype(float)), "'im' is float64"),
        (mat(image=mesh(1)), "it has no array 'im'"),
        (b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM", "cannot be read"),
        (mat(im=mesh(1))[:5000], "cannot be read"),
        (b"no matrix at all", "cannot be read"),
        (b"", "cannot be read"),
    ],
)
def test_a_damaged_car_is_named(tmp_path, content, message):
    files = contents() | {"data/cars/car_002_mesh.mat": content}
    for path in (
        write_archive(tmp_path / "cars.tar.gz", files),
        data_files.write_folder(tmp_path / "unpacked", files) / "data" / "cars",
    ):
        with pytest.raises(DataFileError) as caught:
            read(cars3d.recipe(path, GRID))
        assert "car_002_mesh.mat" in str(caught.value)
        assert message in str(caught.value)


def test_the_published_name_must_have_the_published_checksum(tmp_path):
    published = Archive("cars.tar.gz", "http://there", digest="0" * 32, algorithm="md5")
    entry = cars3d.entry(GRID, published)
    path = write_archive(tmp_path / "cars.tar.gz", contents())
    for given in (path, tmp_path):
        with pytest.raises(
            DataFileError, match=r"instead of 0{32}; delete it and down"
        ):
            preparing.from_files(entry, given, "paper")
    other = path.rename(tmp_path / "other.tar.gz")
    assert len(read(preparing.from_files(entry, other, "paper"))) == GRID.num_points
