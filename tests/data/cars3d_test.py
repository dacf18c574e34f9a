"""3D Cars from small files in the authors' format, sound and mutilated."""

import dataclasses
import io
import tarfile

import data_files
import h5py
import numpy as np
import pytest
import resampling_reference
import scipy.io

from cfasl_jax.data import cars3d
from cfasl_jax.data.checks import Checksum
from cfasl_jax.data.grid import FactorGrid
from cfasl_jax.data.recipe import DataFileError, read

CARS, AZIMUTHS, ELEVATIONS = 3, 5, 2
LAYOUT = cars3d.Layout(
    FactorGrid(cars3d.LAYOUT.grid.names, (ELEVATIONS, AZIMUTHS, CARS)),
    side=128,
    archive=dataclasses.replace(cars3d.ARCHIVE, digest=None),
)


def mesh(car, side=128):
    """A car's array: smooth random pictures of [side, side, 3, azimuth, elevation]."""
    rng = np.random.default_rng(car)
    coarse = rng.integers(0, 256, (8, 8, 3, AZIMUTHS, ELEVATIONS), np.uint8)
    return np.kron(coarse, np.ones((side // 8, side // 8, 1, 1, 1), np.uint8))


def mat(**arrays):
    file = io.BytesIO()
    scipy.io.savemat(file, arrays, do_compression=True)
    return file.getvalue()


def mat73(**arrays):
    """As MATLAB writes version 7.3: HDF5 behind a head, with the axes reversed."""
    file = io.BytesIO()
    with h5py.File(file, "w", userblock_size=512) as hdf5:
        for name, array in arrays.items():
            hdf5[name] = array.T
    head = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    return head + file.getvalue()[len(head) :]


def contents(write=mat):
    """Name -> bytes, in another order than that of the names."""
    masks = np.zeros((4, 4), np.uint8)
    files = {
        f"data/cars/car_{car + 1:03d}_mesh.mat": write(im=mesh(car), mask=masks)
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


def error(path, layout=LAYOUT):
    message = data_files.error(cars3d.recipe, path, layout)
    assert path.name in message
    return message


def test_the_published_grid():
    assert cars3d.LAYOUT.grid.sizes == (4, 24, 183)
    assert cars3d.LAYOUT.grid.num_points == 17_568


@pytest.mark.parametrize("write", [mat, mat73])
def test_images_are_resized_and_in_grid_order(tmp_path, write):
    path = write_archive(tmp_path / "cars.tar.gz", contents(write))
    recipe = cars3d.recipe(path, LAYOUT)
    images = read(recipe)
    assert images.shape == (ELEVATIONS * AZIMUTHS * CARS, 64, 64, 3)
    assert recipe.grid is LAYOUT.grid
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
        read(cars3d.recipe(path, LAYOUT)) for path in (archive, folder)
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
        (mat73(image=mesh(1)), "it has no array 'im'"),
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
            read(cars3d.recipe(path, LAYOUT))
        assert "car_002_mesh.mat" in str(caught.value)
        assert message in str(caught.value)


def test_the_published_name_must_have_the_published_checksum(tmp_path):
    published = Checksum("cars.tar.gz", cars3d.ARCHIVE.url, "md5", "0" * 32)
    layout = dataclasses.replace(LAYOUT, archive=published)
    path = write_archive(tmp_path / "cars.tar.gz", contents())
    message = error(path, layout)
    assert f"instead of {'0' * 32}; download it again from" in message
    other = path.rename(tmp_path / "other.tar.gz")
    assert len(read(cars3d.recipe(other, layout))) == LAYOUT.grid.num_points
