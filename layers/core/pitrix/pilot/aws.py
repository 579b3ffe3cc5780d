"""Pilot's way to API Gateway, Step Functions and S3.

Owns the translation of their errors. Decides nothing; see ``service.py``. Each adapter is given how to get
its client and gets it on first use: a function that never calls a service never pays for its client.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from pitrix.pilot.ports import ConnectionGone

_log = logging.getLogger("pitrix.pilot")

#: Presigned addresses live seven days at most; a machine boots within minutes and keeps its copy.
BUNDLE_URL_LIFETIME_S = 24 * 3600
_CAUSE_CHARS = 32_768
#: Answers of Step Functions that mean nobody waits with this token any more: aborted, answered, or restarted.
_NOBODY_WAITS = ("TaskTimedOut", "TaskDoesNotExist", "InvalidToken")


class ApiGatewayConnections:
    """:class:`pitrix.pilot.ports.Connections` over the management API of the WebSocket API."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect

    def post(self, connection_id: str, data: str) -> None:
        client = self._connect()
        try:
            client.post_to_connection(ConnectionId=connection_id, Data=data.encode())
        except client.exceptions.GoneException as error:
            raise ConnectionGone(connection_id) from error

    def close(self, connection_id: str) -> None:
        client = self._connect()
        try:
            client.delete_connection(ConnectionId=connection_id)
        except client.exceptions.GoneException:
            _log.info("connection %s was closed already", connection_id)


class StepFunctionsCallbacks:
    """:class:`pitrix.pilot.ports.Callbacks` over Step Functions."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect

    def succeed(self, task_token: str, output: Mapping[str, Any]) -> None:
        self._send("send_task_success", taskToken=task_token, output=json.dumps(output))

    def fail(self, task_token: str, error: str, cause: str) -> None:
        self._send("send_task_failure", taskToken=task_token, error=error, cause=cause[:_CAUSE_CHARS])

    def _send(self, call: str, **arguments: Any) -> None:
        client = self._connect()
        try:
            getattr(client, call)(**arguments)
        except client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in _NOBODY_WAITS:
                raise
            _log.info("%s: no execution waits for this any more", call)


class S3AgentBundle:
    """:class:`pitrix.pilot.ports.AgentBundle` over an object that deployment uploaded."""

    def __init__(self, connect: Callable[[], Any], bucket: str, key: str) -> None:
        self._connect = connect
        self._bucket = bucket
        self._key = key

    def url(self) -> str:
        url: str = self._connect().generate_presigned_url(
            "get_object", Params={"Bucket": self._bucket, "Key": self._key}, ExpiresIn=BUNDLE_URL_LIFETIME_S
        )
        return url
