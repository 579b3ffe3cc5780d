"""What lint shows: to people at terminals of any width, in a pipe, to machines and to code scanning."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pitrix.cli import package_lint, problems
from pitrix.errors import ServiceUnavailable
from pitrix.packages import service as packages
from tests.unit.cli.conftest import GUESTBOOK, Line

LONG = "a sentence which goes on and on, with a_word_that_is_longer_than_most_terminals_are_wide_" * 2
FOUND: list[dict[str, Any]] = [
    {
        "file": "config.json",
        "line": 12,
        "key": "/properties/0",
        "severity": "error",
        "message": LONG,
        "hint": LONG,
    },
    {"file": "", "line": 0, "key": "", "severity": "warning", "message": "[red]plain[/]\nText", "hint": ""},
]


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(GUESTBOOK, tmp_path / "guestbook"))
    (folder / "package.json").write_text('{"name": "guestbook",\n "version": "one"}')
    (folder / "config.json").write_text('{"type": "array",\n "properties": [,]}')
    return folder


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """A chart that only the real Helm finds a fault with."""
    folder = tmp_path / "web"
    for path, data in packages.scaffold("web", "helm").items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    (folder / "templates" / "extra.yaml").write_text("moon: {{ .Values.moon.full }}\n")
    return folder


@pytest.mark.parametrize("width", [30, 80, 200])
def test_on_a_terminal_it_wraps_at_the_width_and_loses_nothing(width: int) -> None:
    out = Console(file=io.StringIO(), force_terminal=True, width=width, no_color=True, highlight=False)
    problems.show(out, FOUND)
    text = out.file.getvalue()  # type: ignore[attr-defined]
    plain = "".join(part.partition("m")[2] for part in f"m{text}".split("\x1b["))
    assert max(len(line) for line in plain.splitlines()) <= width
    assert "".join(plain.split()).count("".join(LONG.split())) == 2
    assert "config.json:12  error" in plain
    assert "[red]plain[/] Text" in " ".join(plain.split())


def test_in_a_pipe_a_problem_is_a_line_that_editors_know() -> None:
    out = Console(file=io.StringIO(), width=10_000, no_color=True, highlight=False)
    problems.show(out, FOUND)
    lines = out.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines == [
        f"config.json:12: error: /properties/0: {LONG}",
        f"    → {LONG}",
        "package: warning: [red]plain[/] Text",
    ]


def test_problems_are_counted_in_words() -> None:
    assert problems.count(FOUND) == "1 error, 1 warning"
    assert problems.count(FOUND * 2) == "2 errors, 2 warnings"
    assert problems.count(FOUND[:1]) == "1 error"
    assert problems.count([]) == "no problems"


def test_json_is_the_same_by_either_option(pitrix: Line, broken: Path) -> None:
    result = pitrix("package", "lint", str(broken), "--format", "json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report == pitrix.json("package", "lint", str(broken), exit_code=1)
    assert report["valid"] is False
    first = report["problems"][0]
    assert set(first) == {"file", "line", "key", "severity", "message", "hint"}


def test_sarif_names_files_from_the_working_directory(
    pitrix: Line, broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(broken.parent)
    result = pitrix("package", "lint", "guestbook", "--format", "sarif")
    assert result.exit_code == 1
    run = json.loads(result.stdout)["runs"][0]
    assert run["tool"]["driver"]["name"] == "pitrix"
    places = [each["locations"][0]["physicalLocation"] for each in run["results"]]
    assert {"guestbook/package.json", "guestbook/config.json"} <= {
        place["artifactLocation"]["uri"] for place in places
    }
    monkeypatch.chdir(broken)
    run = json.loads(pitrix("package", "lint", "--format", "sarif").stdout)["runs"][0]
    uris = {each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in run["results"]}
    assert "config.json" in uris
    result = pitrix("package", "lint", str(GUESTBOOK), "--format", "sarif", "--no-deep")
    assert (result.exit_code, json.loads(result.stdout)["runs"][0]["results"]) == (0, [])


def test_the_authors_machine_checks_with_the_real_tools(pitrix: Line, chart: Path) -> None:
    result = pitrix("package", "lint", str(chart))
    assert result.exit_code == 1
    assert "nil pointer" in result.stdout
    assert "templates/extra.yaml" in result.stdout
    assert pitrix("package", "lint", str(chart), "--no-deep").exit_code == 0


def test_where_a_tool_is_missing_the_rest_is_checked(
    pitrix: Line, broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = packages.lint

    def without_tools(source: Any, *, deeply: bool = False) -> Any:
        if deeply:
            raise ServiceUnavailable("helm is not on this machine; install it")
        return known(source)

    monkeypatch.setattr(package_lint.packages, "lint", without_tools)
    result = pitrix("package", "lint", str(broken))
    assert result.exit_code == 1
    assert "Checked less deeply: helm is not on this machine" in result.stderr
    assert "config.json:2: error:" in result.stdout


def test_of_what_cannot_be_read_one_thing_is_said(pitrix: Line, tmp_path: Path, guestbook: bytes) -> None:
    (tmp_path / "cut.tgz").write_bytes(guestbook[:200])
    report = pitrix.json("package", "lint", str(tmp_path / "cut.tgz"), exit_code=1)
    assert len(report["problems"]) == 1
    (tmp_path / "empty").mkdir()
    report = pitrix.json("package", "lint", str(tmp_path / "empty"), exit_code=1)
    assert "a Helm chart Chart.yaml" in report["problems"][0]["hint"]
