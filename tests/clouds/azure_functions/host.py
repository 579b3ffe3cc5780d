"""What Azure's host does around the worker, as far as tests need it: calls, and blobs that start functions.

An app is a folder, with its settings in the environment. Blobs are looked for when the test says so, in a
container of Azurite; a function that fails is called five times in all, and then the blob's name goes to the
queue ``webjobs-blobtrigger-poison``, as the host's documentation has it.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from tests.clouds import cache
from tests.clouds.azurite.server import Azurite

ATTEMPTS = 5
POISON = "webjobs-blobtrigger-poison"
_SETTING = re.compile(r"%(\w+)%")


class FunctionsHost:
    """A running app. ``functions`` are their bindings by name."""

    def __init__(self, process: subprocess.Popen[str], settings: Mapping[str, str]) -> None:
        self._process = process
        self._settings = settings
        self._seen: dict[str, str] = {}
        told = self._line()
        assert "functions" in told, f"the app cannot be indexed: {told}"
        self.functions: dict[str, list[dict[str, Any]]] = {
            name: each["bindings"] for name, each in told["functions"].items()
        }

    def invoke(
        self, function: str, data: Mapping[str, Any], metadata: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Call a function: ``{"ok", "error", "answer"}``."""
        assert self._process.stdin is not None
        request = {"function": function, "data": dict(data), "metadata": dict(metadata or {})}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._line()

    def deliver_blobs(self, azurite: Azurite, container: Any) -> list[str]:
        """Call the functions that wait for blobs of a container with those that are new or changed.

        Returns:
            What functions that gave up said.
        """
        failures = []
        for blob in list(container.list_blobs()):
            if self._seen.get(blob.name) == blob.etag:
                continue
            self._seen[blob.name] = blob.etag
            content = container.download_blob(blob.name).readall()
            path = f"{container.container_name}/{blob.name}"
            for function in self._waiting_for(container.container_name):
                metadata = {
                    "BlobTrigger": {"string": path},
                    "Uri": {"string": json.dumps(f"{container.url}/{blob.name}")},
                    "Properties": {"json": json.dumps({"Length": blob.size, "ETag": blob.etag})},
                    "Metadata": {"json": json.dumps(blob.metadata or {})},
                }
                data = {"bytes": base64.b64encode(content).decode()}
                for _ in range(ATTEMPTS):
                    done = self.invoke(function, data, metadata)
                    if done["ok"]:
                        break
                else:
                    failures.append(done["error"])
                    _poison(azurite, {"FunctionId": function, "BlobName": blob.name})
        return failures

    def _waiting_for(self, container: str) -> list[str]:
        return [
            name
            for name, bindings in self.functions.items()
            for binding in bindings
            if binding["type"] == "blobTrigger"
            and _SETTING.sub(lambda m: self._settings[m[1]], binding["path"]).split("/")[0] == container
        ]

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the worker ended with {self._process.wait()}"
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def functions_host(app: Path, settings: Mapping[str, str]) -> Iterator[FunctionsHost]:
    """Run the app in a folder with these settings.

    Raises:
        Unavailable: The worker runtime is not installed.
    """
    python = cache.built("azure_functions") / "venv/bin/python"
    worker = Path(__file__).with_name("worker.py")
    environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **settings}
    with (
        TemporaryFile() as log,
        subprocess.Popen(
            [str(python), str(worker), str(app)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            text=True,
        ) as process,
    ):
        try:
            yield FunctionsHost(process, settings)
        finally:
            process.terminate()
            process.wait(10)


def poisoned(azurite: Azurite) -> list[str]:
    """The names of the blobs that were given up, taken out of the queue."""
    queue = _queue(azurite)
    names = []
    for message in queue.receive_messages():
        names.append(json.loads(message.content)["BlobName"])
        queue.delete_message(message)
    return names


def _poison(azurite: Azurite, message: Mapping[str, str]) -> None:
    _queue(azurite).send_message(json.dumps(message))


def _queue(azurite: Azurite) -> Any:
    from azure.core.exceptions import ResourceExistsError
    from azure.storage.queue import QueueClient

    queue = QueueClient.from_connection_string(azurite.connection_string, POISON)
    with suppress(ResourceExistsError):
        queue.create_queue()
    return queue
