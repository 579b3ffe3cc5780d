"""The demo packages: clean, the same bytes each time, in both languages, and really running."""

from __future__ import annotations

import io
import json
import os
import shlex
import socket
import subprocess
import sys
import tarfile
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pitrix.packages import archive, service
from pitrix.packages.model import ClusterSpec, Package, RoleSpec
from tests.unit.packages import samples

DEMOS = ["cron-clock", "guestbook", "hello-web"]
TOOLS = samples.ROOT / "layers/core/pitrix/packages/formats/vm/scaffold/payload"


def opened(name: str) -> Package:
    return service.open_package(service.build(samples.DEMOS / name))


def spec_of(package: Package, answers: dict[str, Any] | None = None) -> ClusterSpec:
    return service.render(package, service.complete_answers(service.form(package), answers))


@pytest.mark.parametrize("name", DEMOS)
def test_a_demo_is_clean_and_complete(name: str) -> None:
    assert service.lint(samples.DEMOS / name) == []
    assert service.build(samples.DEMOS / name) == service.build(samples.DEMOS / name)
    package = opened(name)
    assert package.files[package.icon].startswith(b"<svg")
    assert package.files["README.md"]
    assert package.title
    assert package.category
    assert spec_of(package).endpoints


@pytest.mark.parametrize("name", DEMOS)
def test_a_demo_speaks_chinese_throughout(name: str) -> None:
    form = service.form(opened(name), "zh-cn")
    for each in [*form.groups, *form.service_params, *form.fields()]:
        for text in (each.label, each.description):
            assert not text or text == "CPU" or any(ord(letter) > 0x4E00 for letter in text), (each.key, text)


@pytest.mark.parametrize("name", DEMOS)
@pytest.mark.parametrize("tool", ["ctl.py", "node.py"])
def test_the_tools_of_a_demo_are_those_of_a_new_package(name: str, tool: str) -> None:
    assert (samples.DEMOS / name / "payload" / tool).read_bytes() == (TOOLS / tool).read_bytes()


def test_what_a_machine_unpacks_is_the_payload_and_nothing_else() -> None:
    package = opened("guestbook")
    data = service.payload_archive(package)
    assert data is not None
    assert data == service.payload_archive(package)
    with tarfile.open(fileobj=io.BytesIO(data)) as made:
        modes = {each.name.removeprefix("./"): each.mode for each in made}
    assert modes == {"ctl.py": 0o755, "node.py": 0o644, "store.py": 0o644, "web.py": 0o644}
    bare = service.open_package(archive.write(samples.files(), "shop"))
    assert service.payload_archive(bare) is None


# --- running them ------------------------------------------------------------------------------------------


class Node:
    """A directory, an address and a metadata server, as the agent gives them to an application."""

    def __init__(self, root: Path, package: Package, role: RoleSpec, metadata: dict[str, Any]) -> None:
        self.root, self.role, self.metadata = root, role, metadata
        for path, data in package.payload.items():
            (root / "app" / path).parent.mkdir(parents=True, exist_ok=True)
            (root / "app" / path).write_bytes(data)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        metadata = self.metadata

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found: Any = metadata
                for part in self.path.strip("/").split("/"):
                    found = found.get(part) if isinstance(found, dict) else None
                body = json.dumps(found).encode()
                self.send_response(404 if found is None else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                return None

        return Handler

    def run(self, command: str, *, fails: bool = False) -> str:
        """Run a command of the package as the agent does; its output."""
        first, rest = command.split(" ", 1)
        assert first == "python3"
        done = subprocess.run(
            f"{shlex.quote(sys.executable)} {rest}",
            shell=True,
            cwd=self.root / "app",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={
                "PATH": os.environ["PATH"],
                "PITRIX_APP_DIR": str(self.root / "app"),
                "PITRIX_DATA_DIR": str(self.root / "data"),
                "PITRIX_NODE_IP": "127.0.0.1",
                "PITRIX_NODE_ID": f"node-{self.role.role}",
                "PITRIX_ROLE": self.role.role,
                "PITRIX_METADATA_URL": f"http://127.0.0.1:{self._server.server_port}",
                "http_proxy": "http://127.0.0.1:9",
            },
        )
        assert (done.returncode != 0) is fails, done.stderr + done.stdout
        return done.stderr if fails else done.stdout

    def call(self, name: str, params: dict[str, Any] | None = None) -> str:
        return self.run(service.service_command(self.role.services[name], params))

    def check(self, *, fails: bool = False) -> str:
        assert self.role.health_check
        return self.run(self.role.health_check.check_cmd, fails=fails)

    def measure(self) -> dict[str, Any]:
        assert self.role.monitor
        figures = json.loads(self.run(self.role.monitor.cmd))
        assert set(self.role.monitor.items) <= set(figures)
        return dict(figures)

    def close(self) -> None:
        if "stop" in self.role.services:
            self.call("stop")
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def free_ports(count: int) -> list[int]:
    holders = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in holders]
    for each in holders:
        each.close()
    return ports


def get(url: str, data: dict[str, str] | None = None) -> str:
    body = urllib.parse.urlencode(data).encode() if data else None
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, data=body), timeout=10) as answer:
        return str(answer.read().decode())


@pytest.fixture(name="nodes")
def nodes_fixture() -> Iterator[list[Node]]:
    nodes: list[Node] = []
    yield nodes
    for each in nodes:
        each.close()


def start(nodes: list[Node], tmp_path: Path, package: Package, answers: dict[str, Any]) -> ClusterSpec:
    spec = spec_of(package, answers)
    hosts = {each.role: {f"node-{each.role}": {"ip": "127.0.0.1"}} for each in spec.roles}
    for role in spec.roles:
        env = {key: str(value) for key, value in role.env.items()}
        nodes.append(Node(tmp_path / role.role, package, role, {"self": {"env": env, "hosts": hosts}}))
    for node in sorted(nodes, key=lambda each: each.role.services["start"].order):
        node.call("start")
    return spec


def test_the_guestbook_runs(nodes: list[Node], tmp_path: Path) -> None:
    web_port, store_port = free_ports(2)
    answers = {
        "cluster": {"web": {"count": 2}},
        "env": {"web": {"port": web_port, "title": "Our <Book>"}, "store": {"port": store_port}},
    }
    spec = start(nodes, tmp_path, opened("guestbook"), answers)
    web, store = nodes
    assert (spec.endpoints["http"].port, spec.endpoints["http"].roles) == (web_port, ["web"])
    assert [each.role.services["start"].order for each in nodes] == [2, 1]

    init = store.role.services["init"]
    assert init.post_start_service
    store.call("init")
    store.call("init")  # a second time changes nothing

    url = f"http://127.0.0.1:{web_port}/"
    assert "Our &lt;Book&gt;" in get(url)
    assert "1 message(s)" in get(url)
    assert "node-web" in get(url)
    get(url + "messages", {"name": "Ann", "text": "<script>alert(1)</script>"})
    page = get(url)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(url + "messages", {"name": "Ann", "text": "x" * 501})
    assert caught.value.code == 400
    caught.value.close()

    web.check()
    store.check()
    assert store.measure()["messages"] == 2
    assert web.measure()["requests"] > 2
    assert (tmp_path / "store/data/data/guestbook.db").is_file()
    assert json.loads(web.call("scale_out")) == {"front_ends": 1}

    store.call("stop")
    store.call("stop")
    store.check(fails=True)
    web.call("restart")
    store.call("start")
    store.call("start")
    assert "2 message(s)" in get(url)  # what was written is still there

    params = service.complete_service_params(
        service.service_form(opened("guestbook"), "store", "wipe"), {"keep": 1}
    )
    assert json.loads(store.call("wipe", params)) == {"removed": 1}
    assert "1 message(s)" in get(url)
    web.call("stop")
    with pytest.raises(urllib.error.URLError):
        get(url)


def test_hello_web_runs(nodes: list[Node], tmp_path: Path) -> None:
    (port,) = free_ports(1)
    start(nodes, tmp_path, opened("hello-web"), {"env": {"port": port, "title": "Hi & bye"}})
    url = f"http://127.0.0.1:{port}"
    assert "Hi &amp; bye" in get(url)
    assert "font" in get(url + "/style.css")
    for path in ("/../ctl.py", "/%2e%2e/ctl.py", "/nothing"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            get(url + path)
        assert caught.value.code == 404
        caught.value.close()
    nodes[0].check()
    assert nodes[0].measure()["requests"] >= 5


def test_cron_clock_runs(nodes: list[Node], tmp_path: Path) -> None:
    (port,) = free_ports(1)
    start(
        nodes,
        tmp_path,
        opened("cron-clock"),
        {"env": {"port": port, "interval": 3600, "jobs": ["time", "disk"]}},
    )
    (clock,) = nodes
    clock.call("run_now", {"note": "it's now"})
    runs = json.loads(get(f"http://127.0.0.1:{port}/runs"))
    assert [each["note"] for each in runs] == ["it's now", "on schedule"]
    assert set(runs[0]) == {"at", "node", "note", "time", "disk"}
    assert "it&#x27;s now" in get(f"http://127.0.0.1:{port}/")
    assert clock.measure()["runs"] == 2


def test_an_application_that_cannot_start_says_why(nodes: list[Node], tmp_path: Path) -> None:
    package = opened("hello-web")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        (role,) = spec_of(package, {"env": {"port": taken.getsockname()[1]}}).roles
        env = {key: str(value) for key, value in role.env.items()}
        node = Node(tmp_path, package, role, {"self": {"env": env}})
        nodes.append(node)
        assert "Address already in use" in node.run(role.services["start"].cmd, fails=True)
