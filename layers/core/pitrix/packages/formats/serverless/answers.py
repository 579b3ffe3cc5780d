"""What a serverless package asks of a user, and the answers on their way to a cloud.

Owns the form of plain code and Knative manifests (``config.json``'s env, the target where there are several,
images that somebody has to build), and what each function's environment holds.  The parameters of a SAM
template are `serverless.cfn`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pitrix.packages.formats.serverless.cfn import text_of
from pitrix.packages.formats.serverless.manifest import (
    CONFIG,
    KNATIVE,
    METADATA,
    Function,
    Manifest,
    read,
    references,
)
from pitrix.packages.forms import config as form_config
from pitrix.packages.forms import messages as words
from pitrix.packages.model import FieldCondition, FieldType, Form, FormField, FormGroup, Package
from pitrix.packages.ports import Files
from pitrix.packages.text import jsontext

#: Top keys of the answers: how it is deployed, and what the application is told.
DEPLOY, ENV = "deploy", "env"
TARGET = "target"


def manifest_of(package: Package) -> Manifest:
    """The manifest of an opened package."""
    return read(package.metadata or jsontext.read(METADATA, package.files[METADATA]).value)


def asked(manifest: Manifest, files: Files, messages: Mapping[str, str], locale: str) -> Form:
    """The form of a package that is plain code or Knative manifests.

    Args:
        messages: Text of the package to its translation; what is not in it stays as it is.
    """
    config = jsontext.read(CONFIG, files[CONFIG]).value if CONFIG in files else {}
    env = form_config.build(config, messages, locale)
    fields = [_target(manifest, messages, locale)] if len(manifest.targets) > 1 else []
    if KNATIVE in manifest.targets:
        fields += [_image(each, manifest, messages, locale) for each in manifest.functions if not each.image]
    label = _label(DEPLOY, messages, locale)
    groups = [FormGroup(key=DEPLOY, path=[DEPLOY], label=label, fields=fields)] if fields else []
    return Form(locale=locale, groups=[*groups, *env.groups])


def _label(key: str, messages: Mapping[str, str], locale: str) -> str:
    """A word of ours, as the package translates it, else as we do."""
    return messages.get(words.label(words.DEFAULT, key)) or words.label(locale, key)


def _sentence(key: str, messages: Mapping[str, str], locale: str, **values: str) -> str:
    return messages.get(words.say(words.DEFAULT, key, **values)) or words.say(locale, key, **values)


def _target(manifest: Manifest, messages: Mapping[str, str], locale: str) -> FormField:
    return FormField(
        key=f"{DEPLOY}.{TARGET}",
        path=[DEPLOY, TARGET],
        label=_label(TARGET, messages, locale),
        description=_sentence("deploy.target", messages, locale),
        default=manifest.targets[0],
        required=True,
        choices=list(manifest.targets),
        changeable=False,
    )


def _image(function: Function, manifest: Manifest, messages: Mapping[str, str], locale: str) -> FormField:
    several = len(manifest.targets) > 1
    key = "deploy.image" if function.code else "deploy.image.package"
    return FormField(
        key=f"{DEPLOY}.image_{function.name}",
        path=[DEPLOY, f"image_{function.name}"],
        label=f"{_label('image', messages, locale)} ({function.name})",
        description=_sentence(key, messages, locale, code=function.code),
        required=True,
        pattern=r"^[a-z0-9][A-Za-z0-9._:/@-]{0,255}$",
        conditions=[FieldCondition(path=[DEPLOY, TARGET], values=[KNATIVE])] if several else [],
    )


@dataclass(frozen=True)
class Answers:
    """Complete answers of a package, looked up by the names that its manifest uses."""

    manifest: Manifest
    form: Form
    raw: Mapping[str, Any]

    @property
    def target(self) -> str:
        """Where it is to run: as chosen, or the only target that there is."""
        chosen = self._deploy.get(TARGET)
        return str(chosen) if chosen in self.manifest.targets else self.manifest.targets[0]

    @property
    def _deploy(self) -> Mapping[str, Any]:
        found = self.raw.get(DEPLOY)
        return found if isinstance(found, Mapping) else {}

    def env_keys(self) -> list[str]:
        """The keys of ``env`` in the order of the form."""
        return [each.path[1] for each in self.form.fields() if each.path[0] == ENV]

    def field(self, key: str) -> FormField | None:
        return next((each for each in self.form.fields() if each.path == [ENV, key]), None)

    def secret(self, key: str) -> bool:
        """Whether an answer must not be shown."""
        found = self.field(key)
        return found is not None and found.type == FieldType.PASSWORD

    def text(self, key: str) -> str:
        """The answer to a field of ``env`` as a text; empty where there is none."""
        given = self.raw.get(ENV)
        value = given.get(key) if isinstance(given, Mapping) else None
        found = self.field(key)
        if found and isinstance(value, list):
            return found.separator.join(text_of(each) for each in value)
        return text_of(value)

    def image(self, function: Function) -> str:
        """The image of a function on Knative, its references not resolved."""
        return function.image or str(self._deploy.get(f"image_{function.name}") or "")

    def environment(self, function: Function) -> dict[str, str]:
        """Variables of a function: name to text with references."""
        told = self.env_keys() if function.env is None else function.env
        return {key: f"${{env.{key}}}" for key in told} | function.variables

    def used(self) -> list[str]:
        """Keys of ``env`` that anything refers to, in the order of the form."""
        texts = [text for each in self.manifest.functions for text in self.environment(each).values()]
        texts += [str(value) for each in self.manifest.triggers for value in each.raw.values()]
        texts += [f"{each.name}/{each.keys}" for each in self.manifest.permissions]
        found = {name for text in texts for kind, name in references(text) if kind == "env"}
        return [key for key in self.env_keys() if key in found]
