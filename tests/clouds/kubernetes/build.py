"""Builds the real kube-apiserver, kube-controller-manager and kube-scheduler from Debian's source package.

Owns the recipe: some five minutes on two cores, 2.6 GB of scratch that is removed in the end, 250 MB kept.
Needs Debian, root (packages are installed: Go, etcd) and a mirror that has sources. Never started by a test:
``python -m tests.clouds build kubernetes``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
VERSION = "1.20.2"
"""What the source package of Debian 12 holds; the programs tell this version to their clients."""

_PACKAGES = (
    "golang-go", "golang-github-modern-go-reflect2-dev", "etcd-server", "rsync", "jq", "make", "git",
    "dpkg-dev",
)  # fmt: skip
_GO_LIBRARIES = Path("/usr/share/gocode/src")


def build(into: Path) -> None:
    """Put the programs, and the etcd that they keep their state in, into ``into``.

    Raises:
        CalledProcessError: A step failed; what it said is in ``build.log`` beside the programs.
    """
    with tempfile.TemporaryDirectory(prefix="kubernetes-") as scratch, (into / "build.log").open("wb") as log:
        work = Path(scratch)
        _run(["apt-get", "install", "-y", "--no-install-recommends", *_PACKAGES], work, log)
        source = _fetch(work, log)
        _mend(source)
        _compile(source, work, log)
        for program in PROGRAMS:
            shutil.copy(source / "_output" / "bin" / program, into / program)
        etcd = shutil.which("etcd")
        assert etcd is not None, "etcd-server was installed"
        shutil.copy(etcd, into / "etcd")


def _run(command: Sequence[str | Path], cwd: Path, log: object, env: Mapping[str, str] | None = None) -> None:
    subprocess.run(
        command, cwd=cwd, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}, check=True
    )  # type: ignore[call-overload]


def _fetch(work: Path, log: object) -> Path:
    """The source, by a list of sources of our own: the machine's stays as it is."""
    apt = work / "apt"
    for folder in ("lists/partial", "cache/archives/partial", "parts"):
        (apt / folder).mkdir(parents=True)
    machine = Path("/etc/apt")
    for listed in machine.glob("sources.list.d/*.sources"):
        text = re.sub(r"(?m)^Types:.*", "Types: deb-src", listed.read_text())
        (apt / "parts" / listed.name).write_text(text)
    lines = [
        line.replace("deb ", "deb-src ", 1)
        for listed in [machine / "sources.list", *machine.glob("sources.list.d/*.list")]
        if listed.exists()
        for line in listed.read_text().splitlines()
        if line.startswith("deb ")
    ]
    (apt / "parts" / "more.list").write_text("\n".join(lines) + "\n")
    (apt / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "/dev/null";\nDir::Etc::sourceparts "{apt}/parts";\n'
        f'Dir::State::lists "{apt}/lists";\nDir::Cache "{apt}/cache";\n'
    )
    config = {"APT_CONFIG": str(apt / "apt.conf")}
    _run(["apt-get", "update"], work, log, config)
    _run(["apt-get", "source", "--download-only", "kubernetes"], work, log, config)
    (archive,) = work.glob("kubernetes_*.orig.tar.gz")
    source = work / "source"
    source.mkdir()
    _run(["tar", "xzf", archive, "-C", source, "--strip-components=1"], work, log)
    return source


def _mend(source: Path) -> None:
    """Change the two things that tests cannot live with; nothing that a client could tell.

    A library breaks under today's Go (writing a definition of resources kills the server): Debian's newer one
    takes its place. The controller begins to empty a deleted namespace only 5 s later: at once, here.
    """
    vendored = source / "vendor/github.com/modern-go/reflect2"
    shutil.rmtree(vendored)
    vendored.mkdir()
    for pattern in ("*.go", "*.s"):
        for file in (_GO_LIBRARIES / "github.com/modern-go/reflect2").glob(pattern):
            if not file.name.endswith("_test.go"):
                shutil.copy(file, vendored)
    controller = source / "pkg/controller/namespace/namespace_controller.go"
    waiting = "namespaceDeletionGracePeriod = 5 * time.Second"
    assert waiting in controller.read_text(), f"{controller} is another than the recipe knows"
    controller.write_text(controller.read_text().replace(waiting, waiting.replace("5 * time.Second", "0")))


def _compile(source: Path, work: Path, log: object) -> None:
    version = work / "version"
    major, minor, _ = VERSION.split(".")
    version.write_text(
        f"KUBE_GIT_COMMIT='{'0' * 40}'\nKUBE_GIT_TREE_STATE='archive'\nKUBE_GIT_VERSION='v{VERSION}'\n"
        f"KUBE_GIT_MAJOR='{major}'\nKUBE_GIT_MINOR='{minor}'\n"
    )
    inside = source / ".go" / "src" / "k8s.io"
    inside.mkdir(parents=True)
    (inside / "kubernetes").symlink_to(source)
    settings = {
        "HOME": str(work),
        "GOPATH": str(source / ".go"),
        "GOCACHE": str(work / "gocache"),
        "CGO_ENABLED": "0",
        "KUBE_GIT_VERSION_FILE": str(version),
    }
    what = " ".join(f"cmd/{program}" for program in PROGRAMS)
    _run(["make", f"WHAT={what}"], source, log, settings)
