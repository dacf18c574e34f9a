"""The page: self-contained, well formed, honest about its data."""

import dataclasses
import json
import re
from html.parser import HTMLParser

import pytest
import report_synthetic as synthetic

from cfasl_jax.report import tables
from cfasl_jax.report.comparison import write_comparison
from cfasl_jax.report.page import write_report

VOID = {"meta", "img", "input", "br", "link"}


class Outline(HTMLParser):
    """Checks that tags nest, and keeps what a page refers to, its ids and its text."""

    def __init__(self, page):
        super().__init__()
        self.open, self.references, self.ids, self.words = [], [], [], []
        self.tags = []
        self.feed(page)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs, tuple(self.open)))
        self.references += [attrs[k] for k in ("src", "href") if k in attrs]
        self.ids += [attrs["id"]] if "id" in attrs else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A folder with the report of a full run and what the run itself writes."""
    folder = tmp_path_factory.mktemp("run_a")
    analysis = synthetic.baseline(
        explorer=synthetic.complete().explorer,
        composition=synthetic.complete().composition,
    )
    write_report(analysis, synthetic.RESULTS, synthetic.CONFIG, folder)
    (folder / "results.json").write_text(json.dumps(synthetic.RESULTS))
    (folder / "config.json").write_text(json.dumps({"config": synthetic.CONFIG}))
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
        "CFASL (β-VAE) on 3D Shapes",
        "12 345",
        "1 h 1 min",
        "25.00 5.00 20.00 to 30.00 1.00 2",
        "sap 12.50",
        "protocol fast",
        "run mig seed 7 20.00 seed 8 30.00",
        "run kl active dimensions seed 7 1.25 2 seed 8 1.25 2",
        "kl 2 1 to 3",
        "weights.alpha 1.0",
        "numpy 2",
        "corrected",
    ):
        assert expected in words, expected


def results_from(source):
    origin = synthetic.RESULTS["provenance"] | {"data_source": source}
    return synthetic.RESULTS | {"provenance": origin}


def test_rendered_data_carry_a_warning(page):
    assert 'class="warning"' in page
    assert "Rendered data." in Outline(page).text
    assert tables.is_rendered(results_from("Rendered twin"))
    assert not tables.is_rendered(results_from("tfds shapes3d 2.0.0"))
    assert tables.warning(results_from("tfds shapes3d 2.0.0")) == ""


def test_text_from_outside_is_escaped(tmp_path):
    config = synthetic.CONFIG | {"dataset": "<script>alert(1)</script>"}
    path = write_report(synthetic.baseline(), {}, config, tmp_path)
    page = path.read_text("utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert 'id="scores"' not in page
    assert 'id="explore"' not in page


def test_several_runs_can_be_chosen(tmp_path):
    runs = [
        dataclasses.replace(synthetic.baseline(seed=i), label=f"seed {i}")
        for i in range(2)
    ]
    page = write_report(runs, {}, synthetic.CONFIG, tmp_path).read_text("utf-8")
    options = re.findall(r'<option value="(\d)">([^<]+)', page)
    assert options == [("0", "seed 0"), ("1", "seed 1")]
    assert re.findall(r'class="run" data-run="(\d)"', page) == ["0", "1"]
    first = (tmp_path / "figures/traversals.png").read_bytes()
    assert first != (tmp_path / "figures/run_1/traversals.png").read_bytes()
    with pytest.raises(ValueError, match="a label for each"):
        write_report([synthetic.baseline()] * 2, {}, {}, tmp_path)


def test_comparison_shows_both_and_what_differs(workdir, tmp_path):
    other = tmp_path / "run_b"
    config = synthetic.CONFIG | {"cfasl": False}
    results = results_from("tfds shapes3d 2.0.0") | {"scores": {"sap": {"mean": 0.5}}}
    write_report(synthetic.baseline(), results, config, other)
    (other / "results.json").write_text(json.dumps(results))
    (other / "config.json").write_text(json.dumps({"config": config}))
    path = write_comparison([workdir, other], tmp_path / "comparison.html")
    outline = Outline(path.read_text("utf-8"))
    words = outline.text
    name = workdir.name
    assert "mig 25.00 (5.00) \N{EN DASH}" in words
    assert "sap 12.50 50.00" in words
    assert "cfasl True False" in words
    assert "provenance.data_source rendered tfds shapes3d 2.0.0" in words
    assert f"Runs {name}: images drawn" in words
    assert "weights.alpha" not in words
    images = [attrs["alt"] for tag, attrs, _ in outline.tags if tag == "img"]
    assert sum(alt.startswith("Latent traversals:") for alt in images) == 2
    assert sum(alt.startswith("Composite symmetry:") for alt in images) == 1


def test_comparison_refuses_what_it_cannot_show(workdir, tmp_path):
    with pytest.raises(ValueError, match="two folders or more, not 1"):
        write_comparison([workdir], tmp_path / "page.html")
    with pytest.raises(ValueError, match="holds no figures"):
        write_comparison([workdir, tmp_path], tmp_path / "page.html")


@pytest.mark.parametrize(
    ("on", "shown"),
    [((), "corrected"), (("a", "b"), "official"), (("b",), "b")],
)
def test_fidelity_is_shown_as_its_preset_or_its_switches(on, shown):
    switches = {name: name in on for name in ("a", "b")}
    config = {"cfasl": True, "fidelity": switches}
    assert f">{shown}<" in tables.summary({}, config)
