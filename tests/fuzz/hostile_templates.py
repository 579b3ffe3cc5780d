"""Hostile templates: what would escape from a sandbox of Jinja2, or never come to an end."""

from __future__ import annotations

from collections.abc import Callable

from tests.fuzz.case import Case
from tests.fuzz.hostile_files import env, vm
from tests.unit.packages import samples

GROUP = "Templates of cluster.json"


def _in_text(expression: str) -> Callable[[], bytes]:
    return lambda: vm(template=samples.TEMPLATE.replace("--title '{{.env.title}}'", f"x {expression}"))


def _around(head: str, tail: str = "") -> Callable[[], bytes]:
    return lambda: vm(template=head + samples.TEMPLATE + tail)


#: Expressions by what they try.  None of them is a key of the form.
_EXPRESSIONS = {
    "attributes of a text": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "attributes by subscript": "{{ cluster['__class__']['__init__']['__globals__'] }}",
    "attributes of a key": "{{ cluster.name.__class__ }}",
    "attributes of a key, with a dot before it": "{{ .cluster.name.__class__.__base__ }}",
    "attributes by a filter": "{{ cluster|attr('__class__') }}",
    "attributes by a filter and escapes": r"{{ cluster|attr('\x5f\x5fclass\x5f\x5f') }}",
    "attributes by format strings": "{{ '{0.__class__.__init__.__globals__}'.format(cluster) }}",
    "attributes by format_map": "{{ '{x.__class__}'.format_map({'x': cluster}) }}",
    "globals of Jinja": "{{ self._TemplateReference__context }}",
    "globals of a function": "{{ lipsum.__globals__['os'].popen('id').read() }}",
    "globals of an iterator": "{{ cycler.__init__.__globals__.os.system('id') }}",
    "globals of the environment": "{{ config.items() }}",
    "request of a web framework": "{{ request.application.__globals__ }}",
    "functions of the platform": "{{ value(0, scope_0, True) }}",
    "scope of the platform": "{{ scope_0.parent }}",
    "exponent": "{{ 9**9**9 }}",
    "repetition": "{{ 'x' * 1000000000 }}",
    "repetition of a list": "{{ [0] * 1000000000 }}",
    "huge range": "{{ range(1000000000)|list }}",
    "huge number in a format": "{{ '%1000000000d'|format(1) }}",
    "huge centre": "{{ 'x'|center(1000000000) }}",
    "huge text of nonsense": "{{ lipsum(n=1000000) }}",
    "huge batch": "{{ range(100000000)|batch(1)|list }}",
    "comprehension": "{{ [x for x in range(10)] }}",
    "lambda": "{{ (lambda: 0)() }}",
    "statement": "{% for x in range(1000000000) %}x{% endfor %}",
    "statement import": "{% import 'os' as os %}",
    "statement include": "{% include '/etc/passwd' %}",
    "statement extends": "{% extends 'x' %}",
    "statement set": "{% set x = ''.__class__ %}",
    "macro that calls itself": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "comment of Jinja": "{# x #}",
    "raw": "{% raw %}{{ x }}{% endraw %}",
    "template of Go that calls": "{{ call .cluster.name }}",
    "template of Go that prints": '{{ printf "%1000000000d" 1 }}',
    "template of Go that defines itself": '{{ define "x" }}{{ template "x" . }}{{ end }}{{ template "x" . }}',
    "template of Go that includes": '{{ include "x" . }}',
    "template of Go that reads a file": '{{ .Files.Get "/etc/passwd" }}',
    "template of Go that reads the environment": '{{ env "AWS_SECRET_ACCESS_KEY" }}',
    "template of Go that repeats": '{{ "x" | repeat 1000000000 }}',
    "template of Go with a pipe of 10,000": "{{ .cluster.name " + "| print " * 10_000 + "}}",
    "partial of Mustache": "{{> /etc/passwd }}",
    "delimiters of Mustache": "{{=<% %>=}}",
    "lambda of Mustache": "{{#cluster.name.format}}x{{/cluster.name.format}}",
    "unescaped of Mustache": "{{{ cluster.__class__ }}}",
    "key of 100,000 letters": "{{ " + "x" * 100_000 + " }}",
    "key of 50,000 dots": "{{ .cluster" + ".x" * 50_000 + " }}",
    "50,000 parentheses": "{{ " + "(" * 50_000 + "1" + ")" * 50_000 + " }}",
    "50,000 negations": "{{ " + "not " * 50_000 + "1 }}",
    "number of 100,000 digits": "{{ " + "9" * 100_000 + " }}",
    "text without an end": "{{ 'x",
    "expression without an end": "{{ .cluster.name ",
    "50,000 openings": "{{" * 50_000,
    "NUL": "{{ .cluster.\0 }}",
    "characters that cannot be seen": "{{ .cluster.\u202e\x1b[2J }}",
    "line breaks": "{{\n.cluster\n.name\n}}",
    "expression in an expression": "{{ {{ .cluster.name }} }}",
}

CASES: dict[str, Case] = {
    f"template: {name}": Case(GROUP, "", _in_text(expression)) for name, expression in _EXPRESSIONS.items()
}
CASES |= {
    "template: 2,000 ifs in each other": Case(
        GROUP, "", _around("{{if .env.tls}}" * 2000, "{{end}}" * 2000)
    ),
    "template: 90 ifs in each other": Case(GROUP, "", _around("{{if .env.tls}}" * 90, "{{end}}" * 90)),
    "template: 5,000 else-ifs": Case(
        GROUP, "", _around("{{if .env.tls}}" + "{{else if .env.tls}}" * 5000 + "{{else}}", "{{end}}")
    ),
    "template: 30 loops in each other": Case(
        GROUP, "", _around("{{range .env.modules}}" * 30, "{{end}}" * 30)
    ),
    "template: 30 sections in each other": Case(
        GROUP, "", _around("{{#env.modules}}" * 30, "{{/env.modules}}" * 30)
    ),
    "template: loop over a text of 900,000 characters": Case(
        GROUP,
        "",
        lambda: vm(
            config=env({"key": "long", "type": "string", "default": "x" * 900_000}),
            template="{{range .env.long}}{{range .env.long}}x{{end}}{{end}}" + samples.TEMPLATE,
        ),
    ),
    "template: a long answer 20,000 times": Case(
        GROUP,
        "",
        lambda: vm(
            config=env({"key": "long", "type": "string", "default": "x" * 9000}),
            template=samples.TEMPLATE.replace("{{.env.title}}'", "{{.env.long}}" * 20_000 + "'"),
        ),
    ),
    "template: end without a beginning": Case(GROUP, "", _around("{{end}}" * 10_000)),
    "template: 100,000 expressions": Case(GROUP, "", _in_text("{{.env.port}}" * 70_000)),
    "template: 100,000 faults": Case(GROUP, "", _in_text("{{ a b }}" * 90_000)),
    "template: 2 MiB": Case(GROUP, "the limit is", _around(" " * (2 * 1024 * 1024))),
    "template: not UTF-8": Case(GROUP, "not UTF-8", lambda: vm(template=b"\xff" + samples.TEMPLATE.encode())),
    "template: nothing": Case(GROUP, "", lambda: vm(template=b"")),
    "template: a list": Case(GROUP, "", lambda: vm(template="[]")),
    "template: not JSON when it is filled in": Case(GROUP, "", _around("{", "")),
    "template: deeper JSON than is read": Case(GROUP, "", lambda: vm(template="[" * 5000 + "]" * 5000)),
    "template: nodes without an end": Case(
        GROUP, "", lambda: vm(template='{"name": "x", "nodes": [' + ",".join(["{}"] * 5000) + "]}")
    ),
    "template: a trillion nodes": Case(
        GROUP, "", lambda: vm(template=samples.TEMPLATE.replace('"{{.cluster.web.count}}"', "1000000000000"))
    ),
    "template: infinite numbers of nodes": Case(
        GROUP, "", lambda: vm(template=samples.TEMPLATE.replace('"{{.cluster.web.count}}"', "1e999"))
    ),
    "template: answer that closes its text": Case(
        GROUP,
        "",
        lambda: vm(
            config=env({"key": "evil", "type": "string", "default": '", "image": "x", "y": "'}),
            template=samples.TEMPLATE.replace("{{.env.title}}'", "{{.env.evil}}'"),
        ),
    ),
    "template: answer that is a template": Case(
        GROUP,
        "",
        lambda: vm(
            config=env({"key": "evil", "type": "string", "default": "{{ ''.__class__ }}{% raw %}"}),
            template=samples.TEMPLATE.replace("{{.env.title}}'", "{{.env.evil}}'"),
        ),
    ),
    "template: both names at once": Case(
        GROUP, "", lambda: vm(**{"cluster.json.mustache": samples.TEMPLATE.encode() * 2})
    ),
}  # fmt: skip
