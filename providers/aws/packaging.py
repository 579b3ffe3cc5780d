"""A serverless application as CloudFormation takes it: code in a bucket, and a version of every function.

Owns what is changed in a template before it is sent: paths in the package become objects of the bucket, and
each function of SAM's publishes a version and has the alias ``live``. Calls nothing. Sources: *SAM
specification* (``AutoPublishAlias``, ``CodeUri``); *Lambda Developer Guide*, "Versions" (nothing is published
while code and configuration are what they were: so the version's number is part of the configuration).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pitrix.errors import InvalidInput
from providers import archives
from providers.resources import FunctionSpec

ALIAS = "live"
"""The alias that triggers call."""

VERSION_VARIABLE = "PITRIX_VERSION"
PARAMETERS = "parameters.json"
BODY_BYTES = 51_200
"""The largest template that CloudFormation takes within a request; a larger one comes from a bucket."""

_FUNCTION = "AWS::Serverless::Function"
#: Where a resource's type keeps the path of its code.
_PATHS = {
    _FUNCTION: "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Lambda::Function": "Code",
    "AWS::Lambda::LayerVersion": "Content",
}


@dataclass(frozen=True)
class Application:
    """What is sent: the template, its parameters, and the objects that the template names, by their keys."""

    template: str
    parameters: list[dict[str, str]]
    objects: Mapping[str, bytes] = field(default_factory=dict, repr=False)


def packaged(spec: FunctionSpec, *, bucket: str, prefix: str, version: int) -> Application:
    """An application ready to be deployed as its ``version``.

    Raises:
        InvalidInput: The manifests have no template, the archive is none, or lacks what the template names.
    """
    template, files = _template(spec), archives.files_of(spec.code)
    objects: dict[str, bytes] = {}

    def stored(path: str) -> str:
        data = _zipped(files, path)
        key = f"{prefix}/{hashlib.sha256(data).hexdigest()}.zip"
        objects[key] = data
        return key

    shared = template.get("Globals", {}).get("Function", {})
    if isinstance(shared.get("CodeUri"), str):
        shared["CodeUri"] = _located(shared["CodeUri"], bucket, stored)
    for resource in template["Resources"].values():
        kind, properties = resource.get("Type"), resource.setdefault("Properties", {})
        name = _PATHS.get(kind)
        if name and isinstance(properties.get(name), str):
            properties[name] = _located(properties[name], bucket, stored, sam=kind.startswith("AWS::S"))
        if kind == _FUNCTION:
            properties["AutoPublishAlias"] = ALIAS
            variables = properties.setdefault("Environment", {}).setdefault("Variables", {})
            variables[VERSION_VARIABLE] = str(version)
            # Code alone would not say that there is something to publish.
            properties["AutoPublishCodeSha256"] = _digest(properties, version)
    return Application(json.dumps(template), _parameters(spec), objects)


def _digest(properties: Mapping[str, Any], version: int) -> str:
    text = json.dumps([properties.get("CodeUri"), version], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _located(path: str, bucket: str, stored: Any, *, sam: bool = True) -> Any:
    if path.startswith("s3://"):
        return path
    key = stored(path)
    return {"Bucket": bucket, "Key": key} if sam else {"S3Bucket": bucket, "S3Key": key}


def _template(spec: FunctionSpec) -> dict[str, Any]:
    from pitrix.packages.formats.serverless import cfn
    from pitrix.packages.text.jsontext import JsonRefused

    found = [path for path in spec.manifests if path != PARAMETERS]
    if len(found) != 1:
        raise InvalidInput(f"An application of AWS has one template; here are {', '.join(found) or 'none'}.")
    try:
        template = cfn.read(found[0], spec.manifests[found[0]].encode()).value
    except JsonRefused as error:
        raise InvalidInput(f"{found[0]} is no template: {error}.") from error
    if not isinstance(template, dict) or not isinstance(template.get("Resources"), dict):
        raise InvalidInput(f"{found[0]} has no resources.")
    if not all(isinstance(each, dict) for each in template["Resources"].values()):
        raise InvalidInput(f"{found[0]} has a resource that is none: each has a Type and Properties.")
    return template


def _parameters(spec: FunctionSpec) -> list[dict[str, str]]:
    try:
        listed = json.loads(spec.manifests.get(PARAMETERS, "[]"))
        return [
            {"ParameterKey": str(each["ParameterKey"]), "ParameterValue": str(each["ParameterValue"])}
            for each in listed
        ]
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidInput(f"{PARAMETERS} is no list of ParameterKey and ParameterValue.") from error


def _zipped(files: Mapping[str, bytes], path: str) -> bytes:
    """What lies under ``path`` as an archive that depends on its files alone; an archive as it is."""
    clean = path.removeprefix("./").strip("/")
    if clean in files:
        return files[clean]
    return archives.packed(archives.under(files, path))
