"""Tables and the page of a study with known scores."""

import csv
import json
from html.parser import HTMLParser

import numpy as np
import pytest
import study_results
import study_worker
from study_worker import ENTRIES

from cfasl_jax.report import style
from cfasl_jax.study import __main__ as command
from cfasl_jax.study import definition, figures, outcome, page, plan, rendering, tables
from cfasl_jax.study.rendering import Cell, Table

PUBLISHED = {
    "source": "a paper of 2024",
    "data": "real dsprites",
    "scores": {"beta-VAE": {"mig": (0.1319, 0.0448)}},
}
GAINS = {1: 0.04, 2: 0.05, 3: 0.06}


def score_of(run):
    gain = GAINS.get(run.seed, 0) * (run.arm == "slow beta-VAE")
    return {"mig": 0.1 * (run.seed % 100) + gain, "modularity": 0.5}


def build(**changes):
    entries = ENTRIES | {"reporting": {"seeds": (1, 2, 3)}, "published": PUBLISHED}
    return definition.from_dict(entries | changes, "small")


@pytest.fixture
def finished(tmp_path):
    """The results of a finished study."""
    study_results.finish(tmp_path, build(), score_of)
    return outcome.collect(build(), tmp_path)


def rows(path):
    """The rows of a table, of which the last column must name the data."""
    with path.open(encoding="utf-8") as file:
        head, *found = csv.reader(file)
    assert head.pop() == "data"
    assert {row.pop() for row in found} == {"rendered dsprites"}
    return [head, *found]


def test_the_table_of_scores_has_mean_and_sd_and_a_clear_winner(finished, tmp_path):
    tables.write(finished, tmp_path)
    head, first, second, floor = rows(tmp_path / "scores_fast.csv")
    assert head == ["", "n", "MIG", "modularity"]
    assert first == ["beta-VAE", "3", "20.00 (10.00)", "50.00 (0.00)"]
    assert second == ["slow beta-VAE", "3", "25.00 (11.00)", "50.00 (0.00)"]
    assert floor == ["chance", "", "1.00", "1.00"]
    latex = (tmp_path / "scores_fast.tex").read_text()
    assert r"slow beta-VAE & 3 & \textbf{25.00 (11.00)} & 50.00 (0.00) \\" in latex
    assert r"beta-VAE & 3 & 20.00 (10.00) & 50.00 (0.00) \\" in latex
    markdown = (tmp_path / "scores_fast.md").read_text()
    assert "| slow beta-VAE | 3 | **25.00 (11.00)** | 50.00 (0.00) |" in markdown


def test_scores_that_are_means_over_factors_are_shown_by_factor(finished, tmp_path):
    tables.write(finished, tmp_path)
    assert rows(tmp_path / "by_factor_fast.csv") == [
        ["", "score", "n", "shape", "x position"],
        ["beta-VAE", "MIG", "3", "10.00 (5.00)", "30.00 (15.00)"],
        ["slow beta-VAE", "MIG", "3", "12.50 (5.50)", "37.50 (16.50)"],
    ]


def test_an_m_fvm_that_the_number_of_dimensions_decides_is_named(finished):
    assert "m-FVM" not in tables.scores(finished, "fast", main=True).caption
    for arm in finished["arms"].values():
        for entry in arm["reporting"]:
            score = {"value": 1.0, "chance": 0.1 * entry["seed"]}
            entry["scores"]["fast"]["m_fvm_2"] = score
            entry["active_dims"] = {"fast": 1 + entry["seed"]}
    finished["scores"]["fast"]["m_fvm_2"] = {
        arm: {"mean": 1.0, "sd": 0.0, "n": 3, "chance": chance}
        for arm, chance in (("beta-VAE", 0.1), ("slow beta-VAE", 0.25))
    }
    finished["clear_best"]["fast"]["m_fvm_2"] = None
    table = tables.scores(finished, "fast", main=True)
    assert (
        "m-FVMk is 100 whatever they hold: m-FVM2 of beta-VAE (seed 1); "
        "m-FVM2 of slow beta-VAE (seed 1)."
    ) in table.caption
    place = list(table.head).index("m-FVM2")
    assert table.rows[-1][place].text == "10.00\N{EN DASH}25.00"


def test_nothing_is_bold_where_an_interval_has_zero(tmp_path):
    def shaken(run):
        gain = {1: 0.2, 2: 0.2, 3: -0.1}.get(run.seed, 0)
        return {"mig": 0.3 + gain * (run.arm == "slow beta-VAE"), "modularity": 0.5}

    study_results.finish(tmp_path, build(), shaken)
    results = outcome.collect(build(), tmp_path)
    for table in tables.all_tables(results):
        assert not any(cell.bold for row in table.rows for cell in row)


def test_differences_have_intervals_and_both_p(finished, tmp_path):
    tables.write(finished, tmp_path)
    assert "rendered dsprites" in tables.differences(finished).caption
    _, mig, modularity = rows(tmp_path / "differences.csv")
    minus = "slow beta-VAE \N{MINUS SIGN} beta-VAE"
    assert mig == [
        minus,
        "MIG *",
        "fast",
        "+5.00",
        "+2.52 to +7.48",
        ".250",
        ".500",
        "3",
    ]
    assert modularity[3:] == ["+0.00", "+0.00 to +0.00", "1.000", "1.000", "3"]


def test_published_figures_stand_beside_with_their_data(finished, tmp_path):
    tables.write(finished, tmp_path)
    head, row = rows(tmp_path / "published.csv")
    assert head[2:] == ["here, rendered dsprites", "published, real dsprites"]
    assert row == ["beta-VAE", "MIG", "20.00 (10.00)", "13.19 (4.48)"]
    assert "The data differ" in (tmp_path / "published.md").read_text()


def test_every_run_is_in_one_csv(finished, tmp_path):
    tables.write(finished, tmp_path)
    found = rows(tmp_path / "runs.csv")[1:]
    # Two arms, each with two settings and one tuning seed, and three reporting seeds.
    assert len(found) == 2 * (2 + 3) * 2
    assert ["slow beta-VAE", "beta=1", "reporting", "2", "fast", "mig"] in [
        row[:6] for row in found
    ]


class _Cells(HTMLParser):
    """Links and open elements of a page."""

    def __init__(self):
        super().__init__()
        self.links, self.open = [], []

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "img", "link", "br", "input"):
            self.open.append(tag)
        self.links += [value for name, value in attributes if name == "href"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_shows_all_parts_and_is_well_formed(tmp_path):
    study = build(
        reports=True,
        question="Is a <slow> rate better?",
        budget="unused",
        arms={**ENTRIES["arms"], "slow beta-VAE": ENTRIES["arms"]["slow beta-VAE"]},
    )
    study_results.finish(tmp_path, study, score_of)
    run = plan.reporting_runs(study, study.arms[0], "beta=1")[0]
    log = tmp_path / run.folder / "metrics.jsonl"
    log.write_text('{"step": 5, "eval/mig": [0.1]}\n{"step": 10, "eval/mig": [0.3]}\n')
    written = page.write(outcome.collect(study, tmp_path), tmp_path)
    text = written.read_text()
    parser = _Cells()
    parser.feed(text)
    assert parser.open == []
    for part in (
        "scores",
        "comparisons",
        "published",
        "tuning",
        "trade-offs",
        "curves",
    ):
        assert f'<section id="{part}"' in text
    assert "Is a &lt;slow&gt; rate better?" in text
    assert "Rendered data." in text
    assert "What the scores measure" in text
    assert "<dt>MIG</dt>" in text
    assert "What the protocol fast means" in text
    assert "Unequal budgets" not in text
    report = "runs/beta-VAE/beta%3D1/reporting_seed_1/report.html"
    assert report in parser.links
    assert (tmp_path / "study.html").exists()


def test_udr_is_shown_where_it_chose(tmp_path):
    study = build(select=("udr",), tuning={"seeds": (101, 102)})
    study_results.finish(tmp_path, study, study_results.agreeing(tmp_path, "beta=4"))
    results = outcome.collect(study, tmp_path)
    arms = results["arms"]
    tables.write(results, tmp_path / "tables")
    head, first, _ = rows(tmp_path / "tables" / "measures.csv")
    assert head[-1] == "UDR"
    mean = sum(entry["udr"] for entry in arms["beta-VAE"]["reporting"]) / 3
    assert first[-1].startswith(f"{mean:.2f} (")
    assert "by the mean rank in UDR" in (tmp_path / "tables/settings.md").read_text()
    (panel, *_) = figures.tuning(results).axes
    (ticks,) = [line for line in panel.lines if list(line.get_ydata()) == [1, 1]]
    runs = arms["beta-VAE"]["settings"]["beta=4"]["runs"]
    assert list(ticks.get_xdata()) == [100 * entry["udr"] for entry in runs]
    chosen = f"{100 * arms['beta-VAE']['settings']['beta=4']['means']['udr']:.2f}"
    written = page.write(results, tmp_path).read_text()
    assert f"<td>{chosen}</td><td>1.00</td>" in written  # and the mean rank
    lines = [line for line in panel.lines if line.get_marker() == "o"]
    assert [line.get_color() for line in lines] == [style.MUTED, style.PALETTE[0]]


def test_curves_show_main_scores_and_the_kl_of_all_dimensions(finished):
    logged = {
        "mig": 0.25,
        "fvm_own_votes": 0.5,  # another reading of a score
        "explicitness": 0.5,  # not in the table
        "kl_0": 1.5,
        "kl_1": 2.0,
        "active_dimensions": 2.0,
    }
    for gain, arm in enumerate(finished["arms"].values()):
        for entry in arm["reporting"]:
            entry["curves"] = {
                name: [[5_000, value], [10_000, value + gain]]
                for name, value in logged.items()
            }
    panels = figures.curves(finished).axes
    titles = [panel.get_title(loc="left") for panel in panels]
    assert titles == ["MIG", "KL (nats)", "dimensions with KL > 0.01 nats"]
    of_arm = [line for line in panels[0].lines if line.get_label() in finished["arms"]]
    assert [line.get_ydata().tolist() for line in of_arm] == [[25, 25], [25, 125]]
    assert panels[1].lines[0].get_ydata().tolist() == [3.5, 3.5]
    assert panels[1].lines[-1].get_ydata().tolist() == [3.5, 5.5]
    assert panels[0].xaxis.get_major_formatter()(5_000) == "5k"


@pytest.mark.parametrize(
    ("seeds", "mean", "interval"),
    # Student's t with two degrees of freedom is 4.3027; the standard deviation is 1.
    [((1, 2), 4.5, []), ((1, 2, 3), 5, [[5 - 4.3027 / 3**0.5, 5 + 4.3027 / 3**0.5]])],
)
def test_differences_are_drawn_pair_by_pair(seeds, mean, interval, tmp_path):
    study = build(reporting={"seeds": seeds})
    study_results.finish(tmp_path, study, score_of)
    figure = figures.differences(outcome.collect(study, tmp_path), "fast")
    panel = figure.axes[0]
    assert panel.get_title(loc="left") == "MIG"
    assert [label.get_text() for label in panel.get_yticklabels()] == ["slow beta-VAE"]
    assert figure.get_supxlabel() == "difference to beta-VAE"
    _, ticks, *line, dot = [[*line.get_xdata()] for line in panel.lines]
    assert sorted(ticks) == pytest.approx([100 * GAINS[seed] for seed in seeds])
    assert dot == pytest.approx([mean])
    assert line == [pytest.approx(ends, rel=1e-4) for ends in interval]


def test_strips_have_the_floor_and_the_published_mean(finished):
    panel = figures.strips(finished, "fast").axes[0]
    assert panel.get_title(loc="left") == "MIG"
    floors = [line for line in panel.lines if [*line.get_xdata()] == [1, 1]]
    assert [np.mean(line.get_ydata()) for line in floors] == [0, 1]
    (diamond,) = [line for line in panel.lines if line.get_marker() == "D"]
    assert diamond.get_xdata() == pytest.approx([13.19])
    assert diamond.get_ydata() == pytest.approx([0.3])  # of the first arm


def test_trade_offs_have_the_score_above_the_reconstruction(finished):
    panel = figures.trade_offs(finished, "fast").axes[0]
    for line, arm in zip(panel.lines, finished["arms"].values(), strict=True):
        assert line.get_xdata().tolist() == [71, 72, 73]
        scores = [100 * e["scores"]["fast"]["mig"]["value"] for e in arm["reporting"]]
        assert line.get_ydata() == pytest.approx(scores)


def test_names_of_arms_are_no_formulas(tmp_path):
    arms = {f"a $^$ {end}": {"config": "configs/dsprites.py"} for end in "bc"}
    arms["a $^$ c"]["set"] = {"beta": 2}
    study = build(arms=arms, published=None)
    study_results.finish(tmp_path, study, score_of)
    results = outcome.collect(study, tmp_path)
    for entry in (
        entry for arm in results["arms"].values() for entry in arm["reporting"]
    ):
        entry["curves"] = {"mig": [[5, 0.1], [10, 0.2]]}
    assert "a $^$ b" in page.write(results, tmp_path).read_text()


def test_a_study_without_a_main_score_has_a_page(tmp_path):
    study = build(published=None)
    study_results.finish(tmp_path, study, lambda _: {"mig": 0.5, "modularity": 0.5})
    results = outcome.collect(study, tmp_path)
    results["scores"]["fast"] = {"irs": results["scores"]["fast"]["mig"]}
    results["clear_best"]["fast"] = {}
    assert "Other scores" in page.write(results, tmp_path).read_text()


def test_measures_say_on_how_many_runs_they_rest(finished, tmp_path):
    finished["measures"]["kl"]["beta-VAE"]["n"] = 2
    tables.write(finished, tmp_path)
    head, first, second = rows(tmp_path / "measures.csv")
    assert head[:2] == ["", "n"]
    assert (first[1], second[1]) == ("2\N{EN DASH}3", "3")


@pytest.mark.parametrize(
    ("p", "shown"), [(None, ""), (1.0, "1.000"), (0.0312, ".031"), (3e-5, "< .001")]
)
def test_p_is_never_zero(p, shown):
    assert tables._p(p) == shown


def test_figures_leave_out_arms_without_a_run_and_tell_all_others_apart(tmp_path):
    one = {"config": "configs/dsprites.py"}
    arms = {f"arm {n}": one | {"set": {"beta": n}} for n in range(9)}
    study = build(arms=arms, published=None)
    for arm in study.arms:
        if arm.name != "arm 3":
            for run in plan.reporting_runs(study, arm, "default"):
                study_results.write(tmp_path, run, score_of(run))
    results = outcome.collect(study, tmp_path)
    labels = figures.strips(results, "fast").axes[0].get_yticklabels()
    scored = [name for name in arms if name != "arm 3"]
    assert [label.get_text() for label in labels] == scored
    lines = figures.trade_offs(results, "fast").axes[0].lines
    assert len({(line.get_color(), line.get_marker()) for line in lines}) == 9


def test_what_is_unfinished_failed_or_unequal_is_said_first(tmp_path):
    arms = json.loads(json.dumps(ENTRIES["arms"]))
    arms["beta-VAE"]["grid"]["beta"] = [1, 2, 4]
    study = build(arms=arms, budget="beta-VAE has one setting more.")
    runs = plan.tuning_runs(study, study.arms[0])
    study_results.write(tmp_path, runs[0], "loss not finite at step 3")
    results = outcome.collect(study, tmp_path)
    head = page.write(results, tmp_path).read_text().split("<main")[0]
    # Three settings and three seeds, and two settings and three seeds; one has failed.
    assert "Runs that are still to be done: 10." in head
    assert "beta-VAE, beta=1, seed 101: loss not finite at step 3" in head
    assert "beta-VAE has one setting more." in head
    assert "beta-VAE has one setting more." in tables.settings(results).caption
    study_results.finish(tmp_path, study, score_of)
    for table in tables.all_tables(outcome.collect(study, tmp_path)):
        assert "Unequal budgets: beta-VAE has one setting more." in table.caption


def test_arms_whose_settings_all_fail_are_named(tmp_path):
    study = build()

    def all_but_one(run):
        return "loss not finite" if run.arm == "slow beta-VAE" else score_of(run)

    study_results.finish(tmp_path, study, all_but_one)
    results = outcome.collect(study, tmp_path)
    head = page._head(results)
    assert "slow beta-VAE: none of their settings has every score" in head
    assert results["differences"][0]["n"] == 0
    assert tables.differences(results) is None


def test_the_command_writes_what_is_finished_so_far(tmp_path, capsys):
    study = definition.load(study_worker.__file__)
    run = plan.tuning_runs(study, study.arms[0])[0]
    study_results.write(tmp_path, run, {"mig": 0.5, "modularity": 0.5})
    place = [f"--study={study_worker.__file__}", f"--workdir={tmp_path}"]
    assert command.main(["study", *place, "--report"]) == 0
    assert "study.html" in capsys.readouterr().out
    assert json.loads((tmp_path / "study.json").read_text())["unfinished"] == 7


def test_latex_and_markdown_escape_what_they_read_as_markup():
    table = Table(
        "t", "50% & more", ["", "a_b"], [[Cell("x|y"), Cell("1^2", bold=True)]]
    )
    latex = rendering.latex(table)
    assert r"\caption{50\% \& more}" in latex
    assert r" & a\_b \\" in latex
    assert r"\textbf{1\textasciicircum{}2}" in latex
    assert r"| x\|y | **1^2** |" in rendering.markdown(table)
    assert "<strong>1^2</strong>" in rendering.as_html(table)
