"""Worker processes (see worker.py): started, waited for, and what they leave behind."""

import os
import socket
import subprocess
import sys
from pathlib import Path

WORKER = Path(__file__).parent / "worker.py"


def start(workdir, num_steps, *arguments, **environment):
    """A worker process."""
    return subprocess.Popen(
        [sys.executable, str(WORKER), str(workdir), str(num_steps), *arguments],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_together(workdirs, num_steps, *arguments):
    """As many processes of one job as there are working directories."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    return [
        start(
            workdir,
            num_steps,
            *arguments,
            JAX_COORDINATOR_ADDRESS=address,
            JAX_NUM_PROCESSES=str(len(workdirs)),
            JAX_PROCESS_ID=str(i),
            # Streamed and resident images make two programs, and with the flags of
            # conftest.py the two round differently.
            XLA_FLAGS="--xla_backend_optimization_level=0",
        )
        for i, workdir in enumerate(workdirs)
    ]


def ending(process, timeout):
    """What a process wrote to standard error; it is killed where it does not end."""
    try:
        return process.communicate(timeout=timeout)[1]
    finally:
        process.kill()


def finish(process):
    """Waits for a process that must succeed."""
    errors = ending(process, timeout=200)
    assert process.returncode == 0, errors


def newest(workdir):
    """Step of the newest whole checkpoint, or None."""
    folder = workdir / "checkpoints"
    names = folder.iterdir() if folder.exists() else []
    return max((int(p.name) for p in names if p.name.isdigit()), default=None)
