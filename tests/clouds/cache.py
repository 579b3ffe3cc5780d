"""Where lies what is built or installed once for the clouds under test, and whether it is there.

Owns a folder of the user's cache, ``~/.cache/pitrix/clouds``, with one folder a recipe in it: a recipe that
changes is built anew beside the old one. Never builds anything; see ``__main__``.

A cloud's ``build.py`` has ``build(into)``, and ``RECIPE`` where more files than itself decide the result.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent
_COMPLETE = "complete"


def folder(name: str, *recipe_files: Path) -> Path:
    """The folder of what a recipe makes; it need not be there. The recipe is its files' contents."""
    digest = hashlib.sha256()
    for path in sorted(recipe_files):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode() + content)
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "pitrix" / "clouds" / f"{name}-{digest.hexdigest()[:12]}"


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold ``path`` for oneself, among all processes of this machine that ask; waits for the others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{path}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def names() -> list[str]:
    """The clouds for which something is built."""
    return sorted(path.parent.name for path in HERE.glob("*/build.py"))


def recipe(name: str) -> ModuleType:
    """The module that builds a cloud.

    Raises:
        KeyError: Nothing is built for a cloud of that name.
    """
    if name not in names():
        raise KeyError(name)
    return import_module(f"tests.clouds.{name}.build")


def place(name: str) -> Path:
    """The folder of what is built for a cloud; it need not be there.

    Raises:
        KeyError: Nothing is built for a cloud of that name.
    """
    module = recipe(name)
    return folder(name, *getattr(module, "RECIPE", (HERE / name / "build.py",)))


def packages(name: str) -> list[str]:
    """The Debian packages whose programs a cloud needs when it is built and whenever it runs."""
    listed = HERE / name / "debian-packages.txt"
    return listed.read_text().split() if listed.exists() else []


def is_built(name: str) -> bool:
    """Whether a cloud was built to its end."""
    return (place(name) / _COMPLETE).exists()


def built(name: str) -> Path:
    """The folder of what was built for a cloud.

    Raises:
        Unavailable: It is not there; the message says how to build it.
    """
    from tests.contract.providers.targets import Unavailable

    if not is_built(name):
        raise Unavailable(f"the cloud {name} is not built; run: ./infra/test --build-clouds")
    return place(name)


def mark_built(name: str) -> None:
    """Note that a cloud was built to its end."""
    (place(name) / _COMPLETE).touch()
