"""What the metrics import when they are imported themselves."""

import ast
from pathlib import Path

import pytest

from cfasl_jax import metrics

FILES = sorted(Path(metrics.__file__).parent.glob("*.py"))


def test_metrics_import_no_jax_themselves():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [getattr(node, "module", None) or ""]
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            assert not {name.split(".")[0] for name in names} & {"jax", "flax", "chex"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_scikit_learn_is_not_imported_before_it_is_used(path):
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            names = [getattr(node, "module", None) or ""]
        assert all(name.split(".")[0] not in ("sklearn", "joblib") for name in names)
