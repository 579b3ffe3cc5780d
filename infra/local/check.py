"""The command `infra/test`: makes the environments that the tests need, then becomes pytest.

Owns what must be on the machine before the first test; never decides what is tested. Linters and type
checkers run as tests too (`tests/architecture`), so the last line printed is pytest's summary of everything.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from infra.local import venvs
from infra.local.paths import (
    CORE_PROJECT,
    EMULATOR_VENV,
    LINT_VENV,
    REQUIREMENTS_EMULATOR,
    REQUIREMENTS_LINT,
    REQUIREMENTS_PLATFORM,
    REQUIREMENTS_TEST,
    ROOT,
    VENV,
    venv_python,
)
from infra.local.progress import UserError, say, step

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def main(argv: Sequence[str]) -> int | None:
    """Prepare, then become pytest with the given arguments; returns only when something failed."""
    try:
        ensure_environments()
        ensure_browser()
    except UserError as error:
        say(f"\n  {error}")
        return 1
    command = [str(venv_python(VENV)), "-m", "pytest", *(argv or ["-n", str(min(4, os.cpu_count() or 1))])]
    os.chdir(ROOT)
    os.execve(command[0], command, os.environ | {"PYTHONPATH": ""})


def ensure_environments() -> None:
    """Make or mend all environments side by side.

    Raises:
        UserError: pip or venv failed.
    """
    # The platform's pins are among the test's: an environment made for the tests serves `infra/up` too.
    wanted = [
        (VENV, (REQUIREMENTS_TEST, REQUIREMENTS_PLATFORM), CORE_PROJECT),
        (EMULATOR_VENV, (REQUIREMENTS_EMULATOR,), None),
        (LINT_VENV, (REQUIREMENTS_LINT,), None),
    ]
    if all(venvs.is_current(venv, file, project) for venv, files, project in wanted for file in files):
        return
    with step("Making Python environments"), venvs.building(), ThreadPoolExecutor() as pool:
        made = [pool.submit(venvs.ensure, venv, *files, project=project) for venv, files, project in wanted]
        for future in made:
            future.result()


def ensure_browser() -> None:
    """Install Chromium where that is possible; where it is not, the browser tests say so themselves."""
    if os.environ.get("PITRIX_NO_BROWSER") == "1" or find_browser() is not None:
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        with step("Installing Chromium"):
            environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
            for arguments in (["update", "--quiet"], ["install", "--yes", "--quiet", "chromium"]):
                done = subprocess.run(
                    ["apt-get", *arguments], env=environment, capture_output=True, text=True, check=False
                )
                if done.returncode:
                    say(f"    apt-get {arguments[0]}: {done.stderr.strip()[-300:]}")
                    return


def find_browser() -> str | None:
    """The Chromium that the browser tests drive: named by PITRIX_CHROMIUM, or found on this machine."""
    named = os.environ.get("PITRIX_CHROMIUM")
    mac = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
    found = [shutil.which(named)] if named else [*map(shutil.which, BROWSERS), shutil.which(mac)]
    return next((path for path in found if path), None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
