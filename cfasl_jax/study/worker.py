"""Runs a study to its end, alone or beside other workers, through interruptions."""

import dataclasses
import sys
import time
from pathlib import Path

import jax

from cfasl_jax.data.dataset import Dataset
from cfasl_jax.errors import ConfigError
from cfasl_jax.run import analyze, evaluate, provenance
from cfasl_jax.study import claims, plan
from cfasl_jax.study.definition import Study
from cfasl_jax.study.plan import Entry, Run
from cfasl_jax.training import loop

# How long to wait where other workers do all that is left.
_PAUSE_SECONDS = 2.0


def work(study: Study, dataset: Dataset, root: Path) -> dict[Path, Entry]:
    """Do whatever no other worker does, until every run is finished.

    A run that fails (a loss that is not finite) is recorded and not tried again.

    Args:
        study: what to run.
        dataset: of all its runs.
        root: the study's directory, which workers share.

    Returns:
        what each run has left, by its folder.

    Raises:
        ConfigError: where a run's directory belongs to another configuration.
        InterruptedRunError: after SIGTERM, once the state is saved.
    """
    entries: dict[Path, Entry] = {}
    waits = False
    while todo := plan.pending(study, root, entries):
        if any(_do_if_free(run, dataset, root) for run in todo):
            waits = False
            continue
        if not waits:
            _say(f"waiting for other workers, which do the last {len(todo)} runs")
        waits = True
        time.sleep(_PAUSE_SECONDS)
    return entries


def _do_if_free(run: Run, dataset: Dataset, root: Path) -> bool:
    """Finish a run, unless another worker has claimed it; whether it is finished."""
    with claims.claim(root / run.folder) as ours:
        if not ours:
            return False
        # Another worker may have finished it since it was listed.
        if plan.entry(root, run) is None:
            _say(str(run))
            _do(run, dataset, root)
            if plan.entry(root, run) is None:
                raise ConfigError(
                    f"{root / run.folder} holds a run that is longer than this study's "
                    f"{run.config.num_steps} steps: choose another --workdir"
                )
    return True


def _do(run: Run, dataset: Dataset, root: Path) -> None:
    """Train, score and show one run, as `cfasl_jax.main` does."""
    folder = root / run.folder
    provenance.claim(folder, run.config, dataset.spec)
    try:
        loop.train(run.config, dataset, folder)
    except loop.NonFiniteLossError as error:
        provenance.write_json(folder / plan.FAILURE_FILE, {"failed": str(error)})
        _say(f"{run} failed: {error}")
        return
    for protocol in run.protocols:
        if plan.scored(root, run, protocol) is None:
            scoring = dataclasses.replace(run.config.eval, protocol=protocol)
            config = dataclasses.replace(run.config, eval=scoring)
            results = evaluate.evaluate(config, dataset, folder)
            provenance.write_json(plan.scores_file(folder, protocol), results)
    # The page and other tools read the last protocol's.
    last = plan.scored(root, run, run.protocols[-1])
    provenance.write_json(folder / evaluate.RESULTS_FILE, last)
    if run.reports:
        analyze.analyze(run.config, dataset, folder)
    # A process may map only so much memory, and each run has programs of its own.
    jax.clear_caches()


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
