"""How strongly each term of the loss pulls at the networks: a table of RESULTS.md.

    python docs/studies/term_gradients.py DIR...

DIR is the working directory of a run. For each weighted term, the tables hold the mean
of its weighted value over batches that are drawn as in training, and the norm of the
gradient of this mean by the parameters of each network, in brackets its cosine with the
gradient of all other terms together: -1 where they cancel it. Ramps of weights have
ended.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import optax

import cfasl_jax
from cfasl_jax import data, errors
from cfasl_jax.data.dataset import Dataset, as_pixels
from cfasl_jax.objectives import Objective
from cfasl_jax.objectives.base import weighted
from cfasl_jax.run import provenance
from cfasl_jax.settings import Hyper
from cfasl_jax.training import step as step_lib
from cfasl_jax.types import Params

_BATCHES = 40
_AFTER_RAMPS = 10**7  # a step that no run reaches


@partial(jax.jit, static_argnums=(0, 4))
def pulls(
    objective: Objective,
    dataset: Dataset,
    params: Params,
    hyper: Hyper,
    batch_size: int,
    key: jax.Array,
) -> tuple[dict[str, jax.Array], dict[str, Params]]:
    """The weighted terms of one batch, and their gradients by the parameters."""
    part = step_lib.shard(batch_size // 2, num_devices=1, device=0)
    indices, noise = step_lib.draw(key, objective, dataset.num_images, part)
    images = as_pixels(dataset.images(indices))

    def terms(params: Params) -> dict[str, jax.Array]:
        return weighted(objective.losses(params, images, noise, hyper, _AFTER_RAMPS))

    return terms(params), jax.jacrev(terms)(params)


def print_table(folder: Path) -> None:
    """Print the Markdown table of one working directory's first run."""
    config = provenance.stored(folder).config
    dataset, model = data.load(config.dataset, config.data), cfasl_jax.load(folder)
    hyper = jax.tree.map(jnp.float32, config.of_run(0).hyper)
    batches = [
        pulls(
            model.objective,
            dataset,
            model.params,
            hyper,
            config.batch_size,
            jax.random.fold_in(jax.random.key(7), number),
        )
        for number in range(_BATCHES)
    ]
    terms, gradients = jax.tree.map(lambda *x: sum(x) / _BATCHES, *batches)
    print(f"\n{folder}, step {model.step}\n")
    networks = sorted(model.params)
    print(f"| | value | {' | '.join(networks)} |\n{'|---' * (len(networks) + 2)}|")
    together = jax.tree.map(lambda *x: sum(x), *gradients.values())
    norms = [f"{optax.tree.norm(together[key]):.3g}" for key in networks]
    print(f"| all terms | {sum(terms.values()):.3g} | {' | '.join(norms)} |")
    for name, value in terms.items():
        cells = []
        for key in networks:
            own = gradients[name][key]
            others = optax.tree.sub(together[key], own)
            size = optax.tree.norm(own)
            scale = size * optax.tree.norm(others)
            cosine = optax.tree.vdot(own, others) / jnp.where(scale > 0, scale, 1.0)
            cells.append(f"{size:.3g} ({cosine:+.2f})")
        print(f"| {name} | {value:.3g} | {' | '.join(cells)} |")


def main() -> None:
    """Print a table for each working directory."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="+", type=Path)
    for folder in parser.parse_args().folders:
        print_table(folder)


if __name__ == "__main__":
    sys.exit(errors.exit_code(main, mistakes=(ValueError,)))
