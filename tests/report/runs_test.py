"""Several seeds in one page: ranks by a score, and the choice among them."""

import json
import re

import pytest
import report_synthetic as synthetic
from browser import drive, needs_browser
from PIL import Image

from cfasl_jax.report import page, runs
from cfasl_jax.report.figures import read_index

RESULTS = {
    "seeds": [4, 5, 6, 7],
    "scores": {
        "sap": {"values": [0.4, 0.3, 0.2, 0.1]},
        "mig": {"values": [0.1, None, 0.3, 0.2]},
        "irs": {"values": [None, None, None, None]},
        "fvm": {"mean": 0.5},
    },
}


def trained(count=4):
    return [
        synthetic.baseline(seed=i, run=i, label=f"seed {4 + i}") for i in range(count)
    ]


def write(folder, shown, results=RESULTS):
    path = page.write_report(shown, synthetic.LOSSES, results, {}, folder)
    return path, path.read_text("utf-8")


def test_runs_are_ranked_by_each_score():
    assert runs.ranking(RESULTS) == {"mig": (2, 3, 0), "sap": (0, 2, 3)}
    assert list(runs.ranking(RESULTS)) == ["mig", "sap"]
    assert runs.ranking({"seeds": [1]}) == {}
    lower = {"scores": {"gaussian_total_correlation": {"values": [3.0, 1.0, 2.0]}}}
    assert runs.ranking(lower) == {"gaussian_total_correlation": (1, 2, 0)}
    two = {"scores": {"mig": {"values": [0.1, 0.2]}}}
    assert runs.ranking(two) == {"mig": (1, 0, 0)}


def test_each_run_has_its_figures_and_the_loss_curves_stand_once(tmp_path):
    _, text = write(tmp_path, trained(2), {"seeds": [4, 5]})
    assert re.findall(r'<option value="(\d)">([^<]+)', text) == [
        ("0", "seed 4"),
        ("1", "seed 5"),
    ]
    assert re.findall(r'class="run" data-run="(\d)"', text) == ["0", "1"]
    assert text.count('alt="Latent traversals: ') == 2
    assert text.count('alt="Loss curves: ') == 1
    first, other = tmp_path / "figures", tmp_path / "figures" / "seed_5"
    pictures = [Image.open(f / "traversals.png").tobytes() for f in (first, other)]
    assert pictures[0] != pictures[1]
    assert [figure.name for figure in read_index(first)][-1] == "losses"
    assert "losses" not in [figure.name for figure in read_index(other)]


def test_a_page_stays_small_whatever_the_number_of_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "write_animations", lambda *_: ([], []))
    monkeypatch.setattr(page, "MOST_BYTES", 50_000)
    _, text = write(tmp_path, trained(2), {"seeds": [4, 5]})
    assert "no room in this page. Its figures: figures/seed_5/" in text
    assert text.count('alt="Latent traversals: ') == 1


def test_several_runs_need_labels(tmp_path):
    with pytest.raises(ValueError, match="a label for each"):
        write(tmp_path, [synthetic.baseline()] * 2)
    with pytest.raises(ValueError, match="at least one run"):
        write(tmp_path, [])


def test_a_score_whose_best_run_is_not_shown_cannot_be_chosen():
    shown = trained(4)[:3]
    controls = runs.chooser(shown, RESULTS)
    data = json.loads(controls.split('id="run-data">')[1].split("</script>")[0])
    assert data == {}
    assert 'id="score"' not in controls


CHOOSE = """
const look = (name) => {
  const blocks = [...document.querySelectorAll(".run")];
  const shown = blocks.filter((block) => !block.hidden);
  seen[name] = {
    runs: shown.map((block) => block.dataset.run),
    note: document.getElementById("chosen").textContent,
  };
};
look("start");
move('[data-rank="worst"]');
look("worst");
move("#score", "sap");
look("sap");
move('[data-rank="median"]');
look("median");
move("#run", "1");
look("seed");
move("#score", "mig");
move("#run", "1");
look("unknown");
"""


@needs_browser
def test_a_run_is_chosen_by_its_seed_or_its_rank(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "write_figures", lambda *_: ([], []))
    monkeypatch.setattr(page, "write_animations", lambda *_: ([], []))
    shown = trained()
    path, _ = write(tmp_path, [shown[2], *shown[:2], shown[3]])
    seen = drive(path, CHOOSE)
    assert seen.pop("errors") == []
    assert {name: (*look["runs"], look["note"]) for name, look in seen.items()} == {
        "start": ("2", "seed 6: MIG 30.00, best"),
        "worst": ("0", "seed 4: MIG 10.00, worst"),
        "sap": ("0", "seed 4: SAP 40.00, best"),
        "median": ("2", "seed 6: SAP 20.00, median"),
        "seed": ("1", "seed 5: SAP 30.00"),
        "unknown": ("1", "seed 5: no MIG"),
    }


@needs_browser
def test_the_choice_fits_into_a_narrow_page(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "write_figures", lambda *_: ([], []))
    monkeypatch.setattr(page, "write_animations", lambda *_: ([], []))
    wide = {"gaussian_wasserstein_correlation_norm": RESULTS["scores"]["sap"]}
    results = RESULTS | {"scores": RESULTS["scores"] | wide}
    path, _ = write(tmp_path, trained(), results)
    script = """
      document.body.style.width = "300px";
      const inside = document.body.getBoundingClientRect().right;
      const ends = [...document.querySelectorAll("select")].map(
        (menu) => menu.getBoundingClientRect().right);
      seen.fits = ends.length === 2 && ends.every((end) => end <= inside);
    """
    assert drive(path, script) == {"fits": True, "errors": []}
