"""Runs and data sets in a bucket, on an emulator of Google's storage."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import buckets
import fsspec
import numpy as np
import pytest
import tiny
from processes import ending

from cfasl_jax import data
from cfasl_jax.data import __main__ as prepare

pytest.importorskip("gcsfs")
pytest.importorskip("gcp_storage_emulator")

URL = "gs://bucket/runs/first"
HOST = Path(__file__).parent.parent / "launch/tpu/host.sh"


@pytest.fixture
def faults(monkeypatch):
    with buckets.emulator(monkeypatch) as faults:
        yield faults


def start(num_steps, mode):
    command = [sys.executable, buckets.__file__, URL, str(num_steps), mode]
    return subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def whole_checkpoints():
    """Steps of the checkpoints in the bucket that have their mark."""
    files, root = fsspec.url_to_fs(URL)
    files.invalidate_cache()
    names = files.find(f"{root}/checkpoints")
    return sorted(
        int(n.split("/")[-2]) for n in names if n.endswith("/_CHECKPOINT_METADATA")
    )


def wait_for_checkpoints(process, step):
    """Until the bucket has a whole checkpoint of this step or a later one."""
    while max(whole_checkpoints(), default=0) < step:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def logged():
    with fsspec.open(f"{URL}/metrics.jsonl") as file:
        return [json.loads(line) for line in file]


def test_a_run_is_killed_and_goes_on_to_its_report(faults):
    process = start(100_000, "train")
    wait_for_checkpoints(process, 1)
    faults.refusals = [503, 403]  # gcsfs tries the first again, workdirs the second
    while faults.refusals:
        wait_for_checkpoints(process, 1)
    wait_for_checkpoints(process, max(whole_checkpoints()) + 1)
    process.send_signal(signal.SIGKILL)
    told = ending(process, timeout=60)
    assert "cannot copy to gs://bucket/runs/first now: Forbidden" in told
    before, newest = logged(), max(whole_checkpoints())

    faults.hidden = 2  # as if the listing did not show what was written last
    shown = whole_checkpoints()
    process = start(newest + 4, "all")
    told = ending(process, timeout=200)
    assert process.returncode == 0, told
    first = int(re.search(r"step (\d+)/", told)[1])
    # It went on from what the listing showed, or began anew where that was nothing.
    assert first - 2 in (shown or [0])
    faults.hidden = 0
    assert max(whole_checkpoints()) == newest + 4
    after = logged()
    assert [line["step"] for line in after] == list(range(2, newest + 5, 2))
    kept = [line for line in before if line["step"] <= newest]
    assert after[: len(kept)] == kept
    files, root = fsspec.url_to_fs(URL)
    results = json.loads(files.cat_file(f"{root}/results.json"))
    assert results["step"] == newest + 4
    assert files.size(f"{root}/report.html") > 1000


def test_a_host_copies_its_log_into_the_bucket(faults, tmp_path):
    project = tmp_path / "project"
    (project / "launch" / "tpu").mkdir(parents=True)
    (project / "launch" / "tpu" / "host.sh").write_text(HOST.read_text())
    (project / "runs" / ".host").mkdir(parents=True)
    (project / "runs" / ".host" / "log").write_text("step 3\n")
    command = ["bash", project / "launch/tpu/host.sh", "copy_log", "python"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run(
        [*command, f"--workdir={URL}"], check=True, env=os.environ | {"PATH": path}
    )
    files, root = fsspec.url_to_fs(URL)
    (log,) = files.find(f"{root}/logs")
    assert files.cat_file(log) == b"step 3\n"


def test_a_prepared_copy_goes_into_the_bucket_and_comes_back(
    faults, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    images = np.random.default_rng(0).integers(0, 256, (20, 64, 64, 1), np.uint8)
    np.savez(tmp_path / "own.npz", images=images)
    faults.refusals = [503]
    where = [f"--from={tmp_path / 'own.npz'}", "--dir=gs://bucket/data"]
    assert prepare.main(["", "prepare", "custom", *where]) == 0
    options = dataclasses.replace(tiny.config().data, dir="gs://bucket/data")
    options = dataclasses.replace(options, source="files", path="")
    address = data.url_of(data.entry_of("custom"), options)
    assert fsspec.url_to_fs(address)[0].exists(f"{address}/manifest.json")
    dataset = data.load("custom", options)
    np.testing.assert_array_equal(dataset.images(np.arange(20, dtype=np.int32)), images)
