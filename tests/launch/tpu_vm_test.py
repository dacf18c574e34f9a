"""launch/tpu_vm.sh on a stand-in for gcloud, whose hosts do what they are sent."""

import os
import signal

import launch_world
import pytest
from launch_world import OFFER, SLICE, TRAIN, calls, has_one_sentence, tpu_vm


def steps_at_start(world, host="0"):
    return [start["step"] for start in world.lines("starts") if start["host"] == host]


def test_a_run_goes_from_nothing_to_its_end_on_every_host(world):
    result = tpu_vm(world, "run", *OFFER, *TRAIN)
    assert result.returncode == 0, result.stderr
    (create,) = calls(world, "queued-resources", "create")
    assert {
        "--node-id=first",
        "--zone=us-east5-a",
        "--accelerator-type=v6e-8",
        "--runtime-version=v2-alpha-tpuv6e",
        "--spot",
    } <= set(create)
    assert "--worker=all" in calls(world, "tpu-vm", "scp")[0]
    starts = world.lines("starts")
    assert sorted(start["host"] for start in starts) == ["0", "1"]
    expected = ["--distributed", "--workdir=gs://bucket/first", *TRAIN[1:]]
    assert all(start["argv"][1:] == expected for start in starts)
    assert (world.root / "buckets/bucket/first/steps-0").read_text() == "3"
    assert (world.root / "hosts/0/cfasl/.venv/extras").read_text() == "tpu\n"
    assert world["node"] == "READY"
    assert_price_is_told(result)


def assert_price_is_told(result):
    """A slice that goes on costing money is named last, with the way to end it."""
    end = "launch/tpu_vm.sh delete --name=first --zone=us-east5-a --project=mine'"
    assert "first is still there" in result.stderr.splitlines()[-1]
    assert end in result.stderr.splitlines()[-1]


def test_a_slice_preempted_twice_is_made_again_and_the_run_resumes(world):
    world.set(preemptions=2)
    result = tpu_vm(world, "run", *OFFER, "--delete-when-done", *TRAIN)
    assert result.returncode == 0, result.stderr
    assert world["creations"] == 3
    deletions = calls(world, "queued-resources", "delete")
    assert len(deletions) == 3
    assert all("--force" in deletion for deletion in deletions)
    assert steps_at_start(world, "0") == steps_at_start(world, "1") == [0, 1, 2]
    assert (world.root / "buckets/bucket/first/steps-0").read_text() == "3"
    assert world["queued"] is None


def test_a_study_is_one_worker_through_a_preemption(world):
    world.set(preemptions=1, num_hosts=1)
    study = ["--", "--study=configs/studies/dsprites.py:short"]
    result = tpu_vm(world, "run", *OFFER, *study)
    assert result.returncode == 0, result.stderr
    assert steps_at_start(world) == [0, 1]
    for start in world.lines("starts"):
        assert start["module"] == "study"
        assert start["argv"][1:] == ["--workdir=gs://bucket/first", study[1]]


def test_a_refused_connection_is_tried_again(world):
    world.set(refusals=1)
    result = tpu_vm(world, "run", *OFFER, *TRAIN)
    assert result.returncode == 0, result.stderr
    assert "try 1 of 10" in result.stderr
    assert world["creations"] == 1
    assert steps_at_start(world) == [0]


def test_connections_are_not_tried_for_ever(world):
    assert tpu_vm(world, "create", *OFFER).returncode == 0
    world.set(refusals=1000)
    result = tpu_vm(world, "setup", *SLICE)
    assert result.returncode == 2
    assert has_one_sentence(result, "does not answer")
    assert_price_is_told(result)
    assert len(calls(world, "tpu-vm", "scp")) == 10


@pytest.mark.parametrize("code", [1, 2])
def test_a_run_that_fails_by_itself_is_not_tried_again(world, code):
    world.set(first_exit=code)
    result = tpu_vm(world, "run", *OFFER, *TRAIN)
    assert result.returncode == code
    assert steps_at_start(world) == [0]
    assert "error: of its own" in result.stdout  # the end of its log
    assert_price_is_told(result)
    # Mended, the same command starts it anew rather than report the old failure.
    world.set(first_exit=0)
    assert tpu_vm(world, "run", *OFFER, *TRAIN).returncode == 0


def test_a_crash_on_a_sound_slice_is_started_again_there(world):
    world.set(first_exit=134)
    result = tpu_vm(world, "run", *OFFER, *TRAIN)
    assert result.returncode == 0, result.stderr
    assert world["creations"] == 1
    assert steps_at_start(world) == [0, 1]


def test_a_lost_watch_leaves_the_run_and_the_same_command_finds_it(world):
    world.set(endless=True)
    watch = world.start("./launch/tpu_vm.sh", "run", *OFFER, *TRAIN)
    world.wait_until((world.root / "waiting-0").exists)
    os.killpg(watch.pid, signal.SIGINT)
    _, told = watch.communicate(timeout=120)
    assert watch.returncode == 130
    assert "a run goes on" in told
    assert "costs money until" in told
    assert world.run("kill", "-0", host_pid(world)).returncode == 0
    other = tpu_vm(world, "run", *OFFER, "--", "--config=configs/dsprites.py")
    assert other.returncode == 2
    assert has_one_sentence(other, "busy with another run")
    seen = len(world.lines("calls"))
    watch = world.start("./launch/tpu_vm.sh", "run", *OFFER, *TRAIN)
    world.wait_until(lambda: is_watching(world, seen))
    stopped = tpu_vm(world, "stop", *SLICE)
    assert stopped.returncode == 0, stopped.stderr
    _, told = watch.communicate(timeout=120)
    assert watch.returncode == 143
    assert "was stopped, and saved" in told
    assert len(world.lines("saves")) == 2
    assert (world.root / "hosts/0/cfasl/runs/.host/exit").read_text() == "143\n"
    assert steps_at_start(world) == [0]


def is_watching(world, seen):
    sent = "".join(call[-1] for call in world.lines("calls")[seen:])
    return "host.sh status" in sent.partition("host.sh start")[2]


def host_pid(world):
    return (world.root / "hosts/0/cfasl/runs/.host/pid").read_text().strip()


@pytest.mark.parametrize("waits", [True, False], ids=["queued", "running"])
def test_a_slice_that_its_user_deleted_is_not_made_again(world, waits):
    world.set(endless=True, capacity=not waits)
    watch = world.start("./launch/tpu_vm.sh", "run", *OFFER, *TRAIN)
    if waits:
        world.wait_until(lambda: world["queued"])
    else:
        world.wait_until((world.root / "waiting-0").exists)
    assert tpu_vm(world, "delete", *SLICE, "--yes").returncode == 0
    _, told = watch.communicate(timeout=120)
    assert watch.returncode == 2
    assert "deleted meanwhile" in told
    assert world["creations"] == 1


@pytest.mark.parametrize("quota", ["refused", "late"])
def test_a_full_quota_is_told_and_leaves_nothing_behind(world, quota):
    world.set(quota=quota)
    result = tpu_vm(world, "run", *OFFER, *TRAIN)
    assert result.returncode == 2
    assert has_one_sentence(result, "quota for v6e-8 in us-east5")
    assert "TPUV6EPerProjectPerRegionForTPUAPI" in result.stderr
    assert world["creations"] == 1
    assert world["queued"] is None


def test_logs_and_fetch_bring_what_the_run_wrote(world):
    assert tpu_vm(world, "run", *OFFER, *TRAIN).returncode == 0
    assert "step 3" in tpu_vm(world, "logs", *SLICE).stdout
    result = tpu_vm(world, "fetch", *SLICE, "--bucket=gs://bucket/")
    assert result.returncode == 0, result.stderr
    assert (world.project / "runs/first/steps-0").read_text() == "3"


def test_the_log_of_each_host_is_in_the_bucket_after_every_stop(world):
    world.set(first_exit=1)
    assert tpu_vm(world, "run", *OFFER, *TRAIN).returncode == 1
    logs = world.root / "buckets/bucket/first/logs"
    assert sorted(path.name for path in logs.iterdir()) == ["host-0.log", "host-1.log"]
    assert (logs / "host-1.log").read_text() == "error: of its own\n"
    world.set(first_exit=0)
    assert tpu_vm(world, "run", *OFFER, *TRAIN).returncode == 0
    assert "step 3" in (logs / "host-0.log").read_text()


def test_new_commits_are_sent_and_uncommitted_changes_are_not(world, tmp_path):
    world.project = launch_world.make_project(tmp_path)
    main = world.project / "cfasl_jax/main.py"
    assert tpu_vm(world, "run", *OFFER, *TRAIN).returncode == 0
    main.write_text(main.read_text() + "# committed\n")
    launch_world.git(world.project, "commit", "--quiet", "--all", "--message=second")
    main.write_text(main.read_text() + "# not committed\n")
    result = tpu_vm(world, "run", *OFFER, *TRAIN)
    assert result.returncode == 0
    assert "uncommitted changes stay here" in result.stderr
    sent = (world.root / "hosts/1/cfasl/cfasl_jax/main.py").read_text()
    assert sent.endswith("# committed\n")


def test_hosts_whose_python_is_too_old_get_another_from_uv(world):
    for version in ("python3.13", "python3.12", "python3.11"):
        world.command(version, "exit 1")
    world.command(
        "python3",
        'case "$*" in\n'
        "  -c*) exit 1 ;;\n"
        f'  *pip*) touch "{world.root}/uv" ;;\n'
        f'  *) test -f "{world.root}/uv" && echo "$*" ;;\n'
        "esac",
    )
    result = world.run("bash", "launch/tpu/host.sh", "usable_python")
    assert result.returncode == 0, result.stderr
    assert result.stdout == "-m uv python find --managed-python 3.12\n"
    assert "-m uv python install" in result.stderr
