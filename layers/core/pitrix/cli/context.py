"""What every command has at hand: the platform, where to print, and whether somebody is there to answer.

Owns the global options' meaning. ``main.py`` builds one `Cli` a run; commands take it with `Cli.of`.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import httpx
import typer
from rich.console import Console

from pitrix.cli import render
from pitrix.cli.api import Api
from pitrix.cli.sessions import Sessions


@dataclass(kw_only=True)
class Wiring:
    """What tests put in place of the real things; pass it as the app's ``obj``."""

    transport: httpx.BaseTransport | None = None
    sessions: Sessions = field(default_factory=Sessions)
    interactive: bool | None = None
    poll_s: float = 1.0


@dataclass(kw_only=True)
class Cli:
    """One run of the command line.

    Attributes:
        machine: ``--output json``: one JSON document on standard output, nothing else.
        interactive: Somebody sits at a terminal and can be asked.
        poll_s: Seconds between two looks at something that is under way.
    """

    url: str
    machine: bool
    wiring: Wiring
    token: str | None = field(default=None, repr=False)
    out: Console = field(default_factory=render.console)
    err: Console = field(default_factory=lambda: render.console(stderr=True))

    @staticmethod
    def of(ctx: typer.Context) -> Cli:
        """The run that a command belongs to."""
        found = ctx.find_root().obj
        assert isinstance(found, Cli), "the root command sets it"
        return found

    @functools.cached_property
    def api(self) -> Api:
        """The platform; nothing is sent before the first request."""
        return Api(self.url, self.wiring.sessions, token=self.token, transport=self.wiring.transport)

    @property
    def interactive(self) -> bool:
        """Whether a question would be seen and could be answered."""
        if self.wiring.interactive is not None:
            return self.wiring.interactive
        return sys.stdin.isatty() and self.err.is_terminal and not self.machine

    @property
    def poll_s(self) -> float:
        return self.wiring.poll_s

    def note(self, text: str) -> None:
        """Tell the user something that is not the result; a machine is not told."""
        if not self.machine:
            self.err.print(text, markup=False, soft_wrap=True)

    def waiting(self, text: str) -> AbstractContextManager[Any]:
        """Show a spinner for as long as the block runs, on a terminal."""
        return self.err.status(text) if self.err.is_terminal and not self.machine else nullcontext()

    def result(self, value: Any, show: Callable[[], None]) -> None:
        """Print a result: as JSON for a machine, else by calling ``show``."""
        if self.machine:
            render.as_json(self.out, value)
        else:
            show()
