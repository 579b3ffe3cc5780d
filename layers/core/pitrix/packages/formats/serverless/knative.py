"""Plain code for Knative: services, and the sources, channels and triggers that call them.

Owns the manifests of a package's functions, and filling answers into manifests that a package brings itself.
Queues are channels; what is secret lies in a Secret.  Buckets, tables and permissions have no meaning there:
`serverless.lint` says so.

Sources: Knative's API reference: ``serving.knative.dev/v1`` Service (visibility label, ``max-scale``,
``containerConcurrency``), ``sources.knative.dev/v1`` PingSource, ``messaging.knative.dev/v1`` Channel and
Subscription, ``eventing.knative.dev/v1`` Trigger.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from pitrix.packages.formats.serverless import schedule
from pitrix.packages.formats.serverless.answers import Answers
from pitrix.packages.formats.serverless.manifest import Function, Trigger, references, resolve
from pitrix.packages.formats.serverless.yaml import dump
from pitrix.packages.model import Problem, Severity
from pitrix.packages.ports import Files
from pitrix.packages.text import jsontext, yamltext
from pitrix.packages.text.jsontext import Document

MAX_NAME = 63
_GROUPS = (
    "serving.knative.dev",
    "eventing.knative.dev",
    "messaging.knative.dev",
    "sources.knative.dev",
    "flows.knative.dev",
)
_PLAIN = ("v1/ConfigMap", "v1/Secret")
#: What the controller gives every container; a variable of that name would be refused.
RESERVED = {"PORT", "K_SERVICE", "K_CONFIGURATION", "K_REVISION"}


def object_name(*parts: str) -> str:
    """Parts as one name of Kubernetes (a DNS label); a long one is cut and told apart by a digest."""
    whole = re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-") or "app"
    whole = whole if whole[0].isalpha() else f"a-{whole}"
    if len(whole) <= MAX_NAME:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
    return f"{whole[: MAX_NAME - 9].rstrip('-')}-{digest}"


def manifests(answers: Answers, name: str, package: str) -> str:
    """Every object of a package, as YAML.

    Args:
        name: Of the deployed application; the names of all objects begin with it.
    """
    return dump(_Objects(answers, name, package).build())


class _Objects:
    """The objects of one application while they are put together."""

    def __init__(self, answers: Answers, name: str, package: str) -> None:
        self.answers, self.name = answers, name
        self.labels = {
            "app.kubernetes.io/name": object_name(package),
            "app.kubernetes.io/instance": object_name(name),
            "app.kubernetes.io/managed-by": "pitrix",
        }
        self.secret_name = object_name(name, "answers")

    def build(self) -> list[dict[str, Any]]:
        manifest = self.answers.manifest
        made = self._secrets()
        made += [
            self._object("messaging.knative.dev/v1", "Channel", name, {})
            for name, kind in manifest.resources.items()
            if kind == "queue"
        ]
        made += [self._service(each) for each in manifest.functions]
        return made + [found for each in manifest.triggers if (found := self._trigger(each))]

    def _object(self, version: str, kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
        metadata = {"name": object_name(self.name, name), "labels": dict(self.labels)}
        made: dict[str, Any] = {"apiVersion": version, "kind": kind, "metadata": metadata}
        return made | ({"spec": dict(spec)} if spec else {})

    def _secrets(self) -> list[dict[str, Any]]:
        secret = [key for key in self.answers.used() if self.answers.secret(key)]
        if not secret:
            return []
        made = self._object("v1", "Secret", "answers", {})
        return [made | {"type": "Opaque", "stringData": {key: self.answers.text(key) for key in secret}}]

    def _service(self, function: Function) -> dict[str, Any]:
        container: dict[str, Any] = {
            "image": self._text(self.answers.image(function)),
            "env": [self._variable(name, text) for name, text in self.answers.environment(function).items()],
            "resources": {"limits": {"memory": f"{function.memory_mib}Mi"}},
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        }
        spec: dict[str, Any] = {"timeoutSeconds": function.timeout_s, "containers": [container]}
        template: dict[str, Any] = {"spec": spec}
        if function.concurrency:
            # One call a container, as on Lambda: then the number of containers is that of calls.
            spec["containerConcurrency"] = 1
            scale = {"autoscaling.knative.dev/max-scale": str(function.concurrency)}
            template = {"metadata": {"annotations": scale}, **template}
        made = self._object("serving.knative.dev/v1", "Service", function.name, {"template": template})
        if not any(each.type == "http" and each.public for each in self._triggers_of(function)):
            made["metadata"]["labels"]["networking.knative.dev/visibility"] = "cluster-local"
        return made

    def _triggers_of(self, function: Function) -> list[Trigger]:
        return self.answers.manifest.triggers_of(function.name)

    def _variable(self, name: str, text: str) -> dict[str, Any]:
        found = list(references(text))
        if len(found) == 1 and found[0][0] == "env" and self.answers.secret(found[0][1]):
            key = {"name": self.secret_name, "key": found[0][1]}
            if text == f"${{env.{found[0][1]}}}":
                return {"name": name, "valueFrom": {"secretKeyRef": key}}
        return {"name": name, "value": self._text(text)}

    def _trigger(self, trigger: Trigger) -> dict[str, Any] | None:
        name = f"{trigger.function}-{trigger.index}"
        service = object_name(self.name, trigger.function)
        reference = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": service}
        if trigger.type == "schedule":
            when = schedule.read(trigger.raw).knative()
            spec = {"schedule": when, "timezone": "UTC", "contentType": "application/json", "data": "{}"}
            return self._object(
                "sources.knative.dev/v1", "PingSource", name, spec | {"sink": {"ref": reference}}
            )
        if trigger.type == "queue":
            queue = trigger.text("queue")
            own = queue in self.answers.manifest.resources
            channel = {
                "apiVersion": "messaging.knative.dev/v1",
                "kind": "Channel",
                "name": object_name(self.name, queue) if own else self._text(queue),
            }
            wanted = {"channel": channel, "subscriber": {"ref": reference}}
            return self._object("messaging.knative.dev/v1", "Subscription", name, wanted)
        if trigger.type == "event":
            return self._broker_trigger(trigger, name, reference)
        return None

    def _broker_trigger(self, trigger: Trigger, name: str, reference: Mapping[str, Any]) -> dict[str, Any]:
        types = list(trigger.raw["types"])
        source = {"source": self._text(trigger.text("source"))} if trigger.text("source") else {}
        spec: dict[str, Any] = {"broker": self._text(trigger.text("bus", "default"))}
        if len(types) == 1:
            spec["filter"] = {"attributes": {"type": types[0], **source}}
        else:
            exact: list[dict[str, Any]] = [{"any": [{"exact": {"type": each}} for each in types]}]
            spec["filters"] = [*exact, *([{"exact": source}] if source else [])]
        return self._object(
            "eventing.knative.dev/v1", "Trigger", name, spec | {"subscriber": {"ref": reference}}
        )

    def _text(self, text: str) -> str:
        return resolve(text, self._value)

    def _value(self, kind: str, key: str) -> str:
        if kind == "env":
            return self.answers.text(key)
        # A channel is reached at the service that its controller makes beside it.
        return f"http://{object_name(self.name, key)}-kn-channel"


# --- manifests that a package brings ------------------------------------------------------------------------


def lint(file: str, data: bytes, keys: list[str]) -> list[Problem]:
    """What is wrong with Knative manifests of a package; ``keys`` are those of config.json's env."""
    try:
        documents = yamltext.read_all(file, data)
    except jsontext.JsonRefused as refused:
        return [refused.problem]
    problems = [problem for each in documents for problem in (*each.warnings, *_lint_object(each, keys))]
    if not any(isinstance(each.value, Mapping) and each.value.get("kind") == "Service" for each in documents):
        message = "there is no Service of serving.knative.dev/v1"
        problems.append(Problem(file=file, message=message, hint="it is what runs the function"))
    return problems


def _lint_object(document: Document, keys: list[str]) -> list[Problem]:
    value = document.value
    if value is None:
        return []
    if not isinstance(value, Mapping):
        return [document.problem("", "an object of Kubernetes is a mapping with apiVersion and kind")]
    problems = []
    version, kind = str(value.get("apiVersion", "")), str(value.get("kind", ""))
    if version.partition("/")[0] not in _GROUPS and f"{version}/{kind}" not in _PLAIN:
        problems.append(
            document.problem(
                "/kind",
                f"{version} {kind} is no object of Knative",
                "use a Helm package for objects of other kinds",
            )
        )
    metadata = value.get("metadata")
    if not isinstance(metadata, Mapping) or not isinstance(metadata.get("name"), str):
        problems.append(document.problem("/metadata", "the object has no name"))
    elif "namespace" in metadata:
        message = "the namespace is chosen when it is deployed"
        problems.append(document.problem("/metadata/namespace", message, "leave it out", Severity.WARNING))
    if kind == "Service" and version.startswith("serving.knative.dev"):
        problems += _lint_service(document)
    for kind_of, name in references(json.dumps(value, ensure_ascii=False)):
        if kind_of != "env" or name not in keys:
            message = f"${{{kind_of}.{name}}} is not asked for in config.json"
            problems.append(document.problem("", message, "add the field to its env, or check the spelling"))
    return problems


def _lint_service(document: Document) -> list[Problem]:
    spec: Any = document.value
    for key in ("spec", "template", "spec"):
        spec = spec.get(key) if isinstance(spec, Mapping) else None
    containers = spec.get("containers") if isinstance(spec, Mapping) else None
    at = "/spec/template/spec/containers"
    if not isinstance(containers, list) or not containers:
        return [document.problem(at, "the service has no containers")]
    problems = []
    for index, each in enumerate(containers):
        if not isinstance(each, Mapping) or not isinstance(each.get("image"), str):
            problems.append(document.problem(f"{at}/{index}", "the container has no image"))
        elif isinstance(each.get("securityContext"), Mapping) and each["securityContext"].get("privileged"):
            problems.append(document.problem(f"{at}/{index}/securityContext", "the container is privileged"))
    return problems


def filled_in(answers: Answers, files: Files) -> str:
    """The package's own manifests with answers in place of their references; values stay texts."""
    path = answers.manifest.template
    documents = yamltext.read_all(path, files[path])
    return dump([_filled(each.value, answers) for each in documents if each.value is not None])


def _filled(value: Any, answers: Answers) -> Any:
    # Recursion is bounded: yamltext refuses what is deeper than a hundred levels.
    if isinstance(value, Mapping):
        return {key: _filled(each, answers) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, answers) for each in value]
    return resolve(value, lambda _, key: answers.text(key)) if isinstance(value, str) else value
