"""Imports go only to a lower level, or downwards inside a folder."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "cfasl_jax"

LEVELS = [
    {"types", "errors", "files"},
    {"forms"},
    {"settings", "lie_group", "lease"},
    {"data", "models", "metrics"},
    {"codebook"},
    {"losses"},
    {"objectives"},
    {"config", "training", "workdirs", "report"},
    {"run", "device_check"},
    {"evaluate", "command_line"},
    {"main", "study", "ship", "benchmark"},
]
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}
MODULES = sorted(
    path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"
)


def name_of(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def imports(path):
    """Modules of the package that a file imports, as dotted names below it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
            "cfasl_jax"
        ):
            below = node.module.split(".")[1:]
            for alias in node.names:
                inner = PACKAGE.joinpath(*below, alias.name)
                is_module = inner.with_suffix(".py").exists() or inner.is_dir()
                found.add(".".join([*below, alias.name] if is_module else below))
    return found - {""}


def test_every_module_has_a_level():
    assert {name_of(path).split(".")[0] for path in MODULES} == set(LEVEL)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_down(path):
    room = name_of(path).split(".")[0]
    for imported in imports(path):
        other = imported.split(".")[0]
        if other != room:
            assert LEVEL[other] < LEVEL[room], f"{name_of(path)} imports {imported}"


def test_there_are_no_cycles_inside_a_folder():
    graph = {name_of(path): imports(path) for path in MODULES}
    done, active = set(), []

    def visit(name):
        assert name not in active, f"cycle: {active[active.index(name) :]} -> {name}"
        if name in done or name not in graph:
            return
        active.append(name)
        for imported in graph[name]:
            visit(imported)
        active.pop()
        done.add(name)

    for name in graph:
        visit(name)


def test_the_report_imports_no_jax_itself():
    for path in (PACKAGE / "report").glob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                assert all(alias.name.split(".")[0] != "jax" for alias in node.names)
            if isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in ("jax", "flax")
