"""Two checkpoints on a disk that is full; prints how the second was refused.

    python tests/support/full_disk.py WORKDIR

A limit of the size of files stands for the full disk. It holds for a whole process, and
TensorStore goes on writing for a while after an error: so this is a process of its own.
"""

import resource
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

import numpy as np  # noqa: E402
import tiny  # noqa: E402

from cfasl_jax.training import loop  # noqa: E402
from cfasl_jax.training.checkpoints import Checkpoints  # noqa: E402

SIZE = 100_000


def main(workdir):
    state = loop.initial_state(tiny.config(), tiny.objective(), tiny.dataset().spec)
    noise = np.random.default_rng(0).normal(size=SIZE)  # cannot be compressed
    large = state.replace(params={"large": noise})
    with Checkpoints(workdir, keep=2) as checkpoints:
        resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE, SIZE))
        checkpoints.save(4, large)  # in the background
        try:
            checkpoints.save(8, large)
        except OSError as error:
            print(error.errno, error.filename)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
