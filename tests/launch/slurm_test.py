"""launch/slurm.sbatch against stand-ins for the commands of Slurm."""

import launch_world
import pytest

TRAIN = ["--config=configs/shapes3d.py:quick", "--workdir=gs://bucket/first"]


@pytest.fixture
def world(tmp_path, project):
    world = launch_world.World(tmp_path, project)
    world.set(num_hosts=1, signal="")
    for name in ("sbatch", "srun", "scancel", "scontrol"):
        world.stand_in(name, "fake_slurm.py", name)
    return world


def sbatch(world, *options, **kwargs):
    return world.run("sbatch", *options, "launch/slurm.sbatch", *TRAIN, **kwargs)


def log(world):
    return (world.root / "slurm-7.log").read_text()


def calls(world, name):
    return [call for call in world.lines("calls") if call[0] == name]


def steps_at_start(world):
    return [start["step"] for start in world.lines("starts")]


@pytest.mark.parametrize(
    ("per_node", "devices"), [(4, ""), (1, "0,1,2,3")], ids=["gpu", "node"]
)
def test_one_process_a_gpu_or_a_node(world, per_node, devices):
    layout = ["--nodes=2", "--gpus-per-node=4", f"--ntasks-per-node={per_node}"]
    result = sbatch(world, *layout)
    assert result.returncode == 0, log(world)
    # A process alone on its node would take but the first of its GPUs.
    (call,) = calls(world, "srun")
    assert call[-1] == devices
    starts = world.lines("starts")
    assert len(starts) == 2 * per_node
    assert all(start["argv"][1:] == ["--distributed", *TRAIN] for start in starts)


def test_a_run_near_its_time_limit_saves_is_requeued_and_resumes(world):
    world.set(preemptions=2, num_hosts=2)
    result = sbatch(world, "--gpus-per-node=2", "--ntasks-per-node=2")
    assert result.returncode == 0, log(world)
    assert [call[1:3] for call in calls(world, "scontrol")] == [["requeue", "7"]] * 2
    assert sorted(steps_at_start(world)) == [0, 0, 1, 1, 2, 2]
    assert len(world.lines("saves")) == 4  # both processes, twice
    assert (world.root / "buckets/bucket/first/steps-1").read_text() == "3"
    assert log(world).count("the time limit is near") == 2


@pytest.mark.parametrize("code", [1, 2])
def test_a_run_that_fails_by_itself_is_not_requeued(world, code):
    world.set(first_exit=code)
    assert sbatch(world).returncode == code
    assert steps_at_start(world) == [0]
    assert calls(world, "scontrol") == []


@pytest.mark.parametrize("happening", ["preempted", "cancelled"])
def test_what_slurm_itself_ends_saves_and_is_left_to_slurm(world, happening):
    world.set(endless=True, signal=happening)
    assert sbatch(world).returncode == 143
    assert steps_at_start(world) == [0]
    assert len(world.lines("saves")) == 1
    assert calls(world, "scontrol") == []


def test_set_up_once_a_job_for_cuda_or_what_extra_says(world):
    installed = world.project / ".venv/extras"
    installed.unlink(missing_ok=True)
    sbatch(world, "--gpus-per-node=3", "--ntasks-per-node=3")
    sbatch(world, EXTRA="")
    assert installed.read_text() == "cuda\n\n"


def test_a_wrong_place_or_layout_is_told(world, tmp_path):
    assert sbatch(world, "--gpus-per-node=4", "--ntasks-per-node=2").returncode == 2
    assert "error: --ntasks-per-node=2 must be 1 or" in log(world)
    script = world.project / "launch/slurm.sbatch"
    world.project = tmp_path
    assert world.run("sbatch", script, *TRAIN).returncode == 2
    assert "error: submit from the root of the project" in log(world)
    assert steps_at_start(world) == []
