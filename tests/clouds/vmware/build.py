"""Builds the simulated vCenter: `vcsim/main.go` on Debian's package of govmomi, by Debian's Go.

Owns one static program, ``vcsim``, in the folder of the cache. As root it fetches missing packages.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).parent / "vcsim" / "main.go"
RECIPE = (Path(__file__), SOURCE)
_LIBRARIES = Path("/usr/share/gocode")
_PACKAGES = ("golang-go", "golang-github-vmware-govmomi-dev")


class CannotBuild(Exception):
    """This machine lacks what it takes; the message says what to install."""


def build(into: Path) -> None:
    """Build the program ``vcsim`` in the folder ``into``; about 25 seconds.

    Raises:
        CannotBuild: Go or govmomi's sources are missing and cannot be fetched, or the compiler failed.
    """
    if not _installed():
        _install()
    source = into / "src" / "vcsim"
    source.mkdir(parents=True)
    shutil.copy(SOURCE, source)
    environment = os.environ | {
        "GO111MODULE": "off",
        "GOPATH": f"{into}:{_LIBRARIES}",
        "GOCACHE": str(into / "objects"),
        "GOFLAGS": "",
        "CGO_ENABLED": "0",
    }
    command = ["go", "build", "-o", str(into / "vcsim"), "vcsim"]
    done = subprocess.run(command, cwd=into, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotBuild(f"go build failed: {done.stderr[-2000:]}")
    shutil.rmtree(into / "objects")


def _installed() -> bool:
    return shutil.which("go") is not None and (_LIBRARIES / "src/github.com/vmware/govmomi").is_dir()


def _install() -> None:
    """Fetch the packages by apt.

    Raises:
        CannotBuild: This is no Debian, the user is not root, or apt failed.
    """
    wanted = " ".join(_PACKAGES)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise CannotBuild(f"install Debian's packages {wanted} first")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *_PACKAGES]):
        done = subprocess.run(
            ["apt-get", "--quiet", *command], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise CannotBuild(f"apt-get {command[0]} failed: {done.stderr[-500:]}")
