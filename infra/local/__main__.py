"""`python -m infra.local`: the supervisor's process. Owns one thing: ending quietly while it still imports.

Importing takes half a second, in which Ctrl-C would otherwise print a stack trace; nothing is started yet.
"""

from __future__ import annotations

import signal
import sys

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    from infra.local import supervisor

    sys.exit(supervisor.main())
