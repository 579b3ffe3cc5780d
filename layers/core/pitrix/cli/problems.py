"""What is wrong with a package, for people to read: on a wide terminal, on a narrow one, in a pipe.

Owns the text form of lint's findings.  In a pipe it is the one of compilers, ``file:line: severity: why``,
which editors and ``grep`` know, with the cure on a line below; nothing is padded or wrapped.  On a terminal
it wraps at the width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

_INDENT = 4
_STYLES = {"error": "bold red", "warning": "bold yellow"}


def show(out: Console, found: Sequence[Mapping[str, Any]]) -> None:
    """Print problems: each with file, line, key, why, and how to mend it."""
    if not found:
        out.print("No problems.", style="dim")
    for index, problem in enumerate(found):
        if out.is_terminal:
            if index:
                out.print()
            _on_terminal(out, problem)
        else:
            _in_pipe(out, problem)


def count(found: Sequence[Mapping[str, Any]]) -> str:
    """How many there are: ``2 errors, 1 warning``."""
    severities = [str(problem["severity"]) for problem in found]
    parts = [(severities.count(kind), kind) for kind in ("error", "warning")]
    return (
        ", ".join(f"{number} {kind}{'s' * (number != 1)}" for number, kind in parts if number)
        or "no problems"
    )


def _place(problem: Mapping[str, Any]) -> str:
    return ":".join(str(part) for part in (problem["file"] or "package", problem.get("line")) if part)


def _on_terminal(out: Console, problem: Mapping[str, Any]) -> None:
    severity = str(problem["severity"])
    head = Text.assemble((_place(problem), "bold"), "  ", (severity, _STYLES.get(severity, "")))
    if problem.get("key"):
        head.append(f"  {problem['key']}", style="dim")
    out.print(head, overflow="fold")
    out.print(Padding(Text(_one_line(problem["message"]), overflow="fold"), (0, 0, 0, _INDENT), expand=False))
    if problem.get("hint"):
        cure = Text.assemble(("→ ", "green"), _one_line(problem["hint"]), overflow="fold")
        out.print(Padding(cure, (0, 0, 0, _INDENT), expand=False))


def _in_pipe(out: Console, problem: Mapping[str, Any]) -> None:
    key = f" {problem['key']}:" if problem.get("key") else ""
    line = f"{_place(problem)}: {problem['severity']}:{key} {_one_line(problem['message'])}"
    out.print(line, markup=False, soft_wrap=True)
    if problem.get("hint"):
        out.print(f"{' ' * _INDENT}→ {_one_line(problem['hint'])}", markup=False, soft_wrap=True)


def _one_line(text: Any) -> str:
    return " ".join(str(text).split())
