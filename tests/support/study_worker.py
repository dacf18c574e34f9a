"""Runs a study of the tests' small networks in a process of its own, to be killed.

    python tests/support/study_worker.py WORKDIR

The command's own code runs, with its cost measured, on a small data set.
"""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

import jax  # noqa: E402
import numpy as np  # noqa: E402
import tiny  # noqa: E402

from cfasl_jax import data, objectives  # noqa: E402
from cfasl_jax.data.grid import FactorGrid  # noqa: E402
from cfasl_jax.study import __main__ as command  # noqa: E402
from cfasl_jax.study import cost  # noqa: E402

ROOT = Path(__file__).parents[2]
GRID = FactorGrid(("x", "y"), (40, 60))
_DSPRITES = str(ROOT / "configs" / "dsprites.py")
ENTRIES = {
    "set": {
        "cfasl": False,
        "data.source": "rendered",
        "latent_dim": 3,
        "batch_size": 8,
        "num_steps": 20,
        "log_every": 5,
        "checkpoint.every": 5,
        "learning_rate": 1e-2,
    },
    "arms": {
        "beta-VAE": {"config": _DSPRITES, "grid": {"beta": (1, 4)}},
        "slow beta-VAE": {
            "config": _DSPRITES,
            "set": {"learning_rate": 1e-4},
            "grid": {"beta": (1, 4)},
        },
    },
    "tuning": {"seeds": (101,), "set": {"num_steps": 10}},
    "reporting": {"seeds": (1, 2)},
    "protocols": ("fast",),
    "metrics": ("mig", "modularity"),
    "primary": ("mig", "modularity"),
    "reports": False,
}


# Two tuning runs and two reporting runs, where each study is a process or several.
SHORT = ENTRIES | {
    "arms": {
        "beta-VAE": ENTRIES["arms"]["beta-VAE"],
        "slow beta-VAE": {"config": _DSPRITES, "set": {"learning_rate": 1e-4}},
    },
    "reporting": {"seeds": (1,)},
    "budget": "The second arm is not tuned.",
}


def get_study(preset=""):
    """This file is a study's file too."""
    return {"": ENTRIES, "short": SHORT}[preset]


def dataset(*_):
    """Images of noise, as many as the protocol needs points."""
    shape = (GRID.num_points, tiny.SIDE, tiny.SIDE, 1)
    images = np.random.default_rng(0).integers(0, 256, shape)
    return tiny.replace(tiny.dataset(images), grid=GRID)


def use_small_networks(replace=setattr):
    """Make the package's own code train small networks on a small data set."""
    small = tiny.objective(cfasl=False)
    replace(data, "load", dataset)
    replace(objectives, "build", lambda *_: small)
    replace(cost, "_LEAST_SECONDS", 0.01)


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", 1)
    use_small_networks()
    study, workdir = f"--study={__file__}:short", f"--workdir={sys.argv[1]}"
    sys.exit(command.main(["study", study, workdir]))
