"""Stands in for the commands of Slurm, by its first argument; see fake_gcloud.py.

Of a job's limits only the signals are played: world.json's "preemptions" are time
limits that draw near, "signal" names what else happens to a job that waits.
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
        ids = os.environ.get("JAX_LOCAL_DEVICE_IDS", "")
        calls.write(json.dumps([*argv, ids]) + "\n")
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
        "SLURM_GPUS_ON_NODE": options["gpus-per-node"],
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
        signal_tasks()
        if world["signal"] == "preempted":
            job.terminate()


def signal_tasks():
    for pid in (WORLD / "tasks").read_text().split():
        os.kill(int(pid), signal.SIGTERM)


def srun(argv):
    options, command = split(argv)
    assert {"kill-on-bad-exit", "gpu-bind"} <= options.keys()
    assert "cpus-per-task" in options, "srun does not take it from sbatch"
    tasks = [
        subprocess.Popen(command, env=os.environ | {"SLURM_PROCID": str(task)})
        for task in range(int(os.environ["SLURM_NTASKS"]))
    ]
    # As the true one does.
    signal.signal(signal.SIGTERM, lambda *_: [task.kill() for task in tasks])
    (WORLD / "tasks").write_text(" ".join(str(task.pid) for task in tasks))
    return max(abs(task.wait()) for task in tasks)


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
