"""The command line: what it accepts, and one sentence for every mistake."""

import shutil
from pathlib import Path

import pytest

from cfasl_jax import command_line
from cfasl_jax import config as config_lib
from cfasl_jax.errors import ConfigError
from cfasl_jax.settings import FIDELITIES, replaced
from cfasl_jax.study import definition

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


@pytest.mark.parametrize(
    "file", [CONFIG, str(ROOT / "configs/paper.py:cars3d/clg_vae")]
)
def test_official_fidelity_has_16_elements_unless_others_are_given(file):
    assert parse(f"--config={file}").config.codebook.elements == 10
    official = [f"--config={file}", "--config.fidelity=official"]
    assert parse(*official).config.codebook.elements == 16
    assert parse(*official, "--config.codebook.elements=12").config == replaced(
        parse(*official).config, "codebook.elements", 12
    )
    corrected = [f"--config={file}", "--config.fidelity=corrected"]
    assert parse(*corrected).config.codebook.elements == 10
    one = [f"--config={file}", "--config.fidelity.double_softmax=True"]
    assert parse(*one).config.codebook.elements == 10


def test_an_installed_package_has_configs_of_its_own(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "configs", tmp_path / "package" / "configs")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="run this in the folder that holds configs"):
        parse("--config=configs/dsprites.py:quick")
    monkeypatch.setattr(config_lib, "__file__", str(tmp_path / "package/config.py"))
    for words in (["--config=configs/dsprites.py:quick"], ["--config", CONFIG]):
        command = parse(*words, "--config.beta=3")
        assert (command.config.dataset, command.config.beta) == ("dsprites", 3.0)
        assert command.workdir.name.startswith("dsprites")
    study = definition.load("configs/studies/dsprites.py:short")
    assert study.arms[0].settings[0].reporting.dataset == "dsprites"
    with pytest.raises(ConfigError, match=r"did you mean 'configs/dsprites\.py'"):
        parse("--config=configs/dsprite.py")
    # A file of that name wins.
    shutil.copytree(ROOT / "configs", tmp_path / "elsewhere" / "configs")
    own = tmp_path / "elsewhere" / "configs" / "dsprites.py"
    own.write_text(own.read_text().replace("hidden = 128", "hidden = 64"))
    assert parse("--config=configs/dsprites.py").config.hidden == 64


def test_workdir_alone_is_enough():
    command = parse("--workdir=runs/old", "--mode=analyze")
    assert command.config is None


def test_fields_of_a_stored_configuration_can_be_overridden():
    stored = parse(f"--config={CONFIG}", "--config.seeds=(1,2)").config
    command = parse(
        "--workdir=runs/old",
        "--mode=evaluate",
        "--config.eval.protocol=official",
        "--config.eval.metrics=('mig','sap')",
        "--config.num_steps=7",
    )
    assert command.config is None
    config = command_line.overridden(stored, command.overrides)
    assert config.eval.protocol == "official"
    assert config.eval.metrics == ("mig", "sap")
    assert config.num_steps == 7
    assert config.seeds == (1, 2)
    assert command_line.overridden(stored, ()) == stored


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("--config.eval.protocoll=fast", "'eval.protocoll'.*'eval.protocol'"),
        ("--config.eval.protocol=fist", "'fist'.*'fast'"),
        ("--config.num_steps=many", "num_steps.*many"),
    ],
)
def test_mistakes_in_overriding_a_stored_configuration(override, message):
    stored = parse(f"--config={CONFIG}").config
    with pytest.raises(ConfigError, match=message) as caught:
        command_line.overridden(stored, parse("--workdir=old", override).overrides)
    assert "\n" not in str(caught.value)


def test_config_is_found_from_any_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse(f"--config={CONFIG}").config.dataset == "dsprites"
    monkeypatch.setenv("HOME", str(ROOT))
    command = parse("--config=~/configs/dsprites.py:quick")
    assert command.config.eval.protocol == "fast"
    assert command.workdir == Path("runs/dsprites-quick")


def test_a_backslash_in_a_path_is_not_found_but_read():
    with pytest.raises(ConfigError, match=r"not a configuration file|unknown config"):
        parse(r"--config=configs\dsprites.py")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--config.num_steps", "7", "--mode=train"], ("num_steps", 7)),
        (["--noconfig.cfasl", "--mode=train"], ("cfasl", False)),
        (["--config.cfasl", "--mode=train"], ("cfasl", True)),
    ],
)
def test_overrides_may_be_written_in_every_way_of_absl(words, expected):
    start = parse(f"--config={CONFIG}", *words)
    stored = parse(f"--config={CONFIG}").config
    again = parse("--workdir=old", *words)
    assert start.mode == again.mode == "train"
    name, value = expected
    changed = command_line.overridden(stored, again.overrides)
    assert getattr(changed, name) == getattr(start.config, name) == value


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
        ([f"--config={CONFIG}", "--worckdir=x"], "'worckdir'; did you mean 'workdir'"),
        ([f"--config={CONFIG}", "--beta=4"], "flag 'beta'; did you mean 'config.beta'"),
        ([f"--config={CONFIG}", "--zz=4"], "unknown flag 'zz': one of config, workdir"),
        ([f"--config={CONFIG}", "x"], "unexpected argument 'x'"),
        (["--config.beta=4"], "say what to train with --config="),
        (["--compare=a,b", "--mode=analyze", "--config.beta=4"], "leave out --config"),
        (["--config=/none/such.py"], "unknown config file '/none/such.py'"),
        ([f"--config={'x' * 300}"], "unknown config file 'xxx"),
        ([f"--config={ROOT / 'configs' / 'DSPRITES'}"], "did you mean .*dsprites.py"),
        ([f"--config={CONFIG}", "--flagfile=/none"], "^Unable to open flagfile"),
        (["--nodistributed=3"], "^--nodistributed=3 does not take an argument"),
        ([f"--config={CONFIG}", "--workdir="], "'' names no working directory"),
        ([f"--config={CONFIG}", "--compare="], "--compare goes with --mode=analyze"),
        (["--workdir= "], "' ' names no working directory"),
        ([f"--config={CONFIG}", "--config.num-steps=3"], "'num-steps'.*'num_steps'"),
        ([f"--config={CONFIG}", "--config.beta:3"], "'beta:3'; did you mean 'beta'"),
        (
            [f"--config={CONFIG}", "--config.seeds=[1,2"],
            r"seeds must be a tuple such as \(1, 2\), not '\[1,2'",
        ),
        ([f"--config={CONFIG}", "--config.=1"], "unknown field ''"),
        (
            [f"--config={CONFIG}", "--config", "b.py", "--config.beta=4"],
            f"--config is given twice, as {CONFIG} and as b.py",
        ),
        ([f"--config={CONFIG}", "--config.beta=x"], "beta must be a number, not 'x'"),
        (
            [f"--config={CONFIG}", "--config.latent_dim=1e3"],
            "latent_dim must be a whole number, not '1e3'",
        ),
        (
            [f"--config={CONFIG}", "--config.fidelity.double_softmax=2"],
            "fidelity.double_softmax must be True or False, not '2'",
        ),
        (
            [f"--config={CONFIG}", "--config.batch_size=100000000"],
            "batch_size must be at most 1,000,000",
        ),
    ],
)
def test_mistakes(arguments, message):
    with pytest.raises(ConfigError, match=message) as caught:
        parse(*arguments)
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def get_config(:", "cannot be used: SyntaxError"),
        ("import no_such_module  # get_config", "no_such_module"),
        ("def get_config(preset=''): raise RuntimeError('why')", "RuntimeError: why"),
        ("raise SystemExit(3)  # get_config", "SystemExit: 3"),
        ("def get_config(preset=''): return 5", "must return a ConfigDict, not 5"),
        ("def get_config(preset=''): return {}", "must return a ConfigDict, not {}"),
    ],
)
def test_mistakes_in_a_config_file(tmp_path, text, message):
    file = tmp_path / "mine.py"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        parse(f"--config={file}", "--config.beta=4")
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_stored_run_takes_a_number_for_none_and_a_preset_of_fidelity():
    stored = parse(f"--config={CONFIG}").config
    assert stored.dip.lambda_d is None

    def changed(*overrides):
        return command_line.overridden(
            stored, parse("--workdir=x", *overrides).overrides
        )

    assert changed("--config.dip.lambda_d=5").dip.lambda_d == 5.0
    assert changed("--config.beta=5").dip.lambda_d is None
    assert changed("--config.fidelity=official").fidelity == FIDELITIES["official"]
    with pytest.raises(ConfigError, match="did you mean 'official'"):
        changed("--config.fidelity=oficial")


def test_metrics_may_be_given_with_commas_between():
    command = parse(f"--config={CONFIG}", "--config.eval.metrics=mig, fvm")
    assert command.config.eval.metrics == ("mig", "fvm")


def test_parsing_leaves_nothing_behind():
    parse(f"--config={CONFIG}", "--config.beta=4")
    assert parse(f"--config={CONFIG}").config.beta == 1.0
