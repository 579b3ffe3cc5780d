"""Rules 5 and 6 of the design, and what AWS asks of the template and the state machines."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pitrix import errors
from tests.architecture.conftest import ROOT

MACHINES = sorted((ROOT / "stepfunctions").glob("*.asl.yaml"))
#: Asynchronous sources whose function must keep what it could not handle.
ASYNCHRONOUS = ("S3", "Schedule", "ScheduleV2", "EventBridgeRule", "SNS")


def _routes_of_chalice(function: dict[str, Any]) -> set[tuple[str, str]]:
    module_name, attribute = function["Handler"].rsplit(".", 1)
    folder = ROOT / function["CodeUri"]
    path = folder / f"{module_name}.py"
    sys.path.insert(0, str(folder))
    try:
        spec = importlib.util.spec_from_file_location(f"routes_of_{folder.name}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # where dataclasses look their annotations up
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    app = getattr(module, attribute)
    return {(path, method) for path, methods in app.routes.items() for method in methods}


def _routes_of_template(template: dict[str, Any], function: str) -> set[tuple[str, str]]:
    paths = template["Resources"]["Api"]["Properties"]["DefinitionBody"]["paths"]
    return {
        (path, method.upper())
        for path, methods in paths.items()
        for method, operation in methods.items()
        if f"${{{function}.Arn}}" in operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
    }


def test_every_route_is_declared_and_every_declared_route_exists(
    template: dict[str, Any], functions: dict[str, dict[str, Any]]
) -> None:
    apps = {name: f for name, f in functions.items() if f["Handler"] in ("app.app", "charts.app")}
    assert len(apps) >= 7
    differences = {}
    for name, function in apps.items():
        coded, declared = _routes_of_chalice(function), _routes_of_template(template, name)
        if coded != declared:
            differences[name] = {
                "not declared": sorted(coded - declared),
                "not coded": sorted(declared - coded),
            }
    assert differences == {}


def test_every_route_but_the_public_ones_needs_a_token(template: dict[str, Any]) -> None:
    paths = template["Resources"]["Api"]["Properties"]["DefinitionBody"]["paths"]
    open_routes = {
        f"{method.upper()} {path}"
        for path, methods in paths.items()
        for method, operation in methods.items()
        if path.startswith("/v1/") and {"Login": []} not in operation["security"]
    }
    public_store = {route for route in open_routes if re.match(r"GET /v1/(apps|categories)(/|$)", route)}
    assert open_routes - public_store == {
        "GET /v1/health", "GET /v1/openapi.json", "POST /v1/tokens", "POST /v1/tokens/revoke",
        "GET /v1/repos/{repo_id}/charts/index.yaml", "GET /v1/repos/{repo_id}/charts/{file}",
        # ChartMuseum's API: the service wants a login, and the answer says how (Basic).
        "POST /v1/repos/{repo_id}/charts/api/charts", "POST /v1/repos/{repo_id}/charts/api/prov",
        "GET /v1/schemas", "GET /v1/schemas/{name}", "POST /v1/apps/{app_id}/versions/{version_id}/render",
    }  # fmt: skip


def _services_of(function: dict[str, Any]) -> set[str]:
    """Return the builders of ``pitrix.bootstrap`` that a function's code calls."""
    folder = ROOT / function["CodeUri"]
    files = [folder / f"{function['Handler'].rsplit('.', 1)[0]}.py", *folder.glob("chalicelib/**/*.py")]
    return {
        node.func.attr
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "bootstrap"
        and not node.args
    }


def test_every_function_is_given_what_its_services_need(functions: dict[str, dict[str, Any]]) -> None:
    """Each builds its services with the variables of its own template entry, and nothing else."""
    offenders = {}
    for name, function in functions.items():
        services = _services_of(function)
        assert services, f"{name} calls no service"
        code = "from pitrix import bootstrap; " + "; ".join(f"bootstrap.{s}()" for s in sorted(services))
        given = dict.fromkeys(function["Environment"]["Variables"], "1")
        env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{ROOT / 'layers/core'}:{ROOT}", **given}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False
        )
        if done.returncode:
            offenders[name] = done.stderr.strip().splitlines()[-1]
    assert offenders == {}


def test_one_invoke_permission_a_function(template: dict[str, Any]) -> None:
    permissions = [
        resource["Properties"]["FunctionName"]["Ref"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Lambda::Permission"
    ]
    assert len(permissions) == len(set(permissions))


def test_every_asynchronous_source_keeps_what_fails(functions: dict[str, dict[str, Any]]) -> None:
    unsafe = []
    for name, function in functions.items():
        sources = {event["Type"] for event in function.get("Events", {}).values()}
        kept = "DeadLetterQueue" in function or "OnFailure" in json.dumps(
            function.get("EventInvokeConfig", {})
        )
        if sources & set(ASYNCHRONOUS) and not kept:
            unsafe.append(name)
    assert unsafe == []


def test_queues_that_are_read_have_dead_letters(template: dict[str, Any]) -> None:
    queues = {n: r["Properties"] for n, r in template["Resources"].items() if r["Type"] == "AWS::SQS::Queue"}
    dead = {n for n in queues if "DeadLetters" in n}
    assert [n for n, q in queues.items() if n not in dead and "RedrivePolicy" not in q] == []


def test_no_function_may_do_everything(template: dict[str, Any], functions: dict[str, Any]) -> None:
    text = json.dumps([functions, template["Resources"]])
    assert not re.search(r'"Action": \[?"(\*|[a-z0-9-]+:\*)"', text)
    assert "AdministratorAccess" not in text


#: What each function of the repositories asks of S3, read from the code: bucket to actions.
S3_CALLS = {
    "ReposFunction": {
        "packages": {"GetObject", "ListBucket", "PutObject", "PutObjectTagging"},
        "catalog": {"GetObject", "ListBucket", "PutObject"},
    },
    "ChartsFunction": {
        "packages": {"GetObject", "ListBucket", "PutObject", "PutObjectTagging"},
        "catalog": {"GetObject", "ListBucket", "PutObject"},
    },
    "PackageUploadedFunction": {
        "packages": {"GetObject", "ListBucket", "PutObjectTagging"},
        "catalog": {"GetObject", "ListBucket", "PutObject"},
    },
    "RepoTasksFunction": {
        "packages": {"GetObject", "ListBucket"},
        "catalog": {"DeleteObject", "GetObject", "ListBucket", "PutObject"},
    },
}


def _s3_grants(template: dict[str, Any], function: str) -> dict[str, set[str]]:
    """The actions on S3 that a function's policies allow, by bucket."""
    granted: dict[str, set[str]] = {"packages": set(), "catalog": set()}
    for policy in template["Resources"][function]["Properties"]["Policies"]:
        if "S3ReadPolicy" in policy:
            bucket = "packages" if "-packages-" in json.dumps(policy) else "catalog"
            granted[bucket] |= {"GetObject", "ListBucket"}
            continue
        named = template["Resources"].get(policy.get("Ref", ""), {}).get("Properties", {})
        for statement in named.get("PolicyDocument", policy).get("Statement", []):
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            for bucket, found in granted.items():
                if f"-{bucket}-" in json.dumps(statement["Resource"]):
                    found |= {a.removeprefix("s3:") for a in actions if a.startswith("s3:")}
    return granted


@pytest.mark.parametrize("function", S3_CALLS)
def test_functions_of_repositories_may_do_to_buckets_what_they_do_and_no_more(
    template: dict[str, Any], function: str
) -> None:
    # The local cloud does not enforce policies, so nothing but this notices a statement that is missing.
    assert _s3_grants(template, function) == S3_CALLS[function]
    assert "S3CrudPolicy" not in json.dumps(template["Resources"][function]["Properties"]["Policies"])


def _secrets_of_accounts(template: dict[str, Any], function: str) -> set[str]:
    """What a function may do to the credentials of cloud accounts."""
    granted: set[str] = set()
    for policy in template["Resources"][function]["Properties"]["Policies"]:
        named = template["Resources"].get(policy.get("Ref", ""), {}).get("Properties", {})
        for statement in named.get("PolicyDocument", policy).get("Statement", []):
            if "secret:pitrix/runtimes/" in json.dumps(statement["Resource"]):
                granted |= {action.removeprefix("secretsmanager:") for action in statement["Action"]}
    return granted


def test_credentials_of_accounts_are_read_by_the_functions_of_clouds_alone(
    template: dict[str, Any], functions: dict[str, dict[str, Any]]
) -> None:
    may = {name: granted for name in functions if (granted := _secrets_of_accounts(template, name))}
    writers = {"CreateSecret", "PutSecretValue", "DeleteSecret"}
    clouds = {
        name: {"GetSecretValue"} for name in functions if re.fullmatch(r"Cloud[A-Z][a-z]+Function", name)
    }
    assert len(clouds) == 7
    assert may == clouds | {"RuntimesFunction": writers, "ConsoleFunction": writers}


def test_clouds_are_called_by_name_and_by_those_who_need_them(template: dict[str, Any]) -> None:
    callers = {
        name
        for name, resource in template["Resources"].items()
        if resource["Type"] in ("AWS::Serverless::Function", "AWS::Serverless::StateMachine")
        and {"Ref": "AskCloudsAccess"} in resource["Properties"].get("Policies", [])
    }
    assert callers == {"RuntimesFunction", "ClustersFunction", "ConsoleFunction", "RunPlan"}


def _strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [s for v in value.values() for s in _strings(v)]
    if isinstance(value, list):
        return [s for v in value for s in _strings(v)]
    return [value] if isinstance(value, str) else []


def _handlers_of_errors(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = value.get("ErrorEquals", [])
        return list(own) + [e for v in value.values() for e in _handlers_of_errors(v)]
    if isinstance(value, list):
        return [e for v in value for e in _handlers_of_errors(v)]
    return []


@pytest.mark.parametrize("path", MACHINES, ids=[p.name for p in MACHINES])
def test_state_machines_catch_only_errors_that_exist(path: Path) -> None:
    machine = yaml.safe_load(path.read_text(encoding="utf-8"))
    unknown = [
        error
        for error in _handlers_of_errors(machine)
        if not error.startswith(("States.", "Lambda.")) and not hasattr(errors, error)
    ]
    assert unknown == []


@pytest.mark.parametrize("path", MACHINES, ids=[p.name for p in MACHINES])
def test_state_machines_carry_no_arns(path: Path) -> None:
    machine = yaml.safe_load(path.read_text(encoding="utf-8"))
    arns = [s for s in _strings(machine) if s.startswith("arn:") and not s.startswith("arn:aws:states:::")]
    assert arns == []


@pytest.mark.parametrize("path", MACHINES, ids=[p.name for p in MACHINES])
def test_substitutions_are_given(path: Path, template: dict[str, Any]) -> None:
    wanted = set(re.findall(r"\$\{(\w+)\}", path.read_text(encoding="utf-8")))
    given = [
        set(resource["Properties"].get("DefinitionSubstitutions", {}))
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Serverless::StateMachine"
        and resource["Properties"]["DefinitionUri"] == f"stepfunctions/{path.name}"
    ]
    assert given == [wanted]


@pytest.fixture(scope="session")
def sam() -> Path:
    """The folder of the tools that check templates; ``infra/test`` installs them beside the project's own."""
    folder = Path(os.environ.get("PITRIX_LINT_BIN", ROOT / ".venv-lint" / "bin"))
    assert (folder / "sam").exists(), f"no sam in {folder}: run ./infra/test, which installs it"
    return folder


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "AWS_DEFAULT_REGION": "us-east-1", "SAM_CLI_TELEMETRY": "0"}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=env, check=False)


def test_sam_validates_the_template(sam: Path) -> None:
    done = _run(str(sam / "sam"), "validate", "--lint", "--template", "template.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_cfn_lint_finds_nothing(sam: Path) -> None:
    done = _run(str(sam / "cfn-lint"), "template.yaml")
    assert done.returncode == 0, done.stdout


def test_cfn_lint_finds_nothing_in_the_state_machines(sam: Path, tmp_path: Path) -> None:
    """cfn-lint checks definitions only where they stand in a template: each is put into one."""
    for path in MACHINES:
        definition = yaml.safe_load(
            re.sub(r"\$\{\w+\}", "arn:aws:lambda:us-east-1:123456789012:function:f", path.read_text("utf-8"))
        )
        resource = {
            "Type": "AWS::StepFunctions::StateMachine",
            "Properties": {"RoleArn": "arn:aws:iam::123456789012:role/r", "Definition": definition},
        }
        file = tmp_path / f"{path.stem}.json"
        file.write_text(json.dumps({"Resources": {"Machine": resource}}))
        done = _run(str(sam / "cfn-lint"), str(file))
        assert done.returncode == 0, f"{path.name}\n{done.stdout}"
