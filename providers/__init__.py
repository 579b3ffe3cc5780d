"""The registry of clouds: names to providers, loaded when first asked for.

Importing this package loads no driver and no SDK. A provider of another distribution is found by its
entry point in the group ``pitrix.providers`` (name = the provider's name, value = ``module:Class``).

Where next: ``providers/base.py`` (the interface), ``tests/contract/providers`` (what it must prove).
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from pitrix import plugins

if TYPE_CHECKING:
    from providers.base import Provider
    from providers.resources import Connection

_BUILT_IN = {
    "aws": "providers.aws.driver:AwsProvider",
    "azure": "providers.azure.driver:AzureProvider",
    "kubernetes": "providers.kubernetes.driver:KubernetesProvider",
    "local": "providers.local.driver:LocalProvider",
    "openstack": "providers.openstack.driver:OpenStackProvider",
    "qingcloud": "providers.qingcloud.driver:QingCloudProvider",
    "vmware": "providers.vmware.driver:VmwareProvider",
}
_GROUP = "pitrix.providers"


@cache
def _registered() -> dict[str, str]:
    return plugins.registered(_GROUP, _BUILT_IN)


def names() -> list[str]:
    """The names of all registered providers, sorted."""
    return sorted(_registered())


@cache
def get(name: str) -> type[Provider]:
    """Load the class of one provider, and no other's.

    Raises:
        NotFound: No provider has that name.
        ProviderError: A plug-in's class is not a provider of that name.
    """
    from pitrix.errors import NotFound, ProviderError
    from providers.base import Provider

    if name not in _registered():
        raise NotFound(f"There is no provider {name!r}; there are: {', '.join(names())}.")
    module, _, attribute = _registered()[name].partition(":")
    loaded = getattr(import_module(module), attribute, None)
    if not (isinstance(loaded, type) and issubclass(loaded, Provider) and loaded.name == name):
        raise ProviderError(f"{_registered()[name]} is not a provider named {name!r}.")
    return loaded


def connect(name: str, connection: Connection) -> Provider:
    """Make a provider for one account; touches nothing until its first call.

    Raises:
        NotFound: No provider has that name.
        CredentialInvalid: The connection cannot be one of that cloud, whatever the cloud would say.
    """
    return get(name)(connection)
