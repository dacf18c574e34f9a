"""What launch/tpu_vm.sh is asked for wrongly, and what it does without doing."""

import subprocess

import pytest
from launch_world import OFFER, SLICE, TRAIN, calls, has_one_sentence, tpu_vm


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        ({"login": False}, OFFER, ["gcloud auth login"]),
        ({"project": ""}, OFFER, ["no project", "--project=ID"]),
        ({}, [*OFFER, "--zone=us-east9-z"], ["no zone us-east9-z"]),
        ({}, [*OFFER, "--type=v6e-9"], ["--type=v6e-9", "v6e-1 v6e-8"]),
        ({}, [*OFFER, "--version=v3"], ["--version=v3", "v2-alpha-tpuv6e"]),
        ({}, [*OFFER, "--bucket=nobody"], ["gs://nobody", "buckets create"]),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_made(world, change, options, words):
    world.set(**change)
    result = tpu_vm(world, "run", *options, *TRAIN)
    assert result.returncode == 2
    assert has_one_sentence(result, *words), result.stderr
    assert world["creations"] == 0


def test_a_missing_gcloud_is_told(world):
    (world.root / "bin/gcloud").unlink()
    bare = world.root / "bare"
    bare.mkdir()
    for tool in ("bash", "dirname", "mktemp", "rm", "git", "env"):
        path = subprocess.check_output(["which", tool], text=True).strip()
        (bare / tool).symlink_to(path)
    result = tpu_vm(world, "create", *OFFER, PATH=str(bare))
    assert result.returncode == 2
    assert has_one_sentence(result, "gcloud is missing", "cloud.google.com/sdk")


@pytest.mark.parametrize(
    ("verb", "options", "words"),
    [
        ("launch", SLICE, ["'launch'", "create, setup, run"]),
        ("create", ["--name=First", *OFFER[1:]], ["'First'", "small letters"]),
        ("create", [SLICE[0], "--zone=us-east5"], ["'us-east5'", "us-east5-a"]),
        ("create", SLICE, ["--type=''"]),
        ("run", OFFER[:-1], ["--bucket=BUCKET is needed"]),
        ("run", [*OFFER, "--", "--workdir=runs/x"], ["runs/x", "lost"]),
        ("run", [*OFFER, "--", "-workdir=runs/x"], ["runs/x", "lost"]),
        ("run", [*OFFER, "--config=x.py"], ["'--config=x.py'", "follows a '--'"]),
    ],
)
def test_mistaken_options_call_nothing(world, verb, options, words):
    result = tpu_vm(world, verb, *options)
    assert result.returncode == 2
    assert has_one_sentence(result, *words)
    assert calls(world) == []


@pytest.mark.parametrize("verb", ["setup", "logs", "stop"])
def test_verbs_that_make_nothing_need_a_slice(world, verb):
    result = tpu_vm(world, verb, *SLICE)
    assert result.returncode == 2
    assert has_one_sentence(result, "no slice first in us-east5-a")


def test_a_dry_run_prints_every_command_and_calls_nothing(world):
    result = tpu_vm(world, "run", *OFFER, "--dry-run", *TRAIN)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    order = [
        "buckets describe",
        "queued-resources create",
        "bundle create",
        "tpu-vm scp",
        "host.sh\\ setup",
        "host.sh\\ start",
        "host.sh\\ status",
    ]
    last = [max(i for i, line in enumerate(lines) if part in line) for part in order]
    assert last == sorted(last)
    for verb in ("create", "setup", "logs", "stop", "fetch", "delete"):
        result = tpu_vm(world, verb, *OFFER, "--dry-run")
        assert result.returncode == 0
        assert "gcloud " in result.stdout
    assert calls(world) == []


def test_delete_asks(world):
    assert tpu_vm(world, "create", *OFFER).returncode == 0
    for answer in ("", "n\n"):
        result = tpu_vm(world, "delete", *SLICE, answer=answer)
        assert result.returncode == 2
        assert has_one_sentence(result, "not deleted")
    assert world["node"] == "READY"
    assert tpu_vm(world, "delete", *SLICE, answer="y\n").returncode == 0
    assert world["queued"] is None
    assert "there is no slice" in tpu_vm(world, "delete", *SLICE).stderr
