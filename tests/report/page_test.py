"""The page: self-contained, well formed, honest about its data."""

import dataclasses
import re
import shlex

import numpy as np
import pytest
import report_synthetic as synthetic
import tiny
from browser import Outline, drive, needs_browser

from cfasl_jax import command_line
from cfasl_jax import config as config_lib
from cfasl_jax.report import configuration, figures, tables
from cfasl_jax.report import page as page_module
from cfasl_jax.report.page import write_report
from cfasl_jax.report.results import is_rendered
from configs import shapes3d


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A folder with the report of a full run and what the run itself writes."""
    folder = tmp_path_factory.mktemp("run_a")
    run = synthetic.only(synthetic.complete(), "explorer", "composition")
    results, config = synthetic.RESULTS, synthetic.CONFIG
    write_report([run], synthetic.LOSSES, results, config, folder)
    return folder


@pytest.fixture(scope="module")
def page(workdir):
    return (workdir / "report.html").read_text("utf-8")


def test_page_is_well_formed_and_needs_no_other_file(page):
    outline = Outline(page)
    assert len(outline.ids) == len(set(outline.ids))
    for reference in outline.references:
        assert reference.startswith(("data:image/", "#")), reference[:80]
        if reference.startswith("#"):
            assert reference[1:] in outline.ids
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)
    assert len(page) < 10e6


def test_every_image_and_control_is_labelled(page):
    for tag, attrs, parents in Outline(page).tags:
        if tag == "img":
            assert attrs["alt"]
        if tag in ("input", "select"):
            assert "label" in parents
        if attrs.get("role") in ("img", "group"):
            assert attrs["aria-label"]


def test_page_says_where_its_numbers_come_from(page):
    words = Outline(page).text
    for expected in (
        "CFASL (beta-VAE) on 3D Shapes",
        "12,345",
        "1 h 1 min",
        "MIG 25.00 1.00 20.00 to 30.00 5.00 2",
        "The gap between the two dimensions with the most mutual information",
        "What the protocol fast means",
        "D (latent_dim) 10 beta 4.0",
        "TMLR 2024, arXiv:2401.08897",
        "beta-VAE: Higgins",
        "SAP 12.50",
        "protocol fast",
        "run MIG seed 7 20.00 seed 8 30.00",
        "run KL active dimensions seed 7 1.25 2 seed 8 1.25 2",
        "KL 2 1 to 3",
        "median of 2 runs",
        "Seeds 7, 8",
        "weights.alpha 1.0",
        "numpy 2",
        "corrected",
    ):
        assert expected in words, expected


def test_rendered_data_carry_a_warning(page):
    assert 'class="warning"' in page
    assert "Rendered data." in Outline(page).text
    drawn = {"provenance": {"data_source": "Rendered twin"}}
    read = {"provenance": {"data_source": "tfds shapes3d 2.0.0"}}
    assert is_rendered(drawn)
    assert not is_rendered(read)
    assert tables.rendered(read) == ""


def test_text_from_outside_is_escaped(tmp_path):
    config = synthetic.CONFIG | {"dataset": "<script>alert(1)</script>"}
    path = write_report([synthetic.baseline()], None, {}, config, tmp_path)
    page = path.read_text("utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert 'id="scores"' not in page
    assert 'id="explore"' not in page


def test_one_run_has_no_mean_and_no_spread():
    entry = {"mean": 0.5, "std": None, "interval": [0.4, 0.6], "chance": 0.1, "runs": 1}
    scores = {"m_fvm_2_held_out": entry, "fvm": entry, "m_fvm_2": entry}
    words = Outline(tables.scores({"scores": scores})).text
    assert "metric score chance 95% interval FVM 50.00 10.00 40.00 to 60.00" in words
    assert words.index("m-FVM2 50") < words.index("Further readings of these scores")
    assert words.index("Further readings") < words.index("m-FVM2 on fresh votes")


def test_dimensions_that_count_for_scores_are_said_with_their_warning():
    warning = "exactly 4 active dimensions: m_fvm_4 is 1 whatever they hold"
    scores = {"mig": {"value": 0.2}}
    first = {"seed": 7, "active_dims": 4, "dims": 10, "scores": scores}
    first |= {"warnings": [warning]}
    second = first | {"seed": 8, "active_dims": 0, "warnings": []}
    unscored = second | {"seed": 9, "scores": {}}
    for runs, counts in (
        ([first], "4 of 10."),
        ([first, second, unscored], "4 of 10 (seed 7), 0 of 10 (seed 8)."),
    ):
        written = tables.scores({**synthetic.RESULTS, "runs": runs})
        assert f"Active dimensions, by the spread of their codes: {counts}" in written
        said = "Exactly 4 active dimensions: m-FVM4 is 1 whatever they hold."
        assert f"<strong>{said}</strong>" in written
    assert "Active dimensions" not in tables.scores(synthetic.RESULTS)


def test_what_is_not_scored_is_said():
    left_out = ["sap is not computed: too few images"]
    said = "SAP is not computed: too few images."
    assert Outline(tables.scores({"left_out": left_out})).text.strip() == said
    results = synthetic.RESULTS | {"left_out": left_out}
    assert said in Outline(tables.scores(results)).text


def no_figures(monkeypatch):
    """Write pages without their figures, which take seconds to draw."""
    monkeypatch.setattr(page_module, "write_figures", lambda *_: ([], []))
    monkeypatch.setattr(page_module, "write_animations", lambda *_: ([], []))


def test_what_is_not_drawn_is_named_with_its_reason(tmp_path, monkeypatch):
    no_figures(monkeypatch)

    def words(**lacking):
        run = synthetic.baseline(lacking=lacking)
        return Outline(write_report([run], None, {}, {}, tmp_path).read_text()).text

    said = words(codebook="No codebook.", factors="No factors.", grid="No grid.")
    assert "No factors. Left out: Latent space; Code against factor." in said
    assert "No codebook. Left out: Composite symmetry;" in said
    assert "Stepping a factor" in said
    said = words(grid="No grid.", explorer="The explorer is left out: too new.")
    left_out = "No grid. Left out: Stepping a factor; Equivariance error by factor."
    assert left_out in said
    assert "The explorer is left out: too new." in said
    assert "Not drawn" not in words()


def test_a_figure_that_fails_costs_neither_the_page_nor_the_others(
    tmp_path, monkeypatch, capsys
):
    def fail(*_):
        raise np.linalg.LinAlgError("it did not converge")

    broken = [
        dataclasses.replace(kind, draw=fail) if kind.name == "traversals" else kind
        for kind in figures.FIGURES
    ]
    monkeypatch.setattr(figures, "FIGURES", broken)
    monkeypatch.setattr(page_module, "write_losses", fail)
    monkeypatch.setattr(page_module, "write_animations", lambda *_: ([], []))
    page = write_report(
        [synthetic.baseline()], synthetic.LOSSES, synthetic.RESULTS, {}, tmp_path
    )
    words = Outline(page.read_text("utf-8")).text
    reason = "drawing failed (LinAlgError: it did not converge)"
    assert f"Latent traversals: {reason}." in words
    assert f"Loss curves: {reason}" in words
    assert "MIG 25.00" in words
    assert (tmp_path / "figures/reconstructions.png").exists()
    assert f"Latent traversals: {reason}" in capsys.readouterr().err


def test_dci_importance_comes_from_the_scores():
    run = synthetic.only(synthetic.complete(), "information")
    arrays = {k: v for k, v in run.arrays.items() if k != "information/importance"}
    run = dataclasses.replace(run, arrays=arrays)

    def with_scores(importance):
        results = {"runs": [{"metrics": {"dci": {"importance": importance}}}]}
        return page_module.with_importance(run, results).part("information")

    scored = [[1.0, 0.5], [0.0, 0.25], [0.0, 0.25]]
    np.testing.assert_array_equal(with_scores(scored)["importance"], scored)
    # Of other factors than those that are drawn, as when a sample lacks one.
    assert "importance" not in with_scores([[1.0]])
    assert "importance" not in page_module.with_importance(run, {}).part("information")


@pytest.mark.parametrize(
    ("on", "shown"),
    [((), "corrected"), (("a", "b"), "official"), (("b",), "b")],
)
def test_fidelity_is_shown_as_its_preset_or_its_switches(on, shown):
    switches = {name: name in on for name in ("a", "b")}
    config = {"cfasl": True, "fidelity": switches}
    assert configuration.fidelity(switches) == shown
    assert f">{shown}<" in tables.summary({}, config)


def test_the_head_says_who_trained_and_who_scored():
    part = {"device": "8 x v6e", "revision": "aaaa"}
    once = {"provenance": {"data_source": "rendered", **part}}
    head = tables.summary(once, {})
    assert ">aaaa<" in head
    assert "of the scores" not in head
    training = {**part, "resumed": [{**part, "step": 5, "revision": "bbbb"}]}
    later = {"device": "8 x v6e", "revision": "cccc", "training": training}
    head = tables.summary({"provenance": later}, {})
    assert ">aaaa, then bbbb<" in head
    assert "Git revision of the scores" in head
    assert ">cccc<" in head
    assert ">8 x v6e<" in head
    assert "Device of the scores" not in head


def test_a_score_below_chance_is_marked_and_one_not_measured_is_a_dash():
    scores = {
        "mig": {"mean": 0.02, "interval": [0.01, 0.03], "chance": 0.05, "runs": 1},
        "sap": {"mean": None, "interval": [0.0, 0.0], "chance": None, "runs": 0},
    }
    words = Outline(tables.scores({"scores": scores})).text
    assert "MIG \N{BLACK DOWN-POINTING TRIANGLE} 2.00 5.00 1.00 to 3.00" in words
    dash = "\N{EN DASH}"
    assert f"SAP {dash} {dash} {dash}" in words
    assert tables.mean_and_spread(scores["sap"]) == dash
    below = "\N{BLACK DOWN-POINTING TRIANGLE} 2.00 [1.00, 3.00]"
    assert tables.mean_and_spread(scores["mig"]) == below
    assert tables.mean_and_spread({"mean": 0.5, "chance": 0.1}) == "50.00"


DEFAULTS = synthetic.CONFIG | {"beta": 1.0, "seeds": (1,), "weights": {"alpha": 0.5}}


def test_what_was_changed_comes_first_with_the_command_for_it():
    config = synthetic.CONFIG | {
        "seeds": [1, 2],
        "fidelity": {"double_softmax": True, "frozen_integral": False},
    }
    changed = configuration.changed_fields(config, DEFAULTS)
    assert changed == {
        "seeds": ([1, 2], (1,)),
        "beta": (4.0, 1.0),
        "weights.alpha": (1.0, 0.5),
        "fidelity": ("double_softmax", "corrected"),
    }
    command = configuration.command(config, DEFAULTS)
    assert "--config=configs/shapes3d.py" in command
    assert "--config.beta=4.0" in command
    assert "'--config.seeds=(1, 2)'" in command
    assert "--config.fidelity.double_softmax=True" in command
    words = Outline(configuration.section(config, DEFAULTS)).text
    assert words.index("beta 4.0 1.0") < words.index("All fields that this run reads")
    same = configuration.section(DEFAULTS, DEFAULTS)
    assert "Nothing was changed from configs/shapes3d.py." in same


@pytest.mark.parametrize(("rate", "shown"), [(2e-4, False), (2e-5, True)])
def test_the_heads_learning_rate_is_shown_unless_it_follows_from_the_main_one(
    rate, shown
):
    defaults = config_lib.to_dict(config_lib.from_dict(shapes3d.get_config().to_dict()))
    codebook = defaults["codebook"] | {"learning_rate": rate}
    config = defaults | {"learning_rate": 1e-3, "codebook": codebook}
    changed = configuration.changed_fields(config, defaults)
    assert ("codebook.learning_rate" in changed) == shown
    _, *words = shlex.split(configuration.command(config, defaults))
    parsed = command_line.parse(["main", *words]).config
    assert parsed.codebook.learning_rate == rate


def test_the_command_gives_each_run_its_value():
    config = synthetic.CONFIG | {
        "seeds": [1, 1],
        "per_run": [["beta", [1.0, 4.0]], ["weights.alpha", [0.5, 2.0]]],
    }
    _, *words = shlex.split(configuration.command(config, DEFAULTS))
    per_run = "(('beta', (1.0, 4.0)), ('weights.alpha', (0.5, 2.0)))"
    assert f"--config.per_run={per_run}" in words
    assert not any(word.startswith("--config.beta") for word in words)
    parsed = command_line.parse(["main", *words]).config
    assert parsed.seeds == (1, 1)
    assert [parsed.of_run(run).beta for run in (0, 1)] == [1.0, 4.0]
    assert parsed.of_run(1).weights.alpha == 2.0


def test_fields_that_the_run_never_reads_are_not_shown():
    read = configuration.read_fields(synthetic.CONFIG)
    assert "factor.gamma" not in read
    assert {"beta", "weights.alpha"} <= read.keys()
    baseline = synthetic.CONFIG | {"cfasl": False, "objective": "factor_vae"}
    read = configuration.read_fields(baseline)
    assert "factor.gamma" in read
    assert "beta" not in read
    assert "weights.alpha" not in read
    plain = config_lib.to_dict(tiny.config(cfasl=False))
    assert "ours.action" not in configuration.read_fields(plain)
    own = {"objective": "clg_vae", "codebook": {"expm": "scipy", "elements": 3}}
    read = configuration.read_fields({**baseline, **own})
    assert read["codebook.expm"] == "scipy"  # of its own group, not of a codebook
    assert "codebook.elements" not in read
    assert "hidden" not in configuration.read_fields({**baseline, **own, "hidden": 8})
    official, corrected = (
        config_lib.to_dict(tiny.config(latent_dim=2, fidelity={"preset": preset}))
        for preset in ("official", "corrected")
    )
    constant = {"codebook.scale", "codebook.temperature"}
    shown = [
        configuration.read_fields(fields).keys() for fields in (official, corrected)
    ]
    assert shown[1] - shown[0] == constant
    assert "codebook.expm" not in configuration.read_fields(
        {**baseline, **own, "objective": "beta_vae"}
    )
    per_run = synthetic.CONFIG | {"per_run": [["beta", [1.0, 2.0]]]}
    assert configuration.read_fields(per_run)["beta"] == [1.0, 2.0]
    assert configuration.hyperparameters(per_run)["beta"] == [1.0, 2.0]


COPY = """
seen.csv = Page.csv(document.querySelector("#scores table"));
seen.latex = Page.latex(document.querySelector("#scores table"));
seen.tools = [...document.querySelectorAll("#figures .tools button")].length;
"""


@needs_browser
def test_tables_are_copied_and_figures_saved(workdir):
    seen = drive(workdir / "report.html", COPY)
    assert seen["errors"] == []
    lines = seen["csv"].splitlines()
    assert lines[0] == "metric,mean,chance,95% interval,sd,runs"
    assert lines[1] == "MIG,25.00,1.00,20.00 to 30.00,5.00,2"
    assert lines[2] == "SAP,12.50,,,,"
    latex = seen["latex"].splitlines()
    assert latex[2] == r"metric & mean & chance & 95\% interval & sd & runs \\"
    assert latex[4] == r"MIG & 25.00 & 1.00 & 20.00 to 30.00 & 5.00 & 2 \\"
    assert seen["tools"] == 5
