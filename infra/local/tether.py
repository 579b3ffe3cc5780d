"""Ends a process together with the one that started it. Owns watching the end of standard input, nothing
else.

The supervisor holds the other end of that pipe. When it is gone, by whatever death, the pipe ends, and its
children can save what they have and end too; no record of process ids is needed for that.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable


def when_supervisor_ends(action: Callable[[], object]) -> None:
    """Call ``action`` from a thread of its own once standard input ends."""

    def watch() -> None:
        while sys.stdin.buffer.read(1):
            pass
        action()

    threading.Thread(target=watch, name="tether", daemon=True).start()
