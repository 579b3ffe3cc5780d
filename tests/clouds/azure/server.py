"""The fake Azure over TLS on the loopback: tokens, ARM's requests and answers, serial logs.

Owns HTTP, and holding each request and each answer against the specification: a request that breaks it is
refused as ARM does, an answer that breaks it is noted in :attr:`Azure.dishonest` and answered with 500.

Where next: ``specification.py``, ``world.py``, ``entra.py``.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import uuid4

from tests.clouds.azure import catalogue, disks, galleries, machines, networks, sites, storage
from tests.clouds.azure.catalogue import Application, Subscription
from tests.clouds.azure.entra import Entra
from tests.clouds.azure.specification import Operation, Specification
from tests.clouds.azure.world import (
    GROUPS,
    SETTLES_S,
    ArmError,
    Group,
    Json,
    Kind,
    World,
    kind_of,
    location_of,
)
from tests.clouds.azurite.server import Azurite

KINDS: dict[str, Kind] = {
    GROUPS: Group(),
    **machines.KINDS,
    **disks.KINDS,
    **networks.KINDS,
    **galleries.KINDS,
}
_TENANT = re.compile(r"/([^/]+)/(v2\.0/\.well-known/openid-configuration|oauth2/v2\.0/token)")
_OPERATION = re.compile(r"/subscriptions/[^/]+/providers/Microsoft\.Fake/operations/([0-9a-f-]{36})")

Answer = tuple[int, Any, dict[str, str]]


class Azure:
    """A running fake.

    Attributes:
        url: Where it listens, tokens and all.
        dishonest: Answers that broke the specification; there should be none.
        asked: What was asked and answered, as ``(operationId, status)``, oldest first.
    """

    def __init__(
        self,
        tls: tuple[Path, Path],
        applications: list[Application],
        subscriptions: list[Subscription],
        azurite: Azurite | None = None,
    ) -> None:
        known = {each.subscription_id: each for each in subscriptions}
        self.url = ""
        self.dishonest: list[str] = []
        self.asked: list[tuple[str, int]] = []
        self.specification = Specification()
        serverless: dict[str, Kind] = {}
        if azurite is not None:
            self._accounts = storage.Account(azurite)
            serverless = {
                storage.ACCOUNTS: self._accounts,
                sites.PLANS: sites.Plan(),
                sites.SITES: sites.Site(tls),
            }
        self.world = World({**KINDS, **serverless}, known)
        self._entra = Entra(applications, known)
        self._lock = threading.Lock()

    def user_data(self, machine_id: str) -> bytes:
        """What a machine was given to run, as cloud-init would get it."""
        import base64

        return base64.b64decode(self.world.get(machine_id).hidden["custom_data"])

    def answer(self, method: str, target: str, headers: Mapping[str, str], raw: bytes) -> Answer:
        """Answer one request."""
        url = urlsplit(target)
        path, query = unquote(url.path).rstrip("/"), dict(parse_qsl(url.query, keep_blank_values=True))
        with self._lock:
            self.world.settle()
            if tenant := _TENANT.fullmatch(path):
                if tenant[2].startswith("v2.0"):
                    return *self._entra.discover(self.url, tenant[1]), {}
                return *self._entra.token(self.url, tenant[1], dict(parse_qsl(raw.decode()))), {}
            if path.startswith("/serial/"):
                return 200, "fake Azure: nothing runs in this machine\n", {}
            return self._arm(method, path, query, headers, raw)

    def _arm(
        self, method: str, path: str, query: dict[str, str], headers: Mapping[str, str], raw: bytes
    ) -> Answer:
        operation = None
        try:
            if operation_id := _OPERATION.fullmatch(path):
                return self._operation(operation_id[1])
            if "api-version" not in query:
                raise ArmError(
                    400, "MissingApiVersionParameter", "The api-version query parameter is required."
                )
            operation, values, versions = self.specification.find(method, path, query["api-version"])
            if operation is None:
                code = "NoRegisteredProviderFound" if versions else "InvalidResourceType"
                message = f"{method} {path} has no version {query['api-version']}; it has {sorted(versions)}."
                raise ArmError(400 if versions else 404, code, message)
            self._entra.authorize(headers.get("authorization", ""), values["subscriptionId"], operation, path)
            try:
                body = json.loads(raw) if raw else None
            except ValueError as error:
                raise ArmError(400, "InvalidRequestContent", "The request content is no JSON.") from error
            if wrong := self.specification.wrong_with_request(operation, values, query, body):
                raise ArmError(400, "InvalidParameter", "; ".join(wrong))
            status, told, more = self._do(operation, path, values, query, body)
        except ArmError as error:
            status, more = error.status, {}
            told = {"error": {"code": error.code, "message": error.message}}
        if operation is not None:
            self.asked.append((operation.name, status))
            if wrong := self.specification.wrong_with_answer(operation, status, told):
                self.dishonest.append(f"{operation.name} {status}: {'; '.join(wrong)}")
                told = {"error": {"code": "DishonestFake", "message": self.dishonest[-1]}}
                return 500, told, {}
        return status, told, more

    def _do(
        self, operation: Operation, path: str, values: dict[str, str], query: dict[str, str], body: Any
    ) -> Answer:
        special = getattr(self, f"_{operation.name.lower()}", None)
        if special is not None:
            return 200, special(path, values, query), {}
        method, one = operation.method, operation.template.endswith("}")
        if one and kind_of(path).lower() not in self.world.kinds:
            raise ArmError(501, "NotModelled", f"The fake does not model {operation.name}.")
        if method in ("PUT", "PATCH") and one:
            return self._put(operation, path, body)
        if method == "GET" and one:
            return 200, self.world.tell(self.world.get(path), query.get("$expand", "")), {}
        if method == "HEAD":
            return (204 if self.world.find(path) else 404), None, {}
        if method == "GET":
            return 200, {"value": self._listed(path, query)}, {}
        if method == "DELETE":
            there = self.world.delete(path)
            slow = there and operation.long_running
            status = 202 if slow else (200 if there else 204)
            return status, None, self._progress(path, location=True) if slow else {}
        holder, _, action = path.rpartition("/")
        held = self.world.get(holder)
        more = {"storage": f"{self.url}/serial"} if operation.name.startswith("VirtualMachines") else body
        status, told = held.kind.act(self.world, held, action.lower(), more)
        return status, told, self._progress(path, location=True) if status == 202 else {}

    def _put(self, operation: Operation, path: str, body: Any) -> Answer:
        wanted = self.specification.wanted(operation, body)
        if operation.method == "PATCH":
            wanted = _merged(self.world.get(path).wanted, wanted)
        held, new = self.world.put(path, wanted)
        wished = (201, 202, 200) if new else (200, 202)
        status = next(each for each in wished if each in operation.statuses())
        slow = operation.long_running and held.doing
        told = self.world.tell(held) if "schema" in operation.node["responses"][str(status)] else None
        return status, told, self._progress(path, location=told is None) if slow else {}

    def _listed(self, path: str, query: Mapping[str, str]) -> list[Json]:
        if "/providers/" not in path:  # the resource groups of a subscription
            found = list(self.world.under(path.rpartition("/")[0], GROUPS))
        else:
            scope, _, kind = path.partition("/providers/")
            parts = kind.split("/")
            prefix = scope if len(parts) == 2 else path.rpartition("/")[0]
            if "/resourcegroups/" in scope.lower():
                self.world.group(scope)
            found = list(self.world.under(prefix, "/".join([parts[0], *parts[1::2]])))
        if query.get("statusOnly") == "true":
            return [self._status(held.id) for held in found]
        return [self.world.tell(held) for held in found]

    def _status(self, machine_id: str) -> Json:
        held = self.world.get(machine_id)
        told = self.world.tell(held, "instanceView")
        kept = {name: told["properties"][name] for name in ("vmId", "instanceView", "provisioningState")}
        return {name: told[name] for name in ("id", "name", "type", "location")} | {"properties": kept}

    # --- operations of their own, by their operationId in lower case ---------------------------------------

    def _providers_get(self, path: str, values: dict[str, str], query: dict[str, str]) -> Json:
        namespace = values["resourceProviderNamespace"]
        if namespace not in catalogue.NAMESPACES:
            raise ArmError(404, "InvalidResourceNamespace", f"The resource namespace {namespace} is invalid.")
        owner = self.world.subscriptions[values["subscriptionId"].lower()]
        return {
            "id": path,
            "namespace": namespace,
            "registrationState": "NotRegistered" if namespace in owner.unregistered else "Registered",
            "resourceTypes": [
                {"resourceType": kind, "locations": list(catalogue.LOCATIONS.values())}
                for kind in catalogue.NAMESPACES[namespace]
            ],
        }

    def _virtualmachinesizes_list(self, path: str, values: dict[str, str], query: dict[str, str]) -> Json:
        _located(values["location"])
        return {"value": [size.told() for size in catalogue.SIZES.values()]}

    def _usage_list(self, path: str, values: dict[str, str], query: dict[str, str]) -> Json:
        owner = self.world.subscriptions[values["subscriptionId"].lower()]
        return {"value": machines.usages(self.world, owner, _located(values["location"]))}

    def _resources_listbyresourcegroup(
        self, path: str, values: dict[str, str], query: dict[str, str]
    ) -> Json:
        scope = path.rpartition("/")[0]
        self.world.group(scope)
        found = [self.world.tell(held) for held in self.world.under(scope)]
        kept = ("id", "name", "type", "location", "tags")
        return {"value": [{name: each[name] for name in kept if name in each} for each in found]}

    def _sharedgalleryimageversions_get(
        self, path: str, values: dict[str, str], query: dict[str, str]
    ) -> Json:
        return galleries.shared(self.world, values)

    def _virtualmachines_instanceview(self, path: str, values: dict[str, str], query: dict[str, str]) -> Json:
        return machines.instance_view(self.world.get(path.rpartition("/")[0]))

    def _webapps_listhostkeys(self, path: str, values: dict[str, str], query: dict[str, str]) -> Json:
        return sites.host_keys(self.world.get(path.rsplit("/", 3)[0]))

    def _blobcontainers_create(self, path: str, values: dict[str, str], query: dict[str, str]) -> Json:
        return self._accounts.make(self.world, path)

    _queue_create = _table_create = _blobcontainers_create

    # --- operations that take long --------------------------------------------------------------------------

    def _progress(self, path: str, *, location: bool = False) -> dict[str, str]:
        operation_id = str(uuid4())
        self.world.operations[operation_id] = time.monotonic() + SETTLES_S
        scope = "/".join(path.split("/")[:3])
        url = f"{self.url}{scope}/providers/Microsoft.Fake/operations/{operation_id}?api-version=2022-09-01"
        return {"Azure-AsyncOperation": url, "Retry-After": "0"} | ({"Location": url} if location else {})

    def _operation(self, operation_id: str) -> Answer:
        settles = self.world.operations.get(operation_id)
        if settles is None:
            raise ArmError(404, "NotFound", "There is no such operation.")
        status = "Succeeded" if settles <= time.monotonic() else "InProgress"
        return 200, {"name": operation_id, "status": status}, {"Retry-After": "0"}


def _located(name: str) -> str:
    if location_of(name) not in catalogue.LOCATIONS:
        known = ", ".join(catalogue.LOCATIONS)
        raise ArmError(400, "InvalidParameter", f"The location '{name}' is none; there are {known}.")
    return location_of(name)


def _merged(old: Any, new: Any) -> Any:
    """``new`` over ``old``, as a JSON merge patch: objects are merged, all else is replaced."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return json.loads(json.dumps(new))
    return json.loads(json.dumps(old)) | {name: _merged(old.get(name), each) for name, each in new.items()}


@contextmanager
def running(
    tls: tuple[Path, Path],
    applications: list[Application],
    subscriptions: list[Subscription],
    azurite: Azurite | None = None,
) -> Iterator[Azure]:
    """Run a fake on a free port of the loopback with this certificate and key; stops it at the end.

    With ``azurite`` it has storage accounts, and function apps that run.
    """
    azure = Azure(tls, applications, subscriptions, azurite)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60
        disable_nagle_algorithm = True

        def serve(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                status, told, more = azure.answer(self.command, self.path, headers, raw)
            except Exception:
                azure.dishonest.append(f"{self.command} {self.path}: {traceback.format_exc()}")
                status, told, more = 500, {"error": {"code": "InternalServerError", "message": "fake"}}, {}
            text = isinstance(told, str)
            body = b"" if told is None else (told if text else json.dumps(told)).encode()
            self.send_response(status)
            if told is not None:
                self.send_header("Content-Type", "text/plain" if text else "application/json; charset=utf-8")
            for name, value in {"x-ms-request-id": str(uuid4()), **more}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = do_HEAD = serve

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_: Any) -> None:
            """Connections that end early are what is tested."""

    with Server(("127.0.0.1", 0), Handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        azure.url = f"https://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield azure
        finally:
            server.shutdown()
            thread.join()
            sites.close(azure.world)
