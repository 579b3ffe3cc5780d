"""The templates of a chart, as text: what Helm's parser would refuse, by file and line.

Owns the braces, strings, comments and blocks of Go's ``text/template`` (their grammar is in the
documentation of that package).  Never fills a template in and knows no function's name: that takes the real
Helm, see `helm.render`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pitrix.packages.model import Problem
from pitrix.packages.ports import Files
from pitrix.packages.text.jsontext import JsonRefused, decode_text

_COMMENT = re.compile(r"\{\{(?:-[ \t\r\n]+)?/\*")
#: What is inside of an action: strings, its end, a quote that nothing closes, anything else.
_TOKEN = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|`[^`]*`|'(?:[^'\\\n]|\\.)*'|\}\}|[\"`']|\}|[^\"`'}]+")
_WORD = re.compile(r"\{\{(?:-[ \t\r\n]+)?\s*(\w+)(?:\s+(\w+))?")
_OPENERS = {"if", "range", "with", "define", "block"}
#: Of one template, and of all of a chart: what Helm keeps of a release has to fit into 1 MB, packed.
_LIMIT = 1024 * 1024
_LIMIT_OF_ALL = 8 * 1024 * 1024


def lint(files: Files, place: str) -> Iterator[Problem]:
    """What is wrong with the templates among a chart's files; ``place`` is put before their paths."""
    paths = sorted(path for path in files if path.startswith("templates/"))
    total = sum(len(files[path]) for path in paths)
    if total > _LIMIT_OF_ALL:
        message = f"the templates have {total} bytes; the limit is {_LIMIT_OF_ALL}"
        yield Problem(file=f"{place}templates/", message=message)
        return
    for path in paths:
        try:
            text, _ = decode_text(place + path, files[path], _LIMIT)
        except JsonRefused as refused:
            yield refused.problem
            continue
        for offset, message, hint in scan(text):
            line = text.count("\n", 0, offset) + 1
            yield Problem(file=place + path, line=line, message=message, hint=hint)


def scan(text: str) -> Iterator[tuple[int, str, str]]:
    """(offset, what is wrong, how to mend it) of a template's text; stops where Helm could not go on."""
    open_blocks: list[tuple[int, str]] = []
    position = 0
    while (begin := text.find("{{", position)) >= 0:
        if _COMMENT.match(text, begin):
            position = text.find("*/", begin) + 2
            if position == 1 or not re.compile(r"(?:[ \t\r\n]+-)?\}\}").match(text, position):
                yield begin, "the comment is not closed", "a comment ends in */}} with nothing in between"
                return
            position = text.find("}}", position) + 2
            continue
        position, problem = _end_of_action(text, begin)
        if problem:
            yield begin, *problem
            return
        yield from _block(text, begin, open_blocks)
    for begin, word in open_blocks:
        yield begin, f"{{{{ {word} }}}} has no {{{{ end }}}}", "add {{ end }} where the block ends"


def _end_of_action(text: str, begin: int) -> tuple[int, tuple[str, str] | None]:
    """Where an action ends, or what is wrong with it."""
    for token in _TOKEN.finditer(text, begin + 2):
        if token[0] == "}}":
            return token.end(), None
        if token[0] in "\"`'":
            hint = "close it in the same line" if token[0] != "`" else "close it"
            return 0, (f"a text in {token[0]} is not closed", hint)
    return 0, ("{{ has no }}", "close it")


def _block(text: str, begin: int, open_blocks: list[tuple[int, str]]) -> Iterator[tuple[int, str, str]]:
    """Open, continue or close a block, if that is what the action does."""
    found = _WORD.match(text, begin)
    word = found[1] if found else ""
    if word in _OPENERS:
        open_blocks.append((begin, word))
    elif word == "end":
        if not open_blocks:
            yield begin, "{{ end }} closes nothing", "remove it, or add what it should close"
        else:
            open_blocks.pop()
    elif word == "else" and (not open_blocks or open_blocks[-1][1] not in ("if", "range", "with")):
        yield begin, "{{ else }} stands in no if, range or with", "check the {{ end }} before it"
