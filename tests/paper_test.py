"""The paper's tables: rows are valid configurations, tables are valid studies."""

from pathlib import Path

import pytest

from cfasl_jax import config as config_lib
from cfasl_jax import main
from cfasl_jax.settings import flatten
from cfasl_jax.study import definition
from configs import paper

STUDIES = Path(paper.__file__).parent / "studies"


@pytest.mark.parametrize("row", paper.ROWS)
def test_every_row_is_a_valid_configuration(row):
    config = config_lib.from_dict(paper.get_config(row).to_dict())
    assert row.startswith(f"{config.dataset}/{config.objective}")
    assert config.cfasl == row.endswith("+cfasl")
    assert config.seeds == tuple(range(1, 11))
    flat = flatten(config_lib.to_dict(config))
    for field, values in paper.grid(row).items():
        assert flat[field] == values[0]
        assert len(set(values)) == len(values)


def test_there_are_four_objectives_with_and_without_cfasl_on_each_data_set():
    assert len(paper.ROWS) == 4 * 4 * 2
    assert {row.partition("/")[0] for row in paper.ROWS} == set(paper.DATASETS)


def test_an_unknown_row_is_named(capsys):
    path = paper.__file__
    assert main.main(["main", f"--config={path}:dsprites/gan", "--workdir=x"]) == 2
    assert "unknown row of the paper 'dsprites/gan'" in capsys.readouterr().err


@pytest.mark.parametrize("dataset", paper.DATASETS)
@pytest.mark.parametrize("preset", ["", "official", "short", "short+official"])
def test_every_table_is_a_study(dataset, preset):
    place = STUDIES / f"{dataset}.py"
    study = definition.load(f"{place}:{preset}" if preset else str(place))
    *bases, cfasl = study.arms
    assert [len(arm.settings) for arm in bases] == [4] * 4
    assert len(cfasl.settings) == 16
    assert cfasl.name in study.budget
    base = "beta_vae" if dataset == "shapes3d" else "beta_tcvae"
    for setting in cfasl.settings:
        config = setting.reporting
        assert (config.dataset, config.objective, config.cfasl) == (dataset, base, True)
        assert len(config.seeds) == 10
        official = "official" in preset
        assert config.fidelity.double_softmax == official
        by_file = 16 if dataset == "shapes3d" else 10
        assert config.codebook.elements == (16 if official else by_file)
        whole = 500_000 if dataset == "shapes3d" else 300_000
        assert config.num_steps == (whole // 10 if "short" in preset else whole)
        assert config.eval.every == config.num_steps // 20
        assert setting.tuning.eval.every == 0
    assert {arm for arm, _ in study.comparisons} == {cfasl.name}
    assert len(study.comparisons) == 4
    assert set(study.published.scores) == {arm.name for arm in study.arms}


def test_published_figures_are_those_of_the_tables():
    """A few of each table, typed from it."""
    dsprites, shapes3d = paper.published("dsprites"), paper.published("shapes3d")
    assert dsprites["CFASL"]["mig"] == (33.62 / 100, 8.18 / 100)
    assert dsprites["Control-VAE"]["m_fvm_4"] == (19.33 / 100, 5.98 / 100)
    assert shapes3d["beta-TCVAE"]["mig"] == (61.72 / 100, 0.85 / 100)
    assert shapes3d["CLG-VAE"]["m_fvm_5"] == (73.61 / 100, 4.22 / 100)
    assert paper.published("cars3d")["beta-VAE"]["z_diff"] == (1.0, 0.0)
    assert paper.published("smallnorb")["CFASL"]["dci"] == (24.58 / 100, 0.51 / 100)
    counts = {name: len(paper.published(name)["CFASL"]) for name in paper.DATASETS}
    assert counts == {"cars3d": 6, "smallnorb": 7, "dsprites": 8, "shapes3d": 9}
