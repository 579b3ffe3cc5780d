"""Credentials in AWS Secrets Manager: one secret a thing, JSON of strings.

Owns the calls and a short memory of what was read, so that the steps of one job do not each ask again. A
credential that is replaced is used everywhere after :data:`REMEMBERED_S` seconds at most; where it goes to an
address that may be replaced with it, nothing may be remembered. Who may read which name is IAM's to say:
``pitrix/runtimes/*``, ``pitrix/repos/*``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from pitrix.errors import NotFound

REMEMBERED_S = 60.0


class SecretsManagerVault:
    """``CredentialVault`` of the runtimes, and what that of the repositories is made of.

    Args:
        connect: Makes the ``secretsmanager`` client, on first use.
        of: What the credentials belong to (``runtime``), for descriptions and messages.
        remembered_s: Seconds that a credential is used without asking again; 0 asks each time.
        stopwatch: Seconds that only grow.
    """

    def __init__(
        self,
        connect: Callable[[], Any],
        *,
        of: str = "runtime",
        remembered_s: float = REMEMBERED_S,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect = connect
        self._of = of
        self._remembered_s = remembered_s
        self._stopwatch = stopwatch
        self._read: dict[str, tuple[float, Mapping[str, str]]] = {}

    def put(self, name: str, credential: Mapping[str, str]) -> None:
        """Keep a credential, in place of an earlier one."""
        client, text = self._connect(), json.dumps(dict(credential))
        self._read.pop(name, None)
        try:
            client.create_secret(
                Name=name, SecretString=text, Description=f"The credential of a Pitrix {self._of}"
            )
        except client.exceptions.ResourceExistsException:
            client.put_secret_value(SecretId=name, SecretString=text)

    def get(self, name: str) -> Mapping[str, str]:
        """Read a credential.

        Raises:
            NotFound: there is none of that name.
        """
        read_at, credential = self._read.get(name, (float("-inf"), {}))
        if self._stopwatch() - read_at < self._remembered_s:
            return credential
        client = self._connect()
        try:
            answer = client.get_secret_value(SecretId=name)
        except (client.exceptions.ResourceNotFoundException, client.exceptions.InvalidRequestException):
            # The second is what a secret says that is marked for deletion.
            raise NotFound(f"The {self._of}'s credential is gone; connect the {self._of} anew.") from None
        credential = dict[str, str](json.loads(answer["SecretString"]))
        self._read[name] = (self._stopwatch(), credential)
        return credential

    def delete(self, name: str) -> None:
        """Destroy a credential for good; gone: no effect."""
        client = self._connect()
        self._read.pop(name, None)
        try:
            # At once: a credential that its owner took back should not lie about for the usual 30 days.
            client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
        except client.exceptions.ResourceNotFoundException:
            return
