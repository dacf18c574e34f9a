"""Run a study: tune arms on some seeds, compare them on others, write the tables.

python -m cfasl_jax.study --study=configs/studies/dsprites.py --workdir=runs/study
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from cfasl_jax import data, errors, files, workdirs
from cfasl_jax.errors import ConfigError
from cfasl_jax.study import (
    claims,
    cost,
    definition,
    outcome,
    packs,
    page,
    plan,
    restoring,
    scoring,
    tables,
    worker,
)
from cfasl_jax.training import devices, loop


def main(argv: Sequence[str]) -> int:
    """Run the command line; return the exit code: 0, 1, 2 (bad input), 130 or 143."""
    try:
        return errors.exit_code(
            lambda: _run(parse(argv[1:])),
            interrupted="interrupted; the same command resumes the study",
        )
    except loop.InterruptedRunError as stop:
        return errors.fail(str(stop), 128 + stop.signal)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line.

    Raises:
        ConfigError: for any mistake.
    """
    parser = errors.ArgumentParser(
        prog="python -m cfasl_jax.study", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument(
        "--study", required=True, help="FILE or FILE:PRESET, of configs/studies/"
    )
    parser.add_argument(
        "--workdir",
        required=True,
        help="directory of the study, where a later call resumes it; on a file system, "
        "workers that are given the same one share the work; in a bucket, as in "
        "gs://BUCKET/STUDY, one worker at a time does it",
    )
    parser.add_argument(
        "--restore",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="first let the finished runs that a study.json lists, such as one of "
        "docs/studies/, count as runs of this study where it has them too; may be "
        "given for several files",
    )
    only = parser.add_mutually_exclusive_group()
    only.add_argument(
        "--dry-run",
        action="store_true",
        help="say what the study will cost, and stop",
    )
    only.add_argument(
        "--report",
        action="store_true",
        help="write tables and study.html from the runs that are finished, and stop",
    )
    parser.add_argument(
        "--pack",
        type=errors.whole_number(1),
        metavar="N",
        help="train up to N runs as one program; without it as many as fit a GPU or "
        "TPU, and one at a time on a CPU, where packing gains nothing",
    )
    options = parser.parse_args(arguments)
    if options.restore and options.dry_run:
        raise ConfigError("--restore changes the directory's runs, --dry-run does not")
    return options


@devices.advising_on_memory()
def _run(options: argparse.Namespace) -> None:
    study = definition.load(options.study)
    place = workdirs.location(options.workdir)
    works = not (options.report or options.dry_run)
    with workdirs.local(place, alone=works, checkpoints=works) as root:
        if works and root != place:
            print(
                f"{place} is for one worker at a time: a bucket has no file locks, by "
                "which workers would share its runs; on a shared file system they do",
                file=sys.stderr,
            )
        if not options.dry_run:
            errors.require_writable(root / "study.json")
        for listing in options.restore:
            count = restoring.restore(study, root, errors.expanded(listing))
            print(f"{listing}: finished runs that count here: {count}")
        if options.report and not (root / "runs").is_dir():
            raise ConfigError(f"{place} holds no study: there is no folder runs in it")
        if options.report:
            _report(study, root, place)
        else:
            _work(study, root, place, options)


def _work(
    study: definition.Study, root: Path, place: Path | str, options: argparse.Namespace
) -> None:
    """Say what is left to do and, unless this was all that was asked for, do it."""
    devices.use_compilation_cache()
    config = study.arms[0].settings[0].reporting
    dataset = data.load(config.dataset, config.data)
    print(f"{dataset.name}: {dataset.num_images:,} images, {dataset.source}")
    scoring.require_factors(study.scoring, dataset.name, len(dataset.factor_names))
    size = options.pack or packs.default_size()
    entries: dict = {}
    if plan.pending(study, root, entries):
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot write into {root}: {error}") from error
        print(cost.describe(study, dataset, root, entries, size), flush=True)
    elif options.dry_run:
        print("all runs are finished")
    if not options.dry_run:
        worker.work(study, dataset, root, size)
        _report(study, root, place)


def _report(study: definition.Study, root: Path, place: Path | str) -> None:
    """Write study.json, tables/ and study.html, one worker at a time."""
    while True:
        with claims.claim(root / "tables") as ours:
            if ours:
                results = outcome.collect(study, root)
                files.write_json(root / "study.json", results)
                tables.write(results, root / "tables")
                written = page.write(results, root)
                print(f"study: {place}/{written.relative_to(root)}")
                return
        time.sleep(1.0)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
