"""Plug-ins in other distributions: a cloud that the suite proves, a kind of package; as their READMEs say.

Both are carried by layers, to one function and to a whole platform.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local import build
from infra.local.paths import ROOT
from infra.local.transform import Layer
from pitrix.packages import archive
from tests.e2e.api import ApiUser
from tests.local_platform import LocalPlatform, start

DEMO = ROOT / "infra" / "demo" / "provider-plugin"
FORMAT = ROOT / "infra" / "demo" / "format-plugin"


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `infra/up --plugin` builds of it: a folder that a function finds under /opt."""
    into = tmp_path_factory.mktemp("layers")
    assert build.build_layer(ROOT, Layer(name="Plugin", source=str(DEMO)), into)
    assert not build.build_layer(ROOT, Layer(name="Plugin", source=str(DEMO)), into), "built once"
    return into / "Plugin" / "python"


def test_nothing_is_left_in_the_project_that_it_was_built_from(layer: Path) -> None:
    assert {path.name for path in DEMO.iterdir()} - {"__pycache__"} == {
        "README.md", "pyproject.toml", "pitrix_rack.py", "pitrix_rack_target.py", "test_pitrix_rack.py",
    }  # fmt: skip


def test_the_contract_suite_picks_it_up_and_passes(layer: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", "-k", "rack", "-rs"]
    done = subprocess.run(
        [*command, "tests/contract/providers", str(DEMO)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{layer}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "networks" in done.stdout.rpartition("clouds")[2], "the table of the run tells of it"
    assert " skipped" not in done.stdout.splitlines()[-1]


def test_the_format_plug_in_passes_its_own_test(tmp_path: Path) -> None:
    assert build.build_layer(ROOT, Layer(name="Format", source=str(FORMAT)), tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", str(FORMAT)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{tmp_path / 'Format' / 'python'}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


def _asked(event: dict[str, Any], *paths: Path) -> Any:
    """What the clouds' function answers, when it finds nothing but these folders."""
    code = f"""
import json, sys
sys.path += {[str(path) for path in paths]!r}
import tasks
print(json.dumps(tasks.handler(json.loads({json.dumps(event)!r}), None)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_layer_carries_it_into_the_function_of_the_plug_ins(layer: Path) -> None:
    function = ROOT / "functions" / "clouds"
    account = {"provider": "rack", "credential": {"endpoint": "http://127.0.0.1:9", "token": "t"}}
    event = {"task": "answer", "question": "check", "account": account}
    refused = _asked(event, function, layer)["error"]
    assert refused["class"] == "InvalidInput"
    assert "loopback" in refused["detail"]
    assert _asked(event, function)["error"]["class"] == "NotFound", "without the layer nobody knows it"


# --- a whole platform with both ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plugged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPlatform]:
    data = tmp_path_factory.mktemp("plugged") / "data"
    running = start(data, options=["--plugin", str(DEMO), "--plugin", str(FORMAT)])
    yield running
    running.stop()


@pytest.fixture
def sign_in(plugged: LocalPlatform) -> Iterator[Callable[[str], ApiUser]]:
    with ExitStack() as users:

        def one(username: str) -> ApiUser:
            user = ApiUser(plugged.api_url, plugged.passwords, username)
            users.callback(user.http.close)
            return user

        yield one


@pytest.mark.emulator
def test_a_kind_of_package_is_uploaded_priced_and_deployed_as_any_other(
    plugged: LocalPlatform, sign_in: Callable[[str], ApiUser]
) -> None:
    vera = sign_in("vera")
    manifest = """
name = "greeter"
version = "1.0.0"
run = "sh greet.sh"
[settings]
greeting = "Hello"
"""
    content = {"script.toml": manifest.encode(), "payload/greet.sh": b"echo greeted > done.txt\n"}
    event = vera.upload("greeter.tgz", archive.write(content, "greeter"))
    assert event["outcome"] == "indexed", event
    uma = sign_in("uma")
    app = uma.app("greeter")
    assert app["type"] == "script"
    page = httpx.get(f"{plugged.console_url}/apps/{app['app_id']}")
    assert page.status_code == 200
    wanted = {"app_id": app["app_id"], "runtime_id": uma.runtime(), "answers": {"count": 1}}
    quote = uma.call(
        "POST", "/quotes", {"app_id": app["app_id"], "version_id": app["latest_version_id"], "answers": {}}
    )
    assert quote["micros_per_hour"] > 0
    uma.call("POST", "/clusters:plan", wanted | {"answers": {"count": 99}}, status=400)
    begun = uma.call("POST", "/clusters", wanted, status=202)
    view = uma.follow(begun["job"]["job_id"])
    assert view["job"]["status"] == "succeeded", view["job"]["error"]
    cluster_id = begun["cluster"]["cluster_id"]
    assert len(list(plugged.data.glob("**/done.txt"))) == 1, "its script ran on its machine"
    uma.act(cluster_id, "cease")


@pytest.mark.emulator
def test_a_runtime_of_its_cloud_is_connected_and_looked_into(
    sign_in: Callable[[str], ApiUser], tmp_path: Path
) -> None:
    sys.path.insert(0, str(DEMO))
    from pitrix_rack_target import start as start_rack

    uma = sign_in("uma")
    assert uma.call("GET", "/providers/rack")["capabilities"] == ["networks"]
    with start_rack(tmp_path) as rack:
        given = {"name": "my rack", "provider": "rack", "credential": dict(rack.account.credential)}
        made = uma.call("POST", "/runtimes", given, status=201)
        assert [z["zone"] for z in uma.items(f"/runtimes/{made['runtime_id']}/zones")] == ["a", "b"]
        assert uma.items(f"/runtimes/{made['runtime_id']}/subnets") == []
