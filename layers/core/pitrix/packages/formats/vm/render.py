"""Filling in the template of a VM package, and giving meaning to the result.

Owns the names of the package's files, how a key of the template finds its answer, and what is an error in
the filled-in file.  `vm` is the format, `vm.lint` tells everything that is wrong at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

from pitrix.errors import FieldError, PackageInvalid
from pitrix.packages import schema
from pitrix.packages.formats.shared import METADATA as METADATA
from pitrix.packages.formats.vm import cluster_review, cluster_spec, template
from pitrix.packages.formats.vm.template import Choices, Lookup
from pitrix.packages.model import ClusterSpec, Form, FormField, Package, Problem, Severity
from pitrix.packages.text import jsontext
from pitrix.packages.text.jsontext import Document, JsonRefused

CONFIG = "config.json"
TEMPLATES = ("cluster.json.tmpl", "cluster.json.mustache")
#: Keys that the specification reserves: a template may use them without a field in config.json.
RESERVED = {"cluster.name", "cluster.description", "cluster.subnet", "cluster.vxnet"}

#: Machines of one cluster, replicas included.
MAX_MACHINES = 1000


def lookup(asked: Form, answers: Mapping[str, Any]) -> Lookup:
    """Values of template keys: answers by the path of their field, so that a key may hold dots.

    The key of a group gives an object of what is below it, which a block of a template may go into.
    """
    fields = {each.key: each for each in asked.fields()}
    params = {each.key: each for group in asked.service_params for each in group.fields}

    def of_field(field: FormField) -> Any:
        node: Any = answers
        for part in field.path:
            node = node.get(part) if isinstance(node, Mapping) else None
        return _joined(field, field.default if node is None else node)

    @cache
    def value(key: str) -> Any:
        if key in params:
            return _joined(params[key], params[key].default)
        if key in fields:
            return of_field(fields[key])
        if key in RESERVED:
            return ""
        below = {name: field for name, field in fields.items() if name.startswith(f"{key}.")}
        return {name[len(key) + 1 :]: of_field(field) for name, field in below.items()} or None

    return value


def _joined(field: FormField, value: Any) -> Any:
    """A choice of several is one text in the rendered file; a loop of the template still goes over each."""
    if field.multichoice and isinstance(value, list):
        return Choices(field.separator.join(str(each) for each in value), value)
    return value


def fill_in(parsed: template.Template, name: str, lookup: Lookup) -> tuple[Document | None, list[Problem]]:
    """The filled-in template and what is wrong with it; lines are those of the template."""
    try:
        document = jsontext.parse(name, parsed.render(lookup))
    except JsonRefused as error:
        return None, [replace(error.problem, message=f"filled in: {error.problem.message}")]
    except ValueError as error:
        return None, [Problem(file=name, message=str(error))]
    problems = [*document.warnings, *schema.check(document, "cluster")]
    if not any(each.severity == Severity.ERROR for each in problems):
        problems.extend(cluster_review.review(document))
    return document, problems


@lru_cache(maxsize=32)
def _parsed(text: str) -> template.Template:
    return template.parse(text)


def build_spec(package: Package, lookup: Lookup, links: Mapping[str, str]) -> ClusterSpec:
    """The cluster of a package whose template is filled in by ``lookup``.

    Raises:
        PackageInvalid: With every error of the filled-in template.
    """
    document = _checked(package, lookup)
    spec = cluster_spec.build(document.value, links)
    machines = sum(each.machines for each in spec.roles)
    if 1 <= machines <= MAX_MACHINES:
        return spec
    message = f"the cluster would have {machines} nodes; allowed: 1 to {MAX_MACHINES}"
    raise _refused(package, [document.problem("/nodes", message)])


def filled_in(package: Package, lookup: Lookup) -> str:
    """The text of a package's ``cluster.json``, laid out for a reader.

    Raises:
        PackageInvalid: With every error of the filled-in template.
    """
    return json.dumps(_checked(package, lookup).value, indent=2, ensure_ascii=False) + "\n"


def _checked(package: Package, lookup: Lookup) -> Document:
    name = next(each for each in TEMPLATES if each in package.files)
    text, _ = jsontext.decode_text(name, package.files[name])
    document, problems = fill_in(_parsed(text), name, lookup)
    errors = [each for each in problems if each.severity == Severity.ERROR]
    if document is None or errors:
        raise _refused(package, errors)
    return document


def _refused(package: Package, errors: list[Problem]) -> PackageInvalid:
    return PackageInvalid(
        f"{package.name} {package.version} cannot be deployed with these answers: {errors[0].message}",
        errors,
        errors=[FieldError(f"{each.file}:{each.line}{each.key}", each.message) for each in errors],
    )
