"""A whole kind of package in one file, in a distribution of its own: a script that runs on machines.

Owns what ``script.toml`` means; what is below ``payload/`` goes onto each machine, into the folder that the
script runs in. Every promise is that of ``pitrix.packages.ports.PackageFormat``::

    name = "greeter"
    version = "1.0.0"
    description = "Says hello"
    run = "sh greet.sh"         # again whenever the application is started
    memory_mib = 512
    [settings]                  # asked of the user, kept for the script in the node's env
    greeting = "Hello"
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pitrix.packages.model import (
    ClusterSpec,
    FieldType,
    Form,
    FormField,
    FormGroup,
    Manifest,
    Package,
    Problem,
    RoleSpec,
    ServiceSpec,
)
from pitrix.packages.ports import Files

_MANIFEST = "script.toml"
_RULES = {"name": r"[a-z0-9][a-z0-9-]{0,52}", "version": r"\d+\.\d+\.\d+", "run": r"[^\r\n]+"}


class ScriptFormat:
    """Packages with a ``script.toml``. They become machines, as those of every plug-in do."""

    type = "script"
    becomes = "vm"

    def matches(self, files: Files) -> bool:
        return _MANIFEST in files

    def lint(self, files: Files) -> list[Problem]:
        try:
            told = _read(files)
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            return [Problem(file=_MANIFEST, message=f"cannot be read: {error}", hint="write TOML in UTF-8")]
        wrong = [
            Problem(file=_MANIFEST, key=f"/{key}", message=f"must match {rule}")
            for key, rule in _RULES.items()
            if not isinstance(told.get(key), str) or not re.fullmatch(rule, told[key])
        ]
        memory, settings = told.get("memory_mib", 512), told.get("settings", {})
        if type(memory) is not int or not 256 <= memory <= 65536:
            wrong.append(Problem(file=_MANIFEST, key="/memory_mib", message="must be 256 to 65536"))
        if not isinstance(settings, dict) or not all(isinstance(it, str) for it in settings.values()):
            wrong.append(Problem(file=_MANIFEST, key="/settings", message="must be a table of texts"))
        return wrong

    def lint_deeply(self, files: Files) -> list[Problem]:
        return []

    def metadata(self, files: Files) -> dict[str, Any]:
        told = _read(files)
        title, description = str(told.get("title", told["name"])), str(told.get("description", ""))
        described = {"name": told["name"], "version": told["version"], "title": title}
        return described | {"type": self.type, "description": description, "metadata": told}

    def form(self, package: Package, locale: str) -> Form:
        settings = package.metadata.get("settings", {})
        count = FormField(
            key="count",
            path=["count"],
            label="Machines",
            type=FieldType.INTEGER,
            default=1,
            minimum=1,
            maximum=10,
        )
        asked = [
            FormField(key=f"settings.{name}", path=["settings", name], label=name, default=default)
            for name, default in settings.items()
        ]
        groups = [FormGroup(key="machines", path=[], label="Machines", fields=[count])]
        if asked:
            groups.append(FormGroup(key="settings", path=["settings"], label="Settings", fields=asked))
        return Form(locale=locale, groups=groups)

    def service_form(self, package: Package, role: str, service: str, locale: str) -> FormGroup:
        raise KeyError(service)  # nothing but its start can be called

    def render(self, package: Package, answers: Mapping[str, Any], links: Mapping[str, str]) -> ClusterSpec:
        node = RoleSpec(
            role="node",
            count=answers["count"],
            cpu=1,
            memory_mib=package.metadata.get("memory_mib", 512),
            services={"start": ServiceSpec(name="start", cmd=package.metadata["run"], timeout_s=120)},
            env=dict(answers.get("settings", {})),
        )
        return ClusterSpec(name=package.name, roles=[node])

    def demand(self, package: Package, answers: Mapping[str, Any], name: str) -> ClusterSpec:
        return self.render(package, answers, {})

    def aimed(self, package: Package, answers: Mapping[str, Any], provider: str) -> Mapping[str, Any]:
        return answers  # machines are the same everywhere

    def manifests(self, package: Package, answers: Mapping[str, Any], name: str) -> list[Manifest]:
        roles = [asdict(role) for role in self.render(package, answers, {}).roles]
        return [Manifest(path="machines.json", text=json.dumps(roles, indent=2))]

    def scaffold(self, name: str) -> dict[str, bytes]:
        manifest = (
            f'name = "{name}"\nversion = "0.1.0"\nrun = "sh run.sh"\n\n[settings]\ngreeting = "Hello"\n'
        )
        return {_MANIFEST: manifest.encode(), "payload/run.sh": b"echo Hello\n"}


def _read(files: Files) -> dict[str, Any]:
    return tomllib.loads(files[_MANIFEST].decode())
