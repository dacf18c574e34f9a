"""Train, evaluate and report a run.

python -m cfasl_jax.main --config=configs/shapes3d.py:quick --workdir=runs/first
"""

import sys

from cfasl_jax import analyze, command_line, data, evaluate, provenance
from cfasl_jax.config import ConfigError
from cfasl_jax.training import devices, loop

# What the shell reports after a process ended on SIGTERM: 128 + 15.
_EXIT_INTERRUPTED = 143


def main(argv: list[str]) -> int:
    """Run the command line; return the exit code: 0, 1, 2 (bad input), 130 or 143."""
    try:
        _run(argv)
    except ConfigError as error:
        return _fail(f"error: {error}", code=2)
    except loop.NonFiniteLossError as error:
        return _fail(f"error: {error}", code=1)
    except loop.InterruptedRunError as stop:
        return _fail(str(stop), code=_EXIT_INTERRUPTED)
    except KeyboardInterrupt:
        message = "interrupted; the same command resumes from the last checkpoint"
        return _fail(message, code=130)
    return 0


def _run(argv: list[str]) -> None:
    command = command_line.parse(argv)
    if command is None:
        return
    devices.join_processes(command.distributed)
    workdir = command.workdir
    config = command.config or provenance.stored_config(workdir)
    devices.use_compilation_cache()
    dataset = data.load(config.dataset, config.data.source, config.data.dir)
    if devices.is_first_process():
        print(f"{dataset.name}: {dataset.num_images:,} images, {dataset.source}")
        provenance.claim(workdir, config, dataset.source)
    if command.mode in ("all", "train"):
        loop.train(config, dataset, workdir)
    if not devices.is_first_process():
        return
    if command.mode in ("all", "evaluate"):
        evaluate.evaluate(config, dataset, workdir)
    if command.mode in ("all", "analyze"):
        print(f"report: {analyze.analyze(config, dataset, workdir)}")


def _fail(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv))
