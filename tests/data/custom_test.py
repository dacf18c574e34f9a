"""A user's own images: arrays in files, and folders of pictures."""

import itertools
import os

import data_files
import h5py
import numpy as np
import pytest
import resampling_reference
from PIL import Image

from cfasl_jax.data import custom
from cfasl_jax.data import recipe as recipe_module
from cfasl_jax.data.recipe import DataFileError, likelihood_of, read

RNG = np.random.default_rng(0)


def images(count=12, channels=3, dtype=np.uint8):
    shape = (count, 64, 64) if channels is None else (count, 64, 64, channels)
    if dtype == np.uint8:
        return RNG.integers(0, 256, shape, np.uint8)
    return RNG.random(shape).astype(dtype)


def save(folder, suffix, **arrays):
    path = folder / f"mine{suffix}"
    if suffix == ".npz":
        np.savez_compressed(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                is_text = np.asarray(array).dtype.kind == "U"
                file[name] = [str(text) for text in array] if is_text else array
    return path


def error(path):
    message = data_files.error(custom.recipe, path)
    assert path.name in message
    return message


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".hdf5"])
@pytest.mark.parametrize("channels", [None, 1, 3])
def test_images_alone(tmp_path, suffix, channels):
    stored = images(channels=channels)
    recipe = custom.recipe(save(tmp_path, suffix, images=stored))
    assert (recipe.contents.grid, recipe.contents.labels) == (None, None)
    assert recipe.contents.shape == (12, 64, 64, channels or 1)
    loaded = read(recipe)
    np.testing.assert_array_equal(loaded, stored.reshape(recipe.contents.shape))
    assert likelihood_of(recipe.contents, loaded) == "gaussian"


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_in_the_unit_interval(tmp_path, dtype):
    stored = images(dtype=dtype)
    exact = stored.astype(float)
    loaded = read(custom.recipe(save(tmp_path, ".npz", images=stored)))
    np.testing.assert_allclose(loaded / 255.0, exact, atol=0.5001 / 255)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_black_and_white_is_bernoulli(tmp_path, dtype):
    stored = (images(channels=1) > 127).astype(dtype)
    recipe = custom.recipe(save(tmp_path, ".npz", images=stored))
    loaded = read(recipe)
    np.testing.assert_array_equal(loaded, 255 * stored.astype(np.uint8))
    assert likelihood_of(recipe.contents, loaded) == "bernoulli"


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_a_full_grid_in_any_order_is_put_in_grid_order(tmp_path, suffix):
    values = [(10, -3, 7), (5,), (2, 40)]  # of any size, in any order, one constant
    factors = np.array(list(itertools.product(*values)))
    factors = np.random.default_rng(1).permutation(factors)
    stored = images(len(factors))
    recipe = custom.recipe(
        save(
            tmp_path,
            suffix,
            images=stored,
            factors=factors,
            factor_names=np.array(["size", "nothing", "hue"]),
        )
    )
    assert recipe.contents.grid.names == ("size", "hue")
    assert recipe.contents.grid.sizes == (3, 2)
    loaded = read(recipe)
    for size, hue in itertools.product(range(3), range(2)):
        wanted = (sorted(values[0])[size], 5, sorted(values[2])[hue])
        row = next(k for k in range(6) if tuple(factors[k]) == wanted)
        np.testing.assert_array_equal(loaded[size * 2 + hue], stored[row])


@pytest.mark.parametrize("kind", ["holes", "repeats", "both"])
def test_what_is_no_full_grid_is_a_table(tmp_path, kind):
    grid = np.array(list(itertools.product((1, 5, 6), (0, 2))))
    rows = {
        "holes": [0, 2, 3, 5],
        "repeats": [*range(6), 3],
        "both": [0, 1, 1, 2, 4, 5],
    }
    factors = grid[rows[kind]]
    stored = images(len(factors))
    recipe = custom.recipe(save(tmp_path, ".npz", images=stored, factors=factors))
    assert recipe.contents.grid is None
    assert recipe.contents.labels.names == ("factor_0", "factor_1")
    assert recipe.contents.labels.sizes == (3, 2)
    np.testing.assert_array_equal(read(recipe), stored)
    numbers = {1: 0, 5: 1, 6: 2}, {0: 0, 2: 1}
    expected = [[numbers[0][a], numbers[1][b]] for a, b in factors]
    np.testing.assert_array_equal(recipe.contents.labels.factors, expected)
    assert recipe.contents.labels.factors.dtype == np.int32


def test_factors_without_variation_are_none(tmp_path):
    factors = np.full((12, 2), 3)
    path = save(tmp_path, ".npz", images=images(), factors=factors)
    recipe = custom.recipe(path)
    assert (recipe.contents.grid, recipe.contents.labels) == (None, None)


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": images()}, "no array 'images'"),
        ({"images": images()[:, :32]}, "(12, 32, 64, 3) instead of [N, 64, 64]"),
        ({"images": images()[..., :2]}, "(12, 64, 64, 2) instead of"),
        ({"images": images()[:0]}, "(0, 64, 64, 3) instead of"),
        ({"images": np.float32(3)}, "shape () instead of"),
        ({"images": images().astype(np.int32)}, "of type int32 instead of uint8 or"),
        ({"images": images(dtype=float) * 255}, "must lie in [0, 1], not in [0."),
        ({"images": images(dtype=float) - 0.5}, "must lie in [0, 1], not in [-0."),
        ({"images": images(dtype=float) * np.nan}, "not finite"),
        ({"images": images(), "factors": np.arange(12)}, "(12,) instead of [12, K]"),
        (
            {"images": images(), "factors": np.ones((11, 2), int)},
            "(11, 2) instead of [12, K]",
        ),
        (
            {"images": images(), "factors": RNG.random((12, 2))},
            "factors must be integers, not fractions of type float64",
        ),
        *[
            (
                {"images": images(), "factors": np.full((12, 2), value)},
                "factors have values that are not finite",
            )
            for value in (np.inf, -np.inf, np.nan)
        ],
        (
            {
                "images": images(),
                "factors": np.ones((12, 3), int),
                "factor_names": np.array(["a", "b", "a"]),
            },
            "factor_names has 'a' more than once",
        ),
        (
            {
                "images": images(),
                "factors": np.ones((12, 2), int),
                "factor_names": np.array(["a", " "]),
            },
            "factor_names has ' ', which cannot be shown",
        ),
        (
            {
                "images": images(),
                "factors": np.ones((12, 2), int),
                "factor_names": np.array(["a"]),
            },
            "1 factor_names for 2 factors",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "-",
)
def test_what_is_wrong_is_named(tmp_path, suffix, arrays, message):
    assert message in error(save(tmp_path, suffix, **arrays))


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_an_error(tmp_path, suffix, kept):
    path = save(tmp_path, suffix, images=images())
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    assert "cannot be read" in error(path)


def test_labels_of_text_are_named(tmp_path):
    factors = np.array([["red", "round"]] * 12)
    path = save(tmp_path, ".npz", images=images(), factors=factors)
    assert "factors must be integers, not of type <U5; number" in error(path)


@pytest.mark.parametrize("name", ["pipe.npz", "pipe"])
def test_a_pipe_is_refused_rather_than_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    assert "is neither a file nor a folder" in error(tmp_path / name)


def test_a_file_is_read_by_whole_chunks_within_the_bound(tmp_path, monkeypatch):
    """Chunks of 5 images: slices of 10 images, where 12 fit into a block."""
    monkeypatch.setattr(recipe_module, "BLOCK_BYTES", 12 * 64 * 64 * 3 + 1)
    stored = images(23)
    path = tmp_path / "mine.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("images", data=stored, chunks=(5, 8, 8, 1))
    recipe = custom.recipe(path)
    blocks = [len(indices) for indices, _ in recipe.blocks()]
    assert blocks == [10, 10, 3]
    np.testing.assert_array_equal(read(recipe), stored)
    monkeypatch.setattr(recipe_module, "BLOCK_BYTES", 3 * 64 * 64 * 3)
    assert [len(indices) for indices, _ in custom.recipe(path).blocks()] == [3] * 7 + [
        2
    ]


@pytest.mark.parametrize("compressed", [True, False])
def test_a_large_npz_file_is_not_read_as_a_whole(tmp_path, monkeypatch, compressed):
    stored, path = images(23), tmp_path / "mine.npz"
    (np.savez_compressed if compressed else np.savez)(path, images=stored)
    whole = custom.recipe(path)
    np.testing.assert_array_equal(read(whole), stored)
    monkeypatch.setattr(recipe_module, "BLOCK_BYTES", 5 * 64 * 64 * 3)
    recipe = custom.recipe(path)
    assert [len(indices) for indices, _ in recipe.blocks()] == [5, 5, 5, 5, 3]
    np.testing.assert_array_equal(read(recipe), stored)
    with recipe_module.open_arrays(path) as arrays:
        array = arrays["images"]
        assert isinstance(array, recipe_module.ZippedArray)
        for rows in (slice(7, 9), slice(20, 23), slice(2, 3)):  # also backwards
            np.testing.assert_array_equal(array[rows], stored[rows])


@pytest.mark.parametrize("where", [0.3, 0.9])
def test_a_changed_byte_of_a_large_npz_file_is_an_error(tmp_path, monkeypatch, where):
    monkeypatch.setattr(recipe_module, "BLOCK_BYTES", 5 * 64 * 64 * 3)
    path = tmp_path / "mine.npz"
    np.savez(path, images=images(23))
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 1
    path.write_bytes(content)
    assert "Bad CRC-32" in error(path)


def test_a_single_array_under_another_name_is_an_error(tmp_path):
    np.save(tmp_path / "mine.npy", images(3))
    (tmp_path / "mine.npy").rename(tmp_path / "mine.npz")
    assert "cannot be read: it is not an .npz file" in error(tmp_path / "mine.npz")


def test_files_of_no_use_are_named(tmp_path):
    assert "does not exist" in error(tmp_path / "nowhere.npz")
    (tmp_path / "mine.mat").touch()
    assert "has an unknown format: give .npz, .h5 or .hdf5" in error(
        tmp_path / "mine.mat"
    )
    (tmp_path / "empty").mkdir()
    assert "holds no pictures" in error(tmp_path / "empty")


def photographs(folder):
    """Pictures of several sizes in nested folders: path -> array."""
    made = {
        "b/wide.png": RNG.integers(0, 256, (70, 100, 3), np.uint8),
        "a.png": RNG.integers(0, 256, (130, 90, 3), np.uint8),
        "b/exact.PNG": RNG.integers(0, 256, (64, 64, 3), np.uint8),
        "b/small.bmp": RNG.integers(0, 256, (33, 40, 3), np.uint8),
    }
    (folder / "b").mkdir(parents=True)
    for name in ("notes.txt", "README.pdf", "._a.png", "b/.wide.png", "b/data.h5"):
        (folder / name).write_text("not a picture")
    (folder / ".thumbnails").mkdir()
    (folder / ".thumbnails" / "a.png").write_text("not a picture")
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    for name, array in made.items():
        Image.fromarray(array).save(folder / name)
    return made


def test_a_folder_of_pictures(tmp_path):
    made = photographs(tmp_path / "photos")
    recipe = custom.recipe(tmp_path / "photos")
    loaded = read(recipe)
    assert loaded.shape == (4, 64, 64, 3)
    assert [file.name for file in recipe.files] == [
        "a.png",
        "exact.PNG",
        "small.bmp",
        "wide.png",
    ]
    np.testing.assert_array_equal(loaded[1], made["b/exact.PNG"])
    squares = {0: made["a.png"][20:110], 3: made["b/wide.png"][:, 15:85]}
    squares[2] = made["b/small.bmp"][:, 3:36]
    for index, square in squares.items():
        expected = resampling_reference.resize(square, 64, "lanczos")
        np.testing.assert_allclose(loaded[index], expected, atol=2)


def test_grey_pictures_have_one_channel_unless_one_has_colour(tmp_path):
    grey = RNG.integers(0, 256, (64, 64), np.uint8)
    Image.fromarray(grey).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(custom.recipe(tmp_path))[0, ..., 0], grey)
    Image.fromarray(images(1)[0]).save(tmp_path / "b.png")
    loaded = read(custom.recipe(tmp_path))
    np.testing.assert_array_equal(loaded[0], np.stack([grey] * 3, axis=-1))


def test_what_is_transparent_becomes_white(tmp_path):
    pixels = np.full((64, 64, 4), 10, np.uint8)
    pixels[:32, :, 3] = 0
    pixels[32:, :, 3] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    loaded = read(custom.recipe(tmp_path))[0]
    assert set(np.unique(loaded[:32])) == {255}
    assert set(np.unique(loaded[32:])) == {10}


def test_photographs_are_turned_upright(tmp_path):
    pixels = images(1)[0]
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise by a quarter
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(
        read(custom.recipe(tmp_path))[0], np.rot90(pixels, k=-1)
    )


@pytest.mark.parametrize("content", [b"", b"no picture", None])
def test_a_damaged_picture_is_named(tmp_path, content):
    photographs(tmp_path / "photos")
    path = tmp_path / "photos" / "b" / "wide.png"
    path.write_bytes(path.read_bytes()[:2000] if content is None else content)
    with pytest.raises(DataFileError, match=r"wide\.png cannot be read"):
        read(custom.recipe(tmp_path / "photos"))


def test_pictures_of_16_bits_are_refused(tmp_path):
    Image.fromarray(np.zeros((64, 64), np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(DataFileError, match=r"deep\.png .*more than 8 bits"):
        custom.recipe(tmp_path)
