"""A provider of another distribution: found, proven by the suite, carried by a layer; as its README says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.local import build
from infra.local.paths import ROOT
from infra.local.transform import Layer

DEMO = ROOT / "infra" / "demo" / "provider-plugin"


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
    event = {"task": "answer", "question": "providers"}
    told = {each["name"]: each for each in _asked(event, function, layer)["answer"]}
    assert told["rack"]["capabilities"] == ["networks"]
    assert told["rack"]["credential_schema"]["required"] == ["endpoint", "token"]
    assert "rack" not in {each["name"] for each in _asked(event, function)["answer"]}
    account = {"provider": "rack", "credential": {"endpoint": "http://127.0.0.1:9", "token": "t"}}
    refused = _asked({"task": "answer", "question": "check", "account": account}, function, layer)["error"]
    assert refused["class"] == "InvalidInput"
    assert "loopback" in refused["detail"]
