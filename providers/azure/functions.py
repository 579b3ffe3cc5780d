"""Serverless applications: a function app of the Consumption plan each, run from an archive of its own.

An application is a storage account, a plan and a function app of one name. The storage account is made first
and deleted last: it carries the tags, and says by them which version is the newest. In it lie the archive and
the settings of each version, so that the app can go back to one. The app is set to the version that ``live``
names, the only alias: Azure keeps the versions of an app apart by slots, which are apps of their own whose
schedules and queues would run a second time.

Azure answers over HTTP, so that only functions with an HTTP trigger can be invoked here; the others start by
their triggers. Roles in the subscription are not given, as Contributors may not give any; see ``packaging``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pitrix.errors import Conflict, InvalidInput, ProviderUnavailable, ResourceNotFound
from providers.azure import mapping, naming, packaging
from providers.azure.client import Json
from providers.azure.cloud import Cloud
from providers.azure.packaging import Package
from providers.base import Functions, check_key
from providers.resources import Function, FunctionSpec, FunctionStatus, Invocation

KIND = "Microsoft.Web/sites"
ALIAS = "live"
TAG_VERSION, TAG_LIVE = "pitrix-version", "pitrix-live"
_OURS = (TAG_VERSION, TAG_LIVE)
_VERSIONS = "pitrix-versions"
"""The container of archives and settings; of each version ``{version}.zip`` and ``{version}.json``."""
_VERSION = re.compile(r"[0-9a-f]{12}")
_FOR_NOW, _FOR_GOOD = timedelta(hours=1), timedelta(days=3650)
"""How long a signature is good: one of a call, and the app's own, which it needs whenever it starts."""
_SENTENCE = 400


class AzureFunctions(Cloud, Functions):
    """Names are made of the key, and Azure allows each once; so are the names of versions."""

    def deploy_function(self, spec: FunctionSpec, *, idempotency_key: str) -> Function:
        """A call makes the storage account; one after that, when it is there, all else."""
        key = check_key(idempotency_key)
        group = naming.group_name(spec.tags)
        name = naming.app_name(self._cloud.subscription_id, key)
        account = self._cloud.find(self._accounts.get_properties, group, name)
        if account is not None and _tag(account, TAG_VERSION):
            return self._application(account)
        package = packaging.packaged(spec)
        if account is None:
            self._cloud.create(self._accounts.begin_create, group, name, self._account_body(key, spec))
            return Function(
                function_id=self._function_id(group, name),
                name=spec.name,
                status=FunctionStatus.PENDING,
                tags=dict(spec.tags),
            )
        return self._publish(account, package, _version(key))

    def get_function(self, function_id: str) -> Function:
        return self._application(self._account(function_id))

    def list_functions(self, tags: Mapping[str, str]) -> list[Function]:
        """One request, and three an application."""
        found = self._held(tags, self._accounts.list_by_resource_group, self._accounts.list)
        return [self._application(each) for each in found]

    def publish_version(self, function_id: str, spec: FunctionSpec, *, idempotency_key: str) -> Function:
        """While the first version is not there yet, nothing is done: repeat."""
        version, account = _version(check_key(idempotency_key)), self._account(function_id)
        if _tag(account, TAG_VERSION) in ("", version):
            return self._application(account)
        return self._publish(account, packaging.packaged(spec), version)

    def point_alias(self, function_id: str, *, alias: str, version: str) -> Function:
        """Sets the app to the version, code and settings.

        Raises:
            InvalidInput: The alias is not ``live``.
        """
        account = self._account(function_id)
        manifest = self._manifest(account, version)
        if manifest is None:
            raise ResourceNotFound(f"The application has no version {version!r}.")
        if alias != ALIAS:
            raise InvalidInput(f"An application on Azure answers with one version, by the alias {ALIAS!r}.")
        return self._answer_with(account, version, manifest, newest=_tag(account, TAG_VERSION))

    def invoke_function(
        self, function_id: str, function: str, payload: bytes, *, timeout_s: int
    ) -> Invocation:
        """Over HTTP, with the app's default key; see ``packaging.request`` for what the payload becomes.

        Raises:
            InvalidInput: The function has no HTTP trigger, or its route wants what the payload lacks.
        """
        account = self._account(function_id)
        site = self._cloud.ask(self._sites.get, *self._place(account))
        manifest = self._manifest(account, _tag(site, TAG_LIVE)) or {}
        method, path, query = packaging.request(_door(manifest, function), payload)
        keys = self._cloud.ask(self._sites.list_host_keys, *self._place(account))
        status, body = self._cloud.call(
            method,
            f"{_base(site)}{path}",
            query=query,
            body=payload if method != "GET" else b"",
            key=keys["functionKeys"]["default"],
            timeout_s=timeout_s,
        )
        said = body.decode(errors="replace")[:_SENTENCE] or "it says no more; its log does"
        return Invocation(payload=body, error=f"HTTP {status}: {said}" if status >= 400 else "")

    def remove_function(self, function_id: str) -> None:
        """The whole resource group where it is a cluster's and holds nothing else."""
        try:
            found = self._cloud.own(function_id, KIND)
            account = self._account(function_id)
        except ResourceNotFound:
            return
        self._cloud.find(self._sites.delete, found.group, *found.names, delete_empty_server_farm=False)
        try:
            self._cloud.find(self._plans.delete, found.group, *found.names)
            if self._is_alone(found.group, account["id"]):
                self._cloud.find(self._delete_group, found.group)
            else:
                self._cloud.find(self._accounts.delete, found.group, *found.names)
        except Conflict:  # the app is not quite gone: the next call goes on
            return

    # --- what an application is made of ------------------------------------------------------------------

    def _publish(self, account: Json, package: Package, version: str) -> Function:
        """Store a version and let the app answer with it; as much of that as is possible now."""
        if mapping.state(account) != "Succeeded":
            return self._application(account)
        place, manifest = self._place(account), self._manifest(account, version)
        if manifest is None:  # it was not stored yet: its manifest is written last
            manifest = package.manifest
            self._cloud.ask(self._cloud.storage.blob_containers.create, *place, _VERSIONS, {})
            for each in manifest["resources"]:
                self._make(place, each)
            signature = self._signature(account, _VERSIONS, "w")
            for ending, data in (("zip", package.archive), ("json", json.dumps(manifest).encode())):
                self._cloud.keep(f"{_blobs(account)}{_VERSIONS}/{version}.{ending}?{signature}", data)
        if not self._has_plan(place):
            return self._application(account)
        return self._answer_with(account, version, manifest, newest=version)

    def _answer_with(self, account: Json, version: str, manifest: Json, *, newest: str) -> Function:
        """Set the app to a stored version, tell Azure of its triggers, and note that."""
        place = self._place(account)
        site = self._cloud.find(self._sites.get, *place)
        if site is None or _tag(site, TAG_LIVE) != version:
            body = self._site_body(account, version, manifest)
            self._cloud.send(self._sites.begin_create_or_update, *place, body)
        try:  # an app that is run from an address is only started by its triggers when Azure is told of them
            self._cloud.ask(self._sites.sync_function_triggers, *place)
        except (InvalidInput, Conflict, ProviderUnavailable) as error:
            return self._application(account, reason=f"The app does not start yet. {error.detail}")
        tags = {**account["tags"], TAG_VERSION: newest, TAG_LIVE: version}
        return self._application(self._cloud.ask(self._accounts.update, *place, {"tags": tags}))

    def _application(self, account: Json, reason: str = "") -> Function:
        """Active when Azure was told of the triggers of the version that the app is set to."""
        site = self._cloud.find(self._sites.get, *self._place(account))
        version, live = _tag(account, TAG_VERSION), _tag(site or {}, TAG_LIVE)
        status = FunctionStatus.PENDING
        if version and site is None:
            status, reason = FunctionStatus.FAILED, "Its function app is gone; remove the application."
        elif version and _tag(account, TAG_LIVE) == live and not reason:
            status = FunctionStatus.ACTIVE
        doors = (self._manifest(account, live) or {}).get("functions", {}) if site else {}
        return Function(
            function_id=self._function_id(*self._place(account)),
            name=mapping.named(account),
            status=status,
            version=version,
            aliases={ALIAS: live} if live else {},
            urls={name: f"{_base(site)}{door['route']}" for name, door in doors.items() if door and site},
            reason=reason,
            tags={name: each for name, each in mapping.tags(account).items() if name not in _OURS},
        )

    def _account(self, function_id: str) -> Json:
        """The storage account of an application.

        Raises:
            ResourceNotFound: There is none, or Pitrix did not make it.
        """
        found = self._cloud.own(function_id, KIND)
        account = self._cloud.ask(self._accounts.get_properties, found.group, *found.names)
        if not mapping.carries(account, {}):
            raise ResourceNotFound(f"{function_id} is no application of Pitrix.")
        return account

    def _manifest(self, account: Json, version: str) -> Json | None:
        """What is stored of a version beside its archive; None where there is no such version."""
        if not _VERSION.fullmatch(version):
            return None
        url = f"{_blobs(account)}{_VERSIONS}/{version}.json"
        found = self._cloud.kept(f"{url}?{self._signature(account, _VERSIONS, 'r')}")
        return None if found is None else json.loads(found)

    def _signature(self, account: Json, path: str, permission: str, good: timedelta = _FOR_NOW) -> str:
        """A signature for the blobs of a container, or for one blob, of the account."""
        wanted = {
            "canonicalizedResource": f"/blob/{account['name']}/{path}",
            "signedResource": "b" if "/" in path else "c",
            "signedPermission": permission,
            "signedProtocol": "https,http" if _blobs(account).startswith("http:") else "https",
            "signedExpiry": (datetime.now(UTC) + good).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        told = self._cloud.ask(self._accounts.list_service_sas, *self._place(account), wanted)
        return str(told["serviceSasToken"]).removeprefix("?")

    def _make(self, place: tuple[str, str], resource: Mapping[str, str]) -> None:
        """A container, queue or table of the application; it is there already: no effect."""
        storage, name = self._cloud.storage, resource["name"]
        kinds: dict[str, tuple[Any, dict[str, Any]]] = {
            "bucket": (storage.blob_containers.create, {"blob_container": {}}),
            "queue": (storage.queue.create, {"queue": {}}),
            "table": (storage.table.create, {"parameters": {}}),
        }
        if resource["type"] not in kinds:
            raise InvalidInput(f"A {resource['type']} is nothing that lies in a storage account of Azure.")
        create, more = kinds[resource["type"]]
        self._cloud.ask(create, *place, name, **more)

    def _has_plan(self, place: tuple[str, str]) -> bool:
        """Whether the plan is there and ready; it is made where it is not there."""
        plan = self._cloud.find(self._plans.get, *place)
        if plan is None:
            body = {
                "location": self._cloud.zone,
                "kind": "functionapp",
                "sku": {"name": "Y1", "tier": "Dynamic"},
                "properties": {"reserved": True},  # Azure's word for Linux
            }
            plan = self._cloud.send(self._plans.begin_create_or_update, *place, body)
        return mapping.state(plan) == "Succeeded"

    def _account_body(self, key: str, spec: FunctionSpec) -> Json:
        properties = {
            "allowBlobPublicAccess": False,
            "minimumTlsVersion": "TLS1_2",
            "supportsHttpsTrafficOnly": True,
        }
        sku = {"name": "Standard_LRS"}
        return mapping.body(self._cloud.zone, key, spec, properties, sku=sku, kind="StorageV2")

    def _site_body(self, account: Json, version: str, manifest: Json) -> Json:
        group, name = self._place(account)
        archive = f"{_VERSIONS}/{version}.zip"
        signature = self._signature(account, archive, "r", _FOR_GOOD)
        settings = {
            **manifest["settings"],
            "AzureWebJobsStorage": self._connection_string(account),
            "WEBSITE_RUN_FROM_PACKAGE": f"{_blobs(account)}{archive}?{signature}",
        }
        config = {
            "linuxFxVersion": manifest["runtime"],
            "appSettings": [{"name": each, "value": value} for each, value in settings.items()],
            "ftpsState": "Disabled",
            "minTlsVersion": "1.2",
        }
        if manifest["instances"]:
            config["functionAppScaleLimit"] = manifest["instances"]
        here = f"/subscriptions/{self._cloud.subscription_id}/resourceGroups/{group}/providers"
        return {
            "location": self._cloud.zone,
            "kind": "functionapp,linux",
            "tags": {**account["tags"], TAG_LIVE: version},
            "properties": {
                "serverFarmId": f"{here}/Microsoft.Web/serverfarms/{name}",
                "reserved": True,
                "httpsOnly": True,
                "clientAffinityEnabled": False,
                "siteConfig": config,
            },
        }

    def _connection_string(self, account: Json) -> str:
        """With the addresses that Azure tells, which differ from cloud to cloud."""
        keys = self._cloud.ask(self._accounts.list_keys, *self._place(account))["keys"]
        ends = account["properties"]["primaryEndpoints"]
        parts = {
            "AccountName": account["name"],
            "AccountKey": keys[0]["value"],
            **{f"{kind.title()}Endpoint": ends[kind] for kind in ("blob", "queue", "table") if kind in ends},
        }
        return ";".join(f"{name}={value}" for name, value in parts.items())

    def _is_alone(self, group: str, resource_id: str) -> bool:
        if not group.lower().startswith(f"{naming.COMMON_GROUP}-"):
            return False
        inside = self._cloud.every(self._cloud.resources.resources.list_by_resource_group, group)
        return all(mapping.same(each["id"], resource_id) for each in inside)

    def _delete_group(self, group: str) -> Json:
        return self._cloud.send(self._cloud.resources.resource_groups.begin_delete, group)

    def _place(self, account: Json) -> tuple[str, str]:
        found = naming.split(account["id"], "Microsoft.Storage/storageAccounts")
        return found.group, found.names[0]

    def _function_id(self, group: str, name: str) -> str:
        here = f"/subscriptions/{self._cloud.subscription_id}/resourceGroups/{group}"
        return f"{here}/providers/{KIND}/{name}"

    @property
    def _accounts(self) -> Any:
        return self._cloud.storage.storage_accounts

    @property
    def _sites(self) -> Any:
        return self._cloud.web.web_apps

    @property
    def _plans(self) -> Any:
        return self._cloud.web.app_service_plans


def _version(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def _tag(told: Json, name: str) -> str:
    return str((told.get("tags") or {}).get(name, ""))


def _blobs(account: Json) -> str:
    return f"{account['properties']['primaryEndpoints']['blob'].rstrip('/')}/"


def _base(site: Json) -> str:
    return f"https://{site['properties']['defaultHostName']}/"


def _door(manifest: Json, function: str) -> Json:
    """How HTTP reaches a function of a version; "" is the only one."""
    doors = manifest.get("functions", {})
    name = function or (next(iter(doors)) if len(doors) == 1 else "")
    if name not in doors:
        known = ", ".join(sorted(doors)) or "none"
        raise ResourceNotFound(f"The application has no function {function!r}; it has {known}.")
    if doors[name] is None:
        raise InvalidInput(
            f"{name} has no HTTP trigger; Azure starts it by its own trigger and tells no answer."
        )
    return doors[name]  # type: ignore[no-any-return]
