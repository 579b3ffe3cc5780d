"""pyVmomi, loaded on first use: its types take half a second that no other cloud's calls should pay."""

from __future__ import annotations

from typing import Any


def vim() -> Any:
    """The namespace of vSphere's types."""
    from pyVmomi import vim as loaded

    return loaded


def soap_stub(**how: Any) -> Any:
    """What sends calls and reads answers; ``how`` as pyVmomi's SoapStubAdapter takes it."""
    from pyVmomi.SoapAdapter import SoapStubAdapter

    adapter: Any = SoapStubAdapter
    return adapter(**how)


def vmodl() -> Any:
    """The namespace of the property collector's types."""
    from pyVmomi import vmodl as loaded

    return loaded
