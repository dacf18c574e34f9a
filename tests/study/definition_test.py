"""A study's definition: what is built from its file; each mistake in one sentence."""

import copy
import os
from pathlib import Path

import pytest

from cfasl_jax.errors import ConfigError
from cfasl_jax.study import __main__ as command
from cfasl_jax.study import definition, plan

ROOT = Path(__file__).parents[2]

ENTRIES = {
    "set": {"data.source": "rendered", "num_steps": 1_000, "checkpoint.every": 500},
    "arms": {
        "beta-VAE": {
            "config": "configs/dsprites.py",
            "set": {"cfasl": False},
            "grid": {"beta": (1, 4)},
        },
        "CFASL (beta-VAE)": {
            "config": "configs/dsprites.py",
            "grid": [{"weights.epsilon": 0.1}, {"beta": 4, "threshold": 0.5}],
        },
    },
    "tuning": {"seeds": (101, 102), "set": {"num_steps": 500}},
    "reporting": {"seeds": (1, 2, 3)},
    "protocols": ("dlib", "official"),
    "primary": ("mig", "dci"),
    "select": ("mig",),
}


def build(**changes):
    return definition.from_dict(copy.deepcopy(ENTRIES) | changes, "first", ROOT)


def arms(name="beta-VAE", **changes):
    """The arms above, one of them changed."""
    changed = copy.deepcopy(ENTRIES["arms"])
    changed[name] |= changes
    return changed


@pytest.mark.parametrize(
    ("preset", "steps", "protocol"),
    [
        ("", 10_000, "dlib"),
        (":smaller_beta", 10_000, "dlib"),
        (":affine", 10_000, "dlib"),
        (":partners", 10_000, "dlib"),
        (":stronger", 10_000, "dlib"),
        (":longer", 30_000, "dlib"),
        (":official", 10_000, "dlib"),
        (":published", 2_500, "fast"),
    ],
)
def test_the_short_study_of_dsprites_has_two_arms_on_the_same_seeds(
    preset, steps, protocol
):
    study = definition.load(f"configs/studies/dsprites_10k.py{preset}")
    plain, other = (arm.settings[0].reporting for arm in study.arms)
    assert plain != other
    assert plain.seeds == other.seeds == (11, 12, 13, 14, 15)
    assert plain.objective == other.objective == "beta_tcvae"
    assert plain.num_steps == other.num_steps == steps
    assert study.scoring.protocols == (protocol,)


@pytest.mark.parametrize(("preset", "steps"), [("", 10_000), (":longer", 30_000)])
def test_the_short_study_of_3d_shapes_takes_over_the_settings_of_dsprites(
    preset, steps
):
    base, cfasl = definition.load(f"configs/studies/shapes3d_10k.py{preset}").arms
    base, cfasl = base.settings[0].reporting, cfasl.settings[0].reporting
    assert (base.dataset, base.objective, base.cfasl) == ("shapes3d", "beta_vae", False)
    assert (cfasl.dataset, cfasl.objective, cfasl.cfasl) == (
        "shapes3d",
        "beta_vae",
        True,
    )
    assert cfasl.ours.detached_heads
    assert (base.beta, base.num_steps) == (cfasl.beta, cfasl.num_steps) == (4.0, steps)


def test_the_study_of_the_parts_keeps_one_weight_in_each_arm():
    base, *parts = definition.load("configs/studies/dsprites_parts.py").arms
    assert not base.settings[0].reporting.cfasl
    paper = {"alpha": 1.0, "gamma": 1.0, "lamb": 1.0, "epsilon": 0.1}
    assert [arm.name for arm in parts] == [f"{name} alone" for name in paper]
    for arm, kept in zip(parts, paper, strict=True):
        config = arm.settings[0].reporting
        found = {name: getattr(config.weights, name) for name in paper}
        assert found == dict.fromkeys(paper, 0.0) | {kept: paper[kept]}
        assert config.codebook.learning_rate == 2e-5


def test_a_study_has_a_configuration_for_every_setting_and_phase():
    study = build()
    assert [arm.name for arm in study.arms] == ["beta-VAE", "CFASL (beta-VAE)"]
    base, cfasl = study.arms
    assert [setting.name for setting in base.settings] == ["beta=1", "beta=4"]
    names = [setting.name for setting in cfasl.settings]
    assert names == ["weights.epsilon=0.1", "beta=4,threshold=0.5"]
    tuning, reporting = base.settings[1].tuning, base.settings[1].reporting
    assert (tuning.beta, reporting.beta) == (4.0, 4.0)
    assert (tuning.cfasl, cfasl.settings[0].tuning.cfasl) == (False, True)
    assert (tuning.num_steps, reporting.num_steps) == (500, 1_000)
    assert (tuning.seeds, reporting.seeds) == ((101, 102), (1, 2, 3))
    # Tuning computes what it needs to choose, reporting everything.
    assert (tuning.eval.metrics, reporting.eval.metrics) == (("mig",), ())
    assert reporting.eval.protocol == "dlib"
    assert study.scoring.primary == ("mig", "disentanglement")
    assert study.comparisons == (("CFASL (beta-VAE)", "beta-VAE"),)
    assert study.budget == ""


@pytest.mark.parametrize("more", [{}, {"codebook.elements": 12}])
def test_official_fidelity_has_16_elements_unless_the_study_gives_others(more):
    study = build(set={"fidelity": "official", **more})
    for setting in study.arms[1].settings:
        config = setting.reporting
        assert config.codebook.elements == more.get("codebook.elements", 16)
        assert config.fidelity.double_softmax
    assert build().arms[1].settings[0].reporting.codebook.elements == 10


def test_runs_are_ordinary_runs_of_one_seed():
    study = build()
    runs = plan.tuning_runs(study, study.arms[1])
    assert len(runs) == 2 * 2
    assert runs[-1].config.seeds == (102,)
    folder = "runs/CFASL_beta-VAE/beta=4,threshold=0.5/tuning_seed_102"
    assert runs[-1].folder.as_posix() == folder
    assert runs[-1].protocols == ("dlib",)
    reporting = plan.reporting_runs(study, study.arms[0], "beta=4")
    assert [run.seed for run in reporting] == [1, 2, 3]
    # The protocol of the tables comes last, and leaves results.json.
    assert reporting[0].protocols == ("official", "dlib")


def test_a_single_setting_is_not_tuned():
    one = {
        name: {k: v for k, v in arm.items() if k != "grid"}
        for name, arm in arms().items()
    }
    study = build(arms=one, tuning={})
    assert [arm.settings[0].name for arm in study.arms] == ["default", "default"]
    assert plan.tuning_runs(study, study.arms[0]) == []
    chosen = {run.setting for run in plan.known_runs(study, {})}
    assert chosen == {"default"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arm": {}}, "unknown entry of a study 'arm'.*did you mean 'arms'"),
        ({"comparisons": (("CFASL", "beta-VAE"),)}, "unknown arm 'CFASL'"),
        ({"comparisons": (("beta-VAE", "beta-VAE"),)}, "against itself"),
        (
            {"comparisons": (("beta-VAE", "CFASL (beta-VAE)"),) * 2},
            r"has beta-VAE and CFASL \(beta-VAE\) twice",
        ),
        ({"comparisons": 5}, "comparisons has pairs of arms, not 5"),
        ({"question": None}, "question must be a sentence, not None"),
        ({"budget": 5}, "budget must be a sentence, not 5"),
        ({"arms": arms(grid={"beta": ()})}, "from 1 to 10,000 settings, not 0"),
        ({"arms": arms(grid={"beta": range(10**9)})}, "settings, not 1,000,000,000"),
        ({"protocols": ("dlib", "dlib")}, "protocols has 'dlib' more than once"),
        ({"comparisons": (5,)}, "comparisons has pairs of arms, not 5"),
        ({"reports": "no"}, "reports must be True or False, not 'no'"),
        ({"arms": {1: {}}}, "names in arms must be texts, not 1"),
        (
            {"published": {"scores": {"beta-VAE": {"mig": (50, 2)}}}},
            "published mig of beta-VAE must be .* between 0 and 1, not",
        ),
        (
            {"published": {"scores": {"beta-VAE": {"mig": 5}}}},
            "published mig of beta-VAE must be",
        ),
        ({"arms": arms(grid={"beta": (10**400, 1)})}, "must be a finite number"),
        ({"tuning": {"seeds": (3, 4)}}, "must not overlap, but 3 is in both"),
        ({"reporting": {"seeds": (1, 1)}}, "none twice"),
        ({"tuning": {}}, "names no seeds of tuning"),
        ({"arms": arms(grid={"bta": (1, 4)})}, "beta-VAE, tuning: bta is not a field"),
        ({"arms": arms(grid={"weights.epsilonn": (1, 4)})}, "mean 'weights.epsilon'"),
        ({"arms": arms(grid={"beta": 4})}, "needs a tuple of values for beta"),
        ({"arms": arms(grid={"beta": (4, 4.0)})}, "contains a setting twice"),
        (
            {"arms": arms(set={"objective": "control_vae"}, grid={"beta": (1, 4)})},
            "beta=1 and beta=4 differ in no field that its objective reads",
        ),
        ({"arms": arms(grid={"beta": (4, -1)})}, "beta must be at least 0, not -1"),
        ({"arms": arms(grid={"seeds": ((1,), (2,))})}, "give seeds in tuning"),
        ({"arms": arms(config="configs/dsprite.py")}, "did you mean 'configs/dsprites"),
        ({"arms": arms(config="configs/shapes3d.py")}, "need the same data, but"),
        (
            {"arms": arms(set={"data.likelihood": "gaussian"})},
            "data.likelihood is 'gaussian' in beta-VAE and 'auto' in CFASL",
        ),
        ({"arms": {**arms(), "BETA VAE": {}}}, "names no configuration file"),
        ({"arms": {**arms(), "beta/vae": arms()["beta-VAE"]}}, None),
        ({"protocols": ("dlibb",)}, "unknown protocol 'dlibb'.*mean 'dlib'"),
        ({"protocols": "dlib"}, "must be a tuple of names, not 'dlib'"),
        ({"metrics": ("migg",)}, "unknown metric 'migg'.*did you mean 'mig'"),
        ({"primary": ("migs",)}, "unknown score 'migs'.*did you mean 'mig'"),
        ({"primary": ()}, "lacks primary"),
        ({"primary": ("mig", "udr")}, "unknown score 'udr'"),
        (
            {"metrics": (), "primary": ("mig",), "select": ("m_fvm_5",)},
            "m_fvm_5 needs at least 6 factors, and dsprites has 5",
        ),
        ({"select": ("udrr",)}, "unknown score 'udrr'.*did you mean 'udr'"),
        (
            {"select": ("udr",), "tuning": {"seeds": (101,)}},
            "udr in select compares runs.*needs at least 2 seeds",
        ),
        ({"metrics": ("mig",)}, "so metrics needs dci too"),
        (
            {"tuning": {"seeds": (101,), "set": {"eval.metrics": ("sap",)}}},
            "need the metrics mig, which eval.metrics of tuning leaves out",
        ),
        (
            {"reporting": {"seeds": (1,), "set": {"eval.metrics": ("sap",)}}},
            "scores in primary need the metrics .*, which eval.metrics of reporting",
        ),
        ({"arms": arms(set={"per_run": ()})}, "by the grid of an arm, not by per_run"),
        ({"arms": arms() | {"..": arms()["beta-VAE"]}}, "'..' need names that differ"),
        ({"arms": arms(grid={"beta": (1, 2, 4)})}, "unequal budgets.*beta-VAE: 3 sett"),
        ({"arms": arms(set={"num_steps": 2_000})}, "unequal budgets.*128,000 in a rep"),
        ({"published": {"scores": {"CFASL": {}}}}, "unknown arm 'CFASL'"),
    ],
)
def test_mistakes_are_told_in_one_sentence(changes, message):
    if message is None:  # no mistake
        assert len(build(**changes).arms) == 3
        return
    with pytest.raises(ConfigError, match=message) as error:
        build(**changes)
    assert len(str(error.value).splitlines()) == 1


def test_what_is_no_file_is_no_study(tmp_path, monkeypatch, capsys):
    os.mkfifo(tmp_path / "pipe.py")
    monkeypatch.setenv("HOME", str(tmp_path))
    for place, message in (
        ("~/pipe.py", f"{tmp_path}/pipe.py is no Python file"),
        ("nothing", "there is no study file 'nothing'"),
    ):
        assert command.main(["study", f"--study={place}", "--workdir=x"]) == 2
        assert capsys.readouterr().err == f"error: {message}\n"


def test_names_that_would_share_a_folder_are_refused():
    with pytest.raises(ConfigError, match="'BETA-vae' and 'beta-VAE' need names"):
        build(arms={**arms(), "BETA-vae": arms()["beta-VAE"]})


def test_tuning_by_udr_computes_no_score_that_needs_factors():
    by_udr, by_both = build(select=("udr",)), build(select=("udr", "mig"))
    (setting, _) = by_udr.arms[0].settings
    assert setting.tuning.eval.metrics == ("gaussian_total_correlation",)
    assert setting.reporting.eval.metrics == ()
    assert by_both.arms[0].settings[0].tuning.eval.metrics == ("mig",)
    changed = {"seeds": (101, 102), "set": {"eval.metrics": ("sap",)}}
    tuned = build(select=("udr",), tuning=changed).arms[0].settings[0].tuning
    assert tuned.eval.metrics == ("sap",)


def test_unequal_budgets_need_a_sentence():
    study = build(arms=arms(grid={"beta": (1, 2, 4)}), budget="The authors' own grids.")
    assert study.budget == "The authors' own grids."
    # Where budgets are equal there is nothing to say.
    assert build(budget="The authors' own grids.").budget == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def get_study(): return {'arms': ", "cannot be read: '{' was never closed"),
        ("import nothing_of_that_name", "No module named 'nothing_of_that_name'"),
        ("", "has no function get_study"),
        ("raise SystemExit(3)", "cannot be read: 3 (SystemExit)"),
        ("def get_study(): raise SystemExit", "bad.py: SystemExit"),
        ("def get_study(): return 3", "must return a dict, not 3"),
        ("def get_study(): return {'arms': {}}", "lacks arms, reporting, primary"),
        ("def get_study(): raise ValueError('why\\nindeed')", "bad.py: why"),
    ],
)
def test_a_bad_file_ends_the_command_with_one_sentence(tmp_path, capsys, text, message):
    path = tmp_path / "bad.py"
    path.write_text(text)
    assert command.main(["study", f"--study={path}", f"--workdir={tmp_path}"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ")
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--study=configs/studies/dsprits.py", "--workdir=x"], "unknown study file"),
        (["--study=x.py"], "--workdir"),
        (["--study=x.py", "--workdir=x", "--dryrun"], "--dryrun"),
        (["--study=x.py", "--workdir=x", "--pack=0"], "--pack: must be a whole number"),
        ([f"--study={'x' * 300}", "--workdir=x"], "study file"),
        (
            ["--study=configs/studies/dsprites.py", "--workdir=README.md", "--report"],
            "cannot write README.md/study.json: Not a directory",
        ),
        (
            ["--study=configs/studies/dsprites.py", "--workdir=typo", "--report"],
            "typo holds no study: there is no folder runs in it",
        ),
        (
            ["--study=x.py", "--workdir=x", "--report", "--dry-run"],
            "not allowed with argument",
        ),
        (
            ["--study=configs/studies/dsprites.py", "--workdir=nowhere://a/b"],
            "nowhere://a/b cannot be used",
        ),
    ],
)
def test_a_bad_command_line_ends_with_one_sentence(
    monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(ROOT)
    assert command.main(["study", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
