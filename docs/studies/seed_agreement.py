"""Do models that differ only in their seed find the same latents? UDR, for RESULTS.md.

    python docs/studies/seed_agreement.py DATASET MODEL MODEL...

MODEL is a working directory or the name of a shipped model. UDR (Duan et al. 2020) is
computed from posterior means of 2,048 rendered images, twice: from the latents with
more than 0.01 nats, as it is defined, and from those with more than 0.1, since latents
that say hardly anything of the image agree with no other and lower it.
"""

import argparse
import sys

import numpy as np

import cfasl_jax
from cfasl_jax import data, errors, metrics
from cfasl_jax.losses import elbo
from cfasl_jax.run import evaluate
from cfasl_jax.run.codes import Codes
from cfasl_jax.settings import Data
from cfasl_jax.types import ACTIVE_KL

_IMAGES = 2_048
_LEAST_KL = (ACTIVE_KL, 0.1)  # nats


def main() -> None:
    """Print a Markdown table with a row for each model, and one for their means."""
    parser = argparse.ArgumentParser()
    parser.add_argument("dataset")
    parser.add_argument("models", nargs="+")
    arguments = parser.parse_args()
    dataset = data.load(arguments.dataset, Data(source="rendered", dir=""))
    indices = evaluate.sample_indices(dataset, _IMAGES)
    codes, kl = [], []
    for name in arguments.models:
        posterior = Codes(cfasl_jax.load(name), dataset).posterior(indices)
        codes.append(np.asarray(posterior.mu))
        kl.append(np.asarray(elbo.kl_per_dimension(*posterior)).mean(axis=0))
    columns = []
    for least in _LEAST_KL:
        active = [of_model > least for of_model in kl]
        columns += [metrics.udr(codes, active)["udr"], [sum(a) for a in active]]
    table = np.array(columns, float).T
    head = [f"UDR, latents above {least} nats | their number" for least in _LEAST_KL]
    print(f"| | {' | '.join(head)} |\n|---|---|---|---|---|")
    for name, row in zip(
        [*arguments.models, "mean"], [*table, table.mean(0)], strict=True
    ):
        print(f"| {name} | {row[0]:.2f} | {row[1]:.2g} | {row[2]:.2f} | {row[3]:.2g} |")


if __name__ == "__main__":
    sys.exit(errors.exit_code(main, mistakes=(ValueError,)))
