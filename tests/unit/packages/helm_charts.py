"""Charts for tests: made by the real Helm, or small ones to be broken in one place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pitrix.packages import archive
from pitrix.packages import service as packages
from pitrix.packages.formats.helm import binary as helm_binary
from pitrix.packages.model import Package, Problem

CHART: dict[str, bytes] = {
    "Chart.yaml": b"apiVersion: v2\nname: shop\nversion: 1.2.3\n",
    "values.yaml": b"replicas: 1\n",
    "templates/deployment.yaml": (
        b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\n"
        b"data:\n  replicas: {{ .Values.replicas | quote }}\n"
    ),
}


def chart(**changes: str | bytes | None) -> dict[str, bytes]:
    """`CHART` with files changed, added or (``None``) removed; a name's ``__`` is a ``/``."""
    return put(CHART, {name.replace("__", "/"): content for name, content in changes.items()})


def put(files: Mapping[str, bytes], changes: Mapping[str, str | bytes | None]) -> dict[str, bytes]:
    """Files with changes, by path."""
    result = dict(files)
    for path, content in changes.items():
        if content is None:
            result.pop(path, None)
        else:
            result[path] = content.encode() if isinstance(content, str) else content
    return result


def lint(files: Mapping[str, bytes]) -> list[Problem]:
    """What lint says of files, as of an archive of them."""
    return packages.lint(archive.write(files, "chart"))


def said(problems: list[Problem]) -> list[str]:
    """Problems as text."""
    return [str(each) for each in problems]


def opened(files: Mapping[str, bytes]) -> Package:
    """The package that an archive of these files is."""
    return packages.open_package(archive.write(files, "chart"))


def rendered(files: Mapping[str, bytes], answers: Mapping[str, Any] | None = None) -> dict[str, str]:
    """What a chart becomes, by path."""
    return {each.path: each.text for each in packages.preview(opened(files), answers, name="r1")}


def helm(*args: str, cwd: Path) -> str:
    """Run the real Helm, which must succeed."""
    done = helm_binary.run(args, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files below a folder."""
    for path, data in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return folder
