"""Prepared copies at URLs: put there once, fetched to a host's disk, checked."""

import json
import os

import cars3d_files
import fsspec
import numpy as np
import pytest

from cfasl_jax import data
from cfasl_jax.data import __main__ as command
from cfasl_jax.data import cars3d, prepared, remote
from cfasl_jax.data.recipe import DataFileError
from cfasl_jax.errors import ConfigError
from cfasl_jax.settings import Data


@pytest.fixture(autouse=True)
def own_places(monkeypatch, tmp_path):
    """Neither copies nor caches of the user's are touched; memory:// begins empty."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "default"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setitem(
        data.DATASETS, "cars3d", cars3d.entry(cars3d_files.GRID, cars3d_files.ARCHIVE)
    )
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]


@pytest.fixture(params=["memory", "file"])
def url(request, tmp_path):
    """Where all data sets lie, on two file systems."""
    if request.param == "memory":
        return "memory://bucket/sets"
    return f"file://{tmp_path}/bucket/sets"


@pytest.fixture
def archive(tmp_path):
    return cars3d_files.write_archive(
        tmp_path / "archive.tar.gz", cars3d_files.contents()
    )


def run(*arguments):
    return command.main(["data", *map(str, arguments)])


def at(url, **options):
    return Data(source="auto", dir=url, **options)


def store_of(url):
    files, root = fsspec.url_to_fs(url)
    return files, root


def test_a_copy_is_put_at_a_url_and_fetched_for_training(url, archive, capsys):
    assert run("prepare", "cars3d", f"--dir={url}", f"--from={archive}") == 0
    assert f"{url}/cars3d: 30 images" in capsys.readouterr().out
    files, root = store_of(f"{url}/cars3d")
    assert sorted(name.rsplit("/", 1)[-1] for name in files.ls(root, detail=False)) == [
        prepared.IMAGES,
        prepared.MANIFEST,
    ]
    here = data.load("cars3d", Data(source="files", dir=""))
    fetched = data.load("cars3d", at(url, residency="streamed"))
    assert fetched.source == "files"
    assert fetched.spec == here.spec
    indices = np.arange(30)
    np.testing.assert_array_equal(
        fetched.host_images(indices), here.host_images(indices)
    )


def test_it_is_put_and_fetched_once(url, archive, monkeypatch):
    assert run("prepare", "cars3d", f"--dir={url}", f"--from={archive}") == 0
    monkeypatch.setattr(remote, "publish", None)
    assert run("prepare", "cars3d", f"--dir={url}") == 0
    first = data.load("cars3d", at(url))
    monkeypatch.setattr(prepared, "assemble", None)
    assert data.load("cars3d", at(url)).digest == first.digest


def test_a_changed_copy_is_fetched_anew(url, tmp_path):
    rng = np.random.default_rng(0)
    digests = set()
    for _ in range(2):
        images = rng.integers(0, 256, (5, 64, 64, 1), np.uint8)
        np.savez(tmp_path / "mine.npz", images=images)
        assert (
            run("prepare", "custom", f"--dir={url}", f"--from={tmp_path}/mine.npz") == 0
        )
        for where in (at(url), Data(source="auto", dir="", path=f"{url}/custom")):
            dataset = data.load("custom", where)
            np.testing.assert_array_equal(dataset.host_images(np.arange(5)), images)
            digests.add(dataset.digest)
    assert len(digests) == 2
    (tmp_path / "mine.npz").rename(tmp_path / "other.npz")
    assert run("prepare", "custom", f"--dir={url}", f"--from={tmp_path}/other.npz") == 2


def test_what_is_not_there_says_what_to_do(url, capsys):
    message = rf"no copy of cars3d in {url}/cars3d: .*prepare cars3d --dir={url}'"
    for function in (data.load, data.require):
        with pytest.raises(ConfigError, match=message):
            function("cars3d", at(url))
    with pytest.raises(
        ConfigError, match=r"prepare custom --from=FILE_OR_FOLDER --dir"
    ):
        data.load("custom", at(url))
    assert run("check", "cars3d", f"--dir={url}") == 2
    assert run("list", f"--dir={url}") == 0
    assert "cars3d             not here" in capsys.readouterr().out


def test_check_opens_the_manifest_alone(url, archive, capsys):
    assert run("prepare", "cars3d", f"--dir={url}", f"--from={archive}") == 0
    assert run("check", "cars3d", f"--dir={url}") == 0
    assert f"cars3d: prepared copy at {url}/cars3d" in capsys.readouterr().out
    assert run("list", f"--dir={url}") == 0
    assert "cars3d             prepared, 30 images" in capsys.readouterr().out
    assert not remote.cache().exists()


def test_another_data_set_under_the_name_is_refused(url, archive):
    assert run("prepare", "cars3d", f"--dir={url}", f"--from={archive}") == 0
    for function in (data.load, data.require):
        with pytest.raises(ConfigError, match="a copy of cars3d, not of dsprites"):
            function("dsprites", Data(source="auto", dir="", path=f"{url}/cars3d"))


def test_what_arrives_is_checked(url, archive, monkeypatch):
    """A file that is damaged on its way is fetched again, and never kept."""
    assert run("prepare", "cars3d", f"--dir={url}", f"--from={archive}") == 0
    files, root = store_of(f"{url}/cars3d")
    whole = files.cat_file(f"{root}/{prepared.IMAGES}")
    get, times = type(files).get_file, []

    def get_damaged(self, remote_path, local_path, **options):
        get(self, remote_path, local_path, **options)
        times.append(remote_path)
        if len(times) <= damaged:
            os.truncate(local_path, len(whole) - 1)

    monkeypatch.setattr(type(files), "get_file", get_damaged)
    damaged = 99
    with pytest.raises(ConfigError, match=f"{url}/cars3d cannot be used: .*images"):
        data.load("cars3d", at(url))
    assert [p for p in remote.cache().iterdir() if not p.name.endswith(".lock")] == []
    times.clear()
    damaged = 1
    assert data.load("cars3d", at(url)).num_images == 30
    assert len(times) == 2


def test_an_interrupted_publishing_leaves_no_copy_and_goes_on(
    url, archive, monkeypatch
):
    files, _ = store_of(url)
    put = type(files).put_file

    def broken(self, *arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(files), "put_file", broken)
    assert run("prepare", "cars3d", f"--dir={url}", f"--from={archive}") == 130
    assert run("check", "cars3d", f"--dir={url}") == 2
    monkeypatch.setattr(type(files), "put_file", put)
    assert run("prepare", "cars3d", f"--dir={url}") == 0
    assert data.load("cars3d", at(url)).num_images == 30


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"sha256": {"../x": ""}}'])
def test_a_damaged_manifest_is_one_sentence(url, content):
    files, root = store_of(f"{url}/cars3d")
    files.makedirs(root, exist_ok=True)
    files.pipe_file(f"{root}/{prepared.MANIFEST}", content)
    with pytest.raises(ConfigError, match=f"{url}/cars3d cannot be used: .*damaged"):
        data.load("cars3d", at(url))


def test_urls_that_cannot_be_used_are_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match=r"nosuch://x/cars3d cannot be used: "):
        data.load("cars3d", at("nosuch://x"))
    with pytest.raises(DataFileError, match="no prepared copy at memory://x"):
        remote.fetch("memory://x")
    assert not remote.is_url(str(tmp_path))
    assert not remote.is_url("C:/data")


def test_a_rendered_data_set_needs_no_url(url):
    dataset = data.load("dsprites", Data(source="rendered", dir=url))
    assert dataset.source == "rendered"


def test_the_spec_is_known_without_fetching(url):
    spec = data.spec_of("celeba", at(url))
    assert (spec.source, spec.num_images) == ("files", 202_599)
    assert json.dumps(spec.digest) == '""'
