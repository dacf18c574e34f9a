"""Working directories behind a URL: copied there and back, whatever happens between."""

import errno
import json
import logging
import threading
import time
from pathlib import Path

import chex
import fsspec
import pytest
import tiny
from fsspec.implementations.memory import MemoryFileSystem

from cfasl_jax import data, lease, main, objectives, workdirs
from cfasl_jax.command_line import Command
from cfasl_jax.data import remote
from cfasl_jax.errors import ConfigError
from cfasl_jax.run import provenance
from cfasl_jax.training import loop

MARK = "_CHECKPOINT_METADATA"
PARTS = ("data", "default/manifest", MARK)


@pytest.fixture
def url(tmp_path):
    """Of an empty directory in memory, for this test alone."""
    return f"memory://{tmp_path.parent.name}/{tmp_path.name}"


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """Local copies lie in a folder of this test; the last copy is not waited for."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(workdirs.tempfile, "tempdir", str(folder))
    monkeypatch.setattr(workdirs, "_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(lease, "_PAUSE_SECONDS", 0.0)
    return folder


def stored(url):
    """Names and contents of all objects below a URL."""
    files, root = fsspec.url_to_fs(url)
    paths = files.find(root)
    return {p.removeprefix(root).lstrip("/"): files.cat_file(p) for p in paths}


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_checkpoint(folder, step):
    """A pretended checkpoint, and the lines of the log before it."""
    for part in PARTS:
        write(folder, f"checkpoints/{step}/{part}", f"{part} of {step}")
    lines = [json.dumps({"step": s}) for s in range(4, step + 1, 4)]
    write(folder, "metrics.jsonl", "\n".join(lines))


def remove_checkpoint(folder, step):
    workdirs.shutil.rmtree(folder / "checkpoints" / str(step))


def test_paths_are_themselves_and_urls_are_recognised(tmp_path):
    assert workdirs.location("runs/first") == Path("runs/first")
    assert workdirs.location("~/runs/first") == Path.home() / "runs/first"
    assert workdirs.location(f"file://{tmp_path}") == tmp_path
    assert workdirs.location("gs://bucket/run/") == "gs://bucket/run"
    assert workdirs.location("GS://bucket/run") == "gs://bucket/run"
    for text in ("gs:/bucket/run", "S3:/run"):
        with pytest.raises(ConfigError, match=r"no address of a bucket: write \w\w://"):
            workdirs.location(text)
    with pytest.raises(ConfigError, match="no user whose home is ~no-one"):
        workdirs.location("~no-one/runs/first")
    with workdirs.local(tmp_path) as folder:
        assert folder == tmp_path


@pytest.mark.parametrize("text", ["", " ", "file://", "gs://", "memory:///"])
def test_what_names_no_directory_is_refused(text):
    with pytest.raises(ConfigError, match=f"^'{text}' names no working directory$"):
        workdirs.location(text)


def test_file_systems_do_not_log_what_they_raise(caplog):
    logger = logging.getLogger("fsspec")
    level = logger.level
    try:
        found, path = remote.file_system("memory://bucket/run")
        assert (found, path) == (fsspec.filesystem("memory"), "/bucket/run")
        logger.error("a trace")
        assert not caplog.records
    finally:
        logger.setLevel(level)


def test_a_directory_comes_back_with_its_newest_state(url, scratch):
    with workdirs.local(url) as folder:
        write(folder, "config.json", "{}")
        write(folder, "figures/a.png", "picture")
        write(folder, "results.json.tmp", "half")
        write(folder, "checkpoints/12.orbax-checkpoint-tmp-0/data", "half")
        for step in (4, 8):
            write_checkpoint(folder, step)
    assert not any(scratch.iterdir())
    checkpoints = {f"checkpoints/{step}/{part}" for step in (4, 8) for part in PARTS}
    top = {"config.json", "metrics.jsonl"}
    assert set(stored(url)) == checkpoints | top | {"figures/a.png"}
    with workdirs.local(url) as folder:
        found = {p.relative_to(folder).as_posix() for p in folder.rglob("*")}
        assert checkpoints | top <= found
        assert "figures/a.png" not in found  # is drawn anew, not read
        remove_checkpoint(folder, 4)
        write(folder, "config.json", '{"new": 1}')
    after = stored(url)
    assert after["config.json"] == b'{"new": 1}'
    assert {name.split("/")[1] for name in after if name.startswith("check")} == {"8"}
    assert "figures/a.png" in after


def test_damaged_checkpoints_are_kept_in_the_bucket_and_never_read(url):
    with workdirs.local(url) as folder:
        for step in (4, 8):
            write_checkpoint(folder, step)
    with workdirs.local(url) as folder:  # as training does with one it cannot read
        (folder / "checkpoints" / "8").rename(folder / "checkpoints" / "damaged-8")
    of = {name.split("/")[1] for name in stored(url) if name.startswith("checkpoints")}
    assert of == {"4", "damaged-8"}
    # A directory that was copied there may hold a half-written one too.
    files, root = fsspec.url_to_fs(url)
    files.pipe_file(f"{root}/checkpoints/12.orbax-checkpoint-tmp/{MARK}", b"half")
    before = stored(url)
    for writes in (False, True):
        with workdirs.local(url, writes) as folder:
            found = [path.name for path in (folder / "checkpoints").iterdir()]
            assert found == ["4"]
    assert stored(url) == before


def test_only_the_first_process_writes(url):
    with workdirs.local(url) as folder:
        write(folder, "config.json", "{}")
        for step in (8, 12):
            write_checkpoint(folder, step)
    before = stored(url)
    with workdirs.local(url, writes=False) as folder:
        names = [p.relative_to(folder).as_posix() for p in folder.rglob("*")]
        files = {name for name in names if (folder / name).is_file()}
        assert files == {"config.json"} | {f"checkpoints/12/{part}" for part in PARTS}
        write(folder, "config.json", "of another process")
    assert stored(url) == before


class KilledError(BaseException):
    """Stands for SIGKILL: nothing catches it."""


def killed_after(monkeypatch, count):
    """Lets `count` changes of remote files pass; the next one never happens."""
    left = [count]

    def counted(method):
        def change(self, *arguments, **options):
            if left[0] == 0:
                raise KilledError
            left[0] -= 1
            return method(self, *arguments, **options)

        return change

    for name in ("put_file", "rm_file"):
        monkeypatch.setattr(
            MemoryFileSystem, name, counted(getattr(MemoryFileSystem, name))
        )
    return left


@pytest.mark.parametrize("count", range(0, 18))
def test_killed_while_it_copies_it_leaves_whole_checkpoints(
    url, tmp_path, monkeypatch, count
):
    first, second = tmp_path / "first", tmp_path / "second"
    mirror = workdirs._connect(url, first, writes=True)
    write_checkpoint(first, 4)
    mirror.push()
    with monkeypatch.context() as patch:
        left = killed_after(patch, count)
        try:
            write_checkpoint(first, 8)
            mirror.push()
            write_checkpoint(first, 12)
            remove_checkpoint(first, 4)
            mirror.push()
        except KilledError:
            pass
        assert left[0] == 0 or count > 11
    again = workdirs._connect(url, second, writes=True)
    found = sorted(int(p.name) for p in (second / "checkpoints").iterdir())
    assert found in ([4], [4, 8], [4, 8, 12], [8, 12])
    for step in found:
        for part in PARTS:
            text = (second / "checkpoints" / str(step) / part).read_text()
            assert text == f"{part} of {step}"
    lines = (second / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] >= found[-1]
    write_checkpoint(second, 16)
    again.push()
    names = {p.relative_to(second).as_posix() for p in workdirs._files(second)}
    assert set(stored(url)) == names


def test_runs_below_come_back_with_their_checkpoints_records_and_pages(url):
    run = "runs/arm/setting/tuning_seed_1"
    with workdirs.local(url) as folder:
        for step in (4, 8):
            write_checkpoint(folder / run, step)
        write(folder, f"{run}/checkpoints/12.orbax-checkpoint-tmp-0/data", "half")
        for name in ("scores/dlib.json", "report.html", "figures/a.png"):
            write(folder, f"{run}/{name}", "x")
    with workdirs.local(url) as folder:
        files = {p.relative_to(folder / run).as_posix() for p in _files(folder)}
        parts = {f"checkpoints/{step}/{part}" for step in (4, 8) for part in PARTS}
        kept = {"metrics.jsonl", "scores/dlib.json", "report.html"}
        assert files == kept | parts
        remove_checkpoint(folder / run, 4)
    steps = {name.split("/")[-2] for name in stored(url) if name.endswith(MARK)}
    assert steps == {"8"}
    assert f"{run}/figures/a.png" in stored(url)
    before = stored(url)
    with workdirs.local(url, checkpoints=False) as folder:
        files = {p.relative_to(folder / run).as_posix() for p in _files(folder)}
        assert files == kept
        write(folder, "study.json", "{}")
    assert stored(url) == before | {"study.json": b"{}"}


def _files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_pack_leaves_the_bucket_after_its_runs_have_come(url, tmp_path, monkeypatch):
    """Also where it is taken apart while checkpoints are listed."""
    mirror = workdirs._connect(url, tmp_path, writes=True)
    write_checkpoint(tmp_path / "packs/p", 8)
    mirror.push()
    listed = workdirs._checkpoints

    def take_apart_after(root):
        found = listed(root)
        if (tmp_path / "packs").exists():
            write_checkpoint(tmp_path / "runs/a", 8)
            workdirs.shutil.rmtree(tmp_path / "packs/p")
            (tmp_path / "packs").rmdir()
            return found - {"runs/a/checkpoints/8"}
        return found

    monkeypatch.setattr(workdirs, "_checkpoints", take_apart_after)
    mirror.push()
    marked = {name.split("/")[0] for name in stored(url) if name.endswith(MARK)}
    assert marked == {"packs", "runs"}
    mirror.push()
    marked = {name.split("/")[0] for name in stored(url) if name.endswith(MARK)}
    assert marked == {"runs"}


def test_one_worker_at_a_time_has_a_directory_for_itself(url, monkeypatch, capsys):
    order = []

    def work(name):
        with workdirs.local(url, alone=True) as folder:
            order.append(name)
            write(folder, name, name)

    with workdirs.local(url, alone=True):
        second = threading.Thread(target=work, args=("second",))
        second.start()
        until(lambda: "another worker has" in capsys.readouterr().err)
        order.append("first")
    second.join()
    assert order == ["first", "second"]
    assert stored(url) == {"second": b"second"}


def test_the_lease_of_a_worker_that_died_is_taken_over(url, tmp_path, monkeypatch):
    dead = workdirs._connect(url, tmp_path / "dead", writes=True, alone=True)
    assert ".worker" in stored(url)
    mirror = workdirs._Mirror(url, tmp_path / "new")
    assert not mirror.lease.take()
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.2)
    monkeypatch.setattr(lease, "RENEWAL_SECONDS", 0.0)
    time.sleep(0.1)
    dead.push()  # which keeps it fresh
    time.sleep(0.15)
    assert not mirror.lease.take()
    time.sleep(0.1)
    assert not mirror.lease.take()  # which removes it
    assert mirror.lease.take()
    with pytest.raises(RuntimeError, match="another worker has taken it over"):
        dead.push()
    dead.lease.release()
    assert stored(url)[".worker"] == mirror.lease.owner


def test_a_lease_stays_fresh_while_a_large_directory_is_copied(
    url, tmp_path, monkeypatch
):
    with workdirs.local(url) as folder:
        for name in "abc":
            write(folder, name, name)
    monkeypatch.setattr(lease, "RENEWAL_SECONDS", 0.0)
    times = []
    mirror = workdirs._Mirror(url, tmp_path)
    get = mirror._fs.get_file

    def slow_get(*arguments):
        times.append(mirror._fs.modified(f"{mirror._root}/.worker"))
        time.sleep(0.01)
        get(*arguments)

    monkeypatch.setattr(mirror._fs, "get_file", slow_get)
    mirror.lease.acquire(url)
    mirror.pull(newest_only=False, checkpoints=True)
    assert len(set(times)) == len(times) == 3


@pytest.fixture
def tiny_networks(monkeypatch):
    small = tiny.objective(cfasl=False)
    monkeypatch.setattr(objectives, "build", lambda *_: small)


@pytest.mark.usefixtures("tiny_networks")
def test_a_run_in_a_bucket_resumes_on_a_new_machine_bitwise(url, tmp_path):
    options = {"cfasl": False, "log_every": 4}
    whole = tmp_path / "whole"
    config = tiny.config(num_steps=8, **options)
    expected = loop.train(config, tiny.dataset(), whole)
    for num_steps in (4, 8):
        config = tiny.config(num_steps=num_steps, **options)
        with workdirs.local(url) as folder:
            got = loop.train(config, tiny.dataset(), folder)
    chex.assert_trees_all_equal(got, expected)
    assert stored(url)["metrics.jsonl"] == (whole / "metrics.jsonl").read_bytes()
    assert any(name.startswith("tensorboard/seed_1/events") for name in stored(url))


@pytest.mark.usefixtures("tiny_networks")
def test_messages_name_the_url(url, monkeypatch, capsys):
    with workdirs.local(url) as folder:
        provenance.claim(folder, tiny.config(beta=3.0), tiny.dataset().spec)
        write_checkpoint(folder, 4)
    command = Command(tiny.config(), url, mode="train", distributed=False)
    monkeypatch.setattr(main.command_line, "parse", lambda _: command)
    monkeypatch.setattr(data, "load", lambda *_: tiny.dataset())
    assert main.main([]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {url} holds a run of another configuration")


def fail(error):
    def method(*_, **__):
        raise error

    return method


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("missing", "needs one more package: Please install gcsfs"),
        ("unknown", "cannot be used: Protocol not known: nowhere"),
        ("refused", "cannot be used: no permission (PermissionError)"),
    ],
)
def test_what_stands_in_the_way_of_a_url_is_one_sentence(
    url, monkeypatch, scratch, change, message
):
    if change == "missing":
        error = ImportError("Please install gcsfs to access Google Storage")
        monkeypatch.setattr(fsspec, "url_to_fs", fail(error))
    elif change == "unknown":
        url = "nowhere://bucket/run"
    else:
        error = PermissionError("no permission\nand a trace")
        monkeypatch.setattr(MemoryFileSystem, "pipe_file", fail(error))
    with pytest.raises(ConfigError) as caught, workdirs.local(url):
        raise AssertionError
    assert message in str(caught.value)
    assert str(caught.value).startswith(url)
    assert "\n" not in str(caught.value)
    assert not any(scratch.iterdir())


def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_outage_is_waited_out(url, monkeypatch, capsys):
    monkeypatch.setattr(workdirs, "INTERVAL_SECONDS", 0.01)
    with workdirs.local(url) as folder:
        with monkeypatch.context() as outage:
            broken = fail(OSError(errno.EIO, "the network is down"))
            outage.setattr(MemoryFileSystem, "put_file", broken)
            write(folder, "metrics.jsonl", "1")
            until(lambda: "network is down" in capsys.readouterr().err)
            time.sleep(0.1)
        until(lambda: stored(url) == {"metrics.jsonl": b"1"})  # before the end
    assert "network is down" not in capsys.readouterr().err  # said once
    assert not [t for t in threading.enumerate() if t.name == "copying"]


def test_what_could_not_be_copied_is_kept(url, monkeypatch):
    place = workdirs.local(url)
    folder = place.__enter__()
    write(folder, "results.json", "scores")
    broken = fail(OSError("the bucket is gone"))
    monkeypatch.setattr(MemoryFileSystem, "put_file", broken)
    with pytest.raises(workdirs.CopyError, match="the bucket is gone") as caught:
        place.__exit__(None, None, None)
    assert str(folder) in str(caught.value)
    assert (folder / "results.json").read_text() == "scores"
