"""What becomes of a rendered application before it is sent to Azure, and what is refused there and then."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from pitrix.errors import InvalidInput
from pitrix.packages import archive
from pitrix.packages import service as packages
from providers.azure import packaging
from providers.resources import FunctionSpec

HTTP = {"type": "httpTrigger", "direction": "in", "name": "req", "route": "hello/{name}", "methods": ["get"]}
TIMER = {"type": "timerTrigger", "name": "timer", "schedule": "0 0 * * * *"}


def spec(
    host: Any = None, settings: Any = None, code: dict[str, str] | None = None, **app: Any
) -> FunctionSpec:
    """An application of one function behind HTTP and one of a schedule, with changes."""
    made = {
        "runtime": {"name": "python", "version": "3.12"},
        "code": "src",
        "scaleAndConcurrency": {"instanceMemoryMB": 512, "maximumInstanceCount": 3},
        "functions": [{"name": "hello", "bindings": [HTTP]}, {"name": "tick", "bindings": [TIMER]}],
        "resources": [{"type": "queue", "name": "letters"}],
        "roleAssignments": [{"role": "Storage Queue Data Message Sender", "scope": "queue:letters"}],
        **app,
    }
    manifests = {
        "host.json": host or {"version": "2.0", "functionTimeout": "00:10:00"},
        "app-settings.json": settings or [{"name": "WORD", "value": "hi", "slotSetting": False}],
        "function-app.json": made,
    }
    files = code or {"README.md": "", "src/function_app.py": "app", "src/host.json": "{}"}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        for path, text in files.items():
            opened.writestr(path, text)
    return FunctionSpec(
        name="app", manifests={p: json.dumps(each) for p, each in manifests.items()}, code=packed.getvalue()
    )


def test_the_folder_of_code_becomes_the_root_of_the_archive_with_the_rendered_host() -> None:
    wanted = spec()
    package = packaging.packaged(wanted)
    with zipfile.ZipFile(io.BytesIO(package.archive)) as opened:
        assert sorted(opened.namelist()) == ["function_app.py", "host.json"]
        assert opened.read("host.json").decode() == wanted.manifests["host.json"]
    assert package.archive == packaging.packaged(spec()).archive, "the same files make the same bytes"
    assert package.manifest == {
        "runtime": "PYTHON|3.12",
        "settings": {"WORD": "hi"},
        "instances": 3,
        "functions": {"hello": {"route": "api/hello/{name}", "methods": ["GET"]}, "tick": None},
        "resources": [{"type": "queue", "name": "letters"}],
    }


def test_what_the_scaffold_renders_can_be_deployed() -> None:
    package = packages.open_package(archive.write(packages.scaffold("greeter", "serverless"), "greeter"))
    answers = packages.aimed(package, {}, provider="azure")
    complete = packages.complete_answers(packages.form(package), answers)
    rendered = {each.path: each.text for each in packages.manifests(package, complete, name="greeter")}
    made = packaging.packaged(
        FunctionSpec(name="greeter", manifests=rendered, code=packages.code_archive(package))
    )
    assert made.manifest["functions"] == {
        "hello": {"route": "hello/{name}", "methods": ["GET"]},
        "tick": None,
    }


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (spec(runtime={"name": "python", "version": "3.13"}), "python 3.13"),
        (spec(runtime={"name": "cobol", "version": "85"}), "cobol"),
        (spec(scaleAndConcurrency={"instanceMemoryMB": 4096}), "memory"),
        (spec(host={"version": "2.0", "functionTimeout": "00:10:01"}), "10 minutes"),
        (spec(host={"version": "2.0", "functionTimeout": "-1"}), "10 minutes"),
        (spec(roleAssignments=[{"role": "Key Vault Secrets User", "scope": "secret:door"}]), "Key Vault"),
        (spec(functions=[{"name": "on", "bindings": [{"type": "eventGridTrigger"}]}]), "Event Grid"),
        (spec(code={"README.md": "no code"}), "src"),
        (spec(functions=[{"bindings": []}]), "form"),
        (spec(settings=[{"name": "AzureWebJobsStorage", "value": "mine"}]), "AzureWebJobsStorage"),
        (spec(settings={"WORD": "hi"}), "array"),
    ],
    ids=[
        "newer than Consumption's",
        "no language",
        "too large",
        "too long",
        "for ever",
        "a role",
        "events",
        "no code",
        "no name",
        "a setting of ours",
        "no list",
    ],
)
def test_what_consumption_would_not_run_is_refused_in_words(wanted: FunctionSpec, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        packaging.packaged(wanted)


@pytest.mark.parametrize(
    ("door", "payload", "asked"),
    [
        ({"route": "echo", "methods": []}, b"anything", ("POST", "echo", {})),
        ({"route": "echo", "methods": ["GET", "POST"]}, b"[1]", ("POST", "echo", {})),
        (
            {"route": "hello/{name}", "methods": ["GET"]},
            b'{"name": "a/b", "times": 2, "how": "loud"}',
            ("GET", "hello/a%2Fb", {"times": "2", "how": "loud"}),
        ),
        ({"route": "hello/{name:alpha}", "methods": ["POST"]}, b'{"name": "x"}', ("POST", "hello/x", {})),
        ({"route": "hello/{name?}", "methods": ["GET"]}, b"", ("GET", "hello/", {})),
    ],
)
def test_a_payload_becomes_a_request(door: Any, payload: bytes, asked: Any) -> None:
    assert packaging.request(door, payload) == asked


@pytest.mark.parametrize("payload", [b"{}", b"[]", b"nonsense"])
def test_a_payload_that_does_not_fill_the_route_is_refused(payload: bytes) -> None:
    with pytest.raises(InvalidInput):
        packaging.request({"route": "hello/{name}", "methods": ["GET"]}, payload)
