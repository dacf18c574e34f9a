"""Check of an accelerator: agreement with the CPU, speed, and the fastest forms."""

import dataclasses
import itertools
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax

from cfasl_jax import data, forms, objectives
from cfasl_jax.errors import ConfigError
from cfasl_jax.lie_group import EXPMS
from cfasl_jax.models import conv
from cfasl_jax.settings import Config
from cfasl_jax.training import device_agreement, devices, kernels, loop
from cfasl_jax.training import state as state_lib
from cfasl_jax.training.device_agreement import Difference

# A function that makes a configuration from fields of the top level.
Configure = Callable[..., Config]


class Speed(NamedTuple):
    """How fast one compiled call trains.

    Attributes:
        seconds_a_step: of all runs together, the faster of two calls.
        compile_seconds: time until the program was compiled; shorter if JAX was told to
            keep a cache of compiled programs.
        memory_gb: arguments, results and temporaries of the program on one device.
    """

    seconds_a_step: float
    compile_seconds: float
    memory_gb: float


class Case(NamedTuple):
    """One way of training beta-VAE, and its speed."""

    cfasl: bool
    runs: int
    conv: str
    expm: str
    speed: Speed

    @property
    def seed_steps(self) -> float:
        """Steps per second, times the number of runs."""
        return self.runs / self.speed.seconds_a_step


def check(
    configure: Configure, steps: int | None, seeds: tuple[int, ...] | None
) -> int:
    """Compare, measure, print and remember; see `benchmark`.

    Args:
        configure: makes the configuration of a case.
        steps: of one timed call; None: 200, on a CPU 3.
        seeds: how many runs are trained together, one number a case; None: 1 and 10, on
            a CPU 1.

    Returns:
        The exit code: 0, or 1 where the device does not agree with the CPU.

    Raises:
        ConfigError: if JAX was told not to use the CPU.
    """
    device = jax.local_devices()[0]
    on_cpu = device.platform == "cpu"
    print(f"{device.device_kind} ({device.platform}), {jax.local_device_count()} here")
    wrong = _agreement(configure)
    steps = steps or (3 if on_cpu else 200)
    cases = _speeds(configure, steps, seeds or ((1,) if on_cpu else (1, 10)))
    best = _fastest(cases)
    _kernels(configure, best, steps)
    _table(cases)
    print(
        f"fastest for CFASL: convolutions {best.conv}, matrix exponential {best.expm}"
    )
    if wrong:
        print(
            f"error: this device does not compute what the CPU computes: "
            f"{'; '.join(wrong)}",
            file=sys.stderr,
        )
    if on_cpu:
        print("not remembered: one CPU says nothing about another of the same name")
    else:
        where = forms.remember({"conv": best.conv, "expm": best.expm})
        print(f"remembered in {where}")
    return 1 if wrong else 0


def _agreement(configure: Configure) -> list[str]:
    """Compare one step of every objective; return what differs too much."""
    try:
        cpu = jax.local_devices(backend="cpu")[0]
    except RuntimeError as error:
        raise ConfigError(
            "the CPU is needed for comparison: leave JAX_PLATFORMS unset, or name it "
            "there too, as in JAX_PLATFORMS=cuda,cpu"
        ) from error
    names = [(name, cfasl) for name in objectives.OBJECTIVES for cfasl in (False, True)]
    # Compiling takes far longer than a step, so cases are compiled in parallel.
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda case: _difference(configure, case, cpu), names)
        wrong = []
        for (name, cfasl), (exact, usual) in zip(names, found, strict=True):
            case = f"{name}+cfasl" if cfasl else name
            _print_json(
                agreement=case,
                highest=exact._asdict(),
                default={"terms": usual.terms, "gradient": usual.gradient},
            )
            wrong += [f"{case}: {phrase}" for phrase in exact.disagreements(cfasl)]
    return wrong


def _difference(
    configure: Configure, case: tuple[str, bool], cpu: jax.Device
) -> tuple[Difference, Difference]:
    """How much a device differs from the CPU, at highest and at default precision."""
    device = jax.local_devices()[0]
    name, cfasl = case
    config = configure(objective=name, cfasl=cfasl)
    dataset = data.load(config.dataset, config.data)

    def step(device: jax.Device, expm: str, **options: Any) -> device_agreement.Step:
        codebook = dataclasses.replace(config.codebook, expm=expm)
        chosen = dataclasses.replace(config, codebook=codebook)
        objective = objectives.build(chosen, dataset.spec)
        return device_agreement.first_step(
            objective, dataset, chosen.hyper, config.num_pairs, device, **options
        )

    expected = step(cpu, "scipy")
    exact = step(device, "auto", given=expected)
    if device.platform == "cpu":  # which has only one precision
        usual = exact
    else:
        usual = step(device, "auto", precision="default", given=expected)
    return device_agreement.difference(exact, expected), device_agreement.difference(
        usual, expected
    )


def _speeds(configure: Configure, steps: int, seeds: tuple[int, ...]) -> list[Case]:
    """Measure beta-VAE in every form of a convolution, CFASL in every combination."""
    cases = []
    for runs, cfasl, form in itertools.product(seeds, (False, True), conv.FORMS):
        for expm in EXPMS if cfasl else ("-",):
            with forms.using(conv=form, expm=expm):
                speed = measure(_case_config(configure, cfasl, runs), steps)
            case = Case(cfasl, runs, form, expm, speed)
            cases.append(case)
            _print_json(
                **case._asdict() | {"speed": None} | speed._asdict(),
                steps_a_second=1 / speed.seconds_a_step,
                seed_steps_a_second=case.seed_steps,
            )
    return cases


def _case_config(configure: Configure, cfasl: bool, runs: int) -> Config:
    return configure(objective="beta_vae", cfasl=cfasl, seeds=tuple(range(runs)))


def measure(config: Config, steps: int) -> Speed:
    """Compile a call of `steps` steps, and time it once it has run."""
    chunk, state, arguments = _program(config, steps)
    with jax.default_matmul_precision(config.matmul_precision):
        start = time.perf_counter()
        sizes = chunk.lower(state, *arguments).compile().memory_analysis()
        compiled = time.perf_counter() - start
        state, _ = jax.block_until_ready(chunk(state, *arguments))
        times = []
        for _ in range(2):
            start = time.perf_counter()
            state, _ = jax.block_until_ready(chunk(state, *arguments))
            times.append(time.perf_counter() - start)
    return Speed(min(times) / steps, compiled, _gigabytes(sizes))


def _program(config: Config, steps: int) -> tuple[devices.Chunk, Any, list[Any]]:
    """A chunk of steps, the state before the first one, and the other arguments."""
    dataset = data.load(config.dataset, config.data)
    objective = objectives.build(config, dataset.spec)
    state = devices.replicate(loop.initial_state(config, objective, dataset.spec))
    adam = state_lib.optimizer(objective, config.clip_norm)
    chunk = devices.compile_chunk(objective, adam, config.num_pairs, steps)
    return chunk, state, [*loop.fixed_arguments(config, dataset), None]


def _gigabytes(sizes: Any) -> float:
    """Memory of a compiled program as its compiler reports it."""
    total = (
        sizes.argument_size_in_bytes
        + sizes.output_size_in_bytes
        + sizes.temp_size_in_bytes
        - sizes.alias_size_in_bytes
    )
    return total / 1e9


def _fastest(cases: list[Case]) -> Case:
    """The fastest case of CFASL with the largest number of runs."""
    most = max(case.runs for case in cases)
    of_interest = (case for case in cases if case.cfasl and case.runs == most)
    return max(of_interest, key=lambda case: case.seed_steps)


def _kernels(configure: Configure, case: Case, steps: int) -> None:
    """Print the kernels that cost most in the fastest case."""
    config = _case_config(configure, case.cfasl, case.runs)
    with forms.using(conv=case.conv, expm=case.expm):
        chunk, state, arguments = _program(config, min(steps, 20))
        state, _ = jax.block_until_ready(chunk(state, *arguments))
    for kernel in kernels.costliest(lambda: chunk(state, *arguments)):
        _print_json(kernel=kernel.name, **kernel._asdict() | {"name": None})


def _table(cases: list[Case]) -> None:
    print(
        f"{'beta-VAE':>10} {'runs':>4} {'conv':>6} {'expm':>6} {'ms a step':>9} "
        f"{'seed-steps/s':>12} {'GB':>6} {'compile s':>9}"
    )
    for case in cases:
        print(
            f"{'cfasl' if case.cfasl else 'alone':>10} {case.runs:4} {case.conv:>6} "
            f"{case.expm:>6} {1e3 * case.speed.seconds_a_step:9.2f} "
            f"{case.seed_steps:12.1f} {case.speed.memory_gb:6.2f} "
            f"{case.speed.compile_seconds:9.1f}"
        )


def _print_json(**fields: Any) -> None:
    """One line, without the fields that are None."""
    known = {name: value for name, value in fields.items() if value is not None}
    print(json.dumps(known), flush=True)
