"""Which questions are asked, how choices are named, and how answers go together."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from pitrix.cli import questions, render
from pitrix.cli.context import Cli, Wiring
from pitrix.cli.failure import Failure, WrongUsage
from pitrix.packages.model import FieldType, Form, FormField, FormGroup

COUNT = FormField(key="cluster.count", path=["cluster", "count"], label="Nodes", type=FieldType.INTEGER,
                  required=True, minimum=1, maximum=3)  # fmt: skip
SIZE = FormField(key="cluster.size", path=["cluster", "size"], label="Size", choices=["small", "large"],
                 required=True)  # fmt: skip
PORT = FormField(key="cluster.port", path=["cluster", "port"], label="Port", type=FieldType.INTEGER,
                 default=80, required=True, choices=[80, 1, 2])  # fmt: skip
NET = FormField(key="cluster.net", path=["cluster", "net"], label="Net", required=True,
                platform_provided=True)  # fmt: skip
FORM = Form(
    groups=[FormGroup(key="cluster", path=["cluster"], label="Cluster", fields=[COUNT, SIZE, PORT, NET])]
)


def cli(*, interactive: bool = True) -> Cli:
    return Cli(url="http://x", machine=False, wiring=Wiring(interactive=interactive),
               err=Console(file=io.StringIO(), width=200))  # fmt: skip


def gathered(
    monkeypatch: pytest.MonkeyPatch, *typed: str, settings: tuple[str, ...] = (), **options: Any
) -> tuple[dict[str, Any], int]:
    """The answers after somebody typed these lines, and how many lines were left."""
    waiting = list(typed)

    def prompt(text: str, *, default: str, **_: Any) -> str:
        return waiting.pop(0) or default

    monkeypatch.setattr(questions.typer, "prompt", prompt)
    options = {"file": None, "ask_all": False, **options}
    found = questions.gather(cli(), FORM, settings=settings, **options)
    return found, len(waiting)


def test_only_what_is_missing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    found, left = gathered(monkeypatch, "2", "large")
    assert found == {"cluster": {"count": 2, "size": "large"}}
    assert left == 0
    found, left = gathered(monkeypatch, settings=("cluster.count=1", "cluster.size=small"))
    assert found == {"cluster": {"count": 1, "size": "small"}}


def test_everything_is_asked_on_demand_but_what_the_platform_provides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, left = gathered(monkeypatch, "2", "small", "", ask_all=True)
    assert found == {"cluster": {"count": 2, "size": "small", "port": 80}}
    assert left == 0


def test_a_wrong_answer_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = gathered(monkeypatch, "x", "7", "", "3", "huge", "small")
    assert found == {"cluster": {"count": 3, "size": "small"}}


def test_a_choice_goes_by_its_number_unless_the_number_is_a_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = gathered(monkeypatch, "1", "2", "1", ask_all=True)
    assert found == {"cluster": {"count": 1, "size": "large", "port": 1}}


def test_without_a_terminal_what_is_missing_is_named() -> None:
    with pytest.raises(Failure) as caught:
        questions.gather(cli(interactive=False), FORM, settings=(), file=None, ask_all=False)
    assert {error.field for error in caught.value.errors} == {"cluster.count", "cluster.size"}


def test_settings_without_a_key_are_wrong_usage() -> None:
    with pytest.raises(WrongUsage) as caught:
        questions.gather(cli(), FORM, settings=("=1", "cluster.count"), file=None, ask_all=False)
    assert [error.field for error in caught.value.errors] == ["=1", "cluster.count"]


def test_a_table_in_a_pipe_is_plain_and_whole() -> None:
    out = Console(file=io.StringIO(), width=10_000, no_color=True)
    long = "x" * 500
    render.as_table(out, {"A": lambda row: row, "B": lambda row: 1}, [long, "[bold]y[/bold]"], empty="")
    lines = out.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert long in lines[1]
    assert lines[2].startswith("[bold]y[/bold] ")
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (59, "59s"), (185, "3m 05s")])
def test_durations(seconds: int, text: str) -> None:
    end = f"2026-11-22T10:{seconds // 60:02}:{seconds % 60:02}Z"
    assert render.duration("2026-11-22T10:00:00Z", end) == text
    assert render.duration(None, None) == ""


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1536, "1.5 KiB"), (5 << 20, "5.0 MiB"), (3 << 30, "3.0 GiB")]
)
def test_sizes(count: int, text: str) -> None:
    assert render.size(count) == text
