"""The command line of the benchmark, and --check with small networks on the CPU."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest
import tiny

from cfasl_jax import benchmark, data, device_check, objectives
from cfasl_jax.models import conv
from cfasl_jax.training import device_agreement, kernels
from cfasl_jax.training.device_agreement import Difference


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Small networks and images; of all objectives one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    names = {name: objectives.OBJECTIVES[name] for name in ("beta_vae",)}
    monkeypatch.setattr(objectives, "OBJECTIVES", names)
    monkeypatch.setattr(
        objectives,
        "build",
        lambda config, _: tiny.objective(
            cfasl=config.cfasl, base_name=config.objective
        ),
    )
    monkeypatch.setattr(data, "load", lambda *_: tiny.dataset())
    # These networks have no convolution, so that one form stands for both.
    monkeypatch.setattr(conv, "FORMS", ("matmul",))


@pytest.mark.usefixtures("small")
def test_check_compares_measures_and_ends_with_the_winner(capsys, tmp_path):
    assert benchmark.main(["", "--check", "--steps=2", "--seeds=1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    records = [json.loads(line) for line in lines if line.startswith("{")]
    compared = [r for r in records if "agreement" in r]
    assert [r["agreement"] for r in compared] == ["beta_vae", "beta_vae+cfasl"]
    assert all(r["highest"]["terms"] == 0 for r in compared)  # the CPU is itself
    measured = [r for r in records if "seed_steps_a_second" in r]
    assert [(r["cfasl"], r["conv"], r["expm"]) for r in measured] == [
        (False, "matmul", "-"),
        (True, "matmul", "scipy"),
        (True, "matmul", "taylor"),
    ]
    for record in measured:
        assert record["seconds_a_step"] > 0
        assert record["memory_gb"] > 0
        rate = record["runs"] / record["seconds_a_step"]
        np.testing.assert_allclose(record["seed_steps_a_second"], rate)
    found = [r for r in records if "kernel" in r]
    assert 1 <= len(found) <= 10
    shares = [r["share"] for r in found]
    assert shares == sorted(shares, reverse=True)
    best = max(measured[1:], key=lambda r: r["seed_steps_a_second"])
    winner = f"convolutions {best['conv']}, matrix exponential {best['expm']}"
    assert any(winner in line for line in lines)
    # A CPU's measurement is not kept: its kind is the same on every machine.
    assert not list(tmp_path.rglob("forms.json"))


@pytest.mark.usefixtures("small")
def test_a_device_that_disagrees_is_refused_in_one_sentence(monkeypatch, capsys):
    far = Difference(draws=0.0, pixels=0.0, terms=1e-3, gradient=float("nan"))
    monkeypatch.setattr(device_agreement, "difference", lambda *_: far)
    monkeypatch.setattr(device_check, "_speeds", lambda *_: [CASE])
    monkeypatch.setattr(device_check, "_kernels", lambda *_: None)
    assert benchmark.main(["", "--check"]) == 1
    error = capsys.readouterr().err
    assert "beta_vae: terms differ by 0.001, more than 0.0001" in error
    assert "gradient differ by nan" in error


CASE = device_check.Case(True, 1, "lax", "taylor", device_check.Speed(0.1, 1.0, 1.0))


def test_differences_are_found_where_they_are():
    objective, dataset, cpu = tiny.objective(), tiny.dataset(), jax.devices()[0]
    step = device_agreement.first_step(objective, dataset, tiny.hyper(), 4, cpu)
    assert device_agreement.difference(step, step) == (0, 0, 0, 0)
    assert step.noise.gumbel.shape == (4, 3, 2)
    noise = step.noise._replace(element=step.noise.element + 1)
    assert device_agreement.difference(step._replace(noise=noise), step).draws == np.inf
    noise = step.noise._replace(eps=step.noise.eps + np.float32(1e-3))
    moved = device_agreement.first_step(
        objective,
        dataset,
        tiny.hyper(),
        4,
        cpu,
        given=step._replace(noise=noise, images=255 - step.images),
    )
    apart = device_agreement.difference(moved, step)
    assert apart.draws == apart.pixels == 0  # its own draws are the same
    assert apart.terms > 1e-4
    assert apart.gradient > 1e-3
    images = step.images.copy()
    images[0, 0, 0] ^= 4
    assert device_agreement.difference(step._replace(images=images), step).pixels == 4


@pytest.mark.parametrize("place", ["first", "last"])
def test_a_number_that_is_not_finite_is_a_difference_wherever_it_is(place):
    objective, dataset, cpu = tiny.objective(), tiny.dataset(), jax.devices()[0]
    step = device_agreement.first_step(objective, dataset, tiny.hyper(), 4, cpu)
    pick = {"first": min, "last": max}[place]
    terms = step.terms | {pick(step.terms): np.float32("nan")}
    network = pick(step.gradient)
    lost = jax.tree.map(lambda x: x * np.nan, step.gradient[network])
    broken = step._replace(
        noise=step.noise._replace(gumbel=step.noise.gumbel * np.nan),
        terms=terms,
        gradient=step.gradient | {network: lost},
    )
    apart = device_agreement.difference(broken, step)
    assert np.isnan([apart.draws, apart.terms, apart.gradient]).all()


def test_the_costliest_kernel_is_the_largest_product():
    x = np.ones((400, 400), np.float32)
    program = jax.jit(lambda x: (x @ x @ x, x[:2] + 1))
    jax.block_until_ready(program(x))
    found = kernels.costliest(lambda: program(x), count=2)
    assert found[0].share > 0.5
    assert sum(kernel.share for kernel in found) <= 1 + 1e-9
    assert found[0].seconds > 0


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--latent_dims=6,x", "must be a whole number from 1 to 1,000,000, not 'x'"),
        ("--runs=0", "--runs: must be a whole number from 1 to 1,000,000, not '0'"),
        ("--steps=-3", "must be a whole number from 1 to 1,000,000, not '-3'"),
        ("--dataset=Dsprite", "did you mean 'dsprites'"),
        ("--step", "--steps: expected one argument"),
        ("--seeds=3", "--seeds goes with --check"),
        ("--check --runs=3", "--runs goes without --check"),
        ("--bogus", "unrecognized arguments: --bogus"),
    ],
)
def test_mistakes_are_told_in_one_sentence(argument, said, capsys):
    assert benchmark.main(["", *argument.split()]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("case", "arguments", "said"),
    [
        ("alone,6", ["--dataset=custom"], "custom cannot be rendered"),
        ("cfasl,1001", [], "latent_dim must be at most 1,000, not 1001"),
    ],
)
def test_what_a_case_says_reaches_the_user(case, arguments, said, capsys):
    """The sentence of the process that measures is the sentence of the command."""
    assert benchmark.main(["", f"--case={case}", *arguments]) == 2
    error = capsys.readouterr().err

    def run(command, **_):
        assert command[0] == sys.executable
        return subprocess.CompletedProcess(command, 2, stdout="", stderr=error)

    with pytest.raises(benchmark.ConfigError, match=said):
        benchmark._in_a_process(case, arguments, run)


@pytest.mark.parametrize("argument", ["--latent_dims=6,1001", "--dataset=custom"])
def test_what_is_wrong_is_said_before_anything_is_measured(
    monkeypatch, capsys, argument
):
    monkeypatch.setattr(benchmark, "_in_a_process", lambda *_: 1 / 0)
    assert benchmark.main(["", *argument.split()]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_without_configs_the_command_says_where_to_run_it(
    monkeypatch, tmp_path, capsys
):
    monkeypatch.chdir(tmp_path)
    assert benchmark.main(["", "--check"]) == 2
    assert "run this in the folder that holds configs" in capsys.readouterr().err


def test_cases_are_compared_within_their_round(monkeypatch, capsys):
    """A machine that slows down from round to round changes no ratio."""
    seconds = {"alone,6": 1.0, "cfasl,6": 1.5, "alone,10": 2.0, "cfasl,10": 4.0}
    drift = iter(np.repeat([1.0, 5.0, 2.0], len(seconds)))
    monkeypatch.setattr(
        benchmark,
        "_in_a_process",
        lambda case, _: [seconds[case] * next(drift), 0.5],
    )
    assert benchmark.main([""]) == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    rows = [[float(number) for number in line.split()[1:]] for line in lines]
    assert rows == [
        [6, 2.0, 1.0, 1.0, 0.5],
        [6, 3.0, 1.5, 1.5, 0.5],
        [10, 4.0, 2.0, 1.0, 0.5],
        [10, 8.0, 4.0, 2.0, 0.5],
    ]


def test_gradients_with_cfasl_may_differ_by_what_rounding_explains():
    rounded = Difference(draws=0.0, pixels=0.0, terms=0.0, gradient=1.1e-3)
    assert rounded.disagreements(cfasl=True) == []
    assert rounded.disagreements(cfasl=False) == [
        "gradient differ by 0.0011, more than 0.001"
    ]
    wrong = rounded._replace(gradient=float("nan"))
    assert len(wrong.disagreements(cfasl=True)) == 1
