"""What a person sees while the platform starts. Owns the shape of the lines; never decides what happens.

One line a step: a tick (or a cross), what was done, how long it took.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Something the person at the keyboard can mend; its text is all they see, never a stack trace."""


def say(text: str = "") -> None:
    """Print one line at once, also when standard output is a file."""
    print(text, flush=True)


@contextmanager
def step(title: str) -> Iterator[list[str]]:
    """Time a step and print one line for it.

    Yields:
        A list; whatever strings the caller appends are shown after the title ("unchanged", "9 functions").

    Raises:
        Whatever the body raises, after a cross was printed.
    """
    notes: list[str] = []
    begun = time.monotonic()
    live = sys.stdout.isatty()
    if live:
        print(f"  … {title}", end="\r", flush=True)
    try:
        yield notes
    except BaseException:
        say(f"  ✗ {title:<42} {time.monotonic() - begun:6.1f} s")
        raise
    label = f"{title} ({', '.join(notes)})" if notes else title
    say(f"  ✓ {label:<42} {time.monotonic() - begun:6.1f} s")
