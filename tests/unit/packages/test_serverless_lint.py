"""Lint of serverless packages: file, line, key, what is wrong and how to mend it, all at once."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pitrix.packages import archive, service
from pitrix.packages.formats.serverless import lint as serverless_lint
from pitrix.packages.formats.serverless import targets as serverless_targets
from pitrix.packages.model import Problem, Severity
from tests.unit.packages import serverless_samples
from tests.unit.packages.serverless_samples import AZURE, AZURE_APP, CONFIG, KNATIVE, METADATA, changed


def lint(files: dict[str, bytes]) -> list[Problem]:
    return service.lint(archive.write(files, "package"))


def one(problems: list[Problem], key: str, message: str) -> Problem:
    """The only problem at a key whose message holds a text."""
    found = [each for each in problems if each.key == key and message in each.message]
    assert len(found) == 1, "\n".join(map(str, problems)) or "nothing was found"
    return found[0]


@pytest.mark.parametrize(
    "files", [serverless_samples.files, serverless_samples.azure, serverless_samples.template]
)
def test_the_samples_are_clean(files: Any) -> None:
    assert [str(each) for each in lint(files())] == []


def test_the_sample_of_knative_is_clean() -> None:
    assert [str(each) for each in lint(serverless_samples.knative())] == []


# --- the manifest ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value", "key", "message"),
    [
        ("/name", "Thumbs", "/name", "does not have the form"),
        ("/targets", ["cloudflare"], "/targets/0", "is not one of"),
        ("/targets", [], "/targets", "non-empty"),
        ("/targets", ..., "", "'target' is missing"),
        ("/functions", ..., "", "'functions' is missing"),
        ("/functions/0/runtime", ..., "/functions/0", "'runtime' is missing"),
        ("/functions/0/memory_mib", 64, "/functions/0/memory_mib", "less than the minimum"),
        ("/functions/0/timeout_s", 901, "/functions/0/timeout_s", "greater than the maximum"),
        ("/functions/0/code", "../other", "/functions/0/code", "does not have the form"),
        ("/functions/0/code", "/etc", "/functions/0/code", "does not have the form"),
        ("/functions/0/code", "lib", "/functions/0/code", "there is no folder 'lib/'"),
        ("/functions/0/name", "Api", "/functions/0/name", "does not have the form"),
        ("/functions/1/name", "api", "/functions/1/name", "there is a function 'api' already"),
        ("/functions/0/runtime", "cobol85", "/functions/0/runtime", "has no runtime 'cobol85'"),
        ("/functions/0/handler", ..., "/functions/0", "has no handler"),
        ("/functions/0/handler", "web.apy", "/functions/0/handler", "src/web.py does not define 'apy'"),
        ("/functions/0/handler", "wob.api", "/functions/0/handler", "there is no 'src/wob.py'"),
        ("/functions/0/handler", "api", "/functions/0/handler", "is not FILE.FUNCTION"),
        ("/functions/0/env/0", "TITEL", "/functions/0/env/0", "'TITEL' is not asked for"),
        (
            "/functions/0/variables/URL",
            "${env.BASE}",
            "/functions/0/variables/URL",
            "${env.BASE} is not asked for",
        ),
        ("/functions/0/variables/B", "x", "/functions/0/variables/B", "no name of a variable on AWS Lambda"),
        (
            "/functions/0/variables/AWS_REGION",
            "x",
            "/functions/0/variables/AWS_REGION",
            "set by aws-lambda itself",
        ),
        ("/functions/0/variables/Q", "${resource.x}", "/functions/0/variables/Q", "none of resources"),
        ("/triggers/0/function", "app", "/triggers/0/function", "there is no function 'app'"),
        ("/triggers/0/path", "pictures", "/triggers/0/path", "does not have the form"),
        ("/triggers/0/methods/0", "get", "/triggers/0/methods/0", "is not one of"),
        (
            "/triggers/1/path",
            "/pictures/{id}",
            "/triggers/1/path",
            "GET /pictures/{id} is taken by /triggers/0",
        ),
        ("/triggers/2/cron", "61 * * * *", "/triggers/2/cron", "minute is '61'; allowed: 0 to 59"),
        ("/triggers/2/cron", "0 8 1 * 1", "/triggers/2/cron", "use two triggers"),
        ("/triggers/3/rate", "6 weeks", "/triggers/3/rate", "does not have the form"),
        ("/triggers/3/cron", "0 0 * * *", "/triggers/3", "is valid under each of"),
        ("/triggers/4/queue", "work", "/triggers/4/queue", "'work' is none of this package's resources"),
        ("/triggers/4/queue", "pictures", "/triggers/4/queue", "'pictures' is a bucket, not a queue"),
        ("/triggers/4/batch_size", 11, "/triggers/4/batch_size", "greater than the maximum"),
        ("/triggers/6/types", [], "/triggers/6/types", "non-empty"),
        ("/resources/jobs/type", "topic", "/resources/jobs/type", "is not one of"),
        ("/permissions/0/action", "object:own", "/permissions/0/action", "is not one of"),
        (
            "/permissions/0/action",
            "queue:send",
            "/permissions/0/resource",
            "works on a queue, not on a bucket",
        ),
        (
            "/permissions/0/resource",
            "bucket:*",
            "/permissions/0/resource",
            "every bucket of the account is too much",
        ),
        (
            "/permissions/0/resource",
            "bucket:mine",
            "/permissions/0/resource",
            "none of this package's resources",
        ),
        ("/permissions/0/functions/0", "x", "/permissions/0/functions/0", "there is no function 'x'"),
        ("/permissions/6/iam/Action", "*", "/permissions/6/iam/Action", "every action is allowed"),
        ("/permissions/6/iam/Action", "iam:PassRole", "/permissions/6/iam/Action", "give itself every right"),
        ("/template", "template.yaml", "/functions", "has no meaning beside a template"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(path: str, value: Any, key: str, message: str) -> None:
    text = json.dumps(changed(METADATA, path, value), indent=1)
    problem = one(lint(serverless_samples.files(**{"package.json": text})), key, message)
    assert problem.severity == Severity.ERROR
    assert problem.file == "package.json"
    last = key.rpartition("/")[2]
    if last and not last.isdigit():
        assert f'"{last}"' in text.splitlines()[problem.line - 1]


@pytest.mark.parametrize(
    ("path", "value", "key", "message"),
    [
        ("/functions/0/memory", 5, "/functions/0/memory", "the key 'memory' is not known"),
        ("/functions/0/runtime", "nodejs20.x", "/functions/0/runtime", "no more updates since 2026-04-30"),
        ("/functions/0/timeout_s", 60, "/functions/0/timeout_s", "answered within 29 s"),
        ("/icon", "icon.svg", "/icon", "there is no file 'icon.svg'"),
        ("/permissions/6/iam/Action", "s3:*", "/permissions/6/iam/Resource", "s3:* is allowed on everything"),
        ("/functions/0/variables/SHELL_TEXT", "${HOME}", "/functions/0/variables/SHELL_TEXT", "no reference"),
    ],
)
def test_what_is_odd_is_warned_of(path: str, value: Any, key: str, message: str) -> None:
    found = lint(serverless_samples.files(changed(METADATA, path, value)))
    assert one(found, key, message).severity == Severity.WARNING


def test_every_problem_is_told_at_once() -> None:
    broken = changed(METADATA, "/triggers/0/function", "app")
    broken = changed(broken, "/triggers/2/cron", "61 * * * *")
    broken = changed(broken, "/functions/0/handler", "web.apy")
    config = changed(CONFIG, "/properties/0/properties/0/key", "TITLE-1")
    found = lint(serverless_samples.files(broken, **{"config.json": config, "locale/zh-cn.json": "{"}))
    assert {each.file for each in found} == {"package.json", "config.json", "locale/zh-cn.json"}
    assert len([each for each in found if each.severity == Severity.ERROR]) >= 5


def test_runtimes_end() -> None:
    def weights(day: str) -> list[Severity]:
        found = serverless_targets.runtime_problems("aws-lambda", "nodejs22", date.fromisoformat(day))
        return [severity for _, _, severity in found]

    assert weights("2027-04-29") == []
    assert weights("2027-04-30") == [Severity.WARNING]
    assert weights("2027-06-01") == [Severity.ERROR]
    (message, hint, severity), = serverless_targets.runtime_problems(
        "azure-functions", "python3.11", date(2027, 11, 1)
    )  # fmt: skip
    assert ("2027-10-31" in message, hint, severity) == (True, "use python3.13", Severity.WARNING)
    assert list(serverless_targets.runtime_problems("knative", "cobol85")) == []


@pytest.mark.parametrize(
    ("code", "message", "line"),
    [
        ("def api(event):\n    pass\n", "takes 1 arguments", 0),
        ("def api(event, context)\n    pass\n", "not valid Python", 1),
        ("x = 1\n\ndef api(:\n", "not valid Python", 3),
        ("\0", "", 0),
        ("class Api:\n    def api(self, event, context): ...\n", "does not define 'api'", 0),
        ("if True:\n    pass\nelse:\n    def apy(a, b): ...\n", "does not define 'api'", 0),
        ("(" * 5000, "", 0),
        ("x = " + "-" * 100_000 + "1", "", 0),
        ("#" * 300_000, "more than 262144 are not looked into", 0),
    ],
)
def test_handlers_are_looked_for_without_running_them(code: str, message: str, line: int) -> None:
    found = lint(serverless_samples.files(**{"src/web.py": code}))
    assert len(found) == 1, found
    assert message in found[0].message
    assert not line or (found[0].file, found[0].line) == ("src/web.py", line)


@pytest.mark.parametrize(
    "code",
    [
        "def api(event, context): ...",
        "def api(event, context=None): ...",
        "def api(*args): ...",
        "async def api(event, context): ...",
        "api = lambda event, context: None",
        "from other import api",
        "from other import *",
        "import other as api",
        "try:\n    from fast import api\nexcept ImportError:\n    def api(event, context): ...",
        "class api: ...",
        "@decorated\ndef api(event): ...",
        "a, (api, b) = 1, (2, 3)",
        "'\\d'\nraise SystemExit\nfrom x import api",
    ],
)
def test_the_ways_of_defining_a_handler(code: str) -> None:
    assert lint(serverless_samples.files(**{"src/web.py": code})) == []


def test_handlers_in_packages_and_of_node() -> None:
    nested = changed(METADATA, "/functions/0/handler", "web/entry.api")
    files = serverless_samples.files(nested, **{"src/web/entry.py": "def api(a, b): ..."})
    assert lint(files) == []
    node = changed(
        changed(METADATA, "/functions/0/handler", "index.handler"), "/functions/0/runtime", "nodejs24"
    )
    assert lint(serverless_samples.files(node, **{"src/index.mjs": "export const handler = 1"})) == []
    one(lint(serverless_samples.files(node)), "/functions/0/handler", "there is no 'src/index.js'")


# --- config.json -------------------------------------------------------------------------------------------


def test_config_json_asks_for_environment_variables_alone() -> None:
    config = {"properties": [
        {"key": "cluster", "type": "array", "properties": [{"key": "count", "type": "integer"}]},
        {"key": "env", "type": "array", "properties": [
            *CONFIG["properties"][0]["properties"],
            {"key": "log.level", "type": "string"},
            {"key": "group", "type": "array", "properties": [{"key": "x", "type": "string"}]},
            {"key": "SPARE", "type": "string"},
        ]},
    ]}  # fmt: skip
    found = lint(serverless_samples.files(**{"config.json": config}))
    one(found, "/properties/0/key", "has no meaning here")
    one(found, "/properties/1/properties/3/key", "cannot be an environment variable")
    one(found, "/properties/1/properties/4", "has no groups")
    assert any("'SPARE' is asked for, but nothing is told" in each.message for each in found)


# --- Azure -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metadata", "app", "file", "message"),
    [
        (AZURE, None, "package.json", "there is no 'src/function_app.py'"),
        (AZURE, "import azure.functions\n", "src/function_app.py", "there is no azure.functions.FunctionApp"),
        (AZURE, "def f(:\n", "src/function_app.py", "not valid Python"),
        (AZURE, AZURE_APP.replace('"api"', '"apis"'), "package.json", "registers no function 'api'"),
        (AZURE, AZURE_APP.replace('"api"', '"apis"'), "src/function_app.py", "package.json does not name it"),
        (
            AZURE,
            AZURE_APP.replace('route="pictures/{id}"', 'route="p"'),
            "src/function_app.py",
            "route of api is 'p'",
        ),
        (AZURE, AZURE_APP.replace("0 30 2", "0 30 3"), "src/function_app.py", "schedule of nightly is"),
        (
            AZURE,
            AZURE_APP.replace('"jobs"', '"work"'),
            "src/function_app.py",
            "queue_name of worker is 'work'",
        ),
        (
            AZURE,
            AZURE_APP.replace("queue_trigger", "blob_trigger"),
            "src/function_app.py",
            "its trigger is queue",
        ),
        (
            changed(AZURE, "/functions/1/runtime", "python3.12"),
            AZURE_APP,
            "package.json",
            "one folder of code",
        ),
        (
            changed(AZURE, "/functions/1/runtime", "ruby3.4"),
            AZURE_APP,
            "package.json",
            "has no runtime 'ruby3.4'",
        ),
        (
            changed(AZURE, "/triggers/2/function", "api"),
            AZURE_APP,
            "package.json",
            "exactly one trigger; api has 2",
        ),
        (
            changed(AZURE, "/functions/0/variables/WEBSITE_X", "1"),
            AZURE_APP,
            "package.json",
            "azure-functions itself",
        ),
        (
            changed(AZURE, "/resources/q", {"type": "queue"}),
            AZURE_APP,
            "package.json",
            "at least 3 characters",
        ),
        (changed(AZURE, "/triggers/1/cron", "0 10 * * ? *"), AZURE_APP, "package.json", "EventBridge's own"),
    ],
)
def test_azure(metadata: dict[str, Any], app: str | None, file: str, message: str) -> None:
    found = lint(serverless_samples.azure(metadata, **{"src/function_app.py": app}))
    matching = [each for each in found if message in each.message]
    assert {each.file for each in matching} == {file}, found


def test_blueprints_are_looked_into() -> None:
    app = "import azure.functions as func\nfrom parts import bp\napp = func.FunctionApp()\n"
    app += "app.register_functions(bp)\n"
    parts = AZURE_APP.replace("app = func.FunctionApp()", "bp = func.Blueprint()").replace("@app.", "@bp.")
    files = serverless_samples.azure(**{"src/function_app.py": app, "src/parts.py": parts})
    assert lint(files) == []


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("{", "not valid JSON"),
        ("{}", "the version of host.json is 2.0"),
        ('{"version": "2.0"}', "every path begins with /api on Azure"),
        ('{"version": "2.0", "extensions": {"http": {"routePrefix": "v1"}}}', "begins with /v1"),
    ],
)
def test_host_json(host: str, message: str) -> None:
    found = lint(serverless_samples.azure(**{"src/host.json": host}))
    assert [message in each.message and each.file == "src/host.json" for each in found] == [True]


# --- Knative -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("/functions/0/image", ..., "neither an image nor a Dockerfile"),
        ("/resources/pics", {"type": "bucket"}, "nothing to make a bucket of"),
        (
            "/triggers/0",
            {"type": "object_created", "function": "api", "bucket": "${env.ARCHIVE}"},
            "no storage",
        ),
        ("/triggers/1/rate", "7 minutes", "write it as cron instead"),
        ("/functions/0/variables/PORT", "1", "PORT is set by knative itself"),
        ("/functions/0/timeout_s", 700, "ends requests after 600 s"),
        ("/permissions", [{"action": "queue:send", "resource": "queue:jobs"}], "grants no permissions"),
    ],
)
def test_knative(path: str, value: Any, message: str) -> None:
    found = lint(serverless_samples.knative(changed(KNATIVE, path, value)))
    assert [message in each.message for each in found] == [True], found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (serverless_samples.SERVICE.replace("${env.TITLE}", "${env.X}"), "${env.X} is not asked for"),
        (serverless_samples.SERVICE.replace("image:", "imago:"), "the container has no image"),
        (
            serverless_samples.SERVICE.replace(
                "  name: thumbs\n", "  name: thumbs\n  namespace: kube-system\n"
            ),
            "the namespace is chosen",
        ),
        (
            serverless_samples.SERVICE + "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n",
            "apps/v1 Deployment is no object of Knative",
        ),
        (
            serverless_samples.SERVICE.replace(
                "        - image", "        - securityContext: {privileged: true}\n          image"
            ),
            "the container is privileged",
        ),
        ("[1]", "is a mapping with apiVersion"),
        ("a: [", ""),
    ],
)
def test_manifests_of_knative_are_looked_at(text: str, message: str) -> None:
    metadata = {
        "type": "serverless",
        "name": "t",
        "version": "1.0.0",
        "target": "knative",
        "template": "s.yaml",
    }
    found = lint(serverless_samples.files(metadata, **{"s.yaml": text}))
    assert any(message in each.message and each.file == "s.yaml" for each in found), found


# --- strangers ---------------------------------------------------------------------------------------------

_WORDS = st.text(max_size=8) | st.sampled_from(["${env.TITLE}", "api"])
_TARGETS = st.sets(st.sampled_from(["aws-lambda", "azure-functions", "knative"]), min_size=1)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2000) | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
_PLACES = [
    "/name", "/target", "/targets", "/functions", "/functions/0", "/functions/0/name", "/functions/0/runtime",
    "/functions/0/handler", "/functions/0/env", "/functions/0/variables", "/functions/0/code",
    "/functions/0/image", "/triggers", "/triggers/0", "/triggers/0/path", "/triggers/0/methods",
    "/triggers/2/cron", "/triggers/4/queue", "/triggers/5/bucket", "/triggers/6/types", "/resources",
    "/resources/jobs", "/permissions", "/permissions/0",
    "/permissions/0/resource", "/permissions/6/iam", "/permissions/6/iam/Resource", "/template", "/icon",
]  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(place=st.sampled_from(_PLACES), value=_JSON, targets=_TARGETS)
def test_lint_never_raises_and_what_it_passes_can_be_deployed(
    place: str, value: Any, targets: set[str]
) -> None:
    metadata = changed({**METADATA, "targets": sorted(targets)}, place, value)
    files = serverless_samples.files(metadata)
    problems = serverless_lint.lint(files)
    if not any(each.severity == Severity.ERROR for each in problems):
        package = service.open_package(archive.write(files, "package"))
        answers = service.complete_answers(service.form(package), {"env": {"TOKEN": "x"}})
        assert service.manifests(package, answers, name="shop")


def test_the_platform_loads_no_tool() -> None:
    """Detecting, opening, asking and rendering load neither cfn-lint nor Azure's library."""
    code = """
import sys
from pitrix.packages import archive, service
package = service.open_package(archive.write(service.scaffold("greeter", "serverless"), "greeter"))
form = service.form(package)
service.manifests(package, service.complete_answers(form, {}), name="x")
loaded = {name.split(".")[0] for name in sys.modules}
print(sorted(loaded & {"cfnlint", "azure", "sympy", "networkx"}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
