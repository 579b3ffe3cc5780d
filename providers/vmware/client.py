"""SOAP to one vCenter. Owns the session and the ways to read and to send tasks; knows nothing of resources.

A session is kept for later instances in this process, because vCenter ends idle ones only after a while and
has room for 2,000 (VMware, "Endpoint Limits for Concurrent REST Requests from vCenter APIs", 2022).

Reading goes through the property collector, which tells any number of objects in one call.
"""

from __future__ import annotations

import hashlib
import ssl
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pitrix.addresses import NetworkPolicy, check_host
from pitrix.errors import CredentialInvalid, InvalidInput
from providers.resources import Connection
from providers.vmware import errors
from providers.vmware.sdk import soap_stub, vim, vmodl

TIMEOUT_S = 20
"""Longest silence of vCenter within a call, in seconds; what takes longer is a task."""

_API = "vim.version.version11"
"""vSphere 6.5, which every later vCenter speaks as well."""

_PAGE = 1000
_sessions: dict[str, str] = {}

Found = tuple[Any, dict[str, Any]]
"""An object's reference, and its properties by path; those that it has not are left out."""


class Client:
    """One vCenter, as one user. Nothing is sent before the first call."""

    def __init__(self, connection: Connection) -> None:
        credential = connection.credential
        self._host, self._port = _address(credential.get("endpoint", ""))
        self._user, self._password = credential.get("username", ""), credential.get("password", "")
        self._allowed_networks = connection.settings.get("allowed_networks", "")
        self._authority = credential.get("ca_certificate") or _file(connection.settings.get("ca_bundle", ""))

    @cached_property
    def content(self) -> Any:
        """vCenter's service content, signed in.

        Raises:
            CredentialInvalid: The address may not be talked to, its certificate is not trusted, or the user
                name or the password is wrong.
        """
        try:
            check_host(self._host, self._port, NetworkPolicy.from_text(self._allowed_networks))
        except InvalidInput as error:
            raise CredentialInvalid(error.detail) from None
        stub = soap_stub(
            host=self._host,
            port=self._port,
            version=_API,
            sslContext=_trusting(self._authority),
            httpConnectionTimeout=TIMEOUT_S,
        )
        weakref.finalize(self, stub.DropConnections)
        with errors.translated():
            content = vim().ServiceInstance("ServiceInstance", stub).RetrieveContent()
            self._sign_in(stub, content.sessionManager)
        return content

    def _sign_in(self, stub: Any, manager: Any) -> None:
        """Take up the session of an instance before this one, or begin one."""
        told = "\n".join((self._host, str(self._port), self._user, self._password))
        account = hashlib.sha256(told.encode()).hexdigest()
        if known := _sessions.get(account):
            stub.cookie = known
            if _is_signed_in(manager):
                return
            stub.cookie = ""
        manager.Login(self._user, self._password, None)
        _sessions[account] = stub.cookie

    def of(self, kind: str, moid: str) -> Any:
        """The reference of an object; whether there is such an object is told by the first call to it."""
        return getattr(vim(), kind)(moid, self.content.rootFolder._stub)

    def read(
        self, start: Any, wanted: Mapping[Any, Sequence[str]], ways: Sequence[tuple[Any, str]] = ()
    ) -> list[Found]:
        """Read properties of objects, in one call a thousand.

        Args:
            start: Where to begin; it is read as well.
            wanted: The paths of properties to read, by kind of object.
            ways: From which kind of object to go on, by which property, as often as it goes.

        Raises:
            ResourceNotFound: ``start`` is gone.
        """
        collector = vmodl().query.PropertyCollector
        names = [f"{kind.__name__}.{path}" for kind, path in ways]
        steps = [
            collector.TraversalSpec(
                name=name,
                type=kind,
                path=path,
                skip=False,
                selectSet=[collector.SelectionSpec(name=other) for other in names],
            )
            for name, (kind, path) in zip(names, ways, strict=True)
        ]
        wish = collector.FilterSpec(
            objectSet=[collector.ObjectSpec(obj=start, skip=False, selectSet=steps)],
            propSet=[
                collector.PropertySpec(type=kind, pathSet=list(paths), all=False)
                for kind, paths in wanted.items()
            ],
        )
        with errors.translated():
            reader = self.content.propertyCollector
            page = reader.RetrievePropertiesEx([wish], collector.RetrieveOptions(maxObjects=_PAGE))
            found: list[Found] = []
            while page is not None:
                found += [(each.obj, {prop.name: prop.val for prop in each.propSet}) for each in page.objects]
                page = reader.ContinueRetrievePropertiesEx(page.token) if page.token else None
        return found

    def find_child(self, parent: Any, name: str) -> Any | None:
        """The object of that name in a folder, or None."""
        with errors.translated():
            return self.content.searchIndex.FindChild(parent, name)

    def ask(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Make one call that is no task.

        Raises:
            PitrixError: As ``errors`` translates.
        """
        with errors.translated():
            return call(*arguments, **named)

    def send(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> bool:
        """Send a task, and tell whether it is done already; nobody waits for one that is not.

        Raises:
            PitrixError: As ``errors`` translates, also when the task has failed already.
        """
        with errors.translated():
            info = call(*arguments, **named).info
        if info.state == vim().TaskInfo.State.error:
            raise errors.from_fault(info.error)
        return bool(info.state == vim().TaskInfo.State.success)


def _address(endpoint: str) -> tuple[str, int]:
    """The host and port of a vCenter.

    Raises:
        CredentialInvalid: That is no address of one.
    """
    try:
        url = urlsplit(endpoint)
        host, port = url.hostname or "", url.port or 443
        good = url.scheme == "https" and bool(host) and not url.username and url.path in ("", "/", "/sdk")
    except ValueError:
        good = False
    if not good:
        raise CredentialInvalid("The endpoint of a vCenter is written https://vcenter.example.com.")
    return host, port


def _is_signed_in(manager: Any) -> bool:
    try:
        return manager.currentSession is not None
    except vim().fault.NotAuthenticated:
        return False


def _file(ca_bundle: str) -> str:
    """The deployment's own setting, PEM or the path of a file of it, as PEM. A tenant can name no file."""
    return ca_bundle if not ca_bundle or "-----BEGIN" in ca_bundle else Path(ca_bundle).read_text()


def _trusting(authority: str) -> ssl.SSLContext:
    """TLS that trusts what the machine trusts, or only the certificates in ``authority`` (PEM).

    Raises:
        CredentialInvalid: That is no certificate.
    """
    if not authority:
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cadata=authority)
    except (OSError, ValueError) as error:
        raise CredentialInvalid(f"ca_certificate holds no certificate in PEM form: {error}.") from None
