"""A template of ``cluster.json`` in either dialect, read into a tree.

Owns the two ways to write blocks: Go templates (``if``, ``range``, ``with``, ``else``, ``end``) and mustache
(``#a.b``, ``^a.b``, ``/a.b``).  One parser reads both, since packages of the wild mix them.  It keeps track
of whether it is inside of a JSON string, so that the renderer knows how a value has to be written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pitrix.packages.formats.vm import template_expressions as expressions
from pitrix.packages.formats.vm.template_expressions import Call, Expression, Literal, Misread, Path

MAX_BLOCKS = 64
MAX_OPEN = 8
#: Eight blocks inside of each other with so many branches stay below what Python compiles (100 levels).
MAX_BRANCHES = 10
MAX_EXPRESSIONS = 5000

_UNSUPPORTED = {"define", "template", "block", "printf", "print", "index", "slice", "break", "continue"}
_HEADER = re.compile(r"(?:(\$\w+)\s*(?:,\s*(\$\w+)\s*)?:=\s*)?(.+)", re.DOTALL)
_USE = "use: if, else if, else, range, with, end, and the sections of mustache"
#: Below these, a key means a field of config.json even where a block has an element of its own.
_TOPS = ("cluster.", "env.", "service_params.")


class TemplateBroken(Exception):
    """The template does not parse: ``faults`` are (line, message, hint)."""

    def __init__(self, faults: list[tuple[int, str, str]]) -> None:
        super().__init__("; ".join(f"line {line}: {message}" for line, message, _ in faults))
        self.faults = faults


@dataclass(frozen=True)
class Reference:
    """Where a template asks for a value: dotted key without the leading dot, and its line."""

    key: str
    line: int


@dataclass(frozen=True)
class Text:
    """JSON as it stands in the template."""

    text: str


@dataclass(frozen=True)
class Value:
    """A value to insert; ``quoted`` is inside of a longer JSON string."""

    expression: Expression
    quoted: bool


@dataclass
class Branch:
    """What is written when a condition holds; without one it always does (``else``)."""

    condition: Expression | None
    body: list[Part] = field(default_factory=list)
    newlines: int = 0


@dataclass
class Block:
    """A conditional, or a loop over the first branch's condition.

    Attributes:
        loop: ``range``, ``with``, ``section`` (mustache), or empty for a conditional.
        names: The variables which a loop sets: for the element, or for the index and the element.
        closed_by: ``end``, or the key of a mustache section.
    """

    branches: list[Branch]
    line: int
    closed_by: str
    loop: str = ""
    names: tuple[str, ...] = ()

    @property
    def newlines(self) -> int:
        return sum(each.newlines for each in self.branches)


Part = Text | Value | Block


@dataclass(frozen=True)
class Parsed:
    """The tree of a template, and what it asks for."""

    parts: list[Part]
    references: list[Reference]


def parse(text: str) -> Parsed:
    """Read a template.

    Raises:
        TemplateBroken: With every fault found.
    """
    return _Parser(text).run()


class _Parser:
    """Walks over the text once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._line = 1
        self._in_string = False
        self._string_is_empty = False
        self._root: list[Part] = []
        self._open: list[Block] = []
        self._faults: list[tuple[int, str, str]] = []
        self._references: list[Reference] = []
        self._blocks = 0

    def run(self) -> Parsed:
        position, trim = 0, False
        if self._text.count("{{") > MAX_EXPRESSIONS:
            raise TemplateBroken([(0, f"there are more than {MAX_EXPRESSIONS} expressions", "")])
        while (start := self._text.find("{{", position)) >= 0:
            end = self._text.find("}}", start + 2)
            inner = self._text[start + 2 : max(end, start + 2)]
            self._literal(self._text[position:start], trim, inner.startswith("- "))
            if end < 0:
                self._fault("an expression is opened by '{{' and never closed", "close it by '}}'")
                raise TemplateBroken(self._faults)
            if self._text[start + 2] == "{" and self._text[end + 2 : end + 3] == "}":
                end += 1  # {{{a.b}}}
                inner = self._text[start + 2 : end]
            position, trim = end + 2, inner.endswith(" -")
            expression = inner.strip("{}").removeprefix("-").removesuffix("-").strip()
            if self._expression(expression, self._text[position : position + 1]):
                position += 1
            newlines = inner.count("\n")
            if newlines:
                self._line += newlines
                if not self._in_string:
                    self._emit(Text("\n" * newlines))
        self._literal(self._text[position:], trim, False)
        for block in self._open:
            self._fault(f"the block is never closed by {{{{{self._closing(block)}}}}}", line=block.line)
        if self._faults:
            raise TemplateBroken(self._faults)
        return Parsed(self._root, self._references)

    def _fault(self, message: str, hint: str = "", line: int = 0) -> None:
        self._faults.append((line or self._line, message, hint))

    @staticmethod
    def _closing(block: Block) -> str:
        return "end" if block.closed_by == "end" else f"/{block.closed_by}"

    def _emit(self, part: Part) -> None:
        if not self._open:
            self._root.append(part)
            return
        branch = self._open[-1].branches[-1]
        branch.body.append(part)
        if isinstance(part, Text):
            branch.newlines += part.text.count("\n")
        elif isinstance(part, Block):
            branch.newlines += part.newlines

    def _literal(self, text: str, trim_left: bool, trim_right: bool) -> None:
        """Text between expressions; ``{{-`` and ``-}}`` take blanks away, which only matters in strings."""
        text = text.lstrip(" \t") if trim_left else text
        text = text.rstrip(" \t") if trim_right else text
        if not text:
            return
        escaped = False
        for each in text:
            if self._in_string:
                if escaped:
                    escaped = False
                elif each == "\\":
                    escaped = True
                elif each == '"':
                    self._in_string = False
                self._string_is_empty = False
            elif each == '"':
                self._in_string = self._string_is_empty = True
        self._emit(Text(text))
        self._line += text.count("\n")

    def _expression(self, text: str, following: str) -> bool:
        """Take one expression; true when the quote behind it belongs to it and is to be skipped."""
        word = text.split(None, 1)[0] if text else ""
        rest = text[len(word) :].strip()
        if not text:
            self._fault("the expression is empty")
        elif text.startswith("!") or (text.startswith("/*") and text.endswith("*/")):
            pass
        elif text[0] in "#^":
            self._section(text[1:].strip(), negated=text[0] == "^")
        elif text.startswith("/"):
            self._close(text[1:].strip())
        elif text == "end":
            self._close("end")
        elif word == "else":
            self._else(rest)
        elif word == "if" and rest:
            self._start(Block([Branch(self._read(rest))], self._line, "end"))
        elif word in ("range", "with") and rest:
            self._loop(word, rest)
        else:
            return self._value(text.removeprefix("&").strip(), following)
        return False

    def _read(self, text: str) -> Expression:
        """An expression, noting what it refers to; of one that cannot be read, the fault."""
        try:
            found = expressions.parse(text.removeprefix("getv ").strip())
        except Misread as error:
            word = text.split()[0] if text.split() else text
            if word in _UNSUPPORTED or "|" in text:
                self._fault(f"{word if word in _UNSUPPORTED else '|'!r} is not supported here", _USE)
            else:
                self._fault(
                    f"{{{{{text[:80]}}}}} is not an expression: {error}",
                    "write {{.cluster.name}} or {{cluster.name}}",
                )
            return Literal(None)
        for name in expressions.variables(found):
            if not any(name in block.names for block in self._open):
                self._fault(f"the variable {name[:40]!r} is set nowhere", "range and with set variables")
        inside = any(block.loop for block in self._open)
        for path in expressions.paths(found):
            if path.key and (path.root or not inside or path.key.startswith(_TOPS)):
                self._references.append(Reference(path.key, self._line))
        return found

    def _value(self, text: str, following: str) -> bool:
        whole = self._in_string and self._string_is_empty and following == '"'
        expression = self._read(text)
        if whole:
            self._drop_quote()
            self._in_string = False
        self._string_is_empty = False
        self._emit(Value(expression, quoted=self._in_string))
        return whole

    def _drop_quote(self) -> None:
        """Take back the quote that was just emitted: the value brings its own where it needs any."""
        body = self._open[-1].branches[-1].body if self._open else self._root
        last = body.pop()
        assert isinstance(last, Text)
        body.append(Text(last.text[:-1]))

    def _loop(self, word: str, text: str) -> None:
        header = _HEADER.fullmatch(text)
        assert header is not None  # its last part takes any text
        names = tuple(name for name in header.groups()[:2] if name)
        if word == "with" and len(names) > 1:
            self._fault("'with' sets one variable")
        read = self._read(header[3])
        self._start(Block([Branch(read)], self._line, "end", loop=word, names=names))

    def _section(self, key: str, *, negated: bool) -> None:
        if key != "." and not expressions.PATH.fullmatch(key):
            self._fault(f"{key[:80]!r} is not a key")
            key, found = "", Path("")
        else:
            read = self._read(key)
            found = read if isinstance(read, Path) else Path(key.removeprefix("."))
        if negated:
            self._start(Block([Branch(Call("not", (found,)))], self._line, key))
        else:
            self._start(Block([Branch(found)], self._line, key, loop="section"))

    def _start(self, block: Block) -> None:
        self._blocks += 1
        if len(self._open) >= MAX_OPEN or self._blocks > MAX_BLOCKS:
            self._fault(f"more than {MAX_BLOCKS} blocks, or more than {MAX_OPEN} inside of each other")
        self._string_is_empty = False
        self._open.append(block)

    def _else(self, text: str) -> None:
        if not self._open or self._open[-1].closed_by != "end":
            self._fault("'else' without 'if'")
            return
        block = self._open[-1]
        if block.branches[-1].condition is None:
            self._fault("a second 'else'")
        condition = None
        if text.startswith("if ") and not block.loop:
            condition = self._read(text[3:].strip())
        elif text:
            self._fault(f"'else {text[:80]}' is not supported", "use: else, else if .a.b")
        if len(block.branches) >= MAX_BRANCHES:
            self._fault(f"more than {MAX_BRANCHES} branches in one 'if'")
            return
        block.branches.append(Branch(condition))

    def _close(self, key: str) -> None:
        if not self._open or self._open[-1].closed_by != key:
            self._fault(f"{{{{{key if key == 'end' else '/' + key[:80]}}}}} closes nothing")
            return
        self._emit(self._open.pop())
