"""Valid packages of every kind, to be broken: small ones, demos, and what `scaffold` makes."""

from __future__ import annotations

from functools import cache

from pitrix.packages import archive, service
from tests.unit.packages import samples


@cache
def packages() -> dict[str, dict[str, bytes]]:
    """The files of valid packages, by a name."""
    found = {"vm": samples.files()}
    for kind in service.types():
        found[f"new-{kind}"] = service.scaffold("my-app", kind)
    for folder in sorted(samples.DEMOS.iterdir()):
        files, problems = archive.read_directory(folder) if folder.is_dir() else ({}, [])
        if not problems and ("package.json" in files or "Chart.yaml" in files):
            found[folder.name] = files
    return found


@cache
def archives() -> dict[str, bytes]:
    """The same, packed."""
    return {name: archive.write(files, name) for name, files in packages().items()}
