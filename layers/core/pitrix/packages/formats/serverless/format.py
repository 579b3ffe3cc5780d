"""Serverless packages: functions with triggers as plain code, or a template, for AWS, Azure and Knative.

Owns what the files of such a package mean together.  The parts are elsewhere: ``schemas/serverless.json``
says what the manifest may hold and is its documentation, `serverless.lint` tells what is wrong,
`serverless.answers` and `serverless.cfn` ask, `serverless.sam`, `serverless.azure` and `serverless.knative`
say what the answers become, `serverless.tools` runs cfn-lint and imports an app of Azure where its author
asks for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pitrix.errors import CapabilityMissing, FieldError, InvalidInput
from pitrix.packages.formats import shared
from pitrix.packages.formats.serverless import answers as serverless_answers
from pitrix.packages.formats.serverless import azure, cfn, knative, lint, sam
from pitrix.packages.formats.serverless import manifest as serverless_manifest
from pitrix.packages.formats.serverless.answers import DEPLOY, TARGET, Answers
from pitrix.packages.formats.serverless.manifest import AWS, AZURE, KNATIVE, RUNTIMES
from pitrix.packages.model import ClusterSpec, Form, FormGroup, Manifest, Package, Problem, Severity
from pitrix.packages.ports import Files

#: The provider that each target is for.
_PROVIDERS = {AWS: "aws", AZURE: "azure", KNATIVE: "kubernetes"}
_UNMETERED = (
    "Calls of functions and what they store are billed by the cloud to the account of the runtime; they are "
    "not metered here."
)


class ServerlessFormat:
    """The `PackageFormat` of functions."""

    type = becomes = "serverless"

    def matches(self, files: Files) -> bool:
        return serverless_manifest.is_serverless(files)

    def lint(self, files: Files) -> list[Problem]:
        return lint.lint(files)

    def lint_deeply(self, files: Files) -> list[Problem]:
        # The tools are given what can be deployed: of a broken manifest they would only repeat what is known.
        if any(each.severity == Severity.ERROR for each in self.lint(files)):
            return []
        from pitrix.packages.formats.serverless import tools

        return tools.lint(files)

    def metadata(self, files: Files) -> dict[str, Any]:
        return shared.described(files, self.type)

    def form(self, package: Package, locale: str) -> Form:
        manifest, messages = (
            serverless_answers.manifest_of(package),
            shared.translations(package.files, locale),
        )
        if manifest.template and AWS in manifest.targets:
            return cfn.form(_template(package, manifest.template), messages, locale)
        return serverless_answers.asked(manifest, package.files, messages, locale)

    def service_form(self, package: Package, role: str, service: str, locale: str) -> FormGroup:
        raise KeyError(service)  # functions have no custom services

    def render(self, package: Package, answers: Mapping[str, Any], links: Mapping[str, str]) -> ClusterSpec:
        targets = serverless_answers.manifest_of(package).targets
        runtimes = " or ".join(RUNTIMES[each] for each in targets)
        raise CapabilityMissing(
            f"{package.name} is made of functions and becomes no machines; "
            f"deploy it to a runtime of {runtimes}"
        )

    def demand(self, package: Package, answers: Mapping[str, Any], name: str) -> ClusterSpec:
        self.manifests(package, answers, name)  # what cannot be rendered cannot be deployed
        return ClusterSpec(unmetered=[_UNMETERED])

    def aimed(self, package: Package, answers: Mapping[str, Any], provider: str) -> Mapping[str, Any]:
        targets = serverless_answers.manifest_of(package).targets
        fitting = [target for target in targets if _PROVIDERS[target] == provider]
        if not fitting:
            runtimes = " or ".join(RUNTIMES[each] for each in targets)
            raise CapabilityMissing(
                f"{package.name} is made for {runtimes}; this runtime is another cloud's."
            )
        if len(targets) == 1:
            return answers  # there is nothing to be asked
        deploy = answers.get(DEPLOY)
        given = dict(deploy) if isinstance(deploy, Mapping) else {}
        if given.get(TARGET, fitting[0]) != fitting[0]:
            message = f"must be {fitting[0]} on this runtime"
            raise InvalidInput(
                "The runtime is another cloud's.", errors=[FieldError(f"{DEPLOY}.{TARGET}", message)]
            )
        return {**answers, DEPLOY: given | {TARGET: fitting[0]}}

    def manifests(self, package: Package, answers: Mapping[str, Any], name: str) -> list[Manifest]:
        manifest, files = serverless_answers.manifest_of(package), package.files
        path = manifest.template
        if path and AWS in manifest.targets:
            text = files[path].decode("utf-8-sig")
            parameters = cfn.parameters_file(_template(package, path), answers)
            return [Manifest(path=path, text=text), Manifest(path="parameters.json", text=parameters)]
        form = serverless_answers.asked(manifest, files, {}, "en")
        given = Answers(manifest, form, answers)
        if path:
            return [Manifest(path=path, text=knative.filled_in(given, files))]
        made = {
            AWS: lambda: {
                "template.yaml": sam.template(given, package.description or package.title),
                "parameters.json": sam.parameters(given),
            },
            AZURE: lambda: {
                "host.json": azure.host(given, files),
                "app-settings.json": azure.app_settings(given),
                "function-app.json": azure.function_app(given),
            },
            KNATIVE: lambda: {"knative.yaml": knative.manifests(given, name, package.name)},
        }[given.target]()
        return [Manifest(path=path, text=text) for path, text in made.items()]

    def scaffold(self, name: str) -> dict[str, bytes]:
        return shared.scaffold(self.type, name)


def _template(package: Package, path: str) -> Mapping[str, Any]:
    value: Mapping[str, Any] = cfn.read(path, package.files[path]).value
    return value
