"""A worker, which runs a study to its end, alone or together with other workers."""

import contextlib
import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import jax

from cfasl_jax import files
from cfasl_jax.data.dataset import Dataset
from cfasl_jax.errors import ConfigError
from cfasl_jax.run import analyze, evaluate, provenance
from cfasl_jax.study import claims, packs, plan, run_files
from cfasl_jax.study.definition import Study
from cfasl_jax.study.run_files import Entry, Run

# How long to wait, in seconds, while other workers do all the remaining runs.
_PAUSE_SECONDS = 2.0


def work(study: Study, dataset: Dataset, root: Path, size: int) -> dict[Path, Entry]:
    """Do all runs that no other worker does, until every run is finished.

    A run that fails (a loss that is not finite) is recorded and not tried again.

    Args:
        study: the study.
        dataset: the data set of all its runs.
        root: the study's directory, which workers share.
        size: how many runs to train as one program, see `packs`.

    Returns:
        The entry of each run, see `run_files.entry`, by its folder.

    Raises:
        ConfigError: if a run's directory belongs to another configuration.
        InterruptedRunError: after SIGTERM, once the state is saved.
    """
    entries: dict[Path, Entry] = {}
    waits = False
    while plan.pending(study, root, entries):
        unfinished = [
            [run for run in pack if run.folder not in entries]
            for pack in packs.group(plan.known_runs(study, entries), size)
        ]
        if any(_do_if_free(pack, dataset, root) for pack in unfinished if pack):
            waits = False
            continue
        if not waits:
            _say("waiting for other workers, which do the runs that are left")
        waits = True
        time.sleep(_PAUSE_SECONDS)
    return entries


def _do_if_free(pack: Sequence[Run], dataset: Dataset, root: Path) -> bool:
    """Finish a pack unless another worker has claimed it; return whether it is done."""
    with contextlib.ExitStack() as claimed:
        for run in pack:
            if not claimed.enter_context(claims.claim(root / run.folder)):
                return False
        # Another worker may have finished some since they were listed.
        left = [run for run in pack if run_files.entry(root, run) is None]
        for run in left:
            _say(str(run))
            _require_no_longer(run, root)
        if left:
            packs.train(left, dataset, root)
        for run in left:
            _score(run, dataset, root)
            entry = run_files.entry(root, run) or {}
            if "failed" in entry:
                _say(f"{run} failed: {entry['failed']}")
        # A process may map only so much memory, and each pack has its own programs.
        jax.clear_caches()
    return True


def _score(run: Run, dataset: Dataset, root: Path) -> None:
    """Score a trained run and write its report, as `cfasl_jax.main` does."""
    folder = root / run.folder
    if (folder / run_files.FAILURE_FILE).exists():
        return
    for protocol in run.protocols:
        if run_files.scored(root, run, protocol) is None:
            scoring = dataclasses.replace(run.config.eval, protocol=protocol)
            config = dataclasses.replace(run.config, eval=scoring)
            results = evaluate.evaluate(config, dataset, folder)
            files.write_json(run_files.scores_file(folder, protocol), results)
    # The page and other tools read the last protocol's.
    last = run_files.scored(root, run, run.protocols[-1])
    files.write_json(folder / evaluate.RESULTS_FILE, last)
    if run.reports:
        analyze.analyze(run.config, dataset, folder)


def _require_no_longer(run: Run, root: Path) -> None:
    """Check that a folder holds no training that is longer than this run.

    Its models, and with them its scores, would be those of another study.
    """
    if (provenance.latest_step(root / run.folder) or 0) > run.config.num_steps:
        raise ConfigError(
            f"{root / run.folder} holds a run that is longer than this study's "
            f"{run.config.num_steps} steps: choose another --workdir"
        )


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
