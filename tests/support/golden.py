"""Recorded logs of short trainings, which changes of structure must not move.

    PYTHONPATH=. python tests/support/golden.py    records them anew, in golden/
    PYTHONPATH=. python tests/support/golden.py FOLDER NAME...    some, elsewhere

A change that is meant to alter the arithmetic records them anew and says so.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"
OBJECTIVES = (
    "beta_vae",
    "beta_tcvae",
    "control_vae",
    "clg_vae",
    "factor_vae",
    "dip_vae_i",
    "dip_vae_ii",
    "annealed_vae",
)
CASES = [
    (objective, cfasl, "corrected")
    for objective in OBJECTIVES
    for cfasl in (False, True)
] + [(objective, True, "official") for objective in ("beta_tcvae", "clg_vae")]


def name(objective, cfasl, fidelity):
    official = "-official" if fidelity == "official" else ""
    return f"{objective}{'+cfasl' if cfasl else ''}{official}"


def fields(objective, cfasl, fidelity):
    """A small configuration: rendered dSprites, eight images a step, three steps.

    Few steps, since the gradient of -log cos^2 turns rounding into other numbers within
    ten: pairs of nearly orthogonal displacements rule it.
    """
    from configs import dsprites

    config = dsprites.get_config()
    config.objective, config.cfasl = objective, cfasl
    config.fidelity.preset = fidelity
    config.data.source = "rendered"
    config.update_from_flattened_dict(
        {
            "latent_dim": 3,
            "hidden": 8,
            "codebook.elements": 3,
            "codebook.scale": 0.3,
            "codebook.learning_rate": 2e-4,
            "annealed.steps": 2,
            "beta": 4.0,
            "learning_rate": 1e-3,
            "batch_size": 8,
            "num_steps": 3,
            "log_every": 1,
            "checkpoint.every": 3,
            "eval.protocol": "fast",
            "eval.metrics": ("mig", "modularity"),
        }
    )
    return config.to_dict()


def train(objective, cfasl, fidelity, workdir):
    """Lines of metrics.jsonl of one case."""
    from cfasl_jax import config as config_lib
    from cfasl_jax import data
    from cfasl_jax.training import loop

    config = config_lib.from_dict(fields(objective, cfasl, fidelity))
    loop.train(config, data.load(config.dataset, config.data), workdir)
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def recorded(case, folder=FOLDER):
    text = (folder / f"{name(*case)}.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def main(folder=FOLDER, *names):
    for case in [case for case in CASES if not names or name(*case) in names]:
        with tempfile.TemporaryDirectory() as workdir:
            lines = train(*case, Path(workdir))
        path = Path(folder) / f"{name(*case)}.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        print(path.name, lines[-1]["loss"])


if __name__ == "__main__":
    # The same wherever it runs: what a compiler fuses decides the rounding.
    os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0"
    import jax

    jax.config.update("jax_num_cpu_devices", 4)
    sys.exit(main(*sys.argv[1:]))
