from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "layers" / "core" / "pitrix"


@dataclass(frozen=True)
class Module:
    """A Python source file: where it is and what it imports, also inside functions."""

    path: Path
    tree: ast.Module

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    def imports(self, *, at_import_time: bool = False) -> set[str]:
        """Return the dotted names imported; only those of the module's top level on request."""
        found: set[str] = set()
        for node in _top_level(self.tree) if at_import_time else ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        return found


def _top_level(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield what runs when the module is imported, leaving out ``if TYPE_CHECKING``."""
    for node in tree.body:
        if isinstance(node, ast.If):
            if "TYPE_CHECKING" not in ast.dump(node.test):
                yield from node.body + node.orelse
        elif isinstance(node, ast.Try):
            yield from node.body
        else:
            yield node


def modules(*folders: Path) -> list[Module]:
    """Return every Python file of the folders, sorted."""
    return [
        Module(path, ast.parse(path.read_text(encoding="utf-8")))
        for folder in folders
        for path in sorted(folder.rglob("*.py"))
        if not {"build", ".build", "scaffold"} & set(path.relative_to(ROOT).parts)
    ]


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short intrinsic functions as what they stand for."""


def _intrinsic(loader: _Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    name = tag if tag in ("Ref", "Condition") else f"Fn::{tag}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        return {name: value.split(".", 1) if tag == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _intrinsic)


@pytest.fixture(scope="session")
def template() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load((ROOT / "template.yaml").read_text(encoding="utf-8"), _Loader)
    return loaded


@pytest.fixture(scope="session")
def functions(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The functions of the template: logical id to properties."""
    return {
        name: resource["Properties"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }
