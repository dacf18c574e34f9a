"""The rows of the paper's tables are valid configurations with the paper's settings."""

import pytest

from cfasl_jax import config as config_lib
from cfasl_jax import main
from cfasl_jax.settings import flatten
from configs import paper


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
    assert "unknown row 'dsprites/gan'" in capsys.readouterr().err
