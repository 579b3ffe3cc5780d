"""The command `infra/test`: makes the environments that the tests need, then becomes pytest.

Owns what must be on the machine before the first test; never decides what is tested. Linters and type
checkers run as tests too (`tests/architecture`), so the last line printed is pytest's summary of everything.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from infra.local import venvs
from infra.local.paths import (
    CACHE,
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
BUILD_CLOUDS = "--build-clouds"
#: Programs out of packages that are not installed, because they would start a service.
UNPACKED = CACHE / "programs"


def main(argv: Sequence[str]) -> int | None:
    """Prepare, then become pytest with the given arguments; returns only when something failed.

    With ``--build-clouds`` the clouds under test that take minutes to build are built first, once.
    """
    arguments = [argument for argument in argv if argument != BUILD_CLOUDS]
    try:
        ensure_environments()
        ensure_programs()
    except UserError as error:
        say(f"\n  {error}")
        return 1
    if BUILD_CLOUDS in argv:
        build_clouds()
    arguments = arguments or ["-n", str(min(4, os.cpu_count() or 1))]
    command = [str(venv_python(VENV)), "-m", "pytest", *arguments]
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


def ensure_programs() -> None:
    """Get the programs that some tests drive, where that is possible (Debian and Ubuntu, as root).

    Where it is not, those tests say themselves what to install.
    """
    browser = find_browser() is None and os.environ.get("PITRIX_NO_BROWSER") != "1"
    registry = find_registry() is None
    if not (browser or registry) or os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    if not _run("apt-get", "update", "--quiet"):
        return
    if browser:
        with step("Installing Chromium"):
            _run("apt-get", "install", "--yes", "--quiet", "chromium")
    if registry:
        with step("Fetching docker-registry"), tempfile.TemporaryDirectory() as folder:
            if _run("apt-get", "download", "--quiet", "docker-registry", cwd=folder):
                [package] = Path(folder).glob("docker-registry_*.deb")
                _run("dpkg-deb", "--extract", str(package), str(UNPACKED))


def build_clouds() -> None:
    """Build what is missing of the clouds that the providers are tested on (``tests/clouds``).

    The tests of one that could not be built say so themselves: skipped here, failed in CI.
    """
    with step("Building the clouds under test") as notes:
        command = [str(venv_python(VENV)), "-m", "tests.clouds", "build"]
        done = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": ""}, check=False)
        if done.returncode:
            notes.append("not all of them")


def _run(*command: str, cwd: str | None = None) -> bool:
    """Whether a command succeeded; if not, the end of what it said is shown."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        say(f"    {command[0]} {command[1]}: {done.stderr.strip()[-300:]}")
    return done.returncode == 0


def find_registry() -> str | None:
    """The OCI registry that tests push charts to, ``docker-registry``: unpacked, or on this machine."""
    unpacked = shutil.which("docker-registry", path=str(UNPACKED / "usr/bin"))
    return unpacked or shutil.which("docker-registry")


def find_browser() -> str | None:
    """The Chromium that the browser tests drive: named by PITRIX_CHROMIUM, or found on this machine."""
    named = os.environ.get("PITRIX_CHROMIUM")
    mac = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
    found = [shutil.which(named)] if named else [*map(shutil.which, BROWSERS), shutil.which(mac)]
    return next((path for path in found if path), None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
