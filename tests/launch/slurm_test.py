"""launch/slurm.sbatch against stand-ins for the commands of Slurm."""

import launch_world
import pytest

TRAIN = ["--config=configs/shapes3d.py:quick", "--workdir=gs://bucket/first"]


@pytest.fixture
def world(tmp_path, project):
    world = launch_world.World(tmp_path, project)
    world.set(num_hosts=1, signal="", bound=False)
    for name in ("sbatch", "srun", "squeue", "scancel", "scontrol"):
        world.stand_in(name, "fake_slurm.py", name)
    return world


def sbatch(world, *options, command=TRAIN, **kwargs):
    return world.run("sbatch", *options, "launch/slurm.sbatch", *command, **kwargs)


def log(world):
    return (world.root / "slurm-7.log").read_text()


def calls(world, name):
    return [call for call in world.lines("calls") if call[0] == name]


def steps_at_start(world):
    return [start["step"] for start in world.lines("starts")]


@pytest.mark.parametrize("gpus", ["--gpus-per-node=4", "--gres=gpu:a100:4"])
@pytest.mark.parametrize("bound", [False, True], ids=["free", "bound"])
@pytest.mark.parametrize("per_node", [4, 1], ids=["gpu", "node"])
def test_one_process_a_gpu_or_a_node(world, gpus, bound, per_node):
    world.set(bound=bound and per_node > 1)
    result = sbatch(world, "--nodes=2", gpus, f"--ntasks-per-node={per_node}")
    assert result.returncode == 0, log(world)
    starts = world.lines("starts")
    assert len(starts) == 2 * per_node
    assert all(start["argv"][1:] == ["--distributed", *TRAIN] for start in starts)
    # JAX counts the GPUs that a process sees: one that is bound sees but its own, one
    # that is alone on its node takes them all.
    expected = ["0", "1", "2", "3"] * 2 if per_node == 4 else ["0,1,2,3"] * 2
    if bound and per_node == 4:
        expected = ["0"] * 8
    assert sorted(start["devices"] for start in starts) == sorted(expected)


def test_each_task_is_a_worker_of_a_study_with_a_gpu_of_its_own(world):
    study = ["--study=configs/studies/dsprites.py", "--workdir=runs/study"]
    result = sbatch(world, "--gpus-per-node=4", "--ntasks-per-node=4", command=study)
    assert result.returncode == 0, log(world)
    starts = world.lines("starts")
    assert all(start["argv"][1:] == study for start in starts)
    assert {start["module"] for start in starts} == {"study"}
    assert sorted(start["gpus"] for start in starts) == ["0", "1", "2", "3"]
    assert [start["devices"] for start in starts] == [None] * 4


def test_a_cluster_without_gpus(world):
    result = sbatch(world, "--gpus-per-node=0", "--ntasks-per-node=2")
    assert result.returncode == 0, log(world)
    assert [start["devices"] for start in world.lines("starts")] == [None, None]
    assert (world.project / ".venv/extras").read_text().splitlines()[-1] == ""


def test_a_run_near_its_time_limit_saves_is_requeued_and_resumes(world):
    world.set(preemptions=2, num_hosts=2)
    result = sbatch(world, "--gpus-per-node=2", "--ntasks-per-node=2")
    assert result.returncode == 0, log(world)
    assert [call[1:3] for call in calls(world, "scontrol")] == [["requeue", "7"]] * 2
    assert sorted(steps_at_start(world)) == [0, 0, 1, 1, 2, 2]
    assert len(world.lines("saves")) == 4  # both processes, twice
    assert (world.root / "buckets/bucket/first/steps-1").read_text() == "3"
    assert log(world).count("must soon make room") == 2


@pytest.mark.parametrize("code", [1, 2])
def test_a_run_that_fails_by_itself_is_not_requeued(world, code):
    world.set(first_exit=code)
    assert sbatch(world).returncode == code
    assert steps_at_start(world) == [0]
    assert calls(world, "scontrol") == []


def test_a_run_preempted_with_time_of_grace_goes_back_into_the_queue(world):
    world.set(endless=True, signal="grace")
    assert sbatch(world).returncode == 0, log(world)
    assert steps_at_start(world) == [0, 1]
    assert len(world.lines("saves")) == 1
    assert calls(world, "scontrol") == [["scontrol", "requeue", "7"]]


@pytest.mark.parametrize(
    ("happening", "code", "starts"), [("preempted", 0, [0, 1]), ("cancelled", 143, [0])]
)
def test_what_slurm_itself_ends_saves_and_is_left_to_slurm(
    world, happening, code, starts
):
    world.set(endless=True, signal=happening)
    assert sbatch(world).returncode == code
    assert steps_at_start(world) == starts
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
    assert "error: --ntasks-per-node=2 must be 1 or the number of GPUs" in log(world)
    script = world.project / "launch/slurm.sbatch"
    world.project = tmp_path
    assert world.run("sbatch", script, *TRAIN).returncode == 2
    assert "error: submit from the root of the project" in log(world)
    assert steps_at_start(world) == []
