"""What the comments of a chart's ``values.yaml`` say of its values.

Owns the three ways in which charts do it: helm-docs (``# -- text`` above a key, or ``# key.path -- text``
anywhere), Bitnami (``## @param key.path text`` anywhere), and plain comments right above a key.  Reads lines,
not YAML: a file that does not parse still gives its comments, and nothing here can be made to take long.
"""

from __future__ import annotations

import re

_MAX_LINES = 50_000
_MAX_TEXT = 1000
_PARAM = re.compile(r"@(?:param|extra)\s+(\S+)\s*(?:\[[^\]]*\])?\s*(.*)")
_NAMED = re.compile(r"(?!--)([\w./\[\]-]+)\s+--\s+(.*)")
_KEY = re.compile(r"""(\s*)("[^"]*"|'[^']*'|[^\s#"'\[\]{},&*!|>%@`-][^#:]*|-[^\s#:][^#:]*):(?:\s+(.*))?""")
#: A line of a comment that is YAML which somebody may want to uncomment, not a sentence.
_EXAMPLE = re.compile(r"(?:-\s|[\w.\"'/-]+:(?:\s|$)|[{\[])")
#: What stands above such lines, and says nothing by itself.
_ANNOUNCES = re.compile(r"(?i)(?:e\.g\.?|eg|examples?|for example|such as)\s*[:.]?")


def comments(text: str) -> dict[str, str]:
    """Descriptions by dotted path (``image.tag``), of a ``values.yaml`` as text."""
    return _Reader().read(text)


class _Reader:
    """Goes over the lines once, knowing which keys they are below."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}
        self._named: dict[str, str] = {}
        self._above: list[str] = []  # the comment right above
        self._keys: list[tuple[int, str]] = []  # (indentation, key) from the root down
        self._skip = -1  # indentation of a block text or a list, whose lines are no keys

    def read(self, text: str) -> dict[str, str]:
        for line in text.splitlines()[:_MAX_LINES]:
            self._line(line.expandtabs(2))
        return {key: said[:_MAX_TEXT] for key, said in {**self._found, **self._named}.items() if said}

    def _line(self, line: str) -> None:
        content = line.strip()
        indentation = len(line) - len(line.lstrip())
        if not content:
            self._above = []
            return
        if 0 <= self._skip < indentation:
            return
        if content.startswith("#"):
            self._comment(content.lstrip("#").strip())
            return
        said, self._above, self._skip = self._above, [], -1
        if content.startswith("- ") or content == "-":
            self._skip = indentation
            return
        found = _KEY.fullmatch(line.rstrip())
        if found is None:
            return
        while self._keys and self._keys[-1][0] >= indentation:
            self._keys.pop()
        self._keys.append((indentation, found[2].strip().strip("\"'")))
        if (found[3] or "").startswith(("|", ">")):
            self._skip = indentation
        path = ".".join(key for _, key in self._keys)
        if description := _sentence(said):
            self._found.setdefault(path, description)

    def _comment(self, content: str) -> None:
        param = _PARAM.match(content)
        if param:
            self._named.setdefault(param[1], param[2].strip())
        elif content.startswith("@"):
            self._above = []  # @section, @skip, @ignored, @default, ...: of no value of the chart
        elif named := _NAMED.match(content):
            self._named.setdefault(named[1], named[2].strip())
        else:
            self._above.append(content)


def _sentence(lines: list[str]) -> str:
    """The description in a comment: from ``--`` on where there is one, up to an example or a gap."""
    starts = [index for index, line in enumerate(lines) if line.startswith("-- ")]
    if starts:
        lines = [lines[starts[-1]].lstrip("-").strip(), *lines[starts[-1] + 1 :]]
        lines = [re.sub(r"^\([\w/]+\)\s*", "", lines[0]), *lines[1:]]  # helm-docs: -- (type) text
    taken: list[str] = []
    for line in lines:
        if not line or set(line) <= set("-=#~*"):
            if taken:
                break
            continue
        if _EXAMPLE.match(line) or _ANNOUNCES.fullmatch(line):
            break
        taken.append(line)
    return " ".join(taken)
