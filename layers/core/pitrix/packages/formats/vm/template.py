"""Templates of ``cluster.json`` in both dialects, rendered by Jinja2 in a sandbox.

Owns turning the tree of a template into a Jinja2 syntax tree and rendering it: no text of a package is ever
handed to Jinja2 as source, so there is no sandbox to escape from.  A value is inserted as JSON; inside of a
longer string, as the inside of a JSON string.  How a template is read: `vm.template_parser`; what stands
inside of ``{{ }}``: `vm.template_expressions`.  Never knows what a key means: the caller looks values up.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from pitrix.packages.formats.vm import template_parser
from pitrix.packages.formats.vm.template_expressions import (
    Choices,
    Expression,
    Lookup,
    Scope,
    evaluate,
    operands,
    turns,
)
from pitrix.packages.formats.vm.template_parser import (
    Block,
    Branch,
    Part,
    Reference,
    TemplateBroken,
    Text,
    Value,
)

if TYPE_CHECKING:
    from jinja2 import nodes

__all__ = ["Choices", "Lookup", "Reference", "Template", "TemplateBroken", "parse"]

#: A rendered template may not grow beyond this many characters.
MAX_RENDERED = 8 * 1024 * 1024
#: Turns of all loops of one rendering together, also of those which write nothing.
MAX_TURNS = 20_000
#: Operands of all expressions of one rendering together; a large package of the wild takes a few hundred.
MAX_STEPS = 200_000


class Template:
    """A parsed template; `references` tells what it asks for, `render` fills it in."""

    def __init__(self, parsed: template_parser.Parsed) -> None:
        self._parts = parsed.parts
        self.references = parsed.references

    def render(self, lookup: Lookup) -> str:
        """Fill in the values.

        The result has each line where the template has it, so that a line of the result can be shown as a
        line of the template.  A loop has its lines in its first turn and none in the others.

        Args:
            lookup: Gives the value of a dotted key; ``None`` becomes ``null``.

        Raises:
            ValueError: The result is larger than `MAX_RENDERED`, or takes too many turns or steps.
        """
        from jinja2 import nodes
        from jinja2.sandbox import SandboxedEnvironment

        environment = SandboxedEnvironment(autoescape=False)
        builder = _Builder()
        tree = nodes.Template(builder.build(self._parts, 0), lineno=1)
        tree.set_lineno(1)
        tree.set_environment(environment)
        code = environment.compile(tree, "template", "template")
        compiled = environment.template_class.from_code(environment, code, {}, None)
        size, pieces = 0, []
        for piece in compiled.generate(scope_0=Scope(), **_functions(builder, lookup)):
            size += len(piece)
            if size > MAX_RENDERED:
                raise ValueError(f"the rendered template is larger than {MAX_RENDERED} characters")
            pieces.append(piece)
        return "".join(pieces)


def parse(text: str) -> Template:
    """Parse a template of either dialect.

    Raises:
        TemplateBroken: With every fault found.
    """
    return Template(template_parser.parse(text))


def _functions(builder: _Builder, lookup: Lookup) -> dict[str, Callable[..., Any]]:
    """What the compiled template calls; expressions and texts are named by their place in the builder."""
    taken = steps = 0

    def found_by(expression: Expression, scope: Scope) -> Any:
        nonlocal steps
        steps += operands(expression)
        if steps > MAX_STEPS:
            raise ValueError(f"the expressions of the template take more than {MAX_STEPS} steps")
        return evaluate(expression, scope, lookup)

    def value(place: int, scope: Scope, quoted: bool) -> str:
        found = found_by(builder.expressions[place], scope)
        text = json.dumps(found, ensure_ascii=False, allow_nan=False)
        if not quoted:
            return text
        return text[1:-1] if text.startswith('"') else json.dumps(text)[1:-1]

    def holds(place: int, scope: Scope) -> bool:
        return bool(found_by(builder.expressions[place], scope))

    def each(place: int, scope: Scope) -> Iterator[Scope]:
        nonlocal taken
        block = builder.loops[place]
        condition = block.branches[0].condition
        assert condition is not None
        found = found_by(condition, scope)
        wanted = [(0, found)] if block.loop == "with" and found else []
        if block.loop != "with":
            wanted = list(turns(found, section=block.loop == "section"))
        for turn, (index, element) in enumerate(wanted):
            taken += 1
            if taken > MAX_TURNS:
                raise ValueError(f"the loops of the template take more than {MAX_TURNS} turns")
            names = dict(zip(block.names, (index, element)[2 - len(block.names) :], strict=True))
            yield Scope(element, scope, names, first=scope.first and turn == 0)

    def text(place: int, scope: Scope) -> str:
        found = builder.texts[place]
        return found if scope.first else found.replace("\n", " ")

    return {"value": value, "holds": holds, "each": each, "text": text}


class _Builder:
    """Makes the Jinja2 tree; ``depth`` counts the loops around a part and names its scope."""

    def __init__(self) -> None:
        self.expressions: list[Expression] = []
        self.loops: list[Block] = []
        self.texts: list[str] = []

    def build(self, parts: list[Part], depth: int) -> list[nodes.Node]:
        result: list[nodes.Node] = []
        for part in parts:
            if isinstance(part, Text):
                result.extend(self._text(part.text, depth))
            elif isinstance(part, Value):
                result.append(self._output(self._call("value", part.expression, depth, part.quoted)))
            elif part.loop:
                result.append(self._loop(part, depth))
            else:
                result.extend(self._branches(part.branches, 0, part.newlines, depth))
        return result

    def _text(self, text: str, depth: int) -> list[nodes.Node]:
        from jinja2 import nodes

        if not text:
            return []
        if not depth:
            return [nodes.Output([nodes.TemplateData(text)])]
        self.texts.append(text)
        return [self._output(self._named("text", len(self.texts) - 1, depth))]

    def _loop(self, block: Block, depth: int) -> nodes.Node:
        from jinja2 import nodes

        body, otherwise = block.branches[0], block.branches[1:]
        missed = sum(each.newlines for each in otherwise)
        self.loops.append(block)
        return nodes.For(
            nodes.Name(f"scope_{depth + 1}", "store"),
            self._named("each", len(self.loops) - 1, depth),
            [*self.build(body.body, depth + 1), *self._text("\n" * missed, depth + 1)],
            [
                *self._text("\n" * body.newlines, depth),
                *(node for each in otherwise for node in self.build(each.body, depth)),
            ],
            None,
            False,
        )

    def _branches(self, branches: list[Branch], before: int, total: int, depth: int) -> list[nodes.Node]:
        """Nested ``if``s; each branch is filled up to the lines of all of them."""
        from jinja2 import nodes

        if not branches:
            return self._text("\n" * total, depth)
        first, rest = branches[0], branches[1:]
        body = [
            *self._text("\n" * before, depth),
            *self.build(first.body, depth),
            *self._text("\n" * (total - before - first.newlines), depth),
        ]
        if first.condition is None:
            return body
        otherwise = self._branches(rest, before + first.newlines, total, depth)
        return [nodes.If(self._call("holds", first.condition, depth), body, [], otherwise)]

    def _call(self, function: str, expression: Expression, depth: int, *more: Any) -> nodes.Call:
        self.expressions.append(expression)
        return self._named(function, len(self.expressions) - 1, depth, *more)

    @staticmethod
    def _named(function: str, place: int, depth: int, *more: Any) -> nodes.Call:
        from jinja2 import nodes

        arguments: list[nodes.Expr] = [nodes.Const(place), nodes.Name(f"scope_{depth}", "load")]
        arguments += [nodes.Const(each) for each in more]
        return nodes.Call(nodes.Name(function, "load"), arguments, [], None, None)

    @staticmethod
    def _output(call: nodes.Call) -> nodes.Node:
        from jinja2 import nodes

        return nodes.Output([call])
