"""``.helmignore``: what of a chart's folder is no part of the chart.

Owns the patterns as Helm reads them (its documentation calls them like those of ``.gitignore``, with
differences: no ``**``, and ``!`` leaves out everything that does not match).  They count for folders alone:
an archive holds what was packed.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from pitrix.packages.model import Problem

IGNORE = ".helmignore"


def applied(files: Mapping[str, bytes], problems: list[Problem]) -> tuple[dict[str, bytes], list[Problem]]:
    """A folder's files, and what is wrong with them, without what its ``.helmignore`` names."""
    rules = _rules(files.get(IGNORE, b"").decode("utf-8", "replace"))
    if not rules:
        return dict(files), problems
    return (
        {path: data for path, data in files.items() if not _ignored(path, rules)},
        [each for each in problems if not each.file or not _ignored(each.file, rules)],
    )


def _rules(text: str) -> list[tuple[str, bool, bool]]:
    """(pattern, folders only, negated) of each line that is one."""
    rules = []
    for line in text.splitlines():
        line = line.strip()
        if not line or line.startswith("#") or "**" in line:
            continue
        pattern = line.removeprefix("!")
        rules.append((pattern.rstrip("/"), pattern.endswith("/"), line.startswith("!")))
    return rules


def _ignored(path: str, rules: list[tuple[str, bool, bool]]) -> bool:
    """Whether a file is left out, by its own path or by that of a folder it lies in."""
    parts = path.split("/")
    return any(
        _named("/".join(parts[:depth]), depth < len(parts), rules) for depth in range(1, len(parts) + 1)
    )


def _named(path: str, is_folder: bool, rules: list[tuple[str, bool, bool]]) -> bool:
    for pattern, folders_only, negated in rules:
        if folders_only and not is_folder:
            if negated:
                return True
            continue
        if _matches(pattern, path) is not negated:
            return True
    return False


def _matches(pattern: str, path: str) -> bool:
    """A pattern with a slash is about the whole path, one without about the last name."""
    if "/" not in pattern:
        return fnmatchcase(path.rpartition("/")[2], pattern.replace("[^", "[!"))
    wanted, given = pattern.removeprefix("/").split("/"), path.split("/")
    return len(wanted) == len(given) and all(
        fnmatchcase(name, each.replace("[^", "[!")) for name, each in zip(given, wanted, strict=True)
    )
