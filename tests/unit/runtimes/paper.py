"""A world of runtimes in memory: a cloud made of paper, a vault that is a dictionary."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from pitrix.clock import FixedClock
from pitrix.errors import CredentialInvalid, NotFound
from pitrix.identity.model import Principal
from pitrix.runtimes.asking import CloudDesk
from pitrix.runtimes.dynamo import TableRuntimeStore
from pitrix.runtimes.model import RuntimeRequest
from pitrix.runtimes.service import RuntimesService
from pitrix.table import MemoryTable
from providers.base import Machines, Networks, Provider, Volumes
from providers.resources import Connection, Image, MachineType, Network, Quota, Zone

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECRET = "correct-horse"

OPERATOR = Principal("usr_op", "op", "operator", ":")
ALICE = Principal("usr_alice", "alice", "user", ":acme:shop:")
BOSS = Principal("usr_boss", "boss", "user", ":acme:")
RIVAL = Principal("usr_rival", "rival", "user", ":acme-two:")


class PaperCloud(Provider, Machines, Networks):
    """Accepts one secret, has two zones, and remembers where it was asked."""

    name = "paper"
    title = "Paper Cloud"
    credential_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {
            "endpoint": {"type": "string", "title": "Endpoint"},
            "secret": {"type": "string", "title": "Secret", "writeOnly": True, "minLength": 8},
        },
        "required": ["secret"],
        "additionalProperties": False,
    }
    asked: ClassVar[list[Connection]] = []

    def validate_credential(self) -> None:
        self.asked.append(self.connection)
        if self.connection.credential["secret"].strip() != SECRET:
            raise CredentialInvalid("The secret is not one of ours.")
        if self.connection.zone not in ("north", "south"):
            raise CredentialInvalid(f"There is no zone {self.connection.zone!r}.")

    def zones(self) -> list[Zone]:
        if self.connection.credential["secret"].strip() != SECRET:
            raise CredentialInvalid("The secret is not one of ours.")
        return [Zone(zone="north", title="The North"), Zone(zone="south")]

    def machine_types(self) -> list[MachineType]:
        return [MachineType(machine_type="a4", cpu=1, memory_mib=512)]

    def machine_images(self) -> list[Image]:
        return [Image(image_id="os", name="Paper OS")]

    def quotas(self) -> list[Quota]:
        return [
            Quota(name="cores", used=3, limit=8, counts="cpu"),
            Quota(name="sheets", used=1, limit=None),
        ]

    def list_networks(self, tags: Mapping[str, str]) -> list[Network]:
        return [Network(network_id="n1", name="office", cidr="10.0.0.0/24", created_at=NOON)]


class TwoWays(PaperCloud):
    """Is signed in to with a secret alone, or with a file of several lines and a choice."""

    name = "two-ways"
    title = "Two Ways"
    credential_schema: ClassVar[Mapping[str, Any]] = {
        "oneOf": [
            {
                "type": "object",
                "title": "A secret",
                "properties": {
                    "method": {"const": "secret"},
                    "secret": {"type": "string", "title": "Secret", "writeOnly": True, "minLength": 8},
                },
                "required": ["method", "secret"],
                "additionalProperties": False,
            },
            {
                "type": "object",
                "title": "A file",
                "description": "What the cloud's own program keeps.",
                "properties": {
                    "method": {"const": "file"},
                    "secret": {"type": "string", "title": "File", "writeOnly": True, "x-multiline": True},
                    "size": {
                        "type": "string",
                        "title": "Size",
                        "enum": ["small", "large"],
                        "default": "small",
                    },
                    "account": {"type": "string", "title": "Account", "description": "Its number."},
                },
                "required": ["method", "secret"],
                "additionalProperties": False,
            },
        ]
    }


class EngineRoom(PaperCloud):
    """The platform's own machines."""

    name = "engine-room"
    title = "Engine room"
    operator_only = True


class Laptop(PaperCloud, Volumes):
    """What goes for the provider of ``./infra/up`` where none is started."""

    name = "local"
    title = "This machine"
    operator_only = True

    def quotas(self) -> list[Quota]:
        return []


class Bare(Provider):
    """A cloud that offers nothing yet."""

    name = "bare"
    title = "Bare"
    credential_schema = PaperCloud.credential_schema

    def validate_credential(self) -> None: ...

    def zones(self) -> list[Zone]:
        return [Zone(zone="only")]


for _cloud in (PaperCloud, EngineRoom, Laptop, TwoWays):
    _cloud.__abstractmethods__ = frozenset()  # paper has no machines to start; nobody here starts one


class PaperClouds:
    """``ports.Clouds`` with those above."""

    kinds: ClassVar[dict[str, type[Provider]]] = {
        k.name: k for k in (PaperCloud, EngineRoom, Laptop, TwoWays, Bare)
    }

    def names(self) -> list[str]:
        return sorted(self.kinds)

    def get(self, name: str) -> type[Provider]:
        if name not in self.kinds:
            raise NotFound(f"There is no provider {name!r}.")
        return self.kinds[name]

    def connect(self, name: str, connection: Connection) -> Provider:
        return self.get(name)(connection)


class DictVault:
    """``ports.CredentialVault`` in a dictionary; ``broken`` makes it fail."""

    def __init__(self) -> None:
        self.secrets: dict[str, Mapping[str, str]] = {}
        self.broken = False

    def put(self, name: str, credential: Mapping[str, str]) -> None:
        if self.broken:
            raise ConnectionError("the vault is away")
        self.secrets[name] = dict(credential)

    def get(self, name: str) -> Mapping[str, str]:
        if name not in self.secrets:
            raise NotFound("The runtime's credential is gone; connect the runtime anew.")
        return self.secrets[name]

    def delete(self, name: str) -> None:
        if self.broken:
            raise ConnectionError("the vault is away")
        self.secrets.pop(name, None)


class World:
    """The service and all that is around it."""

    def __init__(self) -> None:
        PaperCloud.asked.clear()
        self.table = MemoryTable()
        self.vault = DictVault()
        self.used: set[str] = set()
        self.clock = FixedClock(NOON)
        self.desk = CloudDesk(
            clouds=PaperClouds(),
            vault=self.vault,
            settings=lambda provider: {"endpoint": "http://default"} if provider == "paper" else {},
        )
        self.runtimes = RuntimesService(
            runtimes=TableRuntimeStore(self.table),
            vault=self.vault,
            clouds=self.desk,
            in_use=lambda runtime_id: runtime_id in self.used,
            clock=self.clock,
        )

    def provider_for(self, who: Principal, runtime_id: str) -> Provider:
        """The provider as a step of a job gets it."""
        return self.desk.connect(self.runtimes.account(who, runtime_id))


def wanted(name: str = "mine", **changes: Any) -> RuntimeRequest:
    return RuntimeRequest(**({"name": name, "provider": "paper", "credential": {"secret": SECRET}} | changes))
