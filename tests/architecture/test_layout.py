"""Rules 2 and 4 of the design: what stands where, the same file names everywhere, and small handlers."""

from __future__ import annotations

import ast
import subprocess

import pytest

from tests.architecture.conftest import CORE, ROOT, Module, modules

CONTEXTS = sorted(path.name for path in CORE.iterdir() if (path / "service.py").is_file())
#: A package's content comes from its files alone: the context stores nothing.
STATELESS = {"packages"}
CLOUDS = sorted(p.name for p in (ROOT / "providers").iterdir() if (p / "driver.py").is_file())
HANDLERS = [m for m in modules(ROOT / "functions") if m.path.parent.parent.name == "functions"]
#: "About fifteen lines": what stands between a def and its last line, docstring not counted.
HANDLER_LINES = 18


def _tracked() -> set[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {line for line in listed.splitlines() if line}


def test_the_root_shows_only_what_the_design_names() -> None:
    visible = {name.split("/")[0] for name in _tracked() if not name.startswith(".")}
    assert visible <= {
        "functions", "stepfunctions", "layers", "providers", "infra", "tests",
        "requirements.txt", "template.yaml", "README.md", "LICENSE",
    }  # fmt: skip


@pytest.mark.parametrize("context", CONTEXTS)
def test_every_context_has_the_same_files(context: str) -> None:
    wanted = {"model.py", "service.py", "ports.py"} | (set() if context in STATELESS else {"dynamo.py"})
    assert wanted <= {path.name for path in (CORE / context).iterdir()}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_cloud_has_the_same_files(cloud: str) -> None:
    wanted = {"driver.py", "client.py", "mapping.py", "errors.py"}
    assert wanted <= {path.name for path in (ROOT / "providers" / cloud).iterdir()}


@pytest.mark.parametrize("module", HANDLERS, ids=[m.name for m in HANDLERS])
def test_handlers_are_small(module: Module) -> None:
    too_long = {
        node.name: length
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef) and (length := _length(node)) > HANDLER_LINES
    }
    assert too_long == {}


def _length(function: ast.FunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


SOURCES = modules(CORE, ROOT / "providers", ROOT / "functions", ROOT / "infra")


@pytest.mark.parametrize("module", SOURCES, ids=[m.name for m in SOURCES])
def test_every_module_says_what_it_owns(module: Module) -> None:
    if module.path.name == "__init__.py" and not module.tree.body:
        return
    assert ast.get_docstring(module.tree), "a module opens with a docstring"


@pytest.mark.parametrize("module", modules(CORE), ids=[m.name for m in modules(CORE)])
def test_nothing_scans_a_table(module: Module) -> None:
    calls = [
        node.func.attr
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    assert "scan" not in calls


def test_decisions_are_dated() -> None:
    pages = sorted((ROOT / "infra" / "decisions").glob("*.md"))
    assert pages
    assert [p.name for p in pages if not p.name[:10].replace("-", "").isdigit()] == []
