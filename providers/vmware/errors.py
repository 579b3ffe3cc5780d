"""Translates vSphere's faults, and what the network says, into ``pitrix.errors``; the one place that does.

Faults are told apart by the names of their classes, most derived first, so that no SDK is loaded here.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from typing import Any
from xml.parsers.expat import ExpatError

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

_BY_FAULT: Mapping[str, type[PitrixError]] = {
    "vim.fault.InvalidLogin": CredentialInvalid,
    "vim.fault.NotAuthenticated": ProviderUnavailable,
    "vim.fault.PasswordExpired": CredentialInvalid,
    "vim.fault.NoPermission": CredentialInvalid,
    "vmodl.fault.SecurityError": CredentialInvalid,
    "vmodl.fault.ManagedObjectNotFound": ResourceNotFound,
    "vim.fault.NotFound": ResourceNotFound,
    "vim.fault.UserNotFound": ResourceNotFound,
    "vim.fault.FileNotFound": ResourceNotFound,
    "vim.fault.DuplicateName": Conflict,
    "vim.fault.AlreadyExists": Conflict,
    "vim.fault.FileAlreadyExists": Conflict,
    "vim.fault.ResourceInUse": Conflict,
    "vim.fault.InvalidPowerState": Conflict,
    "vim.fault.TaskInProgress": ProviderUnavailable,
    "vim.fault.ConcurrentAccess": ProviderUnavailable,
    "vim.fault.InvalidHostConnectionState": ProviderUnavailable,
    "vim.fault.HostConnectFault": ProviderUnavailable,
    "vim.fault.Timedout": ProviderUnavailable,
    "vmodl.fault.HostCommunication": ProviderUnavailable,
    "vmodl.fault.SystemError": ProviderUnavailable,
    "vmodl.fault.RequestCanceled": ProviderUnavailable,
    "vim.fault.InsufficientResourcesFault": QuotaExceeded,
    "vim.fault.NoDiskSpace": QuotaExceeded,
    "vim.fault.NotEnoughLicenses": QuotaExceeded,
    "vim.fault.InvalidName": InvalidInput,
    "vim.fault.InvalidVmConfig": InvalidInput,
    "vmodl.fault.InvalidArgument": InvalidInput,
}
_WORDS = {
    "vim.fault.InvalidLogin": "vCenter refuses the user name or the password",
    "vim.fault.NotAuthenticated": "vCenter has ended the session meanwhile; the next call begins another",
    "vim.fault.PasswordExpired": "The password has expired in vCenter; set a new one there",
    "vmodl.fault.ManagedObjectNotFound": "vCenter has no such object, or it is gone",
}


@contextmanager
def translated() -> Iterator[None]:
    """Let calls of the SDK inside raise ``pitrix.errors`` only."""
    try:
        yield
    except PitrixError:
        raise
    except Exception as error:
        if (told := from_any(error)) is None:
            raise
        raise told from error


def from_any(error: Exception) -> PitrixError | None:
    """The error that an exception of the SDK or the network stands for; None for a mistake of our own."""
    if any(kind.__name__ == "vmodl.MethodFault" for kind in type(error).__mro__):
        return from_fault(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        why = getattr(error, "verify_message", "") or error
        return CredentialInvalid(
            f"vCenter's certificate is not trusted: {why}. "
            "Give the certificate of its authority as ca_certificate."
        )
    if isinstance(error, HTTPException) and str(error).startswith("429"):
        return ProviderThrottled("vCenter was asked too often and answers 429; it is asked again later.")
    if isinstance(error, (OSError, HTTPException)):
        return ProviderUnavailable(f"vCenter does not answer: {type(error).__name__}: {error}.")
    if isinstance(error, ExpatError):
        return ProviderUnavailable("What answers at that address is not vCenter, or its answer was cut off.")
    return None


def from_fault(fault: Any) -> PitrixError:
    """The error that a fault stands for, of a call or of a task."""
    names = [kind.__name__ for kind in type(fault).__mro__]
    for name in names:
        if name in _BY_FAULT:
            return _BY_FAULT[name](_told(name, fault))
    return ProviderError(f"vCenter refuses: {names[0].rpartition('.')[2]}: {_message(fault)}")


def _told(name: str, fault: Any) -> str:
    if name == "vim.fault.NoPermission":
        privilege = getattr(fault, "privilegeId", None) or "of some kind"
        return f"The user lacks the privilege {privilege} in vCenter."
    return f"{_WORDS.get(name, 'vCenter refuses')}: {_message(fault)}"


def _message(fault: Any) -> str:
    said = getattr(fault, "msg", None) or getattr(fault, "localizedMessage", None)
    return str(said or type(fault).__name__.rpartition(".")[2])[:300]
