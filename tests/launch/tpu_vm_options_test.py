"""What launch/tpu_vm.sh is asked for wrongly, and what it does without doing."""

import os
import shutil
import subprocess
import sys

import launch_world
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
        (
            {"needed": "gs://bucket/data/cars3d/manifest.json"},
            OFFER,
            ["there is no gs://bucket/data/cars3d", "cfasl_jax.data prepare"],
        ),
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
        (
            "run",
            [*OFFER, "--data=gs://b/data", "--", "--study=s.py"],
            ["'data.dir': 'gs://b/data'", "instead of --data"],
        ),
        ("create", [*OFFER, "--reserved"], ["--spot and --reserved"]),
        ("run", [*OFFER, "--config=x.py"], ["'--config=x.py'", "follows a '--'"]),
    ],
)
def test_mistaken_options_call_nothing(world, verb, options, words):
    result = tpu_vm(world, verb, *options)
    assert result.returncode == 2
    assert has_one_sentence(result, *words)
    assert calls(world) == []


def test_the_command_of_a_run_is_checked_before_anything_is_made(world, tmp_path):
    root = launch_world.LAUNCH.parent
    world.project = launch_world.make_project(tmp_path)
    shutil.copy(root / "launch/tpu/check.py", world.project / "launch/tpu/check.py")
    shutil.rmtree(world.project / "cfasl_jax")
    for name in ("cfasl_jax", "configs"):
        (world.project / name).symlink_to(root / name)
    world.command("python", f'exec {sys.executable} "$@"')
    wrong = tpu_vm(world, "run", *OFFER, "--dry-run", *TRAIN, "--config.bteta=4")
    assert wrong.returncode == 2
    assert has_one_sentence(wrong, "unknown field 'bteta'", "beta")
    assert wrong.stdout == ""


def test_what_gcloud_is_told_of_the_request_and_the_way_to_the_slice(world):
    flags = [
        "--service-account=run@mine.iam.gserviceaccount.com",
        "--network=lab",
        "--subnetwork=lab-east",
        "--internal-ips",
        "--valid-until-duration=6h",
        "--labels=team=vision,cost=42",
    ]
    world.set(**{"accelerator-types": ["v5litepod-8"]})
    world.set(versions=["v2-alpha-tpuv5-lite"])
    offer = [*OFFER, "--type=v5e-8", "--data=gs://bucket/data/"]
    assert tpu_vm(world, "run", *offer, *flags, *TRAIN).returncode == 0
    (create,) = calls(world, "queued-resources", "create")
    assert set(flags) <= set(create)
    assert "--accelerator-type=v5litepod-8" in create
    assert "--runtime-version=v2-alpha-tpuv5-lite" in create
    reached = [*calls(world, "tpu-vm", "ssh"), *calls(world, "tpu-vm", "scp")]
    assert all("--internal-ip" in call for call in reached)
    (argv, _) = [start["argv"] for start in world.lines("starts")]
    assert argv[-1] == "--config.data.dir=gs://bucket/data"


KEYGEN = ["ssh-keygen", "-q", "-t", "ed25519", "-N"]


def make_key(world, passphrase):
    folder = world.root / ".ssh"
    folder.mkdir()
    key = folder / "google_compute_engine"
    subprocess.run([*KEYGEN, passphrase, "-f", key], check=True)
    return key


@pytest.fixture
def agent(world):
    """An ssh-agent that holds another key."""
    socket = world.root / "agent"
    process = subprocess.Popen(
        ["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL
    )
    world.wait_until(socket.exists)
    other = world.root / "other"
    subprocess.run([*KEYGEN, "", "-f", other], check=True)
    environment = os.environ | {"SSH_AUTH_SOCK": str(socket)}
    subprocess.run(["ssh-add", "-q", other], env=environment, check=True)
    yield {"SSH_AUTH_SOCK": str(socket)}
    process.terminate()
    process.wait()


needs_ssh = pytest.mark.skipif(
    shutil.which("ssh-agent") is None, reason="no ssh-agent here"
)


@needs_ssh
def test_a_key_that_nobody_can_type_the_passphrase_of_is_told(world, agent):
    make_key(world, "secret")
    for environment, words in ((agent, "run 'ssh-add"), ({}, "ssh-agent")):
        result = tpu_vm(world, "run", *OFFER, *TRAIN, **environment)
        assert result.returncode == 2
        assert has_one_sentence(result, words, ".ssh/google_compute_engine")
    assert world["creations"] == 0


@needs_ssh
def test_an_agent_without_the_key_is_given_it(world, agent):
    key = make_key(world, "")
    assert tpu_vm(world, "create", *OFFER, **agent).returncode == 0
    held = subprocess.check_output(["ssh-add", "-l"], env=os.environ | agent, text=True)
    public = key.with_suffix(".pub")
    own = subprocess.check_output(["ssh-keygen", "-lf", public], text=True)
    assert own.split()[1] in held


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
