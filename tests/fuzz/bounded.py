"""Running hostile inputs in processes of their own, with limits: bounded time and memory are measured.

Owns the processes.  A server is started once and imports the project; for each input it forks twice: one
child makes the input and leaves it in a file, the other pushes it through the doors under ``setrlimit``.
What the second one took is what the kernel says it took.

    python -m tests.fuzz.bounded    names of inputs on standard input, a JSON object for each out
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
#: Where the kernel ends an input (hard): seconds of processor time and MiB of memory.
CPU_LIMIT_S, MEMORY_LIMIT_MIB = 30, 1536
#: What one may take at most (asserted): seconds with the programs it has started, and MiB resident, the
#: interpreter and the project included.  Programs have a limit of their own, which `helm.binary` sees to.
CPU_S, MEMORY_MIB = 12.0, 384


class Server:
    """A process that pushes inputs by their names; close it in the end."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.bounded"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'layers' / 'core'}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def push(self, name: str) -> dict[str, Any]:
        """``told`` (texts), ``broke`` (a traceback or empty), ``cpu_s`` and ``peak_mib`` of an input."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{name}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the server ended"
        found: dict[str, Any] = json.loads(answer)
        return found

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        if self._process.stdout is not None:
            self._process.stdout.close()


def _serve() -> None:
    from pitrix.packages.formats.helm import render as helm_render
    from tests.fuzz import doors, hostile, valid

    # So that the suite is fast; the time that Helm is given otherwise is tested with `helm.binary`.
    helm_render.TIMEOUT_S = 3.0
    for package in valid.archives().values():
        doors.push(package)  # imports what is imported on first use
    for line in sys.stdin:
        case = hostile.CASES[line.strip()]
        with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
            source, result = Path(folder) / "input", Path(folder) / "result"
            _forked(lambda case=case, source=source: case.leave(source))
            spent = _forked(lambda source=source, result=result: _push(source, result), limited=True)
            found = (
                json.loads(result.read_text())
                if result.exists()
                else {"told": [], "broke": "ended", "peak_mib": 0}
            )
        print(json.dumps({**found, **spent}), flush=True)


def _push(source: Path, result: Path) -> None:
    from tests.fuzz import doors

    try:
        found: dict[str, Any] = {"broke": ""}
        found["told"] = doors.push(source if source.is_dir() else source.read_bytes())
    except BaseException:
        found = {"told": [], "broke": traceback.format_exc()[-3000:]}
    found["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result.write_text(json.dumps(found))


def _forked(work: Callable[[], None], *, limited: bool = False) -> dict[str, float]:
    """Do something in a child; what it took, with the programs it has started."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setsid()
            if limited:
                memory = MEMORY_LIMIT_MIB * 1024 * 1024
                resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S + 1))
                resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
                resource.setrlimit(resource.RLIMIT_FSIZE, (256 * 1024 * 1024, 256 * 1024 * 1024))
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status, used = os.wait4(child, 0)
    if not limited and status:
        raise RuntimeError(f"a hostile input could not be made (status {status})")
    return {"cpu_s": used.ru_utime + used.ru_stime}


if __name__ == "__main__":
    _serve()
