"""Stands in for cfasl_jax.main in tests of the launch scripts.

It takes three steps, each kept in the working directory, and resumes; a step waits to
be preempted where world.json has a preemption left. SIGTERM saves, as in a real run.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

WORLD = Path(os.environ["WORLD"])


def main(argv):
    signal.signal(signal.SIGTERM, save_and_end)
    workdir = next(a for a in argv if a.startswith("--workdir=")).partition("=")[2]
    folder = WORLD / "buckets" / workdir.removeprefix("gs://")
    folder.mkdir(parents=True, exist_ok=True)
    host = os.environ.get("HOST", os.environ.get("SLURM_PROCID", "0"))
    steps = folder / f"steps-{host}"
    step = int(steps.read_text()) if steps.exists() else 0
    with open(WORLD / "starts", "a") as starts:
        devices = os.environ.get("JAX_LOCAL_DEVICE_IDS")
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES")
        start = {"host": host, "step": step, "argv": argv, "devices": devices}
        start |= {"module": Path(argv[0]).stem, "gpus": gpus}
        starts.write(json.dumps(start) + "\n")
    world = json.loads((WORLD / "world.json").read_text())
    if world["first_exit"] and step == 0:
        print("error: of its own", file=sys.stderr)
        steps.write_text("1")
        return world["first_exit"]
    while step < 3:
        step += 1
        steps.write_text(str(step))
        print(f"step {step}", flush=True)
        if world["preemptions"] or world["endless"]:
            (WORLD / f"waiting-{host}").touch()
            time.sleep(60)
    return 0


def save_and_end(*_):
    with open(WORLD / "saves", "a") as saves:
        saves.write("1\n")
    sys.exit(143)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
