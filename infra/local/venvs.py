"""Virtual environments that are made once and mended when their requirements change.

Owns `.venv*` and the stamp inside each. Needs nothing but the standard library, because it runs before
anything is installed. Requirement files list every package with its exact version, dependencies of
dependencies included, and are installed without dependency resolution: that is quick, reproducible, and lets
Chalice in without its command line.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from infra.local.paths import CACHE, ROOT, venv_python
from infra.local.progress import UserError

_STAMP = "pitrix-requirements.json"
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet")


@contextmanager
def building() -> Iterator[None]:
    """Let one command at a time build environments and layers in this repository; others wait."""
    CACHE.mkdir(exist_ok=True)
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def requirement_files(requirements: Path) -> list[Path]:
    """A requirement file and those it includes with ``-r``, depth first, the file itself last."""
    included = [
        nested
        for line in requirements.read_text().splitlines()
        if line.startswith("-r ")
        for nested in requirement_files((requirements.parent / line[3:].strip()).resolve())
    ]
    return [*included, requirements]


def digest(requirements: Path, project: Path | None = None) -> str:
    """What an environment depends on, as one text: the pins, and the metadata of the project in it.

    Not the interpreter that asks: an environment that works is kept, whichever Python starts the command.
    """
    found = hashlib.sha256()
    for file in requirement_files(requirements):
        found.update(file.read_bytes())
    if project is not None:
        found.update((project / "pyproject.toml").read_bytes())
    return found.hexdigest()


def pin(requirements: Path, package: str) -> str:
    """The line that pins a package: "ministack==1.5.33"."""
    return next(line for line in requirements.read_text().splitlines() if line.startswith(f"{package}=="))


def is_current(venv: Path, requirements: Path, project: Path | None = None) -> bool:
    """Whether the environment already holds what the requirement file asks for."""
    return (
        _stamps(venv).get(_key(requirements)) == digest(requirements, project) and venv_python(venv).exists()
    )


def ensure(venv: Path, requirements: Path, *covered: Path, project: Path | None = None) -> bool:
    """Make an environment, or install what changed in its requirements.

    Args:
        venv: Where it lies; made when missing, made again when its interpreter is gone.
        requirements: Exact pins of everything, installed with ``--no-deps``.
        covered: Requirement files that this one includes, so that nobody needs to install them any more.
        project: A package of this repository that is installed in place, for its console script.

    Returns:
        Whether anything had to be done.

    Raises:
        UserError: pip or venv failed; the text says why and what to do.
    """
    wanted = (requirements, *covered)
    if all(is_current(venv, file, project) for file in wanted):
        return False
    stamps = _stamps(venv)
    if not venv_python(venv).exists():  # also when the Python it was made from is gone
        stamps = {}
        _create(venv)
    install(venv_python(venv), "--no-deps", "-r", str(requirements), what=requirements.name)
    if project is not None:
        editable = ("--no-deps", "--no-build-isolation", "--editable", str(project))
        install(venv_python(venv), *editable, what=project.name)
    stamps |= {_key(file): digest(file, project) for file in wanted}
    (venv / _STAMP).write_text(json.dumps(stamps))
    return True


def install(python: Path, *arguments: str, what: str) -> None:
    """Run ``pip install`` as this machine has configured it.

    Raises:
        UserError: With the last lines of pip's own words.
    """
    _run([str(python), *PIP, "install", *arguments], f"pip could not install {what}")


def _key(requirements: Path) -> str:
    """What a requirement file is known by in the stamp: not its name alone, which several share."""
    return str(requirements.relative_to(ROOT) if requirements.is_relative_to(ROOT) else requirements)


def _stamps(venv: Path) -> dict[str, str]:
    try:
        stamps: dict[str, str] = json.loads((venv / _STAMP).read_text())
    except (OSError, ValueError):
        return {}
    return stamps


def _create(venv: Path) -> None:
    shutil.rmtree(venv, ignore_errors=True)
    base = getattr(sys, "_base_executable", sys.executable)
    made = subprocess.run([base, "-m", "venv", str(venv)], capture_output=True, text=True, check=False)
    if made.returncode == 0:
        return
    # Debian keeps ensurepip in a package of its own. A pip on the machine can fill an empty environment just
    # as well.
    _run(
        [base, "-m", "venv", "--clear", "--without-pip", str(venv)],
        "Python could not make a virtual environment",
    )
    borrowed = subprocess.run(
        [base, *PIP, "--python", str(venv_python(venv)), "install", "pip", "setuptools"],
        capture_output=True,
        text=True,
        check=False,
    )
    if borrowed.returncode == 0:
        return
    package = f"python3.{sys.version_info[1]}-venv"
    if os.geteuid() == 0 and shutil.which("apt-get"):
        _run(["apt-get", "install", "--yes", "--quiet", package], f"apt-get could not install {package}")
        _run([base, "-m", "venv", "--clear", str(venv)], "Python could not make a virtual environment")
        return
    shutil.rmtree(venv, ignore_errors=True)
    raise UserError(
        f"This Python cannot make virtual environments. Install {package} (apt-get install {package})."
    )


def _run(command: Sequence[str], failure: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise UserError("\n    ".join([f"{failure}:", *words[-6:]]))
