import dataclasses
import http.server
import json
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import h5py
import numpy as np
import pytest

from cfasl_jax.data import download, recipe, tfds_prepare, tfds_source
from cfasl_jax.data.grid import FactorGrid

# Cut-down grids of unequal sizes, so that no two factors can be mistaken.
GRIDS = {
    "dsprites": FactorGrid(
        ("shape", "scale", "orientation", "x_position", "y_position"), (3, 2, 4, 1, 2)
    ),
    "shapes3d": FactorGrid(
        ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation"),
        (2, 3, 1, 2, 2, 2),
    ),
}
NAMES = tuple(GRIDS)


def pictures(name, side=64, white=None):
    """Random images in grid order, with the values that the published files hold."""
    rng = np.random.default_rng(5)
    count = GRIDS[name].num_points
    if name == "dsprites":
        values = rng.integers(0, 2, (count, side, side), np.uint8)
        return values * (white or 1)
    return rng.integers(0, 256, (count, side, side, 3), np.uint8)


def write_hdf5(path, name, images, classes):
    """A file in the layout of the published one."""
    with h5py.File(path, "w") as file:
        if name == "dsprites":
            colour = np.zeros((len(classes), 1), int)
            latents = file.create_group("latents")
            latents["classes"] = np.concatenate([colour, classes], axis=1)
            latents["values"] = np.concatenate([colour, classes / 7], axis=1)
            file["imgs"] = images
        else:
            file["labels"] = classes / 7
            file["images"] = images


def prepare_from(monkeypatch, hdf5, name, root):
    """Prepare with the download replaced by a file that is there."""
    import tensorflow_datasets as tfds

    monkeypatch.setattr(tfds_prepare, "probe", lambda url: None)
    monkeypatch.setattr(
        tfds.download.DownloadManager, "download", lambda manager, url: str(hdf5)
    )
    tfds_prepare.prepare(name, tfds_source.LAYOUTS[name].url, root)


def grid_order(name):
    sizes = GRIDS[name].sizes
    return np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), axis=1)


def make_copy(root, name, images, classes=None):
    classes = grid_order(name) if classes is None else classes
    hdf5 = root / "source.h5"
    write_hdf5(hdf5, name, images, classes)
    with pytest.MonkeyPatch.context() as monkeypatch:
        prepare_from(monkeypatch, hdf5, name, root / "data")
    return root / "data"


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """A sound prepared copy of each data set: name -> data folder."""
    return {
        name: make_copy(tmp_path_factory.mktemp(name), name, pictures(name))
        for name in NAMES
    }


@pytest.fixture(autouse=True)
def small_layouts(monkeypatch):
    for name, layout in tfds_source.LAYOUTS.items():
        small = dataclasses.replace(layout, grid=GRIDS[name])
        monkeypatch.setitem(tfds_source.LAYOUTS, name, small)


@pytest.fixture
def damaged(copies, tmp_path):
    """A copy that a test may damage: the folder of its files."""
    shutil.copytree(copies["dsprites"], tmp_path / "data")
    return tmp_path / "data" / "dsprites" / "2.0.0"


def load(name, root):
    return recipe.read(tfds_source.recipe(name, root))


def load_error(folder):
    with pytest.raises(ValueError, match="the copy of dsprites in") as caught:
        load("dsprites", str(folder.parents[1]))
    message = str(caught.value)
    assert str(folder) in message
    assert message.endswith("delete it and prepare it again")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", NAMES)
def test_a_prepared_copy_is_read_back_in_grid_order(copies, name):
    images = load(name, str(copies[name]))
    expected = pictures(name)
    if name == "dsprites":
        expected = expected[..., None] * 255
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, expected)


def test_the_order_of_the_records_does_not_matter(tmp_path):
    order = np.random.default_rng(6).permutation(GRIDS["dsprites"].num_points)
    images = pictures("dsprites")
    root = make_copy(tmp_path, "dsprites", images[order], grid_order("dsprites")[order])
    read = load("dsprites", str(root))
    np.testing.assert_array_equal(read[..., 0], images * 255)


def test_load_prepares_what_is_not_there(monkeypatch, tmp_path):
    name = "shapes3d"
    write_hdf5(tmp_path / "source.h5", name, pictures(name), grid_order(name))

    def prepare(prepared_name, url, root):
        assert prepared_name == name
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(tfds_prepare, "prepare", original)
            prepare_from(inner, tmp_path / "source.h5", name, root)

    original = tfds_prepare.prepare
    monkeypatch.setattr(tfds_prepare, "prepare", prepare)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "default"))
    assert not tfds_source.is_prepared(name, "")
    images = load(name, "")
    assert tfds_source.is_prepared(name, None)
    np.testing.assert_array_equal(images, pictures(name))


def test_is_prepared_looks_for_array_records_of_a_finished_version(copies, tmp_path):
    assert tfds_source.is_prepared("dsprites", str(copies["dsprites"]))
    assert not tfds_source.is_prepared("shapes3d", str(copies["dsprites"]))
    assert not tfds_source.is_prepared("dsprites", str(tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()
    finished = copies["dsprites"] / "dsprites" / "2.0.0"
    shutil.copytree(finished, tmp_path / "dsprites" / "incomplete.AB12_2.0.0")
    assert not tfds_source.is_prepared("dsprites", str(tmp_path))
    other = tmp_path / "dsprites" / "2.0.0"
    other.mkdir()
    (other / "dataset_info.json").write_text("{}")
    (other / "dsprites-train.tfrecord-00000-of-00001").touch()
    assert not tfds_source.is_prepared("dsprites", str(tmp_path))


def test_the_newest_version_is_read(damaged):
    shutil.copytree(damaged, damaged.parent / "10.0.0")
    (damaged / "dsprites-train.array_record-00000-of-00001").write_bytes(b"")
    images = load("dsprites", str(damaged.parents[1]))
    np.testing.assert_array_equal(images[..., 0], pictures("dsprites") * 255)


@pytest.mark.parametrize("function", [tfds_source.recipe, tfds_source.is_prepared])
def test_an_unknown_name_lists_the_choices(function):
    with pytest.raises(
        ValueError, match=r"'cars3d': one of dsprites, shapes3d, smallnorb, celeba"
    ):
        function("cars3d", None)


def test_a_missing_file_is_named(damaged):
    (damaged / "dsprites-train.array_record-00000-of-00001").rename(
        damaged / "dsprites-train.array_record-00000-of-00002"
    )
    assert "array_record-00000-of-00001 is missing" in load_error(damaged)


def test_missing_features_are_named(damaged):
    (damaged / "features.json").unlink()
    assert "features.json is missing" in load_error(damaged)


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


def test_labels_outside_the_grid_are_an_error(damaged, monkeypatch):
    layout = tfds_source.LAYOUTS["dsprites"]
    turned = FactorGrid(layout.grid.names, (2, 3, 4, 1, 2))
    monkeypatch.setitem(
        tfds_source.LAYOUTS, "dsprites", dataclasses.replace(layout, grid=turned)
    )
    assert "outside the grid (2, 3, 4, 1, 2)" in load_error(damaged)


def test_a_label_that_is_not_stored_is_an_error(damaged, monkeypatch):
    layout = tfds_source.LAYOUTS["dsprites"]
    names = ("shape", "scale", "orientation", "x_position", "colour")
    renamed = FactorGrid(names, layout.grid.sizes)
    monkeypatch.setitem(
        tfds_source.LAYOUTS, "dsprites", dataclasses.replace(layout, grid=renamed)
    )
    assert "lacks its image or a label" in load_error(damaged)


def test_combinations_that_appear_twice_are_an_error(tmp_path):
    classes = grid_order("dsprites")
    classes[5] = classes[4]
    root = make_copy(tmp_path, "dsprites", pictures("dsprites"), classes)
    with pytest.raises(ValueError, match=r"1 of 48 combinations missing in .*2\.0\.0"):
        load("dsprites", str(root))


def test_images_of_another_size_are_an_error(tmp_path):
    root = make_copy(tmp_path, "dsprites", pictures("dsprites", side=32))
    message = load_error(root / "dsprites" / "2.0.0")
    assert "shape (32, 32, 1), type uint8 instead of (64, 64, 1)" in message


def test_values_out_of_range_are_an_error(tmp_path):
    root = make_copy(tmp_path, "dsprites", pictures("dsprites", white=255))
    assert "value 255, above 1" in load_error(root / "dsprites" / "2.0.0")


def test_no_network_says_what_to_do(monkeypatch, tmp_path):
    def refuse(request, timeout):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.raises(ValueError, match="cannot download dsprites") as caught:
        load("dsprites", str(tmp_path / "data"))
    message = str(caught.value)
    assert "github.com" in message
    assert "no route to host" in message
    assert "tfds build dsprites --file_format=array_record" in message
    assert str(tmp_path / "data" / "dsprites") in message
    assert "data.source=rendered" in message
    assert not (tmp_path / "data").exists()


def test_a_host_name_that_is_looked_up_for_ever_ends_the_wait(monkeypatch):
    released = threading.Event()

    def look_up(request, timeout):
        released.wait(30)
        raise OSError("gave up")

    monkeypatch.setattr(download, "_PROBE_SECONDS", 0.05)
    monkeypatch.setattr(urllib.request, "urlopen", look_up)
    problem = download.probe("https://example.org/file")
    released.set()  # or the thread would outlive the tests
    assert problem == "no answer from example.org within 0.05 s"


@pytest.fixture
def server(monkeypatch):
    """A web server on this machine that has the file /there: its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200 if self.path == "/there" else 404)
            self.end_headers()

        def log_message(self, *args):
            pass

    monkeypatch.setenv("no_proxy", "*")
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as instance:
        threading.Thread(target=instance.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{instance.server_port}"
        instance.shutdown()


def test_the_probe_asks_for_the_file_itself(server):
    assert download.probe(f"{server}/there") is None
    assert "404" in download.probe(f"{server}/gone")


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    find = tfds_prepare.importlib.util.find_spec
    monkeypatch.setattr(
        tfds_prepare.importlib.util,
        "find_spec",
        lambda name: None if name == "h5py" else find(name),
    )
    with pytest.raises(ValueError, match="dsprites needs the package h5py"):
        load("dsprites", str(tmp_path))


def test_a_download_that_fails_is_one_sentence(monkeypatch, tmp_path):
    missing = tmp_path / "missing.h5"
    with pytest.raises(ValueError, match=r"preparing dsprites failed: .*missing\.h5"):
        prepare_from(monkeypatch, missing, "dsprites", tmp_path / "data")
    assert not tfds_source.is_prepared("dsprites", str(tmp_path / "data"))


def test_importing_the_module_does_not_import_tensorflow_datasets():
    program = (
        "import sys, cfasl_jax.data.tfds_source; "
        "sys.exit('tensorflow_datasets' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
