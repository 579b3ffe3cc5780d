"""The Lambda runtime of the local cloud: fetches events from the runtime API and calls the handler.

Owns what AWS's own Python runtime does there: the search path, the context object, errors by their real class
name (state machines catch them), and the size limit of an answer. Never used on AWS. Differences that matter
are listed in `transform.py`. `forkserver.py` starts it, in a process whose search path is the standard
library's alone: a function sees its own folder, its layers and the boto3 that AWS preinstalls, and nothing
else of this machine.
"""

import http.client
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from email.message import Message
from typing import Any, NoReturn

Handler = Callable[[Any, "Context"], Any]

API = "/2018-06-01/runtime"
MAX_RESPONSE_BYTES = 6 * 1024 * 1024
MAX_LOG_BYTES = 5_000_000
MAX_INSTALL_S = 100


class Context:
    """What a handler gets as its second argument."""

    identity = None
    client_context = None

    def __init__(self, request_id: str, arn: str, deadline_ms: int) -> None:
        self.aws_request_id = request_id
        self.invoked_function_arn = arn
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = f"/aws/lambda/{self.function_name}"
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self._deadline_ms = deadline_ms

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the invocation times out; never below zero."""
        return max(0, int(self._deadline_ms - time.time() * 1000))


def main() -> NoReturn:
    """Answer invocations until the emulator goes away."""
    signal_fd = _redirect_output(os.environ["PITRIX_LOCAL_LOGS"])
    try:
        handler = _load()
    except BaseException as error:
        _log_error(error, "init")
        _call("POST", "/init/error", _describe(error))
        sys.exit(1)
    while True:
        answer, event = _call("GET", "/invocation/next")
        request_id = answer["Lambda-Runtime-Aws-Request-Id"]
        arn, deadline_ms = (
            answer["Lambda-Runtime-Invoked-Function-Arn"],
            int(answer["Lambda-Runtime-Deadline-Ms"]),
        )
        try:
            result = json.dumps(handler(json.loads(event), Context(request_id, arn, deadline_ms))).encode()
            if len(result) > MAX_RESPONSE_BYTES:
                raise ResponseSizeTooLarge(
                    f"The answer has {len(result)} bytes; Lambda takes {MAX_RESPONSE_BYTES}."
                )
            kind = "response"
        except Exception as error:
            _log_error(error, request_id)
            result, kind = _describe(error), "error"
        # The emulator waits 50 ms for log output of a call that prints nothing: print one empty line.
        os.write(signal_fd, b"\n")
        _call("POST", f"/invocation/{request_id}/{kind}", result)


class ResponseSizeTooLarge(Exception):
    """The handler's answer is larger than Lambda allows."""


def _load() -> Handler:
    if not os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://127.0.0.1:"):
        raise RuntimeError(
            "AWS_ENDPOINT_URL does not point at the local cloud: refusing to call the real AWS."
        )
    layers = os.environ["PITRIX_LOCAL_LAYERS"]
    names = os.environ.get("LOCAL_LAYERS", "").split()
    for name in names:
        _await_layer(f"{layers}/{name}")
    sys.path[:0] = [os.environ["LAMBDA_TASK_ROOT"]]
    # On AWS all lie in /opt, where a later layer's files take the place of an earlier one's.
    sys.path += [f"{layers}/{name}/{part}" for name in names[::-1] for part in ("python", "requirements")]
    sys.path.append(os.environ["PITRIX_LOCAL_RUNTIME"])
    module, _, name = os.environ["_HANDLER"].rpartition(".")
    handler: Handler = getattr(importlib.import_module(module.replace("/", ".")), name)
    return handler


def _await_layer(folder: str) -> None:
    """Have a layer installed that was left for later (`build.py`), and wait for it.

    Raises:
        RuntimeError: It could not be installed, or that takes too long; the next start waits again.
    """
    if not os.path.exists(f"{folder}/pending"):
        return
    with open(f"{folder}/wanted", "w"):
        pass
    deadline = time.monotonic() + MAX_INSTALL_S
    while os.path.exists(f"{folder}/pending"):
        if not os.path.exists(f"{folder}/wanted") and os.path.exists(f"{folder}/failed"):
            with open(f"{folder}/failed") as reason:
                raise RuntimeError(reason.read())
        if time.monotonic() > deadline:
            raise RuntimeError(f"The layer {os.path.basename(folder)} is still being installed.")
        time.sleep(0.1)


def _call(method: str, path: str, body: bytes | None = None) -> tuple[Message, bytes]:
    # A connection a call: on one that is kept, the two packets of the emulator's answer wait 40 ms for each
    # other.
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        connection.request(method, API + path, body=body)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException):
        sys.exit(0)  # the emulator ended
    finally:
        connection.close()
    if answer.status >= 400 and method == "GET":
        sys.exit(0)
    return answer.headers, content


def _redirect_output(directory: str) -> int:
    """Send what the function prints to a file of its own; return where the emulator listens."""
    path = os.path.join(directory, f"{os.environ['AWS_LAMBDA_FUNCTION_NAME']}.log")
    if os.path.exists(path) and os.path.getsize(path) > MAX_LOG_BYTES:
        os.replace(path, f"{path}.1")
    signal_fd = os.dup(1)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115 - lives as long as the process
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    return signal_fd


def _describe(error: BaseException) -> bytes:
    name = type(error).__name__
    if isinstance(error, ResponseSizeTooLarge):
        name = "Function.ResponseSizeTooLarge"
    return json.dumps(
        {
            "errorMessage": str(error),
            "errorType": name,
            "stackTrace": traceback.format_tb(error.__traceback__),
        }
    ).encode()


def _log_error(error: BaseException, request_id: str) -> None:
    trace = "".join(traceback.format_exception(error))
    print(
        json.dumps(
            {"level": "ERROR", "request_id": request_id, "error": type(error).__name__, "trace": trace}
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
