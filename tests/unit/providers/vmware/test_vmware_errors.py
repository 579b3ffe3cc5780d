"""What vSphere's faults and the network's failures become."""

from __future__ import annotations

import ssl
from http.client import HTTPException, RemoteDisconnected
from xml.parsers.expat import ExpatError

import pytest
from pyVmomi import vim, vmodl

from pitrix.errors import (
    Conflict,
    CredentialInvalid,
    InvalidInput,
    PitrixError,
    ProviderError,
    ProviderThrottled,
    ProviderUnavailable,
    QuotaExceeded,
    ResourceNotFound,
)
from providers.vmware import errors


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (vim.fault.InvalidLogin(), CredentialInvalid),
        (vim.fault.NoPermission(privilegeId="Folder.Create"), CredentialInvalid),
        (vim.fault.NotAuthenticated(), ProviderUnavailable),
        (vmodl.fault.ManagedObjectNotFound(), ResourceNotFound),
        (vim.fault.DuplicateName(name="a"), Conflict),
        (vim.fault.TaskInProgress(), ProviderUnavailable),
        (vim.fault.InsufficientMemoryResourcesFault(), QuotaExceeded),
        (vim.fault.NoDiskSpace(), QuotaExceeded),
        (vmodl.fault.InvalidArgument(invalidProperty="spec"), InvalidInput),
        (vim.fault.ToolsUnavailable(), ProviderError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.__name__,
)
def test_a_fault_is_translated_by_its_kind(fault: Exception, kind: type[PitrixError]) -> None:
    with pytest.raises(kind) as told, errors.translated():
        raise fault
    assert type(told.value) is kind


def test_a_missing_privilege_is_named() -> None:
    told = errors.from_fault(vim.fault.NoPermission(privilegeId="Folder.Create"))
    assert "Folder.Create" in told.detail


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (HTTPException("429 Too Many Requests"), ProviderThrottled),
        (HTTPException("503 Service Unavailable"), ProviderUnavailable),
        (RemoteDisconnected(), ProviderUnavailable),
        (TimeoutError("timed out"), ProviderUnavailable),
        (ExpatError("not well-formed"), ProviderUnavailable),
        (ssl.SSLCertVerificationError("self-signed"), CredentialInvalid),
    ],
    ids=["429", "503", "hung up", "silence", "no XML", "unknown authority"],
)
def test_the_networks_failures_are_translated(error: Exception, kind: type[PitrixError]) -> None:
    with pytest.raises(kind) as told, errors.translated():
        raise error
    assert type(told.value) is kind


def test_a_mistake_of_our_own_stays_one() -> None:
    with pytest.raises(TypeError), errors.translated():
        raise TypeError("ours")
