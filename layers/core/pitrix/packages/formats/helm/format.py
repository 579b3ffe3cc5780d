"""Helm charts: ``Chart.yaml``, ``values.yaml`` with its schema, ``templates/``, ``charts/``, ``crds/``.

Owns what these files mean to the platform.  The parts are elsewhere: `helm.chart` reads the tree of charts,
`helm.lint` tells what is wrong, `helm.render` has the real Helm fill in the templates,
`pitrix.packages.forms.values` asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pitrix.errors import CapabilityMissing
from pitrix.packages.formats import shared
from pitrix.packages.formats.helm import chart as helm_chart
from pitrix.packages.formats.helm import lint, render
from pitrix.packages.formats.helm.chart import METADATA, SCHEMA, VALUES, text
from pitrix.packages.model import ClusterSpec, Form, FormGroup, Manifest, Package, Problem
from pitrix.packages.ports import Files

#: Where charts of the wild say how they want to be called, and what they are, first found first.
_TITLES = ("title", "displayName", "artifacthub.io/displayName", "catalog.cattle.io/display-name")
_CATEGORIES = ("category", "artifacthub.io/category", "licenses.category", "catalog.cattle.io/category")


class HelmFormat:
    """The `PackageFormat` of Helm charts."""

    type = becomes = "helm"

    def matches(self, files: Files) -> bool:
        if METADATA in files:
            return True
        misspelled = any(path.lower() in ("chart.yaml", "chart.yml") for path in files)
        return misspelled or (VALUES in files and any(path.startswith("templates/") for path in files))

    def lint(self, files: Files) -> list[Problem]:
        return lint.lint(files)

    def lint_deeply(self, files: Files) -> list[Problem]:
        return render.lint_deeply(files)

    def metadata(self, files: Files) -> dict[str, Any]:
        raw = dict(helm_chart.read(files).metadata)
        annotations = raw.get("annotations") or {}
        return {
            "name": raw["name"],
            "version": raw["version"],
            "type": self.type,
            "app_version": text(raw.get("appVersion")),
            "title": _first(annotations, _TITLES) or raw["name"],
            "description": raw.get("description") or "",
            "keywords": [text(each) for each in raw.get("keywords") or [] if text(each)],
            "home": raw.get("home") or "",
            "icon": raw.get("icon") or "",
            "maintainers": [
                {key: text(each[key]) for key in ("name", "email", "url") if each.get(key)}
                for each in raw.get("maintainers") or []
                if each
            ],
            "category": _first(annotations, _CATEGORIES),
            "metadata": raw,
        }

    def form(self, package: Package, locale: str) -> Form:
        from pitrix.packages.forms import values as form_schema

        chart = helm_chart.read(package.files)
        if chart.is_library:
            return Form(locale=locale, groups=[])
        schema, values = chart.documents.get(SCHEMA), chart.documents.get(VALUES)
        return form_schema.build(
            chart.values,
            schema.value if schema is not None and isinstance(schema.value, Mapping) else None,
            form_schema.comments(values.text) if values is not None else {},
            shared.translations(package.files, locale),
            locale,
        )

    def service_form(self, package: Package, role: str, service: str, locale: str) -> FormGroup:
        raise KeyError(service)

    def render(self, package: Package, answers: Mapping[str, Any], links: Mapping[str, str]) -> ClusterSpec:
        raise CapabilityMissing(
            f"{package.title or package.name} is a Helm chart: it becomes a release on a Kubernetes cluster, "
            "not machines. Deploy it on a runtime of Kubernetes, or install it with Helm from its repository."
        )

    def demand(self, package: Package, answers: Mapping[str, Any], name: str) -> ClusterSpec:
        from pitrix.packages.formats.helm import workloads

        return workloads.demand(self.manifests(package, answers, name))

    def aimed(self, package: Package, answers: Mapping[str, Any], provider: str) -> Mapping[str, Any]:
        return answers  # one Kubernetes is like another

    def manifests(self, package: Package, answers: Mapping[str, Any], name: str) -> list[Manifest]:
        return render.manifests(package.files, self.values(package, answers), name)

    def values(self, package: Package, answers: Mapping[str, Any]) -> dict[str, Any]:
        """What Helm is told beyond the chart's own values."""
        from pitrix.packages.forms.answers import overrides

        return overrides(self.form(package, "en"), answers, helm_chart.read(package.files).values)

    def scaffold(self, name: str) -> dict[str, bytes]:
        return shared.scaffold(self.type, name)


def _first(annotations: Any, names: tuple[str, ...]) -> str:
    found = annotations if isinstance(annotations, Mapping) else {}
    return next((shown for name in names if (shown := text(found.get(name)).strip())), "")
