"""The expressions inside of ``{{ }}``: paths, variables, literals, and Go's functions which compare.

Owns reading an expression and finding its value among scopes.  Never knows what a key means: whoever renders
gives a look-up for what no scope has.

A path is written ``.a.b`` (Go), ``a.b`` (mustache) or ``$.a.b`` (Go, from the root).  It is looked for in the
element of the innermost block first, then outwards: mustache's rule, which also does what a Go template that
works expects.  Keys may hold dots of their own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Lookup = Callable[[str], Any]

MAX_NESTING = 8
#: Words and brackets of one expression; reading takes the square of their number.
MAX_TOKENS = 200
PATH = re.compile(r"""\.?[^\s"'`|(){}.$,=:/]+(?:\.[^\s"'`|(){}$.,=:/]+)*""")
_NUMBER = re.compile(r"-?\d{1,18}(?:\.\d{1,18})?")
_VARIABLE = re.compile(r"\$[A-Za-z0-9_]*")
_TOKEN = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|`[^`]*`|\(|\)|[^\s"`()]+)""")
_WORDS = {"true": True, "false": False, "nil": None, "null": None}
#: Function to the least and the greatest number of its arguments.
FUNCTIONS = {
    "not": (1, 1), "and": (1, 20), "or": (1, 20), "len": (1, 1),
    "eq": (2, 20), "ne": (2, 2), "lt": (2, 2), "le": (2, 2), "gt": (2, 2), "ge": (2, 2),
}  # fmt: skip
_MISSING: Any = object()


class Choices(str):
    """Several choices of one field: in a text they are joined, a ``range`` goes over each.

    Attributes:
        values: The choices one by one.
    """

    values: list[Any]

    def __new__(cls, text: str, values: list[Any]) -> Choices:
        made = super().__new__(cls, text)
        made.values = values
        return made


@dataclass(frozen=True)
class Path:
    """The value at a dotted key; an empty key is the element of the block (``.``)."""

    key: str
    root: bool = False


@dataclass(frozen=True)
class Variable:
    """``$name``, or ``$name.key`` of what it holds."""

    name: str
    key: str = ""


@dataclass(frozen=True)
class Literal:
    """A value that the template writes itself."""

    value: Any


@dataclass(frozen=True)
class Call:
    """One of `FUNCTIONS`."""

    function: str
    arguments: tuple[Expression, ...]
    size: int = field(init=False, default=1)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", 1 + sum(map(operands, self.arguments)))


Expression = Path | Variable | Literal | Call


@dataclass(frozen=True)
class Scope:
    """What is in reach inside of a block.

    Attributes:
        element: What ``.`` is.
        first: This is the first turn of the block, and of every block around it.
    """

    element: Any = None
    parent: Scope | None = None
    names: Mapping[str, Any] = field(default_factory=dict)
    first: bool = True


class Misread(Exception):
    """The text is no expression; the message says why."""


def parse(text: str) -> Expression:
    """Read one expression.

    Raises:
        Misread: It is none, or uses what is not supported.
    """
    tokens, position = [], 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if not found:
            if text[position:].strip():
                raise Misread(f"{text[position : position + 40]!r} cannot be read")
            break
        tokens.append(found[1])
        if len(tokens) > MAX_TOKENS:
            raise Misread(f"it has more than {MAX_TOKENS} words")
        position = found.end()
    if not tokens:
        raise Misread("the expression is empty")
    made, rest = _sequence(tokens, 0)
    if rest:
        raise Misread(f"{rest[0]!r} closes nothing")
    return made


def paths(expression: Expression) -> Iterator[Path]:
    """Every path in an expression."""
    if isinstance(expression, Path):
        yield expression
    elif isinstance(expression, Call):
        for each in expression.arguments:
            yield from paths(each)


def variables(expression: Expression) -> Iterator[str]:
    """The name of every variable in an expression."""
    if isinstance(expression, Variable):
        yield expression.name
    elif isinstance(expression, Call):
        for each in expression.arguments:
            yield from variables(each)


def operands(expression: Expression) -> int:
    """How much there is to evaluate in an expression."""
    return expression.size if isinstance(expression, Call) else 1


def evaluate(expression: Expression, scope: Scope, lookup: Lookup) -> Any:
    """The value of an expression; ``None`` where there is none."""
    if isinstance(expression, Literal):
        return expression.value
    if isinstance(expression, Path):
        return lookup(expression.key) if expression.root else _find(expression.key, scope, lookup)
    if isinstance(expression, Variable):
        return _of_variable(expression, scope)
    return _call(expression, scope, lookup)


def turns(value: Any, *, section: bool) -> Iterator[tuple[Any, Any]]:
    """(index or key, element) of each turn that a block takes over a value.

    Args:
        section: Mustache's rule: what is true but no list is one turn.
    """
    if isinstance(value, list | tuple):
        yield from enumerate(value)
    elif section:
        if value:
            yield 0, value
    elif isinstance(value, Choices):
        yield from enumerate(value.values)
    elif isinstance(value, Mapping):
        yield from sorted(value.items())


def _sequence(tokens: list[str], depth: int) -> tuple[Expression, list[str]]:
    """One function with its arguments, or one operand, and the tokens that are left."""
    if depth > MAX_NESTING:
        raise Misread(f"more than {MAX_NESTING} brackets inside of each other")
    head, rest = tokens[0], tokens[1:]
    if head in FUNCTIONS and rest and rest[0] != ")":
        arguments: list[Expression] = []
        while rest and rest[0] != ")":
            operand, rest = _operand(rest, depth)
            arguments.append(operand)
        least, most = FUNCTIONS[head]
        if not least <= len(arguments) <= most:
            raise Misread(f"{head!r} takes {least if least == most else f'{least} or more'} arguments")
        return Call(head, tuple(arguments)), rest
    made, rest = _operand(tokens, depth)
    if rest and rest[0] != ")":
        raise Misread(f"{head!r} is no function that is known")
    return made, rest


def _operand(tokens: list[str], depth: int) -> tuple[Expression, list[str]]:
    head, rest = tokens[0], tokens[1:]
    if head == "(":
        if not rest:
            raise Misread("a bracket is never closed")
        made, rest = _sequence(rest, depth + 1)
        if not rest or rest[0] != ")":
            raise Misread("a bracket is never closed")
        return made, rest[1:]
    return _atom(head), rest


def _atom(token: str) -> Expression:
    if token in _WORDS:
        return Literal(_WORDS[token])
    if token[0] in '"`':
        try:
            return Literal(json.loads(token) if token[0] == '"' else token[1:-1])
        except ValueError:
            raise Misread(f"{token[:40]} is no text") from None
    if _NUMBER.fullmatch(token):
        return Literal(float(token) if "." in token else int(token))
    if token.startswith("$"):
        name, dot, key = token.partition(".")
        if not _VARIABLE.fullmatch(name) or (dot and not PATH.fullmatch(key)):
            raise Misread(f"{token[:40]!r} is no variable")
        return Path(key, root=True) if name == "$" else Variable(name, key)
    if token == ".":  # noqa: S105 - a word of the template, no secret
        return Path("")
    if not PATH.fullmatch(token):
        raise Misread(f"{token[:40]!r} is no key")
    return Path(token.removeprefix("."))


def _find(key: str, scope: Scope, lookup: Lookup) -> Any:
    if not key:
        return scope.element
    inner: Scope | None = scope
    while inner is not None and inner.parent is not None:
        found = _walk(inner.element, key)
        if found is not _MISSING:
            return found
        inner = inner.parent
    return lookup(key)


def _of_variable(variable: Variable, scope: Scope) -> Any:
    inner: Scope | None = scope
    while inner is not None:
        if variable.name in inner.names:
            found = inner.names[variable.name]
            found = _walk(found, variable.key) if variable.key else found
            return None if found is _MISSING else found
        inner = inner.parent
    return None


def _walk(value: Any, key: str) -> Any:
    """The value below a dotted key, of which any part may be one key with dots of its own."""
    if not isinstance(value, Mapping):
        return _MISSING
    if key in value:
        return value[key]
    position = key.find(".")
    while position > 0:
        if key[:position] in value:
            return _walk(value[key[:position]], key[position + 1 :])
        position = key.find(".", position + 1)
    return _MISSING


def _call(call: Call, scope: Scope, lookup: Lookup) -> Any:
    if call.function in ("and", "or"):
        result: Any = None
        for each in call.arguments:
            result = evaluate(each, scope, lookup)
            if bool(result) is (call.function == "or"):
                break
        return result
    values = [evaluate(each, scope, lookup) for each in call.arguments]
    first = values[0]
    if call.function == "not":
        return not first
    if call.function == "len":
        found = first.values if isinstance(first, Choices) else first
        return len(found) if isinstance(found, str | list | Mapping) else 0
    if call.function == "eq":
        return any(_equal(first, each) for each in values[1:])
    if call.function == "ne":
        return not _equal(first, values[1])
    return _compare(call.function, first, values[1])


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _equal(one: Any, other: Any) -> bool:
    return bool(one == other) or _text(one) == _text(other)


def _compare(function: str, one: Any, other: Any) -> bool:
    """Numbers as numbers, also where they are written as texts; everything else as texts."""
    try:
        low, high = float(one), float(other)
    except (TypeError, ValueError):
        less, equal = _text(one) < _text(other), _text(one) == _text(other)
    else:
        less, equal = low < high, low == high
    if function == "lt":
        return less
    if function == "le":
        return less or equal
    return not (less or equal) if function == "gt" else not less
