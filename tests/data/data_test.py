"""`data.load`: which source is taken, and how images are held."""

import dataclasses

import cars3d_files
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import smallnorb_files

from cfasl_jax import config as config_lib
from cfasl_jax import data
from cfasl_jax.data import cars3d, entry_of, prepared, preparing, smallnorb, storage
from cfasl_jax.data.dataset import Contents, Labels, Spec, rendered
from cfasl_jax.data.entry import Entry, Version
from cfasl_jax.data.grid import FactorGrid
from cfasl_jax.data.recipe import DataFileError
from cfasl_jax.errors import ConfigError
from cfasl_jax.settings import Data
from configs import default

OPTIONS = Data(source="auto", dir="")


def options(**changes):
    return dataclasses.replace(OPTIONS, **{k: str(v) for k, v in changes.items()})


@pytest.fixture(autouse=True)
def empty_default(monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "default"))


@pytest.fixture
def mine(tmp_path):
    """A user's file, black and white, with a table of factors: (path, images)."""
    images = np.random.default_rng(0).integers(0, 2, (9, 64, 64), np.uint8)
    factors = np.array([[k % 4, k // 5] for k in range(9)])
    np.savez(tmp_path / "mine.npz", images=images, factors=factors)
    return tmp_path / "mine.npz", 255 * images[..., None]


@pytest.fixture
def copy(mine, tmp_path):
    """The same as a prepared copy: its folder."""
    return preparing.prepare(
        entry_of("custom"), str(tmp_path / "sets"), "paper", mine[0]
    ).folder


def test_rendered_twins_are_what_auto_falls_back_to():
    dataset = data.load("dsprites", OPTIONS)
    assert (dataset.source, dataset.streamed) == ("rendered", False)
    assert dataset.factor_names == dataset.grid.names
    assert dataset.labels is None
    images = dataset.host_images(np.array([[0, 0, 2], [9, 2, 7]]))
    assert images.shape == (2, 3, 64, 64, 1)
    np.testing.assert_array_equal(images[0, 2], images[1, 1])


PUBLISHED = [name for name, entry in data.DATASETS.items() if entry.published]


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("source", ["auto", "files"])
def test_what_is_not_there_says_what_to_do(name, source, tmp_path):
    with pytest.raises(ConfigError) as caught:
        data.load(name, options(source=source, dir=tmp_path))
    message = str(caught.value)
    assert f"python -m cfasl_jax.data prepare {name}" in message
    assert f"--dir={tmp_path}" in message
    assert entry_of(name).page in message


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("cars3d", "rendered", "these data sets can: dsprites, shapes3d"),
        ("cars3d", "tfds", "for dsprites, shapes3d, smallnorb, celeba, not for cars3d"),
        ("smallnorb", "tfds", "prepare smallnorb --convention=paper"),
        ("celeba", "tfds", "tfds build celeb_a"),
        ("dsprites", "files", "prepare dsprites"),
        ("custom", "auto", "needs data.path"),
        ("custom", "tfds", "not for custom"),
        ("custm", "auto", "did you mean 'custom'"),
    ],
)
def test_sources_are_strict(name, source, message):
    with pytest.raises(ConfigError, match=message):
        data.load(name, options(source=source))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "fils"}, r"unknown data\.source 'fils'.*'files'"),
        ({"convention": "papr"}, r"unknown data\.convention 'papr'.*'paper'"),
        ({"likelihood": "gauss"}, r"unknown data\.likelihood 'gauss'"),
        ({"residency": "stream"}, r"unknown data\.residency 'stream'.*'streamed'"),
        ({"source": "rendered", "path": "a.npz"}, r"data\.path=a\.npz needs"),
    ],
)
def test_wrong_options_are_named(changes, message):
    fields = default.get_config().to_dict()
    fields["data"] |= changes
    with pytest.raises(ConfigError, match=message):
        config_lib.from_dict(fields)


def test_auto_prefers_a_prepared_copy_then_tfds_then_the_twin(copy, tmp_path):
    def source(**changes):
        return data.resolve_source(entry_of("dsprites"), options(**changes))

    assert source() == "rendered"
    version = tmp_path / "default" / "dsprites" / "2.0.0"
    version.mkdir(parents=True)
    (version / "dataset_info.json").touch()
    (version / "dsprites-train.tfrecord-00000-of-00001").touch()
    assert source() == "tfds"
    copy.rename(tmp_path / "sets" / "dsprites")
    assert source(dir=tmp_path / "sets") == "files"
    assert source(dir=tmp_path / "nowhere") == "files"


@pytest.fixture
def drawn(monkeypatch):
    """A data set that has no files: a part of dSprites, only rendered."""
    contents = Contents("drawn", 6, 1, "bernoulli", FactorGrid(("a", "b"), (2, 3)))
    entry = Entry(
        "drawn",
        label="a drawn set",
        page="",
        versions={"paper": Version(contents)},
        twin=lambda: rendered(contents, data.dsprites.twin().lookup),
    )
    monkeypatch.setitem(data.DATASETS, "drawn", entry)
    return entry


def test_a_data_set_without_files_is_only_rendered(drawn, tmp_path):
    dataset = data.load("drawn", OPTIONS)
    assert dataset.spec == data.spec_of("drawn", OPTIONS)
    assert (dataset.source, len(dataset.host_images(np.arange(6)))) == ("rendered", 6)
    assert data.require("drawn", OPTIONS) == "rendered on the device"
    asks_for_files = [
        options(source="files"),
        options(dir=tmp_path),
        options(path=tmp_path),
    ]
    for asked in asks_for_files:
        with pytest.raises(ConfigError, match=r"drawn has no files.*data\.source=rend"):
            data.load("drawn", asked)
    with pytest.raises(DataFileError, match="drawn has no files"):
        preparing.prepare(drawn, str(tmp_path), "paper")


@pytest.mark.parametrize("kind", ["file", "copy", "dir"])
def test_a_users_images(mine, copy, kind, tmp_path):
    path, images = mine
    where = {
        "file": {"path": path},
        "copy": {"path": copy},
        "dir": {"dir": copy.parent},
    }
    dataset = data.load("custom", options(**where[kind]))
    assert dataset.source == "files"
    assert dataset.likelihood == "bernoulli"
    assert dataset.grid is None
    assert dataset.factor_names == ("factor_0", "factor_1")
    assert dataset.labels.factors.shape == (9, 2)
    assert dataset.image_shape == (64, 64, 1)
    indices = np.array([3, 0, 8])
    np.testing.assert_array_equal(dataset.images(jnp.asarray(indices)), images[indices])
    np.testing.assert_array_equal(dataset.host_images(indices), images[indices])


def test_the_likelihood_can_be_chosen(mine, copy):
    for path in (mine[0], copy):
        chosen = options(path=path, likelihood="gaussian")
        assert data.load("custom", chosen).likelihood == "gaussian"


def test_the_likelihood_of_rendered_images_can_be_chosen():
    chosen = options(source="rendered", likelihood="gaussian")
    assert data.load("dsprites", chosen).likelihood == "gaussian"
    assert data.load("dsprites", chosen).spec == data.spec_of("dsprites", chosen)


def test_a_copy_of_another_data_set_is_refused(copy):
    with pytest.raises(ConfigError, match="holds a copy of custom, not of dsprites"):
        data.load("dsprites", options(path=copy))


def test_a_damaged_copy_is_one_sentence(copy):
    (copy / prepared.IMAGES).write_bytes(b"")
    with pytest.raises(ConfigError, match=r"images\.npy is missing or damaged"):
        data.load("custom", options(path=copy))


def test_streamed_and_resident_images_are_the_same(mine, copy):
    _, images = mine
    resident, streamed = (
        data.load("custom", options(path=copy, residency=kind))
        for kind in ("resident", "streamed")
    )
    assert (resident.streamed, streamed.streamed) == (False, True)
    assert jax.tree.leaves(streamed) == []
    assert streamed.image_shape == (64, 64, 1)
    indices = jnp.asarray([[4, 4, 1], [0, 7, 8]])
    look_up = jax.jit(jax.vmap(lambda dataset, i: dataset.pixels(i), in_axes=(None, 0)))
    in_steps = jax.jit(
        lambda dataset, i: jax.lax.map(lambda row: dataset.images(row), i)
    )
    for dataset in (resident, streamed):
        expected = images[np.asarray(indices)]
        np.testing.assert_allclose(look_up(dataset, indices), expected / 255.0)
        np.testing.assert_array_equal(in_steps(dataset, indices), expected)
        np.testing.assert_array_equal(dataset.host_images(indices), expected)


def test_streamed_images_are_those_of_a_copy_that_was_replaced(mine, copy):
    options = Data(source="files", dir=str(copy.parent), residency="streamed")
    before = data.load("custom", options).host_images(np.arange(3))
    images = np.random.default_rng(7).integers(0, 256, (5, 64, 64, 1), np.uint8)
    assert not np.array_equal(before, images[:3])
    np.savez(mine[0], images=images)
    preparing.prepare(entry_of("custom"), str(copy.parent), "paper", mine[0])
    after = data.load("custom", options).host_images(np.arange(5))
    np.testing.assert_array_equal(after, images)


def test_streamed_images_reach_several_devices(mine, copy):
    streamed = data.load("custom", options(path=copy, residency="streamed"))
    indices = np.arange(8).reshape(4, 2)
    images = jax.pmap(lambda i: streamed.images(i))(indices)
    np.testing.assert_array_equal(images, mine[1][indices])


def test_equal_streamed_sets_share_a_program(copy):
    traces = []

    @jax.jit
    def look_up(dataset):
        traces.append(0)
        return dataset.images(jnp.arange(2))

    for _ in range(2):
        dataset = data.load("custom", options(path=copy, residency="streamed"))
        look_up(dataclasses.replace(dataset, labels=None))
    assert len(traces) == 1


def test_what_does_not_fit_is_streamed(monkeypatch, mine, copy):
    size = mine[1].nbytes
    for budget, streamed in ((size + 1, False), (size, True)):
        monkeypatch.setattr(storage, "budget", lambda budget=budget: budget)
        assert data.load("custom", options(path=copy)).streamed == streamed
    assert not data.load("custom", options(path=copy, residency="resident")).streamed
    with pytest.raises(ConfigError, match=r"too large for the device .* prepare"):
        data.load("custom", options(path=mine[0]))


def test_streaming_needs_a_copy(mine):
    with pytest.raises(ConfigError, match=r"data\.residency=streamed .* prepare"):
        data.load("custom", options(path=mine[0], residency="streamed"))


def test_the_budget_is_a_share_of_the_devices_memory(monkeypatch):
    class Device:
        def memory_stats(self):
            return {"bytes_limit": 1000}

    monkeypatch.setattr(jax, "local_devices", lambda: [Device()])
    assert storage.budget() == 500
    # Four devices of the CPU share a quarter of a host's 16,000 bytes.
    monkeypatch.setattr(Device, "memory_stats", lambda self: None)
    monkeypatch.setattr(
        storage.os, "sysconf", {"SC_PHYS_PAGES": 4000, "SC_PAGE_SIZE": 4}.get
    )
    assert storage.budget() == 1000


def test_cars3d_is_prepared_once_from_the_archive_in_the_folder(monkeypatch, tmp_path):
    small = cars3d.entry(cars3d_files.GRID, cars3d_files.ARCHIVE)
    monkeypatch.setitem(data.DATASETS, "cars3d", small)
    (tmp_path / "cars3d").mkdir()
    archive = tmp_path / "cars3d" / cars3d.ARCHIVE.name
    cars3d_files.write_archive(archive, cars3d_files.contents())
    dataset = data.load("cars3d", options(dir=tmp_path))
    assert dataset.grid is not None
    assert dataset.factor_names == ("elevation", "azimuth", "object")
    archive.unlink()
    again = data.load("cars3d", options(dir=tmp_path, source="files"))
    np.testing.assert_array_equal(again.store, dataset.store)


def test_both_conventions_of_smallnorb_lie_side_by_side(monkeypatch, tmp_path):
    small = {name: smallnorb_files.small(name) for name in ("paper", "full")}
    monkeypatch.setitem(data.DATASETS, "smallnorb", smallnorb.entry(small))
    smallnorb_files.write(tmp_path / "smallnorb", "full")
    paper, full = (
        data.load("smallnorb", options(dir=tmp_path, convention=name))
        for name in ("paper", "full")
    )
    assert prepared.exists(tmp_path / "smallnorb-full")
    assert paper.grid is None
    assert paper.factor_names == ("instance", "elevation", "azimuth", "lighting")
    assert full.labels is None
    assert full.grid.names[-1] == "camera"
    assert paper.num_images * 4 == full.num_images
    for convention, loaded in (("paper", paper), ("full", full)):
        spec = data.spec_of("smallnorb", options(dir=tmp_path, convention=convention))
        assert spec == dataclasses.replace(loaded.spec, digest="")


@pytest.mark.parametrize("name", ["dsprites", "shapes3d"])
def test_the_spec_of_a_twin_is_known_without_drawing_it(name):
    assert data.spec_of(name, OPTIONS) == data.load(name, OPTIONS).spec


def test_the_spec_of_real_data_opens_no_file(tmp_path):
    spec = data.spec_of("celeba", options(dir=tmp_path, likelihood="bernoulli"))
    assert spec == Spec(
        name="celeba",
        source="files",
        num_images=202_599,
        image_shape=(64, 64, 3),
        likelihood="bernoulli",
        factor_names=(),
        factor_sizes=(),
        full_grid=False,
    )


def test_the_spec_of_a_users_images_is_read_off_them(mine):
    chosen = options(path=mine[0])
    spec = data.spec_of("custom", chosen)
    assert spec == data.load("custom", chosen).spec
    assert spec.factor_sizes == (4, 2)


def test_a_digest_tells_images_apart_and_is_the_same_for_a_copy(mine, copy, tmp_path):
    path, images = mine
    digests = {
        data.load("custom", options(path=where)).spec.digest for where in (path, copy)
    }
    (digest,) = digests
    assert len(digest) == 64
    changed = images[..., 0] // 255
    changed[4, 30, 30] ^= 1
    np.savez(tmp_path / "other.npz", images=changed)
    other = data.load("custom", options(path=tmp_path / "other.npz"))
    assert other.digest != digest


def test_names_come_from_the_entries():
    assert tuple(entry.name for entry in data.DATASETS.values()) == data.NAMES
    assert data.CONVENTIONS == ("paper", "full")
    with pytest.raises(ConfigError, match=r"one of dsprites, .*did you mean 'celeba'"):
        entry_of("celebs")


def test_labels_must_fit_their_names():
    factors = np.zeros((3, 2), np.int32)
    with pytest.raises(ValueError, match="1 names need 1 sizes"):
        Labels(("a",), (2,), factors)
    with pytest.raises(ValueError, match="outside the sizes"):
        Labels(("a", "b"), (2, 2), factors + 2)
