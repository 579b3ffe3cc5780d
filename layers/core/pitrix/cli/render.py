"""How things look on a terminal, and in a pipe.

Owns: tables, JSON, failures, times as text. What a user or a script asked for goes to standard output,
everything about it (progress, notes, failures) to standard error. Colour and bars appear on a terminal
only; a table in a pipe is never cut to a width.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from pitrix.cli.failure import Failure

#: Wide enough that nothing wraps where no terminal sets a width.
_PIPE_WIDTH = 10_000

_COLOURS = {
    **dict.fromkeys(("active", "succeeded", "indexed", "synced", "released", "healthy"), "green"),
    **dict.fromkeys(("running", "pending", "creating", "starting"), "cyan"),
    **dict.fromkeys(("stopped", "stopping", "ceasing", "suspended", "cancelled", "warning"), "yellow"),
    **dict.fromkeys(("failed", "refused", "error", "unhealthy"), "red"),
}

Cell = str | int | float | None


def console(*, stderr: bool = False) -> Console:
    """A console on the present standard output or error."""
    made = Console(stderr=stderr, highlight=False, soft_wrap=False)
    if not made.is_terminal:
        return Console(stderr=stderr, highlight=False, width=_PIPE_WIDTH, no_color=True)
    return made


def as_json(out: Console, value: Any) -> None:
    """Print a value as JSON, with colour on a terminal."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    if out.is_terminal:
        out.print_json(text)
    else:
        out.print(text, markup=False, soft_wrap=True)


def as_table(
    out: Console, columns: Mapping[str, Callable[[Any], Cell]], rows: Iterable[Any], *, empty: str
) -> None:
    """Print rows under headings; numbers stand to the right. ``empty`` is the note when there are none."""
    cells = [[column(row) for column in columns.values()] for row in rows]
    if not cells:
        out.print(empty, style="dim")
        return
    table = Table(box=box.SIMPLE_HEAD if out.is_terminal else None, pad_edge=False, header_style="bold")
    for index, heading in enumerate(columns):
        numeric = all(isinstance(row[index], (int, float)) for row in cells)
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        table.add_row(*[_text(cell) for cell in row])
    _print_table(out, table)


def as_facts(out: Console, facts: Mapping[str, Cell]) -> None:
    """Print names and values, one pair a line; empty values are left out."""
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        if value not in (None, ""):
            table.add_row(Text(name, style="dim"), _text(value))
    _print_table(out, table)


def _print_table(out: Console, table: Table) -> None:
    if out.is_terminal:
        out.print(table)
        return
    # In a pipe no padding up to the last column's width: it would show in diffs and confuse `cut`.
    with out.capture() as captured:
        out.print(table)
    for line in captured.get().splitlines():
        out.print(line.rstrip(), markup=False, soft_wrap=True)


def failure(err: Console, what: Failure, *, machine: bool) -> None:
    """Print a failure: title, detail, each bad field, what to do; as one JSON document for a machine."""
    if machine:
        as_json(err, what.document())
        return
    err.print(f"[bold red]{escape(what.title)}:[/] {escape(what.detail)}")
    for error in what.errors:
        if len(what.errors) > 1 or error.message.rstrip(".") not in what.detail:
            err.print(f"  [bold]{escape(error.field or 'body')}[/]: {escape(error.message)}")
    if what.hint:
        err.print(escape(what.hint), style="dim")


def when(text: str | None) -> str:
    """An RFC 3339 time as the reader's own clock shows it, to the second."""
    if not text:
        return ""
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return text


def duration(start: str | None, end: str | None) -> str:
    """The time between two RFC 3339 times, up to now when ``end`` is missing: ``42s``, ``3m 05s``."""
    if not start:
        return ""
    until = datetime.fromisoformat(end) if end else datetime.now(UTC)
    seconds = max(0, round((until - datetime.fromisoformat(start)).total_seconds()))
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}m {rest:02d}s" if minutes else f"{rest}s"


def size(count: int | None) -> str:
    """Bytes for people: ``1.2 MiB``."""
    value = float(count or 0)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def _text(cell: Cell) -> Text:
    text = "" if cell is None else str(cell)
    return Text(text, style=_COLOURS.get(text, ""))
