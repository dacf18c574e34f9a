"""The rows of the paper's tables: four data sets, four objectives, each with CFASL too.

    python -m configs.paper                                        lists them
    ./launch/local.sh --config=configs/paper.py:dsprites/beta_tcvae+cfasl

A row is trained with ten seeds, its grid's first setting, and the corrected fidelity;
--config.fidelity=official is what the published code computes. The grids are those that
the paper chose from: one of them is set on the command line.
"""

import importlib
from itertools import product

from ml_collections import ConfigDict

from cfasl_jax.errors import require_choice

DATASETS = ("cars3d", "smallnorb", "dsprites", "shapes3d")

# What each objective's settings were chosen from.
GRIDS = {
    "beta_vae": {"beta": (1.0, 2.0, 4.0, 6.0)},
    "beta_tcvae": {"beta": (1.0, 2.0, 4.0, 6.0)},
    "control_vae": {"capacity": (10.0, 12.0, 14.0, 16.0)},
    "clg_vae": {"feature_weight": (0.1, 0.2, 0.5, 0.7)},
}
CFASL_GRID = {"weights.epsilon": (0.1, 0.01), "threshold": (0.2, 0.5)}

ROWS = tuple(
    f"{dataset}/{objective}{cfasl}"
    for dataset, objective, cfasl in product(DATASETS, GRIDS, ("", "+cfasl"))
)


def grid(row: str) -> dict[str, tuple[float, ...]]:
    """The values that each field of a row was chosen from, by its dotted name."""
    _, objective, cfasl = _parts(row)
    return GRIDS[objective] | (CFASL_GRID if cfasl else {})


def get_config(row: str = "") -> ConfigDict:
    dataset, objective, cfasl = _parts(row)
    config = importlib.import_module(f"configs.{dataset}").get_config()
    config.objective = objective
    config.cfasl = cfasl
    config.seeds = tuple(range(1, 11))
    for field, values in grid(row).items():
        config.update_from_flattened_dict({field: values[0]})
    return config


def _parts(row: str) -> tuple[str, str, bool]:
    require_choice("row of the paper", row, ROWS)
    dataset, _, rest = row.partition("/")
    objective, plus, _ = rest.partition("+")
    return dataset, objective, bool(plus)


if __name__ == "__main__":
    for row in ROWS:
        print(row, *(f"{field}={values}" for field, values in grid(row).items()))
