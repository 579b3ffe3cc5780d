"""Runs an app of Azure Functions in Microsoft's worker runtime, one call a line; see ``host.py``.

``python worker.py FOLDER`` prints ``{"functions": {name: {"id", "bindings"}}}`` and then answers each line
``{"function", "data", "metadata"}`` with ``{"ok", "error", "answer"}``. Data are what the host would send:
``{"bytes": base64}``, ``{"string": text}``, ``{"json": text}`` or ``{"http": {…}}``.

Runs in the environment that ``build.py`` makes, so it imports nothing of ours. The runtime talks to its host
in protobuf; `Message` has the attributes that it reads and needs no compiled schema.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import types
from pathlib import Path
from typing import Any
from uuid import uuid4


class Message:
    """Stands for any message: what was not given is None, and a ``oneof`` is what was given."""

    Success, Failure, Cancelled = 1, 0, 2

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __getattr__(self, name: str) -> Any:
        # The runtime asks every value whether it is the module of all messages, which has a TypedData.
        if name.startswith("__") or name == "TypedData":
            raise AttributeError(name)
        return None

    def WhichOneof(self, group: str) -> str | None:
        if group == "rpc_data":
            return "data"
        return next((name for name, value in self.__dict__.items() if value is not None), None)


class Protos(types.ModuleType):
    """Stands for the module of compiled messages: every name in it is a kind of `Message`."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        kind = type(name, (Message,), {} if name == "TypedData" else _NUMBERS)
        setattr(self, name, kind)
        return kind


#: The members of the enumerations, which stand on the messages and on their kinds alike.
_DIRECTIONS = {"in": 0, "out": 1, "inout": 2}
_DATA_TYPES = {"undefined": 0, "string": 1, "binary": 2, "stream": 3}
_NUMBERS = {
    **_DIRECTIONS,
    **_DATA_TYPES,
    "Direction": types.SimpleNamespace(**_DIRECTIONS),
    "DataType": types.SimpleNamespace(**_DATA_TYPES),
    "SameSite": types.SimpleNamespace(Lax=1, Strict=2, ExplicitNone=3),
}
PROTOS = Protos("protos")


def typed(data: dict[str, Any]) -> Any:
    """A host's value as the runtime takes it."""
    if "bytes" in data:
        return PROTOS.TypedData(bytes=base64.b64decode(data["bytes"]))
    if "http" in data:
        http = dict(data["http"])
        body = base64.b64decode(http.pop("body", ""))
        return PROTOS.TypedData(
            http=Message(**http, body=PROTOS.TypedData(**({"bytes": body} if body else {})))
        )
    return PROTOS.TypedData(**data)


def plain(value: Any) -> Any:
    """What a function returned, as JSON."""
    if value is None:
        return None
    if value.http:
        body = value.http.body
        raw = b""
        for kind in ("bytes", "string", "json"):
            found = getattr(body, kind) if body else None
            if found is not None:
                raw = found.encode() if isinstance(found, str) else found
                break
        headers = dict(value.http.headers or {})
        return {
            "status": int(value.http.status_code),
            "headers": headers,
            "body": base64.b64encode(raw).decode(),
        }
    for kind in ("string", "json"):
        if getattr(value, kind) is not None:
            return getattr(value, kind)
    return None if value.bytes is None else value.bytes.decode(errors="replace")


def asked(**message: Any) -> Any:
    return types.SimpleNamespace(
        request=types.SimpleNamespace(**message), properties={"host": "127.0.0.1", "protos": PROTOS}
    )


async def serve(folder: str) -> None:
    import azure_functions_runtime as runtime

    if hasattr(runtime, "start_threadpool_executor"):
        runtime.start_threadpool_executor()
    begun = await runtime.worker_init_request(
        asked(worker_init_request=Message(capabilities={}, function_app_directory=folder))
    )
    if begun.result.status != Message.Success:
        say({"error": begun.result.exception.message})
        return
    told = await runtime.functions_metadata_request(asked())
    functions = {
        each.name: {"id": each.function_id, "bindings": [json.loads(raw) for raw in each.raw_bindings]}
        for each in told.function_metadata_results or []
    }
    say({"functions": functions})
    for line in iter(REQUESTS.readline, ""):
        request = json.loads(line)
        function = functions[request["function"]]
        trigger = next(b for b in function["bindings"] if b["type"].lower().endswith("trigger"))
        call = Message(
            invocation_id=str(uuid4()),
            function_id=function["id"],
            input_data=[Message(name=trigger["name"], data=typed(request["data"]))],
            trigger_metadata={name: typed(value) for name, value in request.get("metadata", {}).items()},
            trace_context=Message(trace_parent="", trace_state="", attributes={}),
            retry_context=Message(retry_count=0, max_retry_count=0, exception=None),
        )
        done = await runtime.invocation_request(asked(invocation_request=call))
        if done.result.status == Message.Success:
            say({"ok": True, "error": "", "answer": plain(done.return_value)})
        else:
            say({"ok": False, "error": done.result.exception.message, "answer": None})


def say(message: dict[str, Any]) -> None:
    ANSWERS.write(json.dumps(message) + "\n")
    ANSWERS.flush()


if __name__ == "__main__":
    REQUESTS = sys.stdin
    # What an app prints goes to the log: the first of all streams is ours.
    ANSWERS = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    FOLDER = str(Path(sys.argv[1]).resolve())
    sys.path.insert(0, FOLDER)
    os.chdir(FOLDER)
    asyncio.run(serve(FOLDER))
