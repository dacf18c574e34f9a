"""Stands in for the commands of Slurm, by its first argument; see fake_gcloud.py.

Of a job's limits only the signals are played: world.json's "preemptions" are time
limits that draw near, "signal" names what else happens to a job that waits: "grace" is
a preemption that leaves it time, "preempted" one that does not. "bound" says whether
the cluster lets a process see its own GPU alone.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

WORLD = Path(os.environ["WORLD"])


def main(argv):
    with open(WORLD / "calls", "a") as calls:
        calls.write(json.dumps(argv) + "\n")
    return globals()[argv[0]](argv[1:])


def split(argv):
    """Options, each with its value, and the rest."""
    count = next(i for i, word in enumerate(argv) if not word.startswith("--"))
    return dict(word[2:].partition("=")[::2] for word in argv[:count]), argv[count:]


def sbatch(argv):
    given, (script, *arguments) = split(argv)
    lines = Path(script).read_text().splitlines()
    written = [line.split()[1] for line in lines if line.startswith("#SBATCH ")]
    options = split([*written, "end"])[0] | given
    spooled = shutil.copy(script, WORLD / "slurm_script")
    environment = os.environ | {
        "SLURM_JOB_ID": "7",
        "SLURM_SUBMIT_DIR": os.getcwd(),
        "SLURM_JOB_NUM_NODES": options["nodes"],
        **gpus(options),
        "SLURM_CPUS_PER_TASK": options["cpus-per-task"],
        "SLURM_NTASKS_PER_NODE": options["ntasks-per-node"],
        "SLURM_NTASKS": str(int(options["ntasks-per-node"]) * int(options["nodes"])),
    }
    assert options["open-mode"] == "append", "a requeued job would lose its log"
    requeued = WORLD / "requeued"
    requeued.touch()
    with open(WORLD / options["output"].replace("%j", "7"), "a") as log:
        while requeued.exists() and "requeue" in options:
            requeued.unlink()
            command = ["bash", spooled, *arguments]
            job = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            play(job, options)
            code = job.wait()
    return code


def gpus(options):
    """What a job knows of its GPUs; --gres is stronger, and no GPU is no variable."""
    asked = options["gpus-per-node"]
    count = int(options.get("gres", asked).rpartition(":")[2])
    if not count:
        return {}
    return {"SLURM_GPUS_ON_NODE": str(count), "SLURM_GPUS_PER_NODE": asked}


def play(job, options):
    """What happens to a job once all its processes wait."""
    world = json.loads((WORLD / "world.json").read_text())
    tasks = world["num_hosts"]
    while job.poll() is None and len(list(WORLD.glob("waiting-*"))) < tasks:
        time.sleep(0.02)
    if job.poll() is not None:
        return
    for mark in WORLD.glob("waiting-*"):
        mark.unlink()
    if world["preemptions"]:
        world["preemptions"] -= 1
        (WORLD / "world.json").write_text(json.dumps(world))
        target, _, name = options["signal"].partition("@")[0].partition(":")
        assert target == "B", "the processes themselves know SIGTERM alone"
        job.send_signal(getattr(signal, f"SIG{name}"))
    elif world["signal"]:
        state = {"grace": "RUNNING", "preempted": "PENDING", "cancelled": "CANCELLED"}
        (WORLD / "state").write_text(state[world["signal"]])
        (WORLD / "world.json").write_text(json.dumps(world | {"endless": False}))
        signal_tasks()
        if world["signal"] == "preempted":
            job.terminate()
            (WORLD / "requeued").touch()


def signal_tasks():
    for pid in (WORLD / "tasks").read_text().split():
        os.kill(int(pid), signal.SIGTERM)


def srun(argv):
    options, command = split(argv)
    assert {"kill-on-bad-exit", "export"} <= options.keys()
    assert "cpus-per-task" in options, "srun does not take it from sbatch"
    count = int(os.environ["SLURM_NTASKS"])
    tasks = [
        subprocess.Popen(command, env=os.environ | task_environment(task))
        for task in range(count)
    ]
    # As the true one does.
    signal.signal(signal.SIGTERM, lambda *_: [task.kill() for task in tasks])
    (WORLD / "tasks").write_text(" ".join(str(task.pid) for task in tasks))
    return max(abs(task.wait()) for task in tasks)


def task_environment(task):
    on_node = int(os.environ["SLURM_NTASKS_PER_NODE"])
    seen = [str(i) for i in range(int(os.environ.get("SLURM_GPUS_ON_NODE", 0)))]
    # A step gets no more than this, though its job may have more by --gres.
    seen = seen[: int(os.environ.get("SLURM_GPUS_PER_NODE", len(seen)))]
    local = task % on_node
    if json.loads((WORLD / "world.json").read_text())["bound"]:
        seen = seen[local : local + 1]
    known = {"SLURM_PROCID": str(task), "SLURM_LOCALID": str(local)}
    return known | ({"CUDA_VISIBLE_DEVICES": ",".join(seen)} if seen else {})


def squeue(argv):
    assert argv == ["--noheader", "--jobs=7", "--format=%T"]
    print((WORLD / "state").read_text())
    return 0


def scancel(argv):
    assert argv == ["--signal=TERM", "7"]
    signal_tasks()
    return 0


def scontrol(argv):
    assert argv == ["requeue", "7"]
    (WORLD / "requeued").touch()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
