"""The command line: what it accepts, and one sentence for every mistake."""

from pathlib import Path

import pytest

from cfasl_jax import command_line
from cfasl_jax.config import ConfigError

ROOT = Path(__file__).parent.parent
CONFIG = str(ROOT / "configs" / "dsprites.py")


def parse(*arguments):
    return command_line.parse(["main", *arguments])


def test_defaults():
    command = parse(f"--config={CONFIG}:quick")
    assert command.config.dataset == "dsprites"
    assert command.config.eval.protocol == "fast"
    assert command.workdir == Path("runs/dsprites-quick")
    assert command.mode == "all"


def test_config_as_two_arguments_and_overrides():
    command = parse(
        "--config",
        CONFIG,
        "--config.beta=4",
        "--config.seeds=(1,2,3)",
        "--config.weights.epsilon=0.01",
        "--config.cfasl=False",
        "--mode=train",
        "--workdir=somewhere",
    )
    config = command.config
    assert (config.beta, config.seeds) == (4.0, (1, 2, 3))
    assert config.weights.epsilon == 0.01
    assert not config.cfasl
    assert (command.mode, command.workdir) == ("train", Path("somewhere"))


def test_fidelity_in_short_and_one_switch_alone():
    command = parse(
        f"--config={CONFIG}",
        "--config.fidelity=official",
        "--config.fidelity.double_softmax=False",
        "--config.codebook.elements=16",
    )
    assert command.config.fidelity.sigma2_from_mu
    assert not command.config.fidelity.double_softmax


def test_workdir_alone_is_enough():
    command = parse("--workdir=runs/old", "--mode=analyze")
    assert command.config is None


def test_config_is_found_from_any_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse(f"--config={CONFIG}").config.dataset == "dsprites"


def test_help_is_printed(capsys):
    assert parse("--help") is None
    printed = capsys.readouterr().out
    assert "--config.beta=4" in printed
    assert "workdir" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say what to train with --config="),
        ([f"--config={CONFIG}", "--mode=al"], "unknown mode 'al'.*'all'"),
        ([f"--config={CONFIG}", "--config.bata=4"], "field 'bata'.*'beta'"),
        (
            [f"--config={CONFIG}", "--config.weights.epsilom=1"],
            "'weights.epsilom'.*'weights.epsilon'",
        ),
        ([f"--config={CONFIG}", "--config.num_steps=many"], "num_steps.*many"),
        ([f"--config={CONFIG}", "--config.batch_size=63"], "must be even"),
        ([f"--config={CONFIG}:qick"], "unknown preset 'qick'"),
        ([f"--config={CONFIG[:-4]}.py"], "unknown config file.*dsprites.py"),
        ([f"--config={CONFIG}", "--worckdir=x"], "worckdir"),
        ([f"--config={CONFIG}", "x"], "unexpected argument 'x'"),
        (["--config.beta=4"], "--config.beta needs a --config=FILE"),
        (["--config=/none/such.py"], "unknown config file '/none/such.py'"),
    ],
)
def test_mistakes(arguments, message):
    with pytest.raises(ConfigError, match=message) as caught:
        parse(*arguments)
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_parsing_leaves_nothing_behind():
    parse(f"--config={CONFIG}", "--config.beta=4")
    assert parse(f"--config={CONFIG}").config.beta == 1.0
