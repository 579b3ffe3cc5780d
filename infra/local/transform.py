"""`template.yaml` as the local cloud takes it: the only difference between a deployment here and one on AWS.

Owns a pure function, template in, template out. Never touches the network or the disk except to read the
state machine definitions that the template names. What it changes, and why:

* A Python function becomes `provided.al2023` with our `bootstrap.py`: the emulator's own Python executor
  hides the class of an exception (so Retry and Catch could not match) and is five times slower.
* Its code comes from the artefact bucket under a name that holds its digest: the emulator notices a change of
  code by a change of key.
* Layers are dropped and their names handed to the bootstrap: the emulator mounts none for such a runtime.
* State machine definitions are put into the template: there is no packaging step.
* An output tells what was deployed, so that the next start can see whether anything changed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Template = dict[str, Any]

DIGEST_OUTPUT = "LocalDigest"
PLUGINS = "PluginLayer"
"""The template's parameter that names a layer of others; here the names of what is built, with commas."""

_FUNCTION = "AWS::Serverless::Function"
_LAYER = "AWS::Serverless::LayerVersion"
_MACHINE = "AWS::Serverless::StateMachine"
_BUILT_ONLY_ON_AWS = ("Architectures", "Tracing", "SnapStart", "VpcConfig")


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer the template declares: its logical id and the folder it is built from (relative to the
    template).
    """

    name: str
    source: str

    @property
    def on_demand(self) -> bool:
        """Whether it is built when a function first needs it: the SDKs of clouds take half a minute together,
        and most laptops speak to one of them at most.
        """
        return Path(self.source).name.startswith("sdk-")


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # yaml has no types
    """YAML with CloudFormation's short tags (`!Ref x`), read as their long form (`{"Ref": "x"}`)."""


def _short_tag(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_tag)


def load(path: Path) -> Template:
    """Read a template, or a state machine in YAML, with short tags made long."""
    template: Template = yaml.load(path.read_text(), _Loader)  # noqa: S506 - a subclass of SafeLoader
    return template


def code_folders(template: Template) -> dict[str, str]:
    """The function resources of a template: logical id → folder of its code, relative to the template."""
    default = _globals(template).get("CodeUri")
    return {
        name: resource["Properties"].get("CodeUri", default)
        for name, resource in _of_type(template, _FUNCTION).items()
        if "InlineCode" not in resource["Properties"]
    }


def layers(template: Template) -> list[Layer]:
    """The layers a template builds."""
    return [
        Layer(name=name, source=resource["Properties"]["ContentUri"])
        for name, resource in _of_type(template, _LAYER).items()
    ]


def localize(
    template: Template,
    *,
    code: Mapping[str, str],
    read_definition: Callable[[str], dict[str, Any]],
    digest: str,
    plugins: Sequence[str] = (),
) -> Template:
    """The template as the emulator deploys it.

    Args:
        template: As ``load`` read it; not changed.
        code: For each function, the S3 URL of its zip.
        read_definition: Reads the state machine that a ``DefinitionUri`` names.
        digest: What is deployed, as one text; comes back as the stack's output ``DIGEST_OUTPUT``.
        plugins: The layers that the parameter ``PLUGINS`` stands for.
    """
    local = copy.deepcopy(template)
    shared = _globals(local)
    shared_layers = shared.pop("Layers", [])
    for name in ("Runtime", "CodeUri", *_BUILT_ONLY_ON_AWS):
        shared.pop(name, None)
    names = set(_of_type(local, _LAYER))
    stands_for = {name: [name] for name in names} | {PLUGINS: list(plugins)}
    for name, resource in _of_type(local, _FUNCTION).items():
        _localize_function(resource, code.get(name), shared_layers, stands_for)
    for resource in _of_type(local, _MACHINE).values():
        properties = resource["Properties"]
        if isinstance(uri := properties.pop("DefinitionUri", None), str):
            properties["Definition"] = read_definition(uri)
    for name in names:
        del local["Resources"][name]
    local.setdefault("Outputs", {})[DIGEST_OUTPUT] = {"Value": digest}
    return local


def _localize_function(
    resource: dict[str, Any],
    code: str | None,
    shared_layers: list[Any],
    stands_for: Mapping[str, Sequence[str]],
) -> None:
    resource.pop("Metadata", None)
    properties = resource["Properties"]
    for name in _BUILT_ONLY_ON_AWS:
        properties.pop(name, None)
    layers = [*shared_layers, *properties.pop("Layers", [])]  # SAM joins the lists
    used = dict.fromkeys(layer for name in _references(layers) for layer in stands_for.get(name, ()))
    properties["Runtime"] = "provided.al2023"
    if code is not None:
        properties["CodeUri"] = code
    # Put together anew: functions may share what they are given by an anchor of YAML.
    given = properties.get("Environment", {})
    variables = given.get("Variables", {}) | {"LOCAL_LAYERS": " ".join(used)}
    properties["Environment"] = given | {"Variables": variables}


def _references(value: Any) -> Iterator[str]:
    """The names that an expression refers to, in their order."""
    if isinstance(value, dict):
        if isinstance(name := value.get("Ref"), str):
            yield name
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _references(each)


def _globals(template: Template) -> dict[str, Any]:
    found: dict[str, Any] = template.get("Globals", {}).get("Function", {})
    return found


def _of_type(template: Template, kind: str) -> dict[str, dict[str, Any]]:
    return {name: resource for name, resource in template["Resources"].items() if resource["Type"] == kind}
