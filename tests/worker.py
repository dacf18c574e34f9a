"""Trains the tests' small networks in a process of its own, to be killed or joined.

    python tests/worker.py WORKDIR [NUM_STEPS]

With JAX_COORDINATOR_ADDRESS and its companions set, one of several processes.
"""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent)]

import jax  # noqa: E402
import tiny  # noqa: E402

from cfasl_jax import objectives  # noqa: E402
from cfasl_jax.training import devices, loop  # noqa: E402

if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", 1)
    devices.join_processes(automatic=False)
    objectives.build = lambda *_: tiny.objective()
    workdir, num_steps = Path(sys.argv[1]), int(sys.argv[2])
    try:
        loop.train(tiny.config(num_steps=num_steps), tiny.dataset(), workdir)
    except loop.InterruptedRunError as stop:
        print(stop)
        sys.exit(143)
