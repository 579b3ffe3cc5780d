"""The local Lambda runtime, run for real against a runtime API of our own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from infra.local import bootstrap

HANDLERS = """
import os, sys
from shared import VALUE

class QuotaExceeded(Exception):
    pass

def echo(event, context):
    print("seen by a person")
    return {"event": event, "value": VALUE, "left_ms": context.get_remaining_time_in_millis(),
            "request": context.aws_request_id, "arn": context.invoked_function_arn}

def fail(event, context):
    raise QuotaExceeded("no more machines")

def big(event, context):
    return "x" * (6 * 1024 * 1024)

def odd(event, context):
    return object()

def path(event, context):
    return sys.path
"""


class RuntimeApi(HTTPServer):
    """Hands out one event, collects what comes back, then ends the environment."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Api)
        self.events: list[Any] = [{"n": 1}]
        self.results: list[tuple[str, Any]] = []


class _Api(BaseHTTPRequestHandler):
    server: RuntimeApi

    def do_GET(self) -> None:
        if not self.server.events:
            self._answer(500)
            return
        body = json.dumps(self.server.events.pop(0)).encode()
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", "r-1")
        self.send_header("Lambda-Runtime-Deadline-Ms", "99999999999999")
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:f")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.results.append((self.path.removeprefix("/2018-06-01/runtime/"), json.loads(body)))
        self._answer(202)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def api() -> Iterator[RuntimeApi]:
    server = RuntimeApi()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def invoke(api: RuntimeApi, tmp_path: Path, handler: str, **environment: str) -> tuple[str, Any]:
    for name in ("task", "runtime", "logs", "layers/Core/python/shared"):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
    (tmp_path / "task" / "app.py").write_text(HANDLERS)
    (tmp_path / "layers/Core/python/shared/__init__.py").write_text("VALUE = 'from the layer'\n")
    done = subprocess.run(
        [sys.executable, "-I", "-S", bootstrap.__file__],
        env={
            "PATH": os.environ["PATH"],
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.server_port}",
            "AWS_LAMBDA_FUNCTION_NAME": "fn",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
            "AWS_LAMBDA_LOG_STREAM_NAME": "s",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
            "LAMBDA_TASK_ROOT": str(tmp_path / "task"),
            "LOCAL_LAYERS": "Core",
            "PITRIX_LOCAL_LAYERS": str(tmp_path / "layers"),
            "PITRIX_LOCAL_RUNTIME": str(tmp_path / "runtime"),
            "PITRIX_LOCAL_LOGS": str(tmp_path / "logs"),
            "_HANDLER": f"app.{handler}",
            **environment,
        },
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.stderr == b""
    assert len(api.results) == 1
    return api.results[0]


def test_an_event_goes_to_the_handler_and_its_answer_back(api: RuntimeApi, tmp_path: Path) -> None:
    path, answer = invoke(api, tmp_path, "echo")
    assert path == "invocation/r-1/response"
    assert answer.pop("left_ms") > 0
    assert answer == {"event": {"n": 1}, "value": "from the layer", "request": "r-1", "arn": "arn:f"}
    assert (tmp_path / "logs" / "fn.log").read_text() == "seen by a person\n"


def test_a_function_wants_a_layer_that_was_left_for_later_and_waits_for_it(
    api: RuntimeApi, tmp_path: Path
) -> None:
    folder = tmp_path / "layers" / "Core"
    folder.mkdir(parents=True)
    (folder / "pending").touch()

    def install() -> None:
        while not (folder / "wanted").exists():
            time.sleep(0.01)
        (folder / "pending").unlink()

    supervisor = threading.Thread(target=install)
    supervisor.start()
    path, answer = invoke(api, tmp_path, "echo")
    supervisor.join()
    assert (path, answer["value"]) == ("invocation/r-1/response", "from the layer")


def test_a_layer_that_cannot_be_installed_is_said_at_the_start(api: RuntimeApi, tmp_path: Path) -> None:
    folder = tmp_path / "layers" / "Core"
    folder.mkdir(parents=True)
    (folder / "pending").touch()

    def fail() -> None:
        while not (folder / "wanted").exists():
            time.sleep(0.01)
        (folder / "failed").write_text("pip could not install it: no network")
        (folder / "wanted").unlink()

    supervisor = threading.Thread(target=fail)
    supervisor.start()
    path, answer = invoke(api, tmp_path, "echo")
    supervisor.join()
    assert (path, answer["errorType"]) == ("init/error", "RuntimeError")
    assert "no network" in answer["errorMessage"]


def test_an_error_keeps_its_class_so_that_state_machines_can_catch_it(
    api: RuntimeApi, tmp_path: Path
) -> None:
    path, answer = invoke(api, tmp_path, "fail")
    assert path == "invocation/r-1/error"
    assert (answer["errorType"], answer["errorMessage"]) == ("QuotaExceeded", "no more machines")
    logged = json.loads((tmp_path / "logs" / "fn.log").read_text())
    assert logged["request_id"] == "r-1"
    assert "QuotaExceeded: no more machines" in logged["trace"]


@pytest.mark.parametrize(
    ("handler", "error"), [("big", "Function.ResponseSizeTooLarge"), ("odd", "TypeError")]
)
def test_an_answer_that_lambda_would_not_take_is_an_error(
    api: RuntimeApi, tmp_path: Path, handler: str, error: str
) -> None:
    path, answer = invoke(api, tmp_path, handler)
    assert path == "invocation/r-1/error"
    assert answer["errorType"] == error


@pytest.mark.parametrize("endpoint", ["", "https://dynamodb.us-east-1.amazonaws.com"])
def test_without_the_local_cloud_nothing_starts(api: RuntimeApi, tmp_path: Path, endpoint: str) -> None:
    path, answer = invoke(api, tmp_path, "echo", AWS_ENDPOINT_URL=endpoint)
    assert path == "init/error"
    assert "real AWS" in answer["errorMessage"]


def test_a_handler_that_does_not_exist_fails_at_once(api: RuntimeApi, tmp_path: Path) -> None:
    assert invoke(api, tmp_path, "missing")[0] == "init/error"


def test_the_search_path_is_the_functions_own(api: RuntimeApi, tmp_path: Path) -> None:
    found = invoke(api, tmp_path, "path")[1]
    assert found[0] == str(tmp_path / "task")
    assert found[-1] == str(tmp_path / "runtime")
    assert not any("site-packages" in entry for entry in found)
