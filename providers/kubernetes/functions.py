"""Serverless applications on Knative: the capability FUNCTIONS.

Owns applying the objects that a package renders (``knative.yaml``), each under the rights of its namespace's
account, and the versions of the application: version ``n`` is the revision ``<service>-vn`` of each of its
services, an alias is a tag in their traffic. The newest version gets what is asked without an alias. What was
made is noted in a record. Images are built elsewhere: the code of a package is in them, not in ``spec.code``.

Source: Knative's API reference, ``serving.knative.dev/v1`` Service (revision names, ``traffic`` with tags).
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pitrix.errors import CredentialInvalid, InvalidInput, PitrixError, ProviderUnavailable, ResourceNotFound
from providers.base import Functions, check_key
from providers.kubernetes import invoking, mapping, tenancy
from providers.kubernetes.client import Client
from providers.kubernetes.mapping import Json
from providers.kubernetes.records import Record, Records, new_token, split
from providers.kubernetes.tenancy import Tenancy
from providers.resources import Connection, Function, FunctionSpec, FunctionStatus, Invocation

MANIFEST = "knative.yaml"
_SERVING = "serving.knative.dev/v1"
_GROUPS = ("serving", "eventing", "messaging", "sources", "flows")
_APPLY_S = 120
"""Seconds that applying all objects of an application may take."""

_ALIAS = re.compile(r"[a-z]([-a-z0-9]{0,30}[a-z0-9])?")


class KnativeFunctions(Functions):
    """Every promise is the base class's; what differs is said at the method."""

    connection: Connection
    _cloud: Client
    _tenancy: Tenancy
    _applications: Records

    def deploy_function(self, spec: FunctionSpec, *, idempotency_key: str) -> Function:
        """The application has a namespace of its own, unless the credential is confined to one."""
        key = mapping.label(check_key(idempotency_key))
        mapping.labels(spec.tags)
        name = f"app-{key[:16]}"
        namespace = self._tenancy.namespace(f"pitrix-{name}")
        with suppress(ResourceNotFound, CredentialInvalid):  # before there is a namespace, nothing is granted
            found = self._applications.find(namespace, name)
            if _newest(found):
                return self._as_told(found)
        objects = _objects(spec)
        token = self._tenancy.prepare(namespace, made_for=f"application/{name}", tags=spec.tags)
        record = self._applications.make(
            Record(
                kind="application",
                namespace=namespace,
                name=name,
                key=key,
                token=token or new_token(),
                tags=spec.tags,
                more={"title": spec.name},
            )
        )
        return self._publish(record, objects, key)

    def get_function(self, function_id: str) -> Function:
        return self._as_told(self._application(function_id))

    def list_functions(self, tags: Mapping[str, str]) -> list[Function]:
        records = self._applications.list(self._tenancy.where(), tags)
        found = {}
        for record in records:
            with suppress(ResourceNotFound):  # gone meanwhile
                found[record.id] = self._as_told(record)
        for space in self._tenancy.list(tags):
            half = tenancy.half_made(space, "application")
            if half is not None:
                found.setdefault(half.id, _pending(half))
        return list(found.values())

    def publish_version(self, function_id: str, spec: FunctionSpec, *, idempotency_key: str) -> Function:
        key, record = mapping.label(check_key(idempotency_key)), self._application(function_id)
        return self._publish(record, _objects(spec), key)

    def _publish(self, record: Record, objects: list[Json], key: str) -> Function:
        """Apply the objects as the next version, once for a key; goes on with what a lost call began."""
        number = record.changes.get(key, _newest(record) + 1)
        if number in record.more.get("versions", {}).values():
            return self._as_told(record)
        with self._applications.claimed(record, _APPLY_S, change=(key, number)) as held:
            if held is None:
                return self._as_told(self._applications.find(record.namespace, record.name))
            paths = {*held.more.get("objects", []), *(_path(held.namespace, each) for each in objects)}
            held = self._applications.save(replace(held, more={**held.more, "objects": sorted(paths)}))
            for each in objects:
                self._apply(held, each, number)
            services = sorted(each["metadata"]["name"] for each in objects if _is_service(each))
            more = {**held.more, "versions": {**held.more.get("versions", {}), key: number}}
            more["services"] = {**held.more.get("services", {}), str(number): services}
            self._applications.save(replace(held, more=more))
        return self._as_told(self._applications.find(record.namespace, record.name))

    def _apply(self, record: Record, wanted: Json, number: int) -> None:
        metadata = {**wanted["metadata"], "namespace": record.namespace}
        metadata["labels"] = {**(metadata.get("labels") or {}), "pitrix-application": record.name}
        body: dict[str, Any] = {**wanted, "metadata": metadata}
        if _is_service(wanted):
            template = dict((wanted.get("spec") or {}).get("template") or {})
            name = {"name": f"{metadata['name']}-v{number}"}
            template["metadata"] = {**(template.get("metadata") or {}), **name}
            aliases = {
                alias: version
                for alias, version in record.more.get("aliases", {}).items()
                if metadata["name"] in record.more.get("services", {}).get(version, [])
            }
            body["spec"] = {"template": template, "traffic": _traffic(metadata["name"], aliases)}
        path = _path(record.namespace, body)
        try:
            self._cloud.apply(path, body, account=self._tenancy.account(record.namespace))
        except ResourceNotFound:
            raise InvalidInput(
                f"The cluster knows no {wanted['apiVersion']} {wanted['kind']}; it needs Knative for that."
            ) from None

    def point_alias(self, function_id: str, *, alias: str, version: str) -> Function:
        record = self._application(function_id)
        services = record.more.get("services", {}).get(version)
        if services is None:
            raise ResourceNotFound(f"The application has no version {version!r}.")
        if not _ALIAS.fullmatch(alias):
            raise InvalidInput(f"{alias!r} is no alias: a-z, 0-9 and '-' inside, at most 32 characters.")
        aliases = {**record.more.get("aliases", {}), alias: version}
        with self._applications.claimed(record, _APPLY_S) as held:
            if held is None:
                raise ProviderUnavailable("Another change of this application is going on.")
            for service in services:
                mine = {
                    each: at for each, at in aliases.items() if service in held.more["services"].get(at, [])
                }
                path = f"/apis/{_SERVING}/namespaces/{held.namespace}/services/{service}"
                change = {"spec": {"traffic": _traffic(service, mine)}}
                self._cloud.merge(path, change, account=self._tenancy.account(held.namespace))
            self._applications.save(replace(held, more={**held.more, "aliases": aliases}))
        return self._as_told(self._applications.find(record.namespace, record.name))

    def invoke_function(
        self, function_id: str, function: str, payload: bytes, *, timeout_s: int
    ) -> Invocation:
        """Over HTTP at the service's address; one that only the cluster itself reaches cannot be called."""
        record = self._application(function_id)
        urls = self._as_told(record).urls
        if not function and len(urls) == 1:
            function = next(iter(urls))
        if function not in urls:
            raise ResourceNotFound(f"The application has no function {function!r} with an address.")
        networks = self.connection.settings.get("allowed_networks", "")
        return invoking.invoke(urls[function], payload, timeout_s, networks)

    def remove_function(self, function_id: str) -> None:
        namespace = ""
        try:
            record = self._application(function_id)
            namespace = record.namespace
            self._take_down(record)
        except ResourceNotFound:
            return
        except CredentialInvalid:
            with suppress(ResourceNotFound):
                if not namespace or not self._tenancy.is_going(namespace):
                    raise

    def _take_down(self, record: Record) -> None:
        """Do the next thing on its way out."""
        account = self._tenancy.account(record.namespace)
        space = self._tenancy.find(record.namespace)
        if not tenancy.is_managed(space):
            for path in record.more.get("objects", []):
                with suppress(ResourceNotFound):
                    self._cloud.delete(path, account=account)
        if record.version and not tenancy.is_leaving(space):
            self._applications.delete(record)
        self._tenancy.leave(record.namespace, space)

    # --- what is known about an application ----------------------------------------------------------

    def _application(self, function_id: str) -> Record:
        namespace, name, token = split(function_id)
        if self._tenancy.confined and namespace != self._tenancy.confined:
            raise ResourceNotFound(f"There is no application {function_id!r} in {self._tenancy.confined}.")
        space = self._tenancy.find(namespace)
        half = tenancy.half_made(space, "application")
        half = half if half is not None and half.token == token else None
        if half is not None and tenancy.is_leaving(space):
            return half
        try:
            record = self._applications.find(namespace, name)
        except PitrixError:
            if half is not None:
                return half
            if self._tenancy.confined or not tenancy.is_managed(space):
                raise
            raise ResourceNotFound(f"There is no application {function_id!r}.") from None
        if record.token != token:
            raise ResourceNotFound(f"There is no application {function_id!r}.")
        return record

    def _as_told(self, record: Record) -> Function:
        """An application as it is now.

        Raises:
            ResourceNotFound: It went away meanwhile.
        """
        if not record.version or not _newest(record):
            return _pending(record)
        try:
            return self._as_it_is(record)
        except (CredentialInvalid, ResourceNotFound):
            if not self._tenancy.is_going(record.namespace):
                raise
            return _pending(replace(record, leaving=True))

    def _as_it_is(self, record: Record) -> Function:
        newest = _newest(record)
        services = record.more.get("services", {}).get(str(newest), [])
        urls, waiting, failed = {}, [], []
        for name in services:
            path = f"/apis/{_SERVING}/namespaces/{record.namespace}/services/{name}"
            try:
                live = self._cloud.get(path, account=self._tenancy.account(record.namespace))
            except ResourceNotFound:
                failed.append(f"{name} was deleted")
                continue
            status = live.get("status") or {}
            if status.get("url"):
                urls[_function(record, name)] = str(status["url"])
            ready = _condition(status)
            if status.get("observedGeneration") != live["metadata"].get("generation") or ready.get(
                "status"
            ) not in ("True", "False"):
                waiting.append(f"{name} is not ready yet")
            elif ready["status"] == "False":
                failed.append(f"{name}: {ready.get('reason', '')} {ready.get('message', '')}".strip())
        state = (
            FunctionStatus.FAILED if failed else FunctionStatus.PENDING if waiting else FunctionStatus.ACTIVE
        )
        return Function(
            function_id=record.id,
            name=str(record.more.get("title", record.name)),
            status=state,
            version=str(newest),
            aliases=dict(record.more.get("aliases", {})),
            urls=urls,
            reason="; ".join(failed or waiting),
            tags=record.tags,
        )


def _newest(record: Record) -> int:
    return max(record.more.get("versions", {}).values(), default=0)


def _function(record: Record, service: str) -> str:
    """A function's name in the application: its service's, without the application's own before it."""
    from pitrix.packages.formats.serverless.knative import object_name

    return service.removeprefix(f"{object_name(str(record.more.get('title', '')))}-")


def _pending(record: Record) -> Function:
    return Function(
        function_id=record.id,
        name=str(record.more.get("title", record.name)),
        status=FunctionStatus.PENDING,
        reason="it is being removed" if record.leaving else "its deployment has begun; ask for it again",
        tags=record.tags,
    )


def _condition(status: Json) -> Json:
    for each in status.get("conditions") or []:
        if each.get("type") == "Ready":
            found: Json = each
            return found
    return {}


def _traffic(service: str, aliases: Mapping[str, str]) -> list[dict[str, Any]]:
    tagged = [
        {"revisionName": f"{service}-v{version}", "tag": alias, "percent": 0}
        for alias, version in sorted(aliases.items())
    ]
    return [{"latestRevision": True, "percent": 100}, *tagged]


def _is_service(found: Json) -> bool:
    return bool(found.get("kind") == "Service" and found.get("apiVersion") == _SERVING)


def _objects(spec: FunctionSpec) -> list[Json]:
    """The objects of an application.

    Raises:
        InvalidInput: There are none, or some that are no part of one.
    """
    import yaml

    if spec.code and not zipfile.is_zipfile(io.BytesIO(spec.code)):
        raise InvalidInput("The application's code is no zip archive.")
    if MANIFEST not in spec.manifests:
        raise InvalidInput(f"The application has no {MANIFEST}; it was not rendered for Knative.")
    try:
        found = list(mapping.documents(spec.manifests[MANIFEST]))
    except yaml.YAMLError as error:
        raise InvalidInput(f"The application's {MANIFEST} is not valid YAML: {error}") from None
    for each in found:
        group = str(each.get("apiVersion", "")).partition("/")[0]
        known = group in {f"{name}.knative.dev" for name in _GROUPS} or each.get("kind") in (
            "Secret",
            "ConfigMap",
        )
        name = (each.get("metadata") or {}).get("name")
        if not known or not name:
            raise InvalidInput(f"{group} {each.get('kind')} {name} is no object of a Knative application.")
    if not any(_is_service(each) for each in found):
        raise InvalidInput(f"The application's {MANIFEST} has no Service of {_SERVING}.")
    return found


def _path(namespace: str, found: Json) -> str:
    version = str(found.get("apiVersion", "v1"))
    plural = f"{str(found['kind']).lower()}s"
    base = "/api/v1" if version == "v1" else f"/apis/{version}"
    return f"{base}/namespaces/{namespace}/{plural}/{found['metadata']['name']}"
