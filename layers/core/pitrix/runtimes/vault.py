"""Credentials in AWS Secrets Manager: one secret a runtime, JSON of strings.

Owns the calls and a short memory of what was read, so that the steps of one deployment do not each ask
again. A credential that is replaced is used everywhere after :data:`REMEMBERED_S` seconds at most.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from pitrix.errors import NotFound

REMEMBERED_S = 60.0


class SecretsManagerVault:
    """``ports.CredentialVault`` on Secrets Manager.

    Args:
        connect: Makes the ``secretsmanager`` client, on first use.
        stopwatch: Seconds that only grow.
    """

    def __init__(
        self, connect: Callable[[], Any], *, stopwatch: Callable[[], float] = time.monotonic
    ) -> None:
        self._connect = connect
        self._stopwatch = stopwatch
        self._read: dict[str, tuple[float, Mapping[str, str]]] = {}

    def put(self, name: str, credential: Mapping[str, str]) -> None:
        client, text = self._connect(), json.dumps(dict(credential))
        self._read.pop(name, None)
        try:
            client.create_secret(
                Name=name, SecretString=text, Description="The credential of a Pitrix runtime"
            )
        except client.exceptions.ResourceExistsException:
            client.put_secret_value(SecretId=name, SecretString=text)

    def get(self, name: str) -> Mapping[str, str]:
        read_at, credential = self._read.get(name, (float("-inf"), {}))
        if self._stopwatch() - read_at < REMEMBERED_S:
            return credential
        client = self._connect()
        try:
            answer = client.get_secret_value(SecretId=name)
        except (client.exceptions.ResourceNotFoundException, client.exceptions.InvalidRequestException):
            # The second is what a secret says that is marked for deletion.
            raise NotFound("The runtime's credential is gone; connect the runtime anew.") from None
        credential = dict[str, str](json.loads(answer["SecretString"]))
        self._read[name] = (self._stopwatch(), credential)
        return credential

    def delete(self, name: str) -> None:
        client = self._connect()
        self._read.pop(name, None)
        try:
            # At once: a credential that its owner took back should not lie about for the usual 30 days.
            client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
        except client.exceptions.ResourceNotFoundException:
            return
