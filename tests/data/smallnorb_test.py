"""smallNORB from small files in the authors' format, sound and mutilated."""

import dataclasses
import itertools

import data_files
import numpy as np
import pytest
import resampling_reference
from smallnorb_files import (
    CATEGORIES,
    SIZES,
    contents,
    factors,
    matrix,
    picture,
    put,
    small,
    write,
)

from cfasl_jax.data import preparing, smallnorb
from cfasl_jax.data.recipe import DataFileError, read


@pytest.fixture
def paper(tmp_path):
    """A folder of the paper's half, to be damaged: (folder, half)."""
    return write(tmp_path / "norb", "paper"), small("paper").halves[0]


def error(folder, name="paper"):
    return data_files.error(smallnorb.recipe, folder, small(name))


def test_the_published_sizes():
    paper, full = (smallnorb.CONVENTIONS[name] for name in ("paper", "full"))
    assert paper.order.num_points == 24_300
    assert full.order.num_points == 97_200
    assert paper.contents.grid is None
    labels = paper.contents.labels
    assert labels.names == ("instance", "elevation", "azimuth", "lighting")
    assert labels.sizes == (5, 9, 18, 6)
    _, counts = np.unique(labels.factors, axis=0, return_counts=True)
    assert set(counts) == {5}
    assert len(counts) == 5 * 9 * 18 * 6
    assert full.contents.grid.sizes == (5, 10, 9, 18, 6, 2)
    assert full.instances == tuple(range(10))


@pytest.mark.parametrize("zipped", [True, False])
def test_the_papers_convention(tmp_path, zipped):
    recipe = smallnorb.recipe(write(tmp_path / "n", "paper", zipped), small("paper"))
    images, labels = read(recipe), recipe.contents.labels.factors
    half = small("paper").halves[0]
    assert images.shape == (len(factors(half)), 64, 64, 1)
    # Index -> factors, by walking all combinations in order.
    ranges = [range(CATEGORIES), half.instances, *map(range, SIZES)]
    for index, row in enumerate(itertools.product(*ranges)):
        assert tuple(labels[index]) == (half.instances.index(row[1]), *row[2:])
        if index % 5 == 0:
            expected = resampling_reference.resize(picture(row, 0), 64, "bicubic")
            np.testing.assert_allclose(images[index], expected, atol=1.5)


def test_the_full_convention(tmp_path):
    recipe = smallnorb.recipe(write(tmp_path / "norb", "full"), small("full"))
    images = read(recipe)
    instances = sorted(i for half in small("full").halves for i in half.instances)
    ranges = [range(CATEGORIES), instances, *map(range, SIZES), range(2)]
    assert recipe.contents.grid.sizes == tuple(map(len, ranges))
    for index, row in enumerate(itertools.product(*ranges)):
        if index % 11 == 0:
            stored = picture(row[:5], row[5])
            expected = resampling_reference.resize(stored, 64, "bicubic")
            np.testing.assert_allclose(images[index], expected, atol=1.5)


@pytest.mark.parametrize("kind", ["dat", "cat", "info"])
def test_a_missing_file_is_named(paper, kind):
    folder, half = paper
    (folder / f"{half.stem}-{kind}.mat.gz").unlink()
    message = error(folder)
    assert f"{half.stem}-{kind}.mat.gz" in message
    assert smallnorb.PAGE in message


def test_the_full_convention_misses_the_other_half(paper):
    assert "testing-dat.mat.gz" in error(paper[0], "full")


@pytest.mark.parametrize("kind", ["dat", "cat", "info"])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kept", [0, 3, 11, 30, -1])
def test_a_truncated_file_is_named(paper, kind, zipped, kept):
    folder, half = paper
    content = matrix(contents(half)[kind])[:kept]
    path = put(folder, half, kind, content, zipped)
    assert f"{path} is truncated" in error(folder)


def test_a_truncated_gzip_file_is_named(paper):
    folder, half = paper
    path = folder / f"{half.stem}-dat.mat.gz"
    path.write_bytes(path.read_bytes()[:-50])
    assert f"{path} cannot be read" in error(folder)
    path.write_bytes(b"not zipped")
    assert f"{path} cannot be read" in error(folder)


def test_goes_on_too_long(paper):
    folder, half = paper
    path = put(folder, half, "cat", matrix(contents(half)["cat"]) + b"\0")
    assert f"{path} continues after its 48 rows" in error(folder)


def test_a_wrong_magic_number_is_named(paper):
    folder, half = paper
    path = put(folder, half, "info", matrix(contents(half)["info"], magic=0x1E3D4C53))
    message = error(folder)
    assert f"{path} is not a NORB matrix: it begins with 0x1e3d4c53" in message


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("dat", lambda a: a[:, :, :48, :48], "has shape (48, 2, 48, 48) instead of"),
        ("dat", lambda a: a[:-1], "has shape (47, 2, 96, 96) instead of"),
        ("cat", lambda a: a[:, None], "has shape (48, 1) instead of (48,)"),
        ("info", lambda a: a[:, :3], "has shape (48, 3) instead of (48, 4)"),
        ("info", lambda a: a + np.array([0, 0, 1, 0], np.int32), "odd azimuths"),
        ("info", lambda a: a + np.array([0, 9, 0, 0], np.int32), "outside the grid"),
        ("info", lambda a: a + np.array([9, 0, 0, 0], np.int32), "an instance is not"),
        ("cat", lambda a: a * 0, "24 of 48 images are missing"),
    ],
)
def test_other_contents_are_an_error(paper, kind, change, message):
    folder, half = paper
    changed = np.ascontiguousarray(change(contents(half)[kind]))
    put(folder, half, kind, matrix(changed))
    assert message in error(folder)


def test_the_published_name_must_have_the_published_checksum(paper):
    folder, half = paper
    known = dataclasses.replace(half, known={"cat": (1, "0" * 64)})
    convention = dataclasses.replace(small("paper"), halves=(known,))
    entry = smallnorb.entry({"paper": convention})
    with pytest.raises(DataFileError, match=r"-cat\.mat\.gz differs from the publ"):
        preparing.from_files(entry, folder, "paper")


def test_half_of_the_files_are_not_taken_for_all(paper):
    folder, half = paper
    entry = smallnorb.entry({name: small(name) for name in ("paper", "full")})
    assert preparing.find(entry, str(folder), "paper") == folder
    assert preparing.find(entry, str(folder), "full") is None
    (folder / f"{half.stem}-info.mat.gz").unlink()
    assert preparing.find(entry, str(folder), "paper") is None
