"""Templates of ``cluster.json`` in both dialects, rendered by Jinja2 in a sandbox.

Owns the two expression languages: OpenPitrix (Go templates, ``"{{.cluster.name}}"``, mostly quoted) and
AppCenter (mustache, ``{{cluster.name}}``, unquoted).  One parser reads both, since packages of the wild mix
them, and builds a Jinja2 syntax tree: no text of a package is ever handed to Jinja2 as source, so there is
no sandbox to escape from.  A value is inserted as JSON; inside of a longer string, as the inside of a JSON
string.  Never knows what a key means: the caller looks values up.

What is understood: values (``.a.b``, ``a.b``, ``{a.b}``, ``&a.b``), comments, ``#a.b``, ``^a.b``, ``/a.b`` as
conditions, and ``if``, ``else if``, ``else``, ``end`` with ``not``, ``eq`` and ``ne``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import nodes

#: A rendered template may not grow beyond this many characters.
MAX_RENDERED = 8 * 1024 * 1024
MAX_BLOCKS = 64
#: Eight blocks inside of each other with so many branches stay below what Python compiles (100 levels).
MAX_BRANCHES = 10
MAX_EXPRESSIONS = 5000

_PATH = re.compile(r"""\.?[^\s"'`|(){}.$,=:/]+(?:\.[^\s"'`|(){}$.,=:/]+)*""")
_LITERAL = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?|true|false')
_UNSUPPORTED = {"range", "with", "define", "template", "block", "printf", "len", "index", "and", "or"}

Lookup = Callable[[str], Any]


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
class _Text:
    text: str


@dataclass(frozen=True)
class _Value:
    key: str
    line: int
    quoted: bool  # inside of a longer JSON string


@dataclass(frozen=True)
class _Condition:
    key: str
    line: int
    operator: str = "true"  # true, eq, ne
    operand: Any = None
    negated: bool = False


@dataclass
class _Branch:
    condition: _Condition | None
    body: list[_Part] = field(default_factory=list)
    newlines: int = 0


@dataclass
class _Block:
    branches: list[_Branch]
    line: int
    closed_by: str  # "end", or the key of a mustache section


_Part = _Text | _Value | _Block


class Template:
    """A parsed template; `references` tells what it asks for, `render` fills it in."""

    def __init__(self, parts: list[_Part], references: list[Reference]) -> None:
        self._parts = parts
        self.references = references

    def render(self, lookup: Lookup) -> str:
        """Fill in the values.

        The result has each line where the template has it, so that a line of the result can be shown as a
        line of the template.

        Args:
            lookup: Gives the value of a dotted key; ``None`` becomes ``null``.

        Raises:
            ValueError: The result is larger than `MAX_RENDERED`.
        """
        from jinja2 import nodes
        from jinja2.sandbox import SandboxedEnvironment

        environment = SandboxedEnvironment(autoescape=False)
        tree = nodes.Template(_to_jinja(self._parts), lineno=1)
        tree.set_lineno(1)
        tree.set_environment(environment)
        code = environment.compile(tree, "template", "template")
        compiled = environment.template_class.from_code(environment, code, {}, None)

        def value(key: str, quoted: bool) -> str:
            text = json.dumps(lookup(key), ensure_ascii=False, allow_nan=False)
            if not quoted:
                return text
            if text.startswith('"'):
                return text[1:-1]
            return json.dumps(text)[1:-1]

        def holds(key: str, operator: str, operand: Any) -> bool:
            found = lookup(key)
            if operator == "true":
                return bool(found)
            same = found == operand or str(found) == str(operand)
            return same if operator == "eq" else not same

        size, pieces = 0, []
        for piece in compiled.generate(value=value, holds=holds):
            size += len(piece)
            if size > MAX_RENDERED:
                raise ValueError(f"the rendered template is larger than {MAX_RENDERED} characters")
            pieces.append(piece)
        return "".join(pieces)


def _to_jinja(parts: list[_Part]) -> list[nodes.Node]:
    from jinja2 import nodes

    def call(name: str, *arguments: Any) -> nodes.Call:
        return nodes.Call(nodes.Name(name, "load"), [nodes.Const(each) for each in arguments], [], None, None)

    def test(condition: _Condition) -> nodes.Expr:
        found = call("holds", condition.key, condition.operator, condition.operand)
        return nodes.Not(found) if condition.negated else found

    def block(branches: list[_Branch], before: int, total: int) -> list[nodes.Node]:
        if not branches:
            return padding(total)
        first, rest = branches[0], branches[1:]
        after = total - before - first.newlines
        body = [*padding(before), *_to_jinja(first.body), *padding(after)]
        if first.condition is None:
            return body
        otherwise = block(rest, before + first.newlines, total)
        return [nodes.If(test(first.condition), body, [], otherwise)]

    def padding(newlines: int) -> list[nodes.Node]:
        return [nodes.Output([nodes.TemplateData("\n" * newlines)])] if newlines else []

    result: list[nodes.Node] = []
    for part in parts:
        if isinstance(part, _Text):
            result.append(nodes.Output([nodes.TemplateData(part.text)]))
        elif isinstance(part, _Value):
            result.append(nodes.Output([call("value", part.key, part.quoted)]))
        else:
            result.extend(block(part.branches, 0, sum(each.newlines for each in part.branches)))
    return result


def parse(text: str) -> Template:
    """Parse a template of either dialect.

    Raises:
        TemplateBroken: With every fault found.
    """
    return _Parser(text).run()


class _Parser:
    """Walks over the text once, keeping track of whether it is inside of a JSON string."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._line = 1
        self._in_string = False
        self._string_is_empty = False
        self._root: list[_Part] = []
        self._open: list[_Block] = []
        self._faults: list[tuple[int, str, str]] = []
        self._references: list[Reference] = []
        self._blocks = 0

    def run(self) -> Template:
        position = 0
        if self._text.count("{{") > MAX_EXPRESSIONS:
            raise TemplateBroken([(0, f"there are more than {MAX_EXPRESSIONS} expressions", "")])
        while (start := self._text.find("{{", position)) >= 0:
            self._literal(self._text[position:start])
            end = self._text.find("}}", start + 2)
            if end < 0:
                self._fault("an expression is opened by '{{' and never closed", "close it by '}}'")
                raise TemplateBroken(self._faults)
            if self._text[start + 2] == "{" and self._text[end + 2 : end + 3] == "}":
                end += 1  # {{{a.b}}}
            position = end + 2
            inner = self._text[start + 2 : end]
            expression = inner.strip("{}").removeprefix("-").removesuffix("-").strip()
            if self._expression(expression, self._text[position : position + 1]):
                position += 1
            newlines = inner.count("\n")
            if newlines:
                self._line += newlines
                if not self._in_string:
                    self._emit(_Text("\n" * newlines))
        self._literal(self._text[position:])
        for block in self._open:
            self._fault(f"the block is never closed by {{{{{self._closing(block)}}}}}", line=block.line)
        if self._faults:
            raise TemplateBroken(self._faults)
        return Template(self._root, self._references)

    def _fault(self, message: str, hint: str = "", line: int = 0) -> None:
        self._faults.append((line or self._line, message, hint))

    @staticmethod
    def _closing(block: _Block) -> str:
        return "end" if block.closed_by == "end" else f"/{block.closed_by}"

    def _emit(self, part: _Part) -> None:
        if not self._open:
            self._root.append(part)
            return
        branch = self._open[-1].branches[-1]
        branch.body.append(part)
        if isinstance(part, _Text):
            branch.newlines += part.text.count("\n")
        elif isinstance(part, _Block):
            branch.newlines += sum(each.newlines for each in part.branches)

    def _literal(self, text: str) -> None:
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
        self._emit(_Text(text))
        self._line += text.count("\n")

    def _expression(self, text: str, following: str) -> bool:
        """Take one expression; true when the quote behind it belongs to it and is to be skipped."""
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
        elif text == "else" or text.startswith("else "):
            self._else(text[4:].strip())
        elif text.startswith("if "):
            condition = self._condition(text[3:].strip())
            self._start(_Block([_Branch(condition)], self._line, "end"))
        else:
            return self._value(text.removeprefix("&").strip(), following)
        return False

    def _value(self, text: str, following: str) -> bool:
        text = text.removeprefix("getv ").strip()
        if not _PATH.fullmatch(text):
            word = text.split()[0] if text.split() else text
            if word in _UNSUPPORTED or word.startswith("$"):
                self._fault(f"{word!r} is not supported here", "use values, if/else/end and sections only")
            else:
                self._fault(
                    f"{{{{{text[:80]}}}}} is not an expression", "write {{.cluster.name}} or {{cluster.name}}"
                )
            return False
        key = text.removeprefix(".")
        self._references.append(Reference(key, self._line))
        whole = self._in_string and self._string_is_empty and following == '"'
        if whole:
            self._drop_quote()
            self._in_string = False
        self._string_is_empty = False
        self._emit(_Value(key, self._line, quoted=self._in_string))
        return whole

    def _drop_quote(self) -> None:
        """Take back the quote that was just emitted: the value brings its own where it needs any."""
        body = self._open[-1].branches[-1].body if self._open else self._root
        last = body.pop()
        assert isinstance(last, _Text)
        body.append(_Text(last.text[:-1]))

    def _condition(self, text: str) -> _Condition:
        words = re.findall(r'"(?:[^"\\]|\\.)*"|\S+', text)
        negated = False
        while words and words[0] == "not":
            negated, words = not negated, words[1:]
        operator: str = "true"
        operand: Any = None
        if len(words) == 3 and words[0] in ("eq", "ne") and _LITERAL.fullmatch(words[2]):
            operator, operand = words[0], json.loads(words[2])
            words = words[1:2]
        if len(words) != 1 or not _PATH.fullmatch(words[0]):
            self._fault(
                f"the condition {text[:80]!r} is not supported", 'use: if .a.b, if not .a.b, if eq .a.b "c"'
            )
            return _Condition("", self._line)
        key = words[0].removeprefix(".")
        self._references.append(Reference(key, self._line))
        return _Condition(key, self._line, operator, operand, negated)

    def _section(self, key: str, *, negated: bool) -> None:
        if not _PATH.fullmatch(key):
            self._fault(f"{key[:80]!r} is not a key")
            key = ""
        else:
            self._references.append(Reference(key.removeprefix("."), self._line))
        condition = _Condition(key.removeprefix("."), self._line, negated=negated)
        self._start(_Block([_Branch(condition)], self._line, key))

    def _start(self, block: _Block) -> None:
        self._blocks += 1
        if len(self._open) >= 8 or self._blocks > MAX_BLOCKS:
            self._fault(f"more than {MAX_BLOCKS} blocks, or more than 8 inside of each other")
        self._string_is_empty = False
        self._open.append(block)

    def _else(self, text: str) -> None:
        if not self._open or self._open[-1].closed_by != "end":
            self._fault("'else' without 'if'")
            return
        if self._open[-1].branches[-1].condition is None:
            self._fault("a second 'else'")
        condition = self._condition(text[3:].strip()) if text.startswith("if ") else None
        if text and condition is None:
            self._fault(f"'else {text[:80]}' is not supported", "use: else, else if .a.b")
        if len(self._open[-1].branches) >= MAX_BRANCHES:
            self._fault(f"more than {MAX_BRANCHES} branches in one 'if'")
            return
        self._open[-1].branches.append(_Branch(condition))

    def _close(self, key: str) -> None:
        if not self._open or self._open[-1].closed_by != key:
            self._fault(f"{{{{{key if key == 'end' else '/' + key[:80]}}}}} closes nothing")
            return
        self._emit(self._open.pop())
