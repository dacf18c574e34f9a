"""CelebA from small archives and folders in the authors' format."""

import data_files
import numpy as np
import pytest
import resampling_reference
from celeba_files import COUNT, LAYOUT, contents, face, jpeg, write_zip

from cfasl_jax.data import celeba
from cfasl_jax.data.recipe import read


def error(path):
    message = data_files.error(celeba.recipe, path, LAYOUT)
    assert path.name in message
    return message


def test_the_published_layout():
    assert celeba.LAYOUT.count == 202_599
    assert celeba.LAYOUT.shape == (218, 178, 3)
    assert celeba.LAYOUT.crop == 128


def test_pictures_are_cropped_resized_and_in_order(tmp_path):
    recipe = celeba.recipe(write_zip(tmp_path / "faces.zip", contents()), LAYOUT)
    images = read(recipe)
    assert recipe.contents.grid is None
    assert recipe.contents.labels is None
    assert images.shape == (COUNT, 64, 64, 3)
    for number in range(COUNT):
        # The margins are 45 above and below 128 of 218, and 25 beside 128 of 178.
        central = face(number)[45:173, 25:153]
        expected = resampling_reference.resize(central, 64, "bicubic")
        np.testing.assert_allclose(images[number], expected, atol=3)


def test_a_folder_gives_the_same(tmp_path):
    archive = write_zip(tmp_path / "faces.zip", contents())
    folder = data_files.write_folder(tmp_path / "faces", contents())
    of_archive, of_folder = (
        read(celeba.recipe(path, LAYOUT)) for path in (archive, folder)
    )
    np.testing.assert_array_equal(of_archive, of_folder)


def test_another_number_of_pictures_is_an_error(tmp_path):
    files = contents()
    files.popitem()
    for path in (
        write_zip(tmp_path / "faces.zip", files),
        data_files.write_folder(tmp_path / "faces", files),
    ):
        message = error(path)
        assert "holds 4 pictures (.jpg) where CelebA has 5" in message
        assert celeba.PAGE in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (jpeg(face(1, 64, 64)), "shape (64, 64, 3) instead of (218, 178, 3)"),
        (jpeg(face(1)[..., 0]), "shape (218, 178) instead of"),
        (jpeg(face(1))[:900], ""),
        (b"no picture", "cannot identify image file"),
    ],
)
def test_a_damaged_picture_is_named(tmp_path, content, message):
    files = contents() | {"img_align_celeba/000004.jpg": content}
    for path in (
        write_zip(tmp_path / "faces.zip", files),
        data_files.write_folder(tmp_path / "faces", files),
    ):
        found = error(path)
        assert "000004.jpg" in found
        assert message in found


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_truncated_archive_is_an_error(tmp_path, kept):
    path = write_zip(tmp_path / "faces.zip", contents())
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    assert "cannot be read" in error(path)


def test_a_changed_byte_in_an_archive_is_an_error(tmp_path):
    path = write_zip(tmp_path / "faces.zip", contents())
    content = bytearray(path.read_bytes())
    content[5000] ^= 0xFF
    path.write_bytes(content)
    assert "cannot be read: Bad CRC-32" in error(path)
