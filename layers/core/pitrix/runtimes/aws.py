"""Asking clouds from a function that has no SDK: by invoking the function of that cloud.

Owns the names of those functions and what becomes of one that does not answer. ``template.yaml`` deploys one
a cloud, because a function holds 250 MB and the SDKs together are more. What is asked is in ``asking.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from pitrix.errors import ProviderError, ProviderUnavailable
from pitrix.runtimes import asking
from pitrix.runtimes.model import Account, Check, ProviderInfo, ZoneInfo
from pitrix.runtimes.ports import Clouds
from providers.resources import Image, MachineType, Network, Quota

#: The clouds whose SDK has a function of its own; every other provider's runs in the plug-ins' function.
OWN_FUNCTION: Final = frozenset({"aws", "azure", "kubernetes", "openstack", "qingcloud", "vmware"})
_PLUGINS: Final = "plugins"
#: API Gateway gives up after 29 s: an answer that comes later reaches nobody.
ANSWER_WITHIN_S: Final = 25


def function_name(prefix: str, provider: str) -> str:
    """The name of the function that speaks to a provider's cloud; ``prefix`` is the deployment's."""
    return prefix + (provider if provider in OWN_FUNCTION else _PLUGINS)


class LambdaClouds:
    """``ports.CloudCalls`` by invocations.

    Args:
        connect: Makes the ``lambda`` client, on first use; it should wait for :data:`ANSWER_WITHIN_S`.
        prefix: What the functions' names begin with, such as ``pitrix-cloud-``.
        registry: The providers that this function knows; none of their SDKs is needed.
    """

    def __init__(self, connect: Callable[[], Any], *, prefix: str, registry: Clouds) -> None:
        self._connect = connect
        self._prefix = prefix
        self._registry = registry

    def providers(self) -> list[ProviderInfo]:
        return [self.provider(name) for name in self._registry.names()]

    def provider(self, name: str) -> ProviderInfo:
        return asking.info(self._registry.get(name))

    def check(self, account: Account) -> Check:
        found: Check = self._ask("check", account)
        return found

    def zones(self, account: Account) -> list[ZoneInfo]:
        return self._list("zones", account)

    def machine_types(self, account: Account) -> list[MachineType]:
        return self._list("machine_types", account)

    def machine_images(self, account: Account) -> list[Image]:
        return self._list("machine_images", account)

    def subnets(self, account: Account) -> list[Network]:
        return self._list("subnets", account)

    def quotas(self, account: Account) -> list[Quota]:
        return self._list("quotas", account)

    def _list(self, question: str, account: Account) -> list[Any]:
        found: list[Any] = self._ask(question, account)
        return found

    def _ask(self, question: str, account: Account) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        name = function_name(self._prefix, account.provider)
        payload = json.dumps(asking.question(question, account)).encode()
        try:
            given = self._connect().invoke(FunctionName=name, Payload=payload)
            answered = json.loads(given["Payload"].read())
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "ResourceNotFoundException":
                raise ProviderError(f"This deployment has no function {name!r} for that cloud.") from None
            raise ProviderUnavailable(f"The function {name!r} cannot be asked now: {code}.") from None
        except BotoCoreError as error:  # its words hold addresses, never what was sent
            raise ProviderUnavailable(
                f"Neither the cloud nor the function {name!r}, which may still be starting, answered within "
                f"{ANSWER_WITHIN_S} s ({type(error).__name__}). Try again in a moment."
            ) from None
        if given.get("FunctionError"):
            # What broke there is in its log; its message could quote what was sent.
            kind = answered.get("errorType", "unknown") if isinstance(answered, dict) else "unknown"
            raise ProviderUnavailable(f"The function {name!r} failed ({kind}); its log says more.")
        return asking.read(question, answered)
