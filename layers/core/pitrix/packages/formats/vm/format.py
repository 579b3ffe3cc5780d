"""VM packages: ``package.json``, ``config.json``, a template of ``cluster.json``, ``locale/*.json``.

Owns what these files mean together, in both dialects: OpenPitrix (``cluster.json.tmpl``) and AppCenter
(``cluster.json.mustache``).  The parts are elsewhere: `vm.render` fills in the template, `vm.lint` tells what
is wrong, `forms.config` asks, `vm.cluster_spec` gives meaning, ``schemas/`` says what each file may hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pitrix.packages.formats import shared
from pitrix.packages.formats.vm import lint
from pitrix.packages.formats.vm.render import CONFIG, METADATA, TEMPLATES, build_spec, filled_in, lookup
from pitrix.packages.forms import answers as form
from pitrix.packages.forms import config as form_config
from pitrix.packages.model import (
    ClusterSpec,
    FieldType,
    Form,
    FormField,
    FormGroup,
    Manifest,
    Package,
    Problem,
)
from pitrix.packages.ports import Files
from pitrix.packages.text import jsontext


class VmFormat:
    """The `PackageFormat` of virtual machines."""

    type = becomes = "vm"

    def matches(self, files: Files) -> bool:
        return any(path in files for path in (METADATA, CONFIG, *TEMPLATES))

    def lint(self, files: Files) -> list[Problem]:
        return lint.lint(files)

    def lint_deeply(self, files: Files) -> list[Problem]:
        return []

    def metadata(self, files: Files) -> dict[str, Any]:
        return shared.described(files, self.type)

    def form(self, package: Package, locale: str) -> Form:
        return form_config.build(_config(package), shared.translations(package.files, locale), locale)

    def service_form(self, package: Package, role: str, service: str, locale: str) -> FormGroup:
        asked = self.form(package, locale)
        usual = form.default_answers(asked)
        answer = lookup(asked, usual)

        def trace(key: str) -> Any:
            return f"\0{key}" if key.startswith("service_params.") else answer(key)

        spec = build_spec(package, trace, {})
        params = spec.role(role).services[service].service_params
        fields = {each.key: each for group in asked.service_params for each in group.fields}
        translated = shared.translations(package.files, locale)
        return FormGroup(
            key=service,
            path=[],
            label=translated.get(service, service),
            fields=[_parameter(name, value, fields) for name, value in params.items()],
        )

    def render(self, package: Package, answers: Mapping[str, Any], links: Mapping[str, str]) -> ClusterSpec:
        return build_spec(package, lookup(self.form(package, "en"), answers), links)

    def demand(self, package: Package, answers: Mapping[str, Any], name: str) -> ClusterSpec:
        return self.render(package, answers, {})

    def aimed(self, package: Package, answers: Mapping[str, Any], provider: str) -> Mapping[str, Any]:
        return answers  # machines are the same everywhere

    def manifests(self, package: Package, answers: Mapping[str, Any], name: str) -> list[Manifest]:
        text = filled_in(package, lookup(self.form(package, "en"), answers))
        return [Manifest(path="cluster.json", text=text)]

    def scaffold(self, name: str) -> dict[str, bytes]:
        return shared.scaffold(self.type, name)


def _parameter(name: str, value: Any, fields: Mapping[str, FormField]) -> FormField:
    """The field behind one entry of ``service_params``; the name of the parameter is its only path."""
    if isinstance(value, str) and value.startswith("\0"):
        found = fields.get(value[1:])
        if found:
            return replace(found, key=name, path=[name])
        return FormField(key=name, path=[name], label=name, required=True)
    kind = {bool: FieldType.BOOLEAN, int: FieldType.INTEGER, float: FieldType.NUMBER}
    return FormField(
        key=name, path=[name], label=name, type=kind.get(type(value), FieldType.STRING), default=value
    )


def _config(package: Package) -> dict[str, Any]:
    value: dict[str, Any] = jsontext.read(CONFIG, package.files[CONFIG]).value
    return value
