"""What a small application needs to know of the node it runs on, and a small HTTP server.

Part of a package's payload: Python 3.8 or later and its standard library, nothing else.  The agent runs
every command in the application's directory with these variables set:

    PITRIX_APP_DIR       where ``payload/`` of the package was unpacked
    PITRIX_DATA_DIR      root of the mount points: "/data" of the package is at $PITRIX_DATA_DIR/data
    PITRIX_NODE_IP       address of this node; bind to it and to nothing else
    PITRIX_NODE_ID, PITRIX_ROLE
    PITRIX_METADATA_URL  the node's metadata server (/self/env/<key>, /self/hosts/<role>/<node>/ip, ...)
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

APP_DIR = Path(os.environ.get("PITRIX_APP_DIR") or Path(__file__).resolve().parent)
RUN_DIR = APP_DIR / "run"
ROLE = os.environ.get("PITRIX_ROLE", "")
NODE_ID = os.environ.get("PITRIX_NODE_ID", "")
NODE_IP = os.environ.get("PITRIX_NODE_IP", "127.0.0.1")
MAX_BODY = 64 * 1024


def data_path(mount_point: str) -> Path:
    """The directory of one of the package's mount points on this machine; made when it is not there."""
    path = Path(os.environ.get("PITRIX_DATA_DIR") or "/") / mount_point.lstrip("/")
    path.mkdir(parents=True, exist_ok=True)
    return path


class Answer:
    """What a server said."""

    def __init__(self, status: int, content_type: str, body: bytes) -> None:
        self.status = status
        self.content_type = content_type
        self.text = body.decode("utf-8", "replace")


def request(method: str, url: str, body: bytes | None = None, timeout: float = 5.0) -> Answer:
    """One HTTP request, past any proxy of the machine's environment; OSError when nobody answers."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout)
    try:
        path = parts.path + ("?" + parts.query if parts.query else "")
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        connection.request(method, path or "/", body=body, headers=headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.getheader("Content-Type") or "", answer.read())
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()


def metadata(path: str):
    """A value, or a tree of values, of the metadata server; ``None`` when it has none there."""
    answer = request("GET", os.environ["PITRIX_METADATA_URL"].rstrip("/") + path)
    if answer.status == 404:
        return None
    if answer.status != 200:
        raise OSError(f"the metadata server answered {answer.status}")
    return json.loads(answer.text) if answer.content_type.startswith("application/json") else answer.text


def env(key: str, default: str = "") -> str:
    """A parameter from the env of this node's role."""
    value = metadata("/self/env/" + key)
    return default if value is None else str(value)


def hosts(role: str) -> dict[str, str]:
    """Id to address of each node of a role."""
    found = metadata("/self/hosts/" + role) or {}
    return {name: str(each.get("ip", "")) for name, each in found.items() if isinstance(each, dict)}


class Request:
    """What a handler is given: ``fields`` are the query's and the form's, ``json`` a JSON body."""

    def __init__(self, path: str, query: str, content_type: str, body: bytes) -> None:
        self.path = path
        self.json = {}
        pairs = parse_qs(query, keep_blank_values=True)
        if content_type.startswith("application/json") and body:
            self.json = json.loads(body)
        elif body:
            pairs.update(parse_qs(body.decode("utf-8"), keep_blank_values=True))
        self.fields = {key: values[-1] for key, values in pairs.items()}


class Response:
    """What a handler returns; a dict or a list becomes JSON, a text HTML."""

    def __init__(self, body=b"", status: int = 200, content_type: str = "", headers=()) -> None:
        if isinstance(body, (dict, list)):
            body, content_type = json.dumps(body), content_type or "application/json"
        self.body = body.encode("utf-8") if isinstance(body, str) else body
        self.status = status
        self.content_type = content_type or "text/html; charset=utf-8"
        self.headers = list(headers)


class Problem(Exception):
    """Ends a request with a status and a sentence."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def serve(routes, port: int) -> None:
    """Answer requests until SIGTERM.

    Args:
        routes: (method, path) to a function of a `Request` that returns a `Response`, dict or text.  A path
            that ends in ``*`` takes everything below it.
    """
    answered = [0]
    lock = threading.Lock()

    def health(_request):
        return {"ok": True, "role": ROLE, "node": NODE_ID, "pid": os.getpid()}

    def stats(_request):
        return {"requests": answered[0]}

    routes = {("GET", "/healthz"): health, ("GET", "/stats"): stats, **routes}

    class Handler(BaseHTTPRequestHandler):
        server_version = "pitrix-demo"
        protocol_version = "HTTP/1.1"
        timeout = 30

        def _answer(self) -> None:
            parts = urlsplit(self.path)
            wild = [key for key in routes if key[1].endswith("*") and parts.path.startswith(key[1][:-1])]
            handler = routes.get((self.command, parts.path))
            handler = handler or next((routes[key] for key in wild if key[0] == self.command), None)
            try:
                length = int(self.headers.get("Content-Length") or 0)
                if length > MAX_BODY:
                    self.close_connection = True
                    raise Problem(413, "the body is too large")
                body = self.rfile.read(length)
                if handler is None:
                    raise Problem(404, f"there is nothing at {parts.path}")
                kind = self.headers.get("Content-Type") or ""
                result = handler(Request(parts.path, parts.query, kind, body))
                response = result if isinstance(result, Response) else Response(result)
            except Problem as error:
                response = Response({"error": str(error)}, error.status)
            except ValueError as error:
                response = Response({"error": f"cannot be read: {error}"}, 400)
            except OSError as error:
                response = Response({"error": f"another part does not answer: {error}"}, 502)
            with lock:
                answered[0] += 1
            self.send_response(response.status)
            self.send_header("Content-Type", response.content_type)
            self.send_header("Content-Length", str(len(response.body)))
            for name, value in response.headers:
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(response.body)

        do_GET = do_HEAD = do_POST = do_DELETE = _answer

        def log_message(self, format: str, *args) -> None:
            print(f"{self.log_date_time_string()} {format % args}", file=sys.stderr, flush=True)

    server = ThreadingHTTPServer((NODE_IP, port), Handler)
    server.daemon_threads = True
    for number in (signal.SIGTERM, signal.SIGINT):
        # shutdown() waits for the loop that this very thread runs: call it from another one
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown, daemon=True).start())
    print(f"listening on http://{NODE_IP}:{port}", file=sys.stderr, flush=True)
    with server:
        server.serve_forever(poll_interval=0.2)
