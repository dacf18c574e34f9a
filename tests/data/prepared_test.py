"""Prepared copies: whole or not there, whatever happens while they are made."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import celeba_files
import data_files
import numpy as np
import pytest
from PIL import Image

from cfasl_jax.data import __main__ as command
from cfasl_jax.data import celeba, dsprites, prepared, preparing, recipe, smallnorb
from cfasl_jax.data.recipe import DataFileError

COUNT = 6


def source(folder, count=COUNT, seed=0, factors=None):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 64, 64, 1), np.uint8)
    extra = {} if factors is None else {"factors": factors}
    np.savez(folder / "mine.npz", images=images, **extra)
    return folder / "mine.npz", images


def run(*arguments):
    return command.main(["data", *map(str, arguments)])


def prepare(path, folder):
    return run("prepare", "custom", f"--from={path}", f"--dir={folder}")


def leftovers(folder):
    return sorted(p.name for p in folder.iterdir() if not p.name.endswith(".lock"))


@pytest.fixture
def copy(tmp_path):
    """A sound copy with a table of factors, to be damaged: its folder."""
    factors = np.array([[0, 0], [0, 1], [1, 1], [1, 1], [2, 0], [2, 1]])
    path, _ = source(tmp_path, factors=factors)
    assert prepare(path, tmp_path / "sets") == 0
    return tmp_path / "sets" / "custom"


def test_a_copy_holds_all_that_was_read(copy, tmp_path):
    opened = prepared.open_copy(copy)
    prepared.verify(opened)
    _, images = source(tmp_path)
    np.testing.assert_array_equal(opened.images, images)
    assert isinstance(opened.images, np.memmap)
    assert opened.contents.grid is None
    assert opened.contents.labels.sizes == (3, 2)
    assert opened.contents.labels.factors.tolist()[2] == [1, 1]
    assert opened.contents.likelihood == "gaussian"
    assert opened.manifest["files"][0]["name"] == "mine.npz"
    assert leftovers(copy.parent) == ["custom"]


def test_a_full_grid_needs_no_table(tmp_path):
    factors = np.array([[a, b] for b in range(2) for a in range(3)])
    path, images = source(tmp_path, factors=factors)
    assert prepare(path, tmp_path) == 0
    opened = prepared.open_copy(tmp_path / "custom")
    assert opened.contents.grid.sizes == (3, 2)
    np.testing.assert_array_equal(opened.images[1], images[3])
    assert not (tmp_path / "custom" / prepared.FACTORS).exists()


def test_a_second_call_keeps_a_sound_copy(copy, tmp_path, monkeypatch):
    monkeypatch.setattr(prepared, "write", None)  # it must not be made again
    assert prepare(tmp_path / "mine.npz", copy.parent) == 0
    assert run("prepare", "custom", f"--dir={copy.parent}") == 0


def test_other_files_replace_a_copy(copy, tmp_path):
    path, images = source(tmp_path, count=7, seed=1)
    assert prepare(path, copy.parent) == 0
    np.testing.assert_array_equal(prepared.open_copy(copy).images, images)
    assert not (copy / prepared.FACTORS).exists()


def test_a_folder_with_another_picture_replaces_a_copy(tmp_path):
    photos = tmp_path / "photos" / "inner"
    photos.mkdir(parents=True)
    for count in (1, 2, 2):
        picture = np.full((64, 64, 3), 100 * count, np.uint8)
        Image.fromarray(picture).save(photos / f"{count}.png")
        assert prepare(photos.parent, tmp_path / "sets") == 0
        copy = prepared.open_copy(tmp_path / "sets" / "custom")
        assert copy.images.max(axis=(1, 2, 3)).tolist() == [100, 200][:count]


def test_other_pixels_in_a_file_of_the_same_size_are_seen(copy, tmp_path):
    path = tmp_path / "mine.npz"
    size = path.stat().st_size
    factors = np.array([[0, 0], [0, 1], [1, 1], [1, 1], [2, 0], [2, 1]])
    _, images = source(tmp_path, seed=1, factors=factors)
    assert path.stat().st_size == size
    assert prepare(path, copy.parent) == 0
    np.testing.assert_array_equal(prepared.open_copy(copy).images, images)


def test_a_copy_of_other_images_is_not_replaced_unasked(copy, tmp_path, capsys):
    other = tmp_path / "other.npz"
    source(tmp_path, count=7)[0].rename(other)
    before = prepared.open_copy(copy).manifest
    assert prepare(other, copy.parent) == 2
    message = capsys.readouterr().err
    assert f"{copy} holds a copy of mine.npz: choose another folder with" in message
    assert prepared.open_copy(copy).manifest == before
    assert (
        run("prepare", "custom", f"--from={other}", f"--dir={copy.parent}", "--replace")
        == 0
    )
    assert len(prepared.open_copy(copy).images) == 7


def test_a_copy_of_another_data_set_is_not_replaced_unasked(copy, tmp_path, capsys):
    copy.rename(copy.parent / "cars3d")
    assert run("prepare", "cars3d", f"--dir={copy.parent}") == 2
    assert "cars3d holds a copy of custom: choose another" in capsys.readouterr().err


def test_copies_from_before_their_source_was_stored_are_known(copy, tmp_path):
    manifest = json.loads((copy / prepared.MANIFEST).read_text())
    del manifest["source"]
    (copy / prepared.MANIFEST).write_text(json.dumps(manifest))
    other = tmp_path / "other.npz"
    path, _ = source(tmp_path, factors=None)
    assert prepare(path.rename(other), copy.parent) == 2
    assert prepare(other.rename(path), copy.parent) == 0


def test_many_files_are_summed_up(tmp_path, monkeypatch):
    monkeypatch.setattr(prepared, "_FILES_LISTED", 2)
    files = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    for file in files:
        file.write_text(file.name)
    (listed,) = prepared.list_files(files)
    assert (listed["name"], listed["bytes"]) == ("3 files, a.png ... c.png", 15)
    files[1].write_text("B.png")
    (changed,) = prepared.list_files(files)
    assert changed["sha256"] != listed["sha256"]
    assert len(prepared.list_files(files[:2])) == 2


def test_celeba_from_a_folder_remembers_its_pictures(tmp_path):
    entry = celeba.entry(celeba_files.LAYOUT, celeba_files.ARCHIVE)
    folder = tmp_path / "faces"
    data_files.write_folder(folder, celeba_files.contents())
    first = preparing.prepare(entry, str(tmp_path), "paper", folder).images.copy()
    again = preparing.prepare(entry, str(tmp_path), "paper", folder)
    np.testing.assert_array_equal(again.images, first)
    assert len(again.manifest["files"]) == celeba_files.COUNT
    changed = folder / "img_align_celeba" / "000002.jpg"
    changed.write_bytes(celeba_files.jpeg(celeba_files.face(9)))
    other = preparing.prepare(entry, str(tmp_path), "paper", folder)
    assert [bool(np.any(a != b)) for a, b in zip(first, other.images, strict=True)] == [
        False,
        True,
        False,
        False,
        False,
    ]


def test_a_set_of_one_image(tmp_path, capsys):
    Image.new("RGB", (80, 70), "red").save(tmp_path / "only.png")
    folder = data_files.write_folder(
        tmp_path / "one", {"only.png": (tmp_path / "only.png").read_bytes()}
    )
    assert prepare(folder, tmp_path / "sets") == 0
    picture = tmp_path / "sheet.png"
    assert (
        run("describe", "custom", f"--dir={tmp_path / 'sets'}", f"--picture={picture}")
        == 0
    )
    assert "custom: 1 image of 64 x 64 x 3, files" in capsys.readouterr().out


def damage(copy, kind):
    images, manifest = copy / prepared.IMAGES, copy / prepared.MANIFEST
    if kind == "truncated":
        os.truncate(images, images.stat().st_size - 1)
    elif kind == "empty":
        os.truncate(images, 0)
    elif kind == "missing":
        images.unlink()
    elif kind == "a pipe":
        images.unlink()
        os.mkfifo(images)
    elif kind == "no factors":
        (copy / prepared.FACTORS).unlink()
    elif kind == "other shape":
        np.save(images, np.zeros((COUNT, 32, 32, 1), np.uint8))
    elif kind == "other type":
        np.save(images, np.zeros((COUNT, 64, 64, 1), np.float32))
    elif kind == "half a manifest":
        os.truncate(manifest, 100)
    else:
        written = json.loads(manifest.read_text())
        if kind == "other format":
            written["format"] = 99
        elif kind == "no shape":
            del written["shape"]
        else:
            written["factors"]["sizes"] = [2, 2]
        manifest.write_text(json.dumps(written))


KINDS = (
    "truncated",
    "empty",
    "missing",
    "a pipe",
    "no factors",
    "other shape",
    "other type",
    "half a manifest",
    "other format",
    "no shape",
    "other sizes",
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mutilated_copy_is_refused_and_made_again(copy, tmp_path, kind):
    damage(copy, kind)
    with pytest.raises(DataFileError, match="again") as caught:
        prepared.open_copy(copy)
    assert str(copy) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert prepare(tmp_path / "mine.npz", copy.parent) == 0
    prepared.verify(prepared.open_copy(copy))


@pytest.mark.parametrize("name", [prepared.IMAGES, prepared.FACTORS])
def test_a_changed_byte_is_found_and_mended(copy, tmp_path, name):
    content = bytearray((copy / name).read_bytes())
    content[-4] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(DataFileError, match=f"{name} is damaged: its sha256"):
        prepared.verify(prepared.open_copy(copy))
    assert run("describe", "custom", f"--dir={copy.parent}") == 2
    assert prepare(tmp_path / "mine.npz", copy.parent) == 0
    prepared.verify(prepared.open_copy(copy))


class Crash(BaseException):
    """Nothing that the code could catch as an error of a file."""


@pytest.mark.parametrize("step", range(9))
def test_wherever_it_stops_there_is_a_whole_copy_or_none(
    copy, tmp_path, monkeypatch, step
):
    """A crash at each change of the file system, replacing an older copy."""
    path, images = source(tmp_path, count=7, seed=1)
    steps, crashed = iter(range(100)), []

    def crashing(function):
        def call(*arguments, **options):
            if next(steps) == step:
                crashed.append(step)
                raise Crash
            return function(*arguments, **options)

        return call

    remove = shutil.rmtree

    def clean(*arguments, **options):
        if not crashed:  # a crash leaves no time to clean up
            remove(*arguments, **options)

    before = prepared.open_copy(copy).manifest["sha256"]
    with monkeypatch.context() as patched:
        patched.setattr(prepared, "read", crashing(recipe.read))
        patched.setattr(prepared.os, "replace", crashing(os.replace))
        patched.setattr(prepared.os, "fsync", crashing(os.fsync))
        patched.setattr(prepared.shutil, "rmtree", clean)
        with pytest.raises(Crash):
            prepare(path, copy.parent)
    if prepared.exists(copy):
        left = prepared.open_copy(copy)
        prepared.verify(left)
        assert left.manifest["sha256"] == before or len(left.images) == 7
    assert prepare(path, copy.parent) == 0
    np.testing.assert_array_equal(prepared.open_copy(copy).images, images)
    assert leftovers(copy.parent) == ["custom"]


@pytest.mark.parametrize("attempt", range(3))
def test_killed_at_a_random_moment_and_run_again(tmp_path, attempt):
    """SIGKILL while a copy is made: never a corrupt one."""
    path, images = source(tmp_path, count=6000)
    folder = tmp_path / "sets"
    arguments = [sys.executable, "-m", "cfasl_jax.data", "prepare", "custom"]
    arguments += [f"--from={path}", f"--dir={folder}"]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    building = folder / ".custom.preparing"
    while not building.exists() and process.poll() is None:
        time.sleep(0.001)
    time.sleep(random.Random(os.urandom(8)).uniform(0, 0.1))
    process.send_signal(signal.SIGKILL)
    process.wait()
    if prepared.exists(folder / "custom"):
        prepared.verify(prepared.open_copy(folder / "custom"))
    assert prepare(path, folder) == 0
    opened = prepared.open_copy(folder / "custom")
    prepared.verify(opened)
    np.testing.assert_array_equal(opened.images, images)
    assert leftovers(folder) == ["custom"]


def test_copies_of_tensorflow_datasets_stay(tmp_path):
    version = tmp_path / "custom" / "2.0.0"
    version.mkdir(parents=True)
    (version / "dataset_info.json").touch()
    path, _ = source(tmp_path)
    assert prepare(path, tmp_path) == 0
    assert (version / "dataset_info.json").exists()
    prepared.verify(prepared.open_copy(tmp_path / "custom"))


def test_a_full_disk_is_named(tmp_path, monkeypatch, capsys):
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(prepared.shutil, "disk_usage", lambda path: usage)
    path, _ = source(tmp_path)
    assert prepare(path, tmp_path / "sets") == 2
    assert "0.0 GB free, and a copy of custom needs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prepar", "custom"], "unknown command 'prepar'.*did you mean 'prepare'"),
        (["prepare", "car3d"], "unknown data set 'car3d'.*did you mean 'cars3d'"),
        (["describe", "smalnorb"], "did you mean 'smallnorb'"),
        (["prepare", "smallnorb", "--convention=ful"], "did you mean 'full'"),
        (["prepare"], "required: NAME"),
        (["prepare", "custom"], "say what to prepare with --from"),
        (["prepare", "custom", "--from=/none.npz"], "/none.npz does not exist"),
        (
            ["prepare", "custom", "--from=gs://bucket/mine.npz"],
            "must be on this machine: copy gs://bucket/mine.npz here",
        ),
        (
            ["check", "smallnorb", "--convention=full"],
            r"prepare smallnorb --convention=full'",
        ),
        (["check", "cars3d"], "there is no copy of cars3d in .*prepare cars3d"),
        (["describe", "cars3d"], "prepare cars3d.*http://www.scottreed.info/"),
        (["list", "--dirr=x"], "unrecognized arguments: --dirr=x"),
        (["prepare", "cars3d", "--dir=/dev/null"], "^error: /dev/null: File exists"),
        (["describe", "dsprites", "--picture=x.foo"], r"a file \.png, not 'x.foo'"),
        (
            ["describe", "dsprites", "--picture=/dev/null/x.png"],
            "cannot write /dev/nul",
        ),
    ],
)
def test_mistakes_end_with_one_sentence_and_code_2(
    tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert len(error.strip().splitlines()) == 1
    assert __import__("re").search(message, error)


def test_a_copy_under_the_name_of_another_data_set_is_seen(copy, capsys):
    copy.rename(copy.parent / "cars3d")
    for command_name in ("check", "describe"):
        assert run(command_name, "cars3d", f"--dir={copy.parent}") == 2
        assert "a copy of custom, not of cars3d" in capsys.readouterr().err
    assert run("list", f"--dir={copy.parent}") == 0
    assert "cars3d             not usable: a copy of custom" in capsys.readouterr().out


def test_list_and_describe(copy, tmp_path, capsys):
    assert run("list", f"--dir={copy.parent}") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "custom             prepared, 6 images" in lines
    assert "dsprites           rendered on the device" in lines
    (copy.parent / "dsprites").mkdir()
    found = copy.parent / "dsprites" / dsprites.ARCHIVE.name
    found.touch()
    norb = copy.parent / "smallnorb"
    norb.mkdir()
    (norb / f"{smallnorb.CONVENTIONS['paper'].halves[0].stem}-dat.mat").touch()
    assert run("list", f"--dir={copy.parent}") == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"dsprites           files found, but no copy yet: {found}" in lines
    text = "\n".join(lines)
    assert "smallnorb (paper)  1 of 3 files found; from https://cs.nyu.edu" in text
    assert "smallnorb (full)   1 of 6 files found; from https://cs.nyu.edu" in text
    assert run("check", "custom", f"--dir={copy.parent}") == 0
    assert f"custom: prepared copy in {copy}" in capsys.readouterr().out
    picture = tmp_path / "sheet.png"
    assert (
        run("describe", "custom", f"--dir={copy.parent}", f"--picture={picture}") == 0
    )
    out = capsys.readouterr().out
    assert "complete and checked" in out
    assert "custom: 6 images of 64 x 64 x 1, files" in out
    assert "factor_0: 3 values" in out
    assert picture.read_bytes().startswith(b"\x89PNG")
