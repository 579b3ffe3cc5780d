"""Asking clouds where their SDKs are: what runs in the functions of ``functions/clouds``.

Owns the questions that the platform asks of an account and their form on the way between two functions. Never
decides who may ask: ``service.py`` does. Never keeps an answer either. Next: ``aws.py`` (asking from a
function without SDKs).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec

from pitrix import errors
from pitrix.errors import CredentialInvalid, FieldError, PitrixError
from pitrix.runtimes.model import Account, Check, ProviderInfo, ZoneInfo
from pitrix.runtimes.ports import Clouds, CredentialReader
from providers.base import Provider
from providers.resources import Connection, Image, MachineType, Network, Quota


class CloudDesk:
    """``ports.CloudCalls`` by the providers themselves.

    Args:
        settings: The deployment's own values for a provider (``Connection.settings``), such as
            ``{"endpoint": "http://127.0.0.1:4580"}`` for ``local``. They are not kept: the next deployment
            may have others.
    """

    def __init__(
        self, *, clouds: Clouds, vault: CredentialReader, settings: Callable[[str], Mapping[str, str]]
    ) -> None:
        self._clouds = clouds
        self._vault = vault
        self._settings = settings

    def connect(self, account: Account) -> Provider:
        """The provider of an account; touches the vault at most.

        Raises:
            NotFound: there is no such provider, or the credential is gone.
            CredentialInvalid: it cannot be one of that cloud, whatever the cloud would say.
        """
        credential = self._vault.get(account.secret_name) if account.secret_name else account.credential
        connection = Connection(
            zone=account.zone, credential=credential, settings=self._settings(account.provider)
        )
        return self._clouds.connect(account.provider, connection)

    # --- ports.CloudCalls ----------------------------------------------------------------------------------

    def providers(self) -> list[ProviderInfo]:
        return [info(self._clouds.get(name)) for name in self._clouds.names()]

    def provider(self, name: str) -> ProviderInfo:
        return info(self._clouds.get(name))

    def check(self, account: Account) -> Check:
        zone = account.zone
        if not zone:
            zones = self.connect(account).zones()
            if not zones:
                raise CredentialInvalid("The cloud accepts the credential, but it opens no zone.")
            zone = zones[0].zone
        connected = self.connect(replace(account, zone=zone))
        connected.validate_credential()
        return Check(valid=True, zone=zone, zones=_zones(connected))

    def zones(self, account: Account) -> list[ZoneInfo]:
        return _zones(self.connect(account))

    def machine_types(self, account: Account) -> list[MachineType]:
        return self.connect(account).machines.machine_types()

    def machine_images(self, account: Account) -> list[Image]:
        return self.connect(account).machines.machine_images()

    def subnets(self, account: Account) -> list[Network]:
        return self.connect(account).networks.list_networks({})

    def quotas(self, account: Account) -> list[Quota]:
        return self.connect(account).machines.quotas()


def info(kind: type[Provider]) -> ProviderInfo:
    """What is told about a cloud."""
    return ProviderInfo(
        name=kind.name,
        title=kind.title,
        capabilities=sorted(kind.capabilities()),
        operator_only=kind.operator_only,
        credential_schema=kind.credential_schema,
    )


def _zones(provider: Provider) -> list[ZoneInfo]:
    return [ZoneInfo(zone=zone.zone, title=zone.title or zone.zone) for zone in provider.zones()]


# --- between two functions ---------------------------------------------------------------------------------

#: What each question about an account is answered with.
ANSWERS: Final[Mapping[str, Any]] = {
    "check": Check,
    "zones": list[ZoneInfo],
    "machine_types": list[MachineType],
    "machine_images": list[Image],
    "subnets": list[Network],
    "quotas": list[Quota],
}


def question(name: str, account: Account) -> dict[str, Any]:
    """A question as the event of a function."""
    return {"task": "answer", "question": name, "account": msgspec.to_builtins(account)}


def answer(desk: CloudDesk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to :func:`question`: ``{"answer": …}``, or ``{"error": …}`` that :func:`read` raises again.

    An error is an answer too, so that it arrives whole (the class, each field) and no stack trace with it.
    """
    name = asked["question"]
    try:
        if name not in ANSWERS:
            raise PitrixError(f"There is no question {name!r} to a cloud.")
        account = msgspec.convert(asked["account"], Account)
        return {"answer": msgspec.to_builtins(getattr(desk, name)(account))}
    except PitrixError as error:
        fields = [[each.field, each.message] for each in error.errors]
        kind = type(errors.known(error)).__name__
        return {"error": {"class": kind, "detail": error.detail, "fields": fields}}


def read(name: str, answered: Mapping[str, Any]) -> Any:
    """What a question was answered with.

    Raises:
        PitrixError: the error that the other function met, of the same class.
    """
    if error := answered.get("error"):
        kind = getattr(errors, error["class"], PitrixError)
        raise kind(error["detail"], errors=[FieldError(*each) for each in error["fields"]])
    return msgspec.convert(answered["answer"], ANSWERS[name])
