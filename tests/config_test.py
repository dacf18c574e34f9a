"""Configurations: what is accepted, what is refused and in which words."""

import dataclasses
import json
from pathlib import Path

import jax
import pytest

from cfasl_jax import config as config_lib
from cfasl_jax.errors import ConfigError
from cfasl_jax.settings import Fidelity, flatten
from configs import default

FILES = sorted(Path(default.__file__).parent.glob("[a-z]*.py"))
DATA_FILES = [path for path in FILES if path.stem not in ("default", "paper")]


def fields(**changes):
    """The default's fields with some changed; "a__b" is field b of a."""
    values = default.get_config().to_dict()
    for name, value in changes.items():
        *parents, last = name.split("__")
        target = values
        for parent in parents:
            target = target[parent]
        target[last] = value
    return values


def load(path, preset=""):
    import importlib

    return importlib.import_module(f"configs.{path.stem}").get_config(preset)


def test_default_is_valid_and_frozen():
    config = config_lib.from_dict(fields())
    with pytest.raises(AttributeError):
        config.beta = 2.0
    assert hash(config) == hash(config_lib.from_dict(fields()))


@pytest.mark.parametrize("preset", ["", "quick", "ours", "quick+ours"])
@pytest.mark.parametrize("path", DATA_FILES, ids=lambda path: path.stem)
def test_every_file_is_valid(path, preset):
    config = config_lib.from_dict(load(path, preset).to_dict())
    assert config.dataset == path.stem
    overrides = path.read_text().splitlines()
    assert len(overrides) <= 30


@pytest.mark.parametrize("path", DATA_FILES, ids=lambda path: path.stem)
def test_unknown_preset_is_refused(path):
    with pytest.raises(ValueError, match="unknown preset 'qick'"):
        load(path, "qick")


def test_presets_can_be_joined():
    path = next(path for path in DATA_FILES if path.stem == "dsprites")
    plain, quick, ours, both = (
        flatten(load(path, preset).to_dict())
        for preset in ("", "quick", "ours", "quick+ours")
    )
    changes = {name: ours[name] for name in ours if ours[name] != plain[name]}
    assert changes == default.OURS
    assert both == quick | changes != quick


def test_paper_schedule():
    files = {path.stem: path for path in DATA_FILES}
    shapes3d = config_lib.from_dict(load(files["shapes3d"]).to_dict())
    assert (shapes3d.num_steps, shapes3d.latent_dim) == (500_000, 6)
    dsprites = config_lib.from_dict(load(files["dsprites"]).to_dict())
    assert (dsprites.num_steps, dsprites.latent_dim) == (300_000, 10)
    assert (dsprites.hidden, shapes3d.hidden) == (128, 256)


def test_the_heads_learn_at_a_fifth_of_the_learning_rate_unless_theirs_is_given():
    def rate(**changes):
        return config_lib.from_dict(fields(**changes)).codebook.learning_rate

    assert rate() == 2e-5  # the paper's
    assert rate(learning_rate=1e-3) == 2e-4
    assert rate(learning_rate=1e-3, codebook__learning_rate=7e-5) == 7e-5


def test_round_trip_through_json():
    config = config_lib.from_dict(fields(seeds=(1, 2, 3)))
    again = config_lib.from_dict(json.loads(json.dumps(config_lib.to_dict(config))))
    assert again == config


def test_whole_numbers_are_fine_where_numbers_are_wanted():
    assert config_lib.from_dict(fields(beta=4)).beta == 4.0


def test_fields_that_a_run_does_not_read_cannot_contradict_each_other():
    config_lib.from_dict(fields(control__beta_min=101.0))
    config_lib.from_dict(fields(cfasl=False, ours__action="axes", codebook__elements=5))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "dsprite"}, "unknown data set 'dsprite'.*did you mean 'dsprites'"),
        ({"objective": "betavae"}, "unknown objective.*did you mean 'beta_vae'"),
        ({"ours__action": "afine"}, "unknown ours.action.*did you mean 'affine'"),
        ({"data__source": "tfd"}, "unknown data.source 'tfd'.*did you mean 'tfds'"),
        ({"fidelity__preset": "corected"}, "unknown fidelity.*'corrected'"),
        ({"eval__protocol": "offical"}, "unknown eval.protocol.*'official'"),
        ({"eval__metrics": ("mgi",)}, "unknown metric 'mgi'.*did you mean 'mig'"),
        ({"batch_size": 63}, "batch_size must be even, not 63"),
        ({"batch_size": 0}, "batch_size must be at least 2"),
        ({"seeds": ()}, "at least one seed"),
        ({"seeds": (), "per_run": (("beta", ()),)}, "at least one seed"),
        ({"seeds": (1, 1)}, "none twice"),
        (
            {"objective": "control_vae", "control__beta_min": 101.0},
            r"control.beta_max \(100.0\) must be at least",
        ),
        (
            {
                "objective": "control_vae",
                "seeds": (1, 1),
                "per_run": (("control.beta_min", (1.0, 200.0)),),
            },
            r"run 1: control.beta_max \(100.0\) must be at least control.beta_min",
        ),
        (
            {"seeds": (1, 1), "per_run": (("beta", (1.0, 1.0)),)},
            "have the same seed",
        ),
        (
            {
                "objective": "control_vae",
                "seeds": (1, 2),
                "per_run": (("beta", (1.0, 2.0)),),
            },
            "per_run has beta, which this run does not read",
        ),
        (
            {"cfasl": False, "per_run": (("weights.alpha", (1.0,)),)},
            "per_run has weights.alpha, which this run does not read",
        ),
        (
            {
                "objective": "control_vae",
                "fidelity__preset": "official",
                "per_run": (("control.ki", (0.1,)),),
            },
            "per_run has control.ki, which this run does not read",
        ),
        ({"per_run": (("beta", (1.0, 2.0)),)}, "2 values of beta for 1 seeds"),
        ({"per_run": (("beta", (1.0,)), ("beta", (2.0,)))}, "has beta more than once"),
        ({"per_run": (("num_steps", (1.0,)),)}, "unknown field in per_run 'num_steps'"),
        ({"per_run": (("hidden", (1.0,)),)}, "unknown field in per_run 'hidden'"),
        ({"per_run": (("weights.alpha", (-1.0,)),)}, "run 0: weights.alpha must be at"),
        (
            {"per_run": (("weights.ramp", (0.5,)),)},
            "whole numbers for weights.ramp",
        ),
        (
            {"ours__near_partners": True, "threshold": 0.0},
            "threshold must be above 0 with ours.near_partners",
        ),
        (
            {"ours__near_partners": True, "per_run": (("threshold", (0.0,)),)},
            "run 0: threshold must be above 0",
        ),
        (
            {"ours__action": "axes", "codebook__elements": 5},
            "elements must be even with ours.action=axes, not 5",
        ),
        ({"per_run": (("beta",),)}, r"per_run\[0\] must have 2 parts"),
        ({"seeds": (-1,)}, r"seeds\[0\] must be at least 0"),
        ({"seeds": (2**31,)}, r"seeds\[0\] must be at most 2,147,483,647"),
        ({"beta": -1.0}, "beta must be at least 0, not -1"),
        ({"beta": float("nan")}, "beta must be a finite number, not nan"),
        ({"beta": 1e300}, "beta must be at most"),
        ({"latent_dim": 10**30}, "latent_dim must be at most 1,000"),
        ({"learning_rate": 1e-50}, "^learning_rate must be at least 1e-30, not 1e-50"),
        ({"learning_rate": 0.0}, "^learning_rate must be above 0"),
        ({"learning_rate": -1.0}, "^learning_rate must be above 0, not -1.0"),
        ({"learning_rate": "fast"}, "^learning_rate must be of type float"),
        ({"codebook__elements": 0}, "codebook.elements must be at least 1"),
        ({"num_steps": 1.5}, "num_steps must be of type int, not 1.5"),
        ({"num_steps": True}, "num_steps must be of type int, not True"),
        ({"cfasl": 1}, "cfasl must be of type bool"),
        ({"weights__alpha": "1"}, "weights.alpha must be of type float"),
        ({"log_every": 300}, r"checkpoint.every \(10000\) must be a multiple"),
        ({"codebook__element": 3}, "unknown field 'codebook.element'.*elements"),
    ],
)
def test_what_is_wrong_is_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        config_lib.from_dict(fields(**changes))


def test_a_missing_learning_rate_is_named_although_another_follows_from_it():
    values = fields()
    del values["learning_rate"]
    with pytest.raises(ConfigError, match="the field learning_rate is missing"):
        config_lib.from_dict(values)


def test_missing_field_is_named():
    values = fields()
    del values["weights"]["gamma"]
    with pytest.raises(ConfigError, match=r"weights\.gamma is missing"):
        config_lib.from_dict(values)


def test_fidelity_presets_and_overrides():
    corrected = config_lib.from_dict(fields()).fidelity
    assert corrected == Fidelity()
    values = fields(fidelity__preset="official", fidelity__double_softmax=False)
    official = config_lib.from_dict(values)
    assert official.fidelity.sigma2_from_mu
    assert not official.fidelity.double_softmax
    assert official.codebook.elements == 16
    assert config_lib.from_dict(fields()).codebook.elements == 10
    given = fields(fidelity__preset="official", codebook__elements=12)
    assert config_lib.from_dict(given).codebook.elements == 12


def test_official_needs_as_many_elements_as_sections():
    values = fields(fidelity__preset="official", codebook__elements=5)
    with pytest.raises(ConfigError, match=r"codebook.elements \(5\) must be at least"):
        config_lib.from_dict(values)
    values["cfasl"] = False
    config_lib.from_dict(values)


def test_default_names_every_switch():
    switches = set(default.get_config().fidelity) - {"preset"}
    assert switches == set(Fidelity.__dataclass_fields__)


def test_default_explains_every_field_and_settings_declares_it():
    declared = flatten(config_lib.to_dict(config_lib.from_dict(fields())))
    given = flatten(fields())
    assert declared.keys() == given.keys() - {"fidelity.preset"}


def test_an_early_configuration_is_completed():
    """The fields of the first version alone, as they were stored."""
    early = fields(fidelity={})
    for name in ("capacity", "feature_weight", "control", "lie", "factor", "dip"):
        del early[name]
    del early["annealed"], early["eval"]["metrics"]
    early["codebook"] |= {"learning_rate": 2e-5, "elements": 10}
    for name in ("path", "convention", "likelihood", "residency"):
        del early["data"][name]
    assert config_lib.from_stored(early) == (config_lib.from_dict(fields()), [])


def test_runs_of_one_program_may_differ_in_what_is_traced():
    varied = (("beta", (1.0, 4.0)), ("weights.epsilon", (0.1, 0.01)))
    config = config_lib.from_dict(fields(seeds=(1, 1), per_run=varied))
    second = config.of_run(1)
    assert second == config_lib.from_dict(fields(beta=4.0, weights__epsilon=0.01))
    assert config.of_run(0) == config_lib.from_dict(fields())


def test_a_number_that_is_not_given_may_differ_between_runs_too():
    name = "dip.lambda_d"
    varied = ((name, (1.0, 4.0)),)
    config = config_lib.from_dict(
        fields(objective="dip_vae_i", seeds=(1, 1), per_run=varied)
    )
    assert config.of_run(1).dip.lambda_d == 4.0
    with pytest.raises(ConfigError, match="lambda_d must be at least 0"):
        config_lib.from_dict(
            config_lib.to_dict(config) | {"per_run": ((name, (1.0, -1.0)),)}
        )


def test_whole_numbers_of_one_run_stay_whole():
    varied = (("weights.ramp", (0.0, 1000.0)),)
    config = config_lib.from_dict(fields(seeds=(1, 1), per_run=varied))
    stored = config_lib.to_dict(config.of_run(1))
    assert stored["weights"]["ramp"] == 1000
    assert config_lib.from_stored(stored) == (config.of_run(1), [])


def test_traced_hyperparameters_are_numbers_and_the_rest_is_static():
    config = config_lib.from_dict(fields())
    paths, _ = jax.tree_util.tree_flatten_with_path(config.hyper)
    traced = {".".join(key.name for key in path): leaf for path, leaf in paths}
    static = {"codebook.elements", "codebook.scale", "codebook.expm"}
    not_given = {"dip.lambda_d"}
    fields_of_hyper = flatten(dataclasses.asdict(config.hyper))
    assert traced.keys() == fields_of_hyper.keys() - static - not_given
    assert all(isinstance(leaf, int | float) for leaf in traced.values())
    other = config_lib.from_dict(fields(beta=7.0, weights__alpha=0.5, num_steps=7))
    wider = config_lib.from_dict(fields(codebook__elements=3))
    same, differs = (jax.tree.structure(c.hyper) for c in (other, wider))
    assert same == jax.tree.structure(config.hyper) != differs
