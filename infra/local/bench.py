"""The command `infra/bench`: runs every script of tests/benchmarks and prints what they measured as one
table.

Owns the running and the table. A benchmark is a module in `tests/benchmarks` named `bench_*.py` with a
function ``run() -> list[Figure]`` (see `tests/benchmarks/figures.py`); it starts and stops whatever it needs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from infra.local import venvs
from infra.local.check import ensure_environments
from infra.local.paths import ROOT, VENV, venv_python
from infra.local.progress import UserError, say, step


def main(argv: Sequence[str]) -> int:
    """Run the benchmarks named on the command line (``imports`` for `bench_imports.py`), or all of them."""
    try:
        ensure_environments()
        if not argv or any(name.partition(":")[0] == "charts" for name in argv):
            with step("Getting the official Helm SDK, to measure against"):
                venvs.ensure(VENV, ROOT / "tests/benchmarks/requirements.txt")
    except UserError as error:
        say(f"\n  {error}")
        return 1
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'layers/core'}"}
    command = [str(venv_python(VENV)), "-m", "tests.benchmarks", *argv]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
