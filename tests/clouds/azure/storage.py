"""Storage accounts of the fake Azure. What lies in them is in Azurite, an account there for each one here."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime
from typing import Any

from tests.clouds.azure.world import ArmError, Held, Json, Kind, World
from tests.clouds.azurite.server import KEY, Azurite

ACCOUNTS = "Microsoft.Storage/storageAccounts"
_NAME = re.compile(r"[a-z0-9]{3,24}")
_INSIDE = re.compile(r"[a-z0-9](-?[a-z0-9]){2,62}")
_BLOB = re.compile(r"/blob/([^/]+)/([^/]+)(?:/(.+))?")


class Account(Kind):
    """``held.hidden["account"]`` is the name of the account in Azurite."""

    slow_to_delete = False

    def __init__(self, azurite: Azurite) -> None:
        self.azurite = azurite
        self._free = list(azurite.accounts[1:])

    def put(self, world: World, held: Held, wanted: Json, *, new: bool) -> None:
        if not _NAME.fullmatch(held.name):
            raise ArmError(400, "AccountNameInvalid", f"{held.name} is not a valid storage account name.")
        taken(world, held, "StorageAccountAlreadyTaken", f"The storage account named {held.name} is taken.")
        if new:
            assert self._free, "the fake Azure ran out of accounts of Azurite"
            held.hidden["account"] = self._free.pop()
        ends = {"blob": self.azurite.blob, "queue": self.azurite.queue}
        account = held.hidden["account"]
        held.facts["primaryEndpoints"] = {kind: f"{url}/{account}/" for kind, url in ends.items()}

    def tell(self, world: World, held: Held, body: Json, expand: str) -> None:
        body["properties"]["provisioningState"] = "Creating" if held.doing == "Creating" else "Succeeded"
        if held.doing == "Creating":
            del body["properties"]["primaryEndpoints"]

    def act(self, world: World, held: Held, action: str, body: Json) -> tuple[int, Any]:
        if held.doing == "Creating":
            raise ArmError(409, "StorageAccountIsNotProvisioned", f"{held.name} is not there yet.")
        if action == "listkeys":
            return 200, {"keys": [{"keyName": "key1", "value": KEY, "permissions": "Full"}]}
        if action == "listservicesas":
            return 200, {"serviceSasToken": self._signature(held, body)}
        return super().act(world, held, action, body)

    def make(self, world: World, path: str) -> Json:
        """Make a container, a queue or a table; one that is there stays."""
        from azure.core.exceptions import ResourceExistsError
        from azure.storage.blob import BlobServiceClient
        from azure.storage.queue import QueueServiceClient

        parts = path.split("/")
        held, kind, name = world.get("/".join(parts[:9])), parts[11].lower(), parts[12]
        if held.doing == "Creating":
            raise ArmError(409, "StorageAccountIsNotProvisioned", f"{held.name} is not there yet.")
        if not _INSIDE.fullmatch(name):
            raise ArmError(400, "InvalidResourceName", f"{name} is no name of one of the {kind}.")
        at = self.azurite.connection(held.hidden["account"])
        with suppress(ResourceExistsError):
            if kind == "containers":
                BlobServiceClient.from_connection_string(at).create_container(name)
            elif kind == "queues":
                QueueServiceClient.from_connection_string(at).create_queue(name)
        return {"id": path, "name": name, "type": f"{ACCOUNTS}/{parts[9]}/{parts[11]}"}

    def _signature(self, held: Held, body: Json) -> str:
        from azure.storage.blob import generate_blob_sas, generate_container_sas

        match = _BLOB.fullmatch(body["canonicalizedResource"])
        if match is None or match[1] != held.name or (body.get("signedResource") == "b") != bool(match[3]):
            raise ArmError(400, "InvalidValuesForRequestParameters", "canonicalizedResource")
        wanted = {
            "account_key": KEY,
            "permission": body["signedPermission"],
            "expiry": datetime.fromisoformat(body["signedExpiry"]),
            "protocol": body.get("signedProtocol"),
        }
        account, container = held.hidden["account"], match[2]
        if match[3]:
            return str(generate_blob_sas(account, container, match[3], **wanted))
        return str(generate_container_sas(account, container, **wanted))


def taken(world: World, held: Held, code: str, message: str) -> None:
    """Refuse a name that another resource group or subscription has: these are unique in all of Azure."""
    kind = held.id.lower().rsplit("/", 2)[1]
    ending = f"/{kind}/{held.name.lower()}"
    if any(key.endswith(ending) and key != held.id.lower() for key in world.held):
        raise ArmError(409, code, message)
