"""Trains the tests' small networks in a process of its own, to be killed or joined.

    python tests/support/worker.py WORKDIR NUM_STEPS [OBJECTIVE [IMAGES]]

The command line's own code runs, on a small data set; with IMAGES, a .npy file, that is
streamed from there. OBJECTIVE is "cfasl", or "base", which starts sooner. With
JAX_COORDINATOR_ADDRESS and its companions set, this is one of several processes.
"""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

import jax  # noqa: E402
import tiny  # noqa: E402

from cfasl_jax import command_line, data, main, objectives, workdirs  # noqa: E402


def run(workdir, num_steps, objective="base", images=None, mode="train", **changes):
    """The command with its arguments already read; its exit code."""
    command_line.parse = lambda _: command_line.Command(
        config=tiny.config(num_steps=int(num_steps), **changes),
        workdir=workdirs.location(workdir),
        mode=mode,
        distributed=False,
    )
    # Made when asked for: processes join before anything else of JAX.
    data.load = lambda *_: tiny.streamed(images) if images else tiny.dataset()
    objectives.build = lambda *_: tiny.objective(cfasl=objective == "cfasl")
    return main.main([])


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", 1)
    sys.exit(run(*sys.argv[1:]))
