"""smallNORB and CelebA from small copies that TensorFlow Datasets prepared."""

import io
import json
from functools import partial

import celeba_test
import numpy as np
import pytest
import smallnorb_test
from PIL import Image

from cfasl_jax import data
from cfasl_jax.data import celeba, smallnorb, tfds_source
from cfasl_jax.data.recipe import read

SPLITS = {"train": 3, "validation": 1, "test": 1}


@pytest.fixture(autouse=True)
def small_sets(monkeypatch):
    for name in ("paper", "full"):
        convention = smallnorb_test.small(name)
        monkeypatch.setitem(smallnorb.CONVENTIONS, name, convention)
    monkeypatch.setattr(tfds_source, "CELEBA_SPLITS", SPLITS)


def make(root, builder_name, splits):
    """Let TensorFlow Datasets write examples, given by split, to array_record files."""
    import tensorflow_datasets as tfds

    builder = tfds.builder(builder_name, data_dir=root, file_format="array_record")
    builder._split_generators = lambda manager: {
        split: enumerate(examples) for split, examples in splits.items()
    }
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(try_download_gcs=False)
    )
    return root


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def norb_examples(half, side=96):
    for row in smallnorb_test.factors(half):
        category, instance, elevation, azimuth, lighting = map(int, row)
        images = [smallnorb_test.picture(row, camera, side) for camera in (0, 1)]
        yield {
            "image": png(images[0]),
            "image2": png(images[1]),
            "label_category": category,
            "instance": instance,
            "label_elevation": elevation,
            "label_azimuth": azimuth,
            "label_lighting": lighting,
        }


def norb(root, side=96):
    halves = smallnorb_test.small("full").halves
    splits = {half.split: norb_examples(half, side) for half in halves}
    return make(root, "smallnorb", splits)


@pytest.fixture(scope="module")
def norb_copy(tmp_path_factory):
    return norb(tmp_path_factory.mktemp("norb"))


@pytest.mark.parametrize("name", ["paper", "full"])
def test_smallnorb_is_that_of_the_authors_files(norb_copy, tmp_path, name):
    assert tfds_source.is_prepared("smallnorb", str(norb_copy))
    of_records = tfds_source.recipe("smallnorb", str(norb_copy), name)
    folder = smallnorb_test.write(tmp_path / "norb", name)
    of_files = smallnorb.recipe(folder, smallnorb.CONVENTIONS[name])
    np.testing.assert_array_equal(read(of_records), read(of_files))
    assert of_records.grid == of_files.grid
    if name == "paper":
        np.testing.assert_array_equal(
            of_records.labels.factors, of_files.labels.factors
        )


def error(name, root, **options):
    with pytest.raises(ValueError, match=f"the copy of {name} in") as caught:
        read(tfds_source.recipe(name, str(root), **options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_split_that_is_missing_or_short_is_named(tmp_path):
    root = norb(tmp_path)
    folder = root / "smallnorb" / "2.0.0"
    info = json.loads((folder / "dataset_info.json").read_text())
    train = next(split for split in info["splits"] if split["name"] == "train")
    (folder / "dataset_info.json").write_text(json.dumps(info | {"splits": [train]}))
    assert "not readable" in error("smallnorb", root, convention="full")
    assert len(read(tfds_source.recipe("smallnorb", str(root), "paper"))) == 48
    train["shardLengths"] = ["40"]
    (folder / "dataset_info.json").write_text(json.dumps(info | {"splits": [train]}))
    assert "split train has 40 images where the full one has 48" in error(
        "smallnorb", root
    )


def test_smallnorb_images_of_another_size_are_an_error(tmp_path):
    root = norb(tmp_path, side=64)
    assert "shape (64, 64, 1), type uint8 instead of (96, 96, 1)" in error(
        "smallnorb", root
    )


def faces(root, files):
    import tensorflow_datasets as tfds

    features = tfds.builder("celeb_a", data_dir=root).info.features
    rest = {
        group: dict.fromkeys(features[group], 0)
        for group in features
        if group != "image"
    }
    files = iter(files)
    splits = {
        split: [{"image": next(files), **rest} for _ in range(count)]
        for split, count in SPLITS.items()
    }
    return make(root, "celeb_a", splits)


def test_celeba_holds_every_picture_of_all_splits(tmp_path):
    files = [celeba_test.jpeg(celeba_test.face(k)) for k in range(5)]
    root = faces(tmp_path, files)
    dataset = data.load(
        "celeba",
        data.Data(
            source="auto",
            dir=str(root),
            path="",
            convention="paper",
            likelihood="auto",
            residency="auto",
        ),
    )
    assert (dataset.source, dataset.factor_names) == ("tfds", ())
    expected = np.stack(list(map(partial(celeba.fit), files)))
    loaded = dataset.host_images(np.arange(5))
    # The order of the records is that of TensorFlow Datasets, a shuffled one.
    assert sorted(map(bytes, loaded)) == sorted(map(bytes, expected))
    assert {bytes(loaded[3])} != {bytes(loaded[4])}


def test_celeba_pictures_of_another_size_are_an_error(tmp_path):
    root = faces(
        tmp_path,
        [celeba_test.jpeg(celeba_test.face(k)) for k in range(4)]
        + [celeba_test.jpeg(celeba_test.face(4, 217))],
    )
    assert "shape (217, 178, 3) instead of (218, 178, 3)" in error("celeba", root)
