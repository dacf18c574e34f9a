"""Copies of TensorFlow Datasets: small ones that the library itself wrote."""

import dataclasses
import io
import json
import shutil
import struct
import subprocess
import sys

import celeba_files
import numpy as np
import published_files
import pytest
import smallnorb_files
from PIL import Image

from cfasl_jax import data
from cfasl_jax.data import celeba, dsprites, prepared, preparing, smallnorb, tfds
from cfasl_jax.data.grid import FactorGrid
from cfasl_jax.data.recipe import read

SIZES = published_files.SIZES


@pytest.fixture(autouse=True)
def small_sets(monkeypatch, tmp_path):
    """All data sets with fewer images, and no copy in the default place."""
    norb = smallnorb.entry(
        {name: smallnorb_files.small(name) for name in ("paper", "full")}
    )
    faces = celeba.entry(celeba_files.LAYOUT, celeba_files.ARCHIVE)
    for entry in (*published_files.ENTRIES.values(), norb, faces):
        monkeypatch.setitem(data.DATASETS, entry.name, entry)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "default"))


def write_copy(root, builder_name, splits):
    """Let TensorFlow Datasets write examples, given by split, to array_record files."""
    import tensorflow_datasets

    builder = tensorflow_datasets.builder(
        builder_name, data_dir=root, file_format="array_record"
    )
    builder._split_generators = lambda manager: {
        split: enumerate(examples) for split, examples in splits.items()
    }
    builder.download_and_prepare(
        download_config=tensorflow_datasets.download.DownloadConfig(
            try_download_gcs=False
        )
    )
    return root


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def pictures(name, side=64, white=1):
    """Random images in grid order, with the values that the published files hold."""
    rng = np.random.default_rng(5)
    count = np.prod(SIZES[name])
    if name == "dsprites":
        return white * rng.integers(0, 2, (count, side, side), np.uint8)
    return rng.integers(0, 256, (count, side, side, 3), np.uint8)


def grid_order(name):
    sizes = SIZES[name]
    return np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), axis=1)


def make_copy(root, name, images, classes=None):
    """A copy of dSprites or 3D Shapes; the data folder."""
    import tensorflow_datasets

    classes = grid_order(name) if classes is None else classes
    grid = data.entry_of(name).version("paper").contents.grid
    features = tensorflow_datasets.builder(name, data_dir=root).info.features
    examples = []
    for image, row in zip(images, classes, strict=True):
        labels = zip(grid.names, map(int, row), strict=True)
        example = {f"label_{factor}": value for factor, value in labels}
        values = {key: 0.0 for key in features if key.startswith("value_")}
        if "label_color" in features:
            example["label_color"] = 0
        examples.append({"image": png(image), **example, **values})
    return write_copy(root, name, {"train": examples})


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """A sound prepared copy of each data set: name -> data folder."""
    return {
        name: make_copy(tmp_path_factory.mktemp(name), name, pictures(name))
        for name in SIZES
    }


@pytest.fixture
def damaged(copies, tmp_path):
    """A copy that a test may damage: the folder of its files."""
    shutil.copytree(copies["dsprites"], tmp_path / "data")
    return tmp_path / "data" / "dsprites" / "2.0.0"


def recipe(name, root, convention="paper"):
    entry = data.entry_of(name)
    folder = tfds.find(entry.tfds, str(root))
    return entry.version(convention).from_tfds(folder)


def load(name, root, convention="paper"):
    return read(recipe(name, root, convention))


def error(name, root, convention="paper"):
    with pytest.raises(ValueError, match=f"the copy of {name} in") as caught:
        load(name, root, convention)
    message = str(caught.value)
    assert str(root) in message
    assert message.endswith(f"'python -m cfasl_jax.data prepare {name}'")
    assert "\n" not in message
    return message


def load_error(folder):
    return error("dsprites", folder.parents[1])


@pytest.mark.parametrize("name", SIZES)
def test_a_copy_is_read_back_in_grid_order(copies, name):
    images = load(name, copies[name])
    expected = pictures(name)
    if name == "dsprites":
        expected = expected[..., None] * 255
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, expected)


def test_the_order_of_the_records_does_not_matter(tmp_path):
    order = np.random.default_rng(6).permutation(np.prod(SIZES["dsprites"]))
    images = pictures("dsprites")
    root = make_copy(tmp_path, "dsprites", images[order], grid_order("dsprites")[order])
    np.testing.assert_array_equal(load("dsprites", root)[..., 0], images * 255)


def as_tfrecords(folder):
    """Turn array_record files into tfrecord files, as the format is documented."""
    from array_record.python.array_record_module import ArrayRecordReader

    for path in folder.glob("*.array_record-*"):
        reader = ArrayRecordReader(str(path))
        records = reader.read(0, reader.num_records())
        other = path.with_name(path.name.replace("array_record", "tfrecord"))
        with other.open("wb") as file:
            for record in records:  # checksums are not read, so zeros will do
                file.write(struct.pack("<QI", len(record), 0) + record + bytes(4))
        path.unlink()


def test_tfrecord_files_are_read_without_tensorflow(damaged):
    as_tfrecords(damaged)
    images = load("dsprites", damaged.parents[1])
    np.testing.assert_array_equal(images[..., 0], pictures("dsprites") * 255)
    assert "tensorflow" not in sys.modules


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.999])
def test_a_truncated_tfrecord_file_is_an_error(damaged, kept):
    as_tfrecords(damaged)
    file = damaged / "dsprites-train.tfrecord-00000-of-00001"
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * kept)])
    message = load_error(damaged)
    assert "is truncated" in message or "ends after 0 images" in message


def test_a_length_beyond_the_file_is_an_error(damaged):
    as_tfrecords(damaged)
    file = damaged / "dsprites-train.tfrecord-00000-of-00001"
    file.write_bytes(struct.pack("<QI", 2**62, 0) + file.read_bytes()[12:])
    assert "is truncated" in load_error(damaged)


def test_find_looks_for_records_of_a_finished_version(copies, tmp_path):
    finished = copies["dsprites"] / "dsprites" / "2.0.0"
    assert tfds.find("dsprites", str(copies["dsprites"])) == finished
    assert tfds.find("shapes3d", str(copies["dsprites"])) is None
    assert tfds.find("dsprites", str(tmp_path / "nowhere")) is None
    assert not (tmp_path / "nowhere").exists()
    shutil.copytree(finished, tmp_path / "dsprites" / "incomplete.AB12_2.0.0")
    assert tfds.find("dsprites", str(tmp_path)) is None
    other = tmp_path / "dsprites" / "2.0.0"
    other.mkdir()
    (other / "dataset_info.json").write_text("{}")
    assert tfds.find("dsprites", str(tmp_path)) is None
    (other / "dsprites-train.tfrecord-00000-of-00001").touch()
    assert tfds.find("dsprites", str(tmp_path)) == other


def test_the_newest_version_is_read(damaged):
    shutil.copytree(damaged, damaged.parent / "10.0.0")
    (damaged / "dsprites-train.array_record-00000-of-00001").write_bytes(b"")
    images = load("dsprites", damaged.parents[1])
    np.testing.assert_array_equal(images[..., 0], pictures("dsprites") * 255)


def test_a_missing_file_is_named(damaged):
    (damaged / "dsprites-train.array_record-00000-of-00001").rename(
        damaged / "dsprites-train.array_record-00000-of-00002"
    )
    assert "array_record-00000-of-00001 is missing" in load_error(damaged)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"splits": [{"name": "train"}]}'])
def test_an_unreadable_description_is_named(damaged, content):
    (damaged / "dataset_info.json").write_text(content)
    assert "dataset_info.json is not readable" in load_error(damaged)


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_an_error(damaged, kept):
    file = damaged / "dsprites-train.array_record-00000-of-00001"
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * kept)])
    load_error(damaged)


def test_fewer_images_than_the_grid_is_an_error(damaged):
    info = json.loads((damaged / "dataset_info.json").read_text())
    info["splits"][0]["shardLengths"] = ["47"]
    (damaged / "dataset_info.json").write_text(json.dumps(info))
    assert "47 images where the full one has 48" in load_error(damaged)


def with_grid(monkeypatch, names, sizes):
    contents = dataclasses.replace(
        dsprites.CONTENTS, num_images=48, grid=FactorGrid(names, sizes)
    )
    monkeypatch.setitem(data.DATASETS, "dsprites", dsprites.entry(contents))


def test_labels_outside_the_grid_are_an_error(damaged, monkeypatch):
    with_grid(monkeypatch, dsprites.GRID.names, (2, 3, 4, 1, 2))
    assert "outside the grid (2, 3, 4, 1, 2)" in load_error(damaged)


def test_a_label_that_is_not_stored_is_an_error(damaged, monkeypatch):
    names = ("shape", "scale", "orientation", "x_position", "colour")
    with_grid(monkeypatch, names, SIZES["dsprites"])
    assert "lacks its image or a label" in load_error(damaged)


def test_combinations_that_appear_twice_are_an_error(tmp_path):
    classes = grid_order("dsprites")
    classes[5] = classes[4]
    root = make_copy(tmp_path, "dsprites", pictures("dsprites"), classes)
    with pytest.raises(ValueError, match=r"1 of 48 combinations of f.* in .*2\.0\.0"):
        load("dsprites", root)


def test_images_of_another_size_are_an_error(damaged, monkeypatch):
    contents = dataclasses.replace(data.entry_of("dsprites").version("").contents)
    monkeypatch.setattr(tfds, "SIDE", 32)
    monkeypatch.setitem(data.DATASETS, "dsprites", dsprites.entry(contents))
    message = load_error(damaged)
    assert "shape (64, 64, 1), type uint8 instead of (32, 32, 1)" in message


def test_values_out_of_range_are_an_error(tmp_path):
    root = make_copy(tmp_path, "dsprites", pictures("dsprites", white=255))
    assert "value 255, above 1" in load_error(root / "dsprites" / "2.0.0")


def test_load_reads_a_copy_and_prepare_makes_another_of_it(copies, tmp_path):
    root = str(shutil.copytree(copies["shapes3d"], tmp_path / "data"))
    options = data.Data(source="tfds", dir=root)
    dataset = data.load("shapes3d", options)
    assert dataset.source == "tfds"
    expected = pictures("shapes3d")
    np.testing.assert_array_equal(dataset.host_images(np.arange(48)), expected)
    copy = preparing.prepare(data.entry_of("shapes3d"), root, "paper")
    np.testing.assert_array_equal(copy.images, expected)
    assert copy.digest == dataset.digest


def test_a_copy_of_no_use_does_not_keep_prepare_from_downloading(
    damaged, monkeypatch, capsys
):
    (damaged / "dataset_info.json").write_text("")
    root = damaged.parents[1]
    asked = []

    def fetch(archive, folder):
        asked.append(archive.url)
        classes = grid_order("dsprites")
        images = pictures("dsprites")
        folder.mkdir(exist_ok=True)
        made = published_files.write(folder, "dsprites", ".hdf5", images, classes)
        return made.rename(folder / archive.name)

    monkeypatch.setattr(preparing, "fetch", fetch)
    copy = preparing.prepare(data.entry_of("dsprites"), str(root), "paper")
    prepared.verify(copy)
    assert len(copy.images) == 48
    assert asked == [dsprites.ARCHIVE.url]
    assert "downloading the authors' files instead" in capsys.readouterr().err


def test_importing_the_package_does_not_import_tensorflow_datasets():
    program = (
        "import sys, cfasl_jax.data; sys.exit('tensorflow_datasets' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def norb_examples(half, side=96):
    for row in smallnorb_files.factors(half):
        category, instance, elevation, azimuth, lighting = map(int, row)
        images = [smallnorb_files.picture(row, camera, side) for camera in (0, 1)]
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
    halves = smallnorb_files.small("full").halves
    splits = {half.split: norb_examples(half, side) for half in halves}
    return write_copy(root, "smallnorb", splits)


@pytest.fixture(scope="module")
def norb_copy(tmp_path_factory):
    return norb(tmp_path_factory.mktemp("norb"))


@pytest.mark.parametrize("name", ["paper", "full"])
def test_smallnorb_is_that_of_the_authors_files(norb_copy, tmp_path, name):
    of_records = recipe("smallnorb", norb_copy, name)
    folder = smallnorb_files.write(tmp_path / "norb", name)
    of_files = smallnorb.recipe(folder, smallnorb_files.small(name))
    np.testing.assert_array_equal(read(of_records), read(of_files))
    assert of_records.contents.grid == of_files.contents.grid
    if name == "paper":
        np.testing.assert_array_equal(
            of_records.contents.labels.factors, of_files.contents.labels.factors
        )


def test_a_split_that_is_missing_or_short_is_named(tmp_path):
    root = norb(tmp_path)
    folder = root / "smallnorb" / "2.0.0"
    info = json.loads((folder / "dataset_info.json").read_text())
    train = next(split for split in info["splits"] if split["name"] == "train")
    (folder / "dataset_info.json").write_text(json.dumps(info | {"splits": [train]}))
    assert "not readable" in error("smallnorb", root, "full")
    assert len(load("smallnorb", root)) == 48
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
    import tensorflow_datasets

    features = tensorflow_datasets.builder("celeb_a", data_dir=root).info.features
    rest = {
        group: dict.fromkeys(features[group], 0)
        for group in features
        if group != "image"
    }
    files = iter(files)
    splits = {
        split: [{"image": next(files), **rest} for _ in range(count)]
        for split, count in celeba_files.LAYOUT.splits
    }
    return write_copy(root, "celeb_a", splits)


def test_celeba_holds_every_picture_of_all_splits(tmp_path):
    files = [celeba_files.jpeg(celeba_files.face(k)) for k in range(5)]
    root = faces(tmp_path, files)
    dataset = data.load("celeba", data.Data(source="auto", dir=str(root)))
    assert (dataset.source, dataset.factor_names) == ("tfds", ())
    loaded = dataset.host_images(np.arange(5))
    # The order of the records is that of TensorFlow Datasets, a shuffled one.
    assert sorted(map(bytes, loaded)) == sorted(bytes(celeba.fit(f)) for f in files)
    assert bytes(loaded[3]) != bytes(loaded[4])


def test_celeba_pictures_of_another_size_are_an_error(tmp_path):
    root = faces(
        tmp_path,
        [celeba_files.jpeg(celeba_files.face(k)) for k in range(4)]
        + [celeba_files.jpeg(celeba_files.face(4, 217))],
    )
    assert "shape (217, 178, 3) instead of (218, 178, 3)" in error("celeba", root)
