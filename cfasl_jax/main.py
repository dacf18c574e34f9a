"""Train, evaluate and report a run.

python -m cfasl_jax.main --config=configs/shapes3d.py:quick --workdir=runs/first
"""

import sys
import traceback
from contextlib import nullcontext
from pathlib import Path

from cfasl_jax import command_line, data, errors, workdirs
from cfasl_jax import config as config_lib
from cfasl_jax.run import analyze, evaluate, provenance
from cfasl_jax.training import devices, loop


def main(argv: list[str]) -> int:
    """Run the command line; return the exit code: 0, 1, 2 (bad input), 130 or 143."""
    try:
        code = errors.exit_code(
            lambda: _run(argv),
            interrupted="interrupted; the same command goes on",
        )
    except loop.InterruptedRunError as stop:  # all processes stop together
        return errors.fail(str(stop), 128 + stop.signal)
    except Exception:
        if not devices.has_joined():
            raise
        traceback.print_exc()
        message = "this process failed, or lost another one: start all of them again"
        code = errors.fail(message, 1)
    if code:
        devices.leave(code)
    return code


@devices.advising_on_memory()
def _run(argv: list[str]) -> None:
    command = command_line.parse(argv)
    if command is None:
        return
    devices.join_processes(command.distributed)
    if command.mode in ("evaluate", "analyze") and not devices.is_first_process():
        return  # one process scores and draws
    with workdirs.local(command.workdir, devices.is_first_process()) as workdir:
        _run_in(workdir, command)


def _run_in(workdir: Path, command: command_line.Command) -> None:
    if command.compare:
        page = analyze.compare(command.compare, workdir)
        print(f"comparison: {command.workdir}/{page.relative_to(workdir)}")
        return
    config = command.config or command_line.overridden(
        provenance.stored(workdir).config, command.overrides
    )
    trains = command.mode in ("all", "train")
    if command.mode != "analyze":  # which reads what older versions have left too
        config_lib.validate(config)
    devices.use_compilation_cache()
    if command.mode == "analyze":
        drawn = analyze.redraw(config, workdir)
        if drawn is not None:  # what was probed before serves, without data or model
            print(f"report: {command.workdir}/{drawn.relative_to(workdir)}")
            return
    dataset = data.load(config.dataset, config.data)
    writes = devices.is_first_process()
    with provenance.held(workdir) if trains and writes else nullcontext():
        if writes:
            images = f"{dataset.num_images:,} image{'s' * (dataset.num_images > 1)}"
            print(f"{dataset.name}: {images}, {dataset.source}")
            provenance.claim(workdir, config, dataset.spec, trains)
        if trains:
            loop.train(config, dataset, workdir, evaluate.scorer(config, dataset))
    if not devices.is_first_process():
        return
    if command.mode in ("all", "evaluate"):
        evaluate.evaluate(config, dataset, workdir)
    if command.mode in ("all", "analyze"):
        report = analyze.analyze(config, dataset, workdir)
        print(f"report: {command.workdir}/{report.relative_to(workdir)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv))
