"""Serverless packages: what they are, what they ask, and what the answers become on each target."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import util
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from pitrix.errors import CapabilityMissing, InvalidInput, NotFound, PackageInvalid
from pitrix.packages import archive, ports, schema, service
from pitrix.packages.formats.serverless import runtimes as serverless_runtimes
from pitrix.packages.formats.serverless import tools as serverless_tools
from pitrix.packages.model import FieldType, Package, Problem, Severity
from tests.unit.packages import samples, serverless_samples
from tests.unit.packages.serverless_samples import AZURE, METADATA, changed


def opened(files: dict[str, bytes]) -> Package:
    return service.open_package(archive.write(files, "package"))


def made(package: Package, answers: dict[str, Any] | None = None, name: str = "shop") -> dict[str, str]:
    complete = service.complete_answers(service.form(package), answers)
    return {each.path: each.text for each in service.manifests(package, complete, name=name)}


def errors(problems: list[Problem]) -> list[Problem]:
    return [each for each in problems if each.severity == Severity.ERROR]


def policies(function: dict[str, Any]) -> list[tuple[Any, Any]]:
    statements = function["Properties"]["Policies"][0]["Statement"]
    return [(each["Action"], each["Resource"]) for each in statements]


# --- what it is --------------------------------------------------------------------------------------------


def test_the_type_tells_it_from_a_vm_package() -> None:
    assert ports.detect(serverless_samples.files()).type == "serverless"  # type: ignore[union-attr]
    assert ports.detect(samples.files()).type == "vm"  # type: ignore[union-attr]
    broken = {"package.json": b'{"type": "serverless",'}
    assert ports.detect(broken).type == "serverless"  # type: ignore[union-attr]
    elsewhere = samples.files(package={**samples.METADATA, "x": {"type": "serverless"}})
    assert ports.detect(elsewhere).type == "vm"  # type: ignore[union-attr]


def test_metadata_is_that_of_other_packages() -> None:
    package = opened(serverless_samples.files())
    assert (package.type, package.name, package.version) == ("serverless", "thumbs", "1.2.0")
    assert package.title == "thumbs"
    assert package.description == "Makes small pictures"
    assert package.digest.startswith("sha256:")


def test_it_becomes_no_machines_and_says_what_it_needs() -> None:
    package = opened(serverless_samples.files())
    with pytest.raises(CapabilityMissing, match="runtime of AWS"):
        service.render(package, {})
    with pytest.raises(NotFound):
        service.service_form(package, "", "backup")


def test_the_schema_is_valid_and_says_what_each_key_is() -> None:
    manifest = schema.load("serverless")
    Draft202012Validator.check_schema(manifest)
    shared = schema.load("package")["properties"]
    undocumented = []
    for where, node in [("", manifest), *manifest["$defs"].items()]:
        for key, value in node.get("properties", {}).items():
            if value is True:
                continue
            target = value.get("$ref", "").rpartition("/")[2]
            said = value.get("description") or value.get("title")
            referred = shared.get(target) or manifest["$defs"].get(target) or {}
            if not said and not referred.get("description"):
                undocumented.append(f"{where}/{key}")
    assert undocumented == []


def test_runtimes_are_those_of_cfn_lint() -> None:
    """The dates of AWS in our table against those that cfn-lint brings."""
    found = util.find_spec("cfnlint")
    assert found is not None
    folder = Path((found.submodule_search_locations or [])[0])
    known = json.loads((folder / "data/AdditionalSpecs/LmbdRuntimeLifecycle.json").read_text())
    ours = serverless_runtimes.LIFECYCLES["aws-lambda"]
    different = {
        name: (life.deprecated, life.blocked)
        for name, life in ours.items()
        if (str(life.deprecated), str(life.blocked))
        != (known[serverless_runtimes.aws_name(name)]["deprecated"],
            known[serverless_runtimes.aws_name(name)]["create-block"])
    }  # fmt: skip
    assert different == {}


# --- what it asks ------------------------------------------------------------------------------------------


def test_config_json_is_the_form() -> None:
    form = service.form(opened(serverless_samples.files()))
    assert [each.key for each in form.fields()] == ["env.TITLE", "env.TOKEN", "env.ARCHIVE"]
    assert form.fields()[1].type == FieldType.PASSWORD
    with pytest.raises(InvalidInput) as caught:
        service.complete_answers(form, {})
    assert [each.field for each in caught.value.errors] == ["env.TOKEN"]


def test_a_package_without_questions_has_none() -> None:
    metadata = changed(METADATA, "/functions", METADATA["functions"][:1])
    metadata["functions"][0] = {"name": "api", "runtime": "python3.13", "handler": "web.api", "code": "src"}
    metadata = {**metadata, "triggers": [], "permissions": []}
    package = opened(serverless_samples.files(metadata, **{"config.json": None}))
    assert service.form(package).fields() == []
    assert "Parameters" not in yaml.safe_load(made(package)["template.yaml"])


def test_several_targets_are_a_question_and_images_one_of_knative() -> None:
    package = opened(service.scaffold("greeter", "serverless"))
    form = service.form(package, "zh-cn")
    target = form.fields()[0]
    assert (target.key, target.label) == ("deploy.target", "运行平台")
    assert (target.default, target.choices) == ("aws-lambda", ["aws-lambda", "azure-functions", "knative"])
    assert list(made(package)) == ["template.yaml", "parameters.json"]
    with pytest.raises(InvalidInput) as caught:
        service.complete_answers(service.form(package), {"deploy": {"target": "knative"}})
    assert [each.field for each in caught.value.errors] == ["deploy.image_hello", "deploy.image_tick"]
    images = {"image_hello": "registry.example.com/a:1", "image_tick": "registry.example.com/b:1"}
    assert list(made(package, {"deploy": {"target": "knative", **images}})) == ["knative.yaml"]


# --- AWS ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sam() -> dict[str, Any]:
    texts = made(opened(serverless_samples.files()), {"env": {"TOKEN": "s3cret"}})
    assert "s3cret" not in texts["template.yaml"]
    loaded: dict[str, Any] = yaml.safe_load(texts["template.yaml"])
    return loaded


def test_answers_are_parameters_and_secrets_are_not_shown(sam: dict[str, Any]) -> None:
    texts = made(opened(serverless_samples.files()), {"env": {"TOKEN": "s3cret", "TITLE": 'A "b" ${c}'}})
    given = {each["ParameterKey"]: each["ParameterValue"] for each in json.loads(texts["parameters.json"])}
    assert given == {"EnvTITLE": 'A "b" ${c}', "EnvTOKEN": "s3cret", "EnvARCHIVE": "archive-1"}
    assert set(sam["Parameters"]) == set(given)
    assert sam["Parameters"]["EnvTOKEN"]["NoEcho"] is True
    # The template is the same whatever is answered: a change of answers is one of parameters.
    assert (
        texts["template.yaml"]
        == made(opened(serverless_samples.files()), {"env": {"TOKEN": "x"}})["template.yaml"]
    )


def test_environments_hold_what_each_function_is_told(sam: dict[str, Any]) -> None:
    variables = sam["Resources"]["ApiFunction"]["Properties"]["Environment"]["Variables"]
    assert variables == {
        "TITLE": {"Ref": "EnvTITLE"},
        "BUCKET": {"Ref": "PicturesBucket"},
        "BANNER": {"Fn::Sub": "$5 ${EnvTITLE}!"},
    }
    worker = sam["Resources"]["WorkerFunction"]["Properties"]
    assert set(worker["Environment"]["Variables"]) == {"TOKEN", "ARCHIVE"}
    assert (worker["MemorySize"], worker["Timeout"], worker["ReservedConcurrentExecutions"]) == (1024, 120, 4)


def test_what_only_looks_like_a_reference_stays_as_it_is() -> None:
    metadata = changed(METADATA, "/functions/0/variables/BANNER", "${HOME} ${env.TITLE}")
    made_of_it = made(opened(serverless_samples.files(metadata)), {"env": {"TOKEN": "x"}})["template.yaml"]
    variables = yaml.safe_load(made_of_it)["Resources"]["ApiFunction"]["Properties"]["Environment"][
        "Variables"
    ]
    assert variables["BANNER"] == {"Fn::Sub": "${!HOME} ${EnvTITLE}"}


def test_triggers_become_events(sam: dict[str, Any]) -> None:
    api = sam["Resources"]["ApiFunction"]["Properties"]["Events"]
    assert {(each["Properties"]["Method"], each["Properties"]["Path"], "Auth" in each["Properties"])
            for each in api.values()} == {
        ("get", "/pictures/{id}", True), ("put", "/pictures/{id}", True), ("get", "/", False)
    }  # fmt: skip
    events = sam["Resources"]["WorkerFunction"]["Properties"]["Events"]
    assert events["Schedule2"]["Properties"]["Schedule"] == "cron(30 2 ? * MON,TUE,WED,THU,FRI *)"
    assert events["Schedule3"]["Properties"]["Schedule"] == "rate(6 hours)"
    assert events["ObjectCreated5"]["Properties"]["Pattern"]["detail"] == {
        "bucket": {"name": [{"Ref": "PicturesBucket"}]},
        "object": {"key": [{"wildcard": "in/*.png"}]},
    }
    assert events["Event6"]["Properties"]["Pattern"] == {
        "source": [{"Fn::Sub": "shop.${EnvTITLE}"}],
        "detail-type": ["order.placed"],
    }
    mapping = sam["Resources"]["WorkerFunctionQueue4"]["Properties"]
    assert mapping["EventSourceArn"] == {"Fn::GetAtt": ["JobsQueue", "Arn"]}
    assert mapping["BatchSize"] == 5


def test_what_fails_unseen_ends_up_among_the_dead_letters(sam: dict[str, Any]) -> None:
    dead = {"Fn::GetAtt": ["DeadLetters", "Arn"]}
    worker = sam["Resources"]["WorkerFunction"]["Properties"]
    assert worker["EventInvokeConfig"]["DestinationConfig"]["OnFailure"]["Destination"] == dead
    assert "EventInvokeConfig" not in sam["Resources"]["ApiFunction"]["Properties"]
    queue = sam["Resources"]["JobsQueue"]["Properties"]
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == dead
    assert queue["VisibilityTimeout"] == 6 * 120


def test_permissions_are_the_least(sam: dict[str, Any]) -> None:
    pictures = {"Fn::Sub": "${PicturesBucket.Arn}/*"}
    assert policies(sam["Resources"]["ApiFunction"]) == [
        (["s3:AbortMultipartUpload", "s3:PutObject"], pictures),
    ]
    granted = policies(sam["Resources"]["WorkerFunction"])
    assert (["s3:GetObject"], {"Fn::Sub": "${PicturesBucket.Arn}/in/*"}) in granted
    assert (["s3:ListBucket"], {"Fn::Sub": "arn:${AWS::Partition}:s3:::${EnvARCHIVE}"}) in granted
    inside = "arn:${AWS::Partition}:s3:::${EnvARCHIVE}/${EnvTITLE}/*"
    assert (["s3:DeleteObject"], {"Fn::Sub": inside}) in granted
    receive = next(resource for actions, resource in granted if "sqs:ReceiveMessage" in actions)
    assert receive == {"Fn::GetAtt": ["JobsQueue", "Arn"]}
    assert ("rekognition:DetectLabels", "*") in granted
    assert "Policies" not in sam["Resources"]["WorkerFunctionQueue4"]["Properties"]


def test_cfn_lint_finds_nothing_wrong_with_what_is_made() -> None:
    files = serverless_samples.files()
    texts = made(opened(files), {"env": {"TOKEN": "s3cret"}})
    found = serverless_tools.cfn_lint(
        {**files, "template.yaml": texts["template.yaml"].encode()}, "template.yaml"
    )
    assert [str(each) for each in found] == []


def test_names_that_would_become_one_stay_apart() -> None:
    functions = [
        {"name": name, "runtime": "python3.13", "handler": "web.api", "code": "src"} for name in ("a-1", "a1")
    ]
    metadata = {**METADATA, "functions": functions, "triggers": [], "permissions": [], "resources": {}}
    loaded = yaml.safe_load(
        made(opened(serverless_samples.files(metadata)), {"env": {"TOKEN": "x"}})["template.yaml"]
    )
    names = [
        name for name, each in loaded["Resources"].items() if each["Type"] == "AWS::Serverless::Function"
    ]
    assert names == ["A1Function", "A1X2Function"]


# --- Azure -------------------------------------------------------------------------------------------------


def test_an_app_of_azure() -> None:
    texts = made(opened(serverless_samples.azure()), {"env": {"TOKEN": "s3cret"}})
    host = json.loads(texts["host.json"])
    assert (host["version"], host["functionTimeout"]) == ("2.0", "00:05:00")
    assert host["extensions"]["http"]["routePrefix"] == ""
    settings = {each["name"]: each for each in json.loads(texts["app-settings.json"])}
    assert settings["FUNCTIONS_WORKER_RUNTIME"]["value"] == "python"
    assert settings["TITLE"]["value"] == "Pictures"
    assert settings["QUEUE"]["value"] == "jobs"
    assert settings["TOKEN"] == {"name": "TOKEN", "value": "s3cret", "slotSetting": False, "secret": True}
    app = json.loads(texts["function-app.json"])
    assert app["runtime"] == {"name": "python", "version": "3.13"}
    assert app["scaleAndConcurrency"] == {"instanceMemoryMB": 2048}
    bindings = {each["name"]: each["bindings"][0] for each in app["functions"]}
    assert bindings["api"]["route"] == "pictures/{id}"
    assert bindings["api"]["authLevel"] == "function"
    assert bindings["nightly"]["schedule"] == "0 30 2 * * 1,2,3,4,5"
    assert bindings["worker"]["queueName"] == "jobs"
    assert app["resources"] == [{"type": "queue", "name": "jobs"}, {"type": "table", "name": "seenones"}]
    assert app["roleAssignments"] == [
        {"role": "Storage Queue Data Message Sender", "scope": "queue:jobs"},
        {"role": "Storage Table Data Contributor", "scope": "table:seenones"},
    ]


def test_the_packages_own_host_json_counts() -> None:
    own = '{"version": "2.0", "extensions": {"http": {"routePrefix": ""}}}'
    texts = made(opened(serverless_samples.azure(**{"src/host.json": own})), {"env": {"TOKEN": "x"}})
    assert texts["host.json"] == own


def test_bindings_are_those_that_azures_own_library_makes() -> None:
    """What `manifests` says of the functions is what importing the app with azure-functions says."""
    assert serverless_tools.lint(serverless_samples.azure()) == []
    different = changed(AZURE, "/triggers/1/cron", "30 3 * * MON-FRI")
    found = serverless_tools.lint(serverless_samples.azure(different))
    assert ["0 30 3 * * 1,2,3,4,5" in each.message for each in found] == [True]


# --- Knative -----------------------------------------------------------------------------------------------

#: As much of Knative's API as our objects use, with nothing else allowed.
_REF = {
    "type": "object",
    "required": ["apiVersion", "kind", "name"],
    "properties": {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "name": {"type": "string"}},
    "additionalProperties": False,
}
_DESTINATION = {
    "type": "object",
    "required": ["ref"],
    "properties": {"ref": _REF},
    "additionalProperties": False,
}
_CONTAINER = {
    "type": "object",
    "required": ["image"],
    "properties": {
        "image": {"type": "string", "minLength": 1},
        "env": {
            "type": "array",
            "items": {
                "oneOf": [{"required": ["name", "value"]}, {"required": ["name", "valueFrom"]}],
                "properties": {
                    "name": {"type": "string"},
                    "value": {"type": "string"},
                    "valueFrom": {"type": "object"},
                },
                "additionalProperties": False,
            },
        },
        "resources": {"type": "object"},
        "securityContext": {"type": "object"},
    },
    "additionalProperties": False,
}
_SPECS = {
    ("serving.knative.dev/v1", "Service"): {
        "required": ["template"],
        "properties": {
            "template": {
                "required": ["spec"],
                "properties": {
                    "metadata": {"properties": {"annotations": {"additionalProperties": {"type": "string"}}}},
                    "spec": {
                        "required": ["containers"],
                        "properties": {
                            "timeoutSeconds": {"type": "integer"},
                            "containerConcurrency": {"type": "integer"},
                            "containers": {"type": "array", "minItems": 1, "items": _CONTAINER},
                        },
                        "additionalProperties": False,
                    },
                },
                "additionalProperties": False,
            }
        },
        "additionalProperties": False,
    },
    ("sources.knative.dev/v1", "PingSource"): {
        "required": ["schedule", "sink"],
        "properties": {
            "schedule": {"type": "string"}, "timezone": {"type": "string"}, "contentType": {"type": "string"},
            "data": {"type": "string"}, "sink": _DESTINATION,
        },
        "additionalProperties": False,
    },
    ("messaging.knative.dev/v1", "Channel"): {"additionalProperties": False},
    ("messaging.knative.dev/v1", "Subscription"): {
        "required": ["channel", "subscriber"],
        "properties": {"channel": _REF, "subscriber": _DESTINATION},
        "additionalProperties": False,
    },
    ("eventing.knative.dev/v1", "Trigger"): {
        "required": ["broker", "subscriber"],
        "properties": {
            "broker": {"type": "string"}, "subscriber": _DESTINATION, "filters": {"type": "array"},
            "filter": {"properties": {"attributes": {"additionalProperties": {"type": "string"}}}},
        },
        "additionalProperties": False,
    },
}  # fmt: skip


def test_knative_objects_have_the_shape_of_its_api() -> None:
    package = opened(serverless_samples.knative())
    answers = {"deploy": {"image_worker": "registry.example.com/w:1"}, "env": {"TOKEN": "s3cret"}}
    text = made(package, answers, name="Shop Nr. 7")["knative.yaml"]
    objects = list(yaml.safe_load_all(text))
    kinds: dict[str, list[Any]] = {}
    for each in objects:
        kinds.setdefault(each["kind"], []).append(each)
        assert each["metadata"]["name"].startswith("shop-nr-7-")
        if each["kind"] != "Secret":
            spec = _SPECS[each["apiVersion"], each["kind"]]
            Draft202012Validator({"type": "object", **spec}).validate(each.get("spec", {}))
    assert {kind: len(each) for kind, each in kinds.items()} == {
        "Secret": 1, "Channel": 1, "Service": 2, "PingSource": 1, "Subscription": 1, "Trigger": 2,
    }  # fmt: skip
    api, worker = kinds["Service"]
    assert "networking.knative.dev/visibility" not in api["metadata"]["labels"]
    assert worker["metadata"]["labels"]["networking.knative.dev/visibility"] == "cluster-local"
    annotations = api["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {"autoscaling.knative.dev/max-scale": "3"}
    assert worker["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example.com/w:1"
    assert kinds["PingSource"][0]["spec"]["schedule"] == "*/15 * * * *"
    assert kinds["PingSource"][0]["spec"]["sink"]["ref"]["name"] == worker["metadata"]["name"]
    assert kinds["Subscription"][0]["spec"]["channel"]["name"] == kinds["Channel"][0]["metadata"]["name"]
    first, second = kinds["Trigger"]
    types = [{"exact": {"type": "order.placed"}}, {"exact": {"type": "order.paid"}}]
    assert first["spec"]["filters"] == [{"any": types}, {"exact": {"source": "shop"}}]
    assert second["spec"]["broker"] == "archive-1"
    assert second["spec"]["filter"] == {"attributes": {"type": "order.sent"}}


def test_secrets_of_knative_lie_in_a_secret_alone() -> None:
    package = opened(serverless_samples.knative())
    answers = {"deploy": {"image_worker": "w:1"}, "env": {"TOKEN": "s3cret"}}
    objects = list(yaml.safe_load_all(made(package, answers)["knative.yaml"]))
    secret = next(each for each in objects if each["kind"] == "Secret")
    assert secret["stringData"] == {"TOKEN": "s3cret"}
    others = json.dumps([each for each in objects if each["kind"] != "Secret"])
    assert "s3cret" not in others
    assert f'"secretKeyRef": {{"name": "{secret["metadata"]["name"]}", "key": "TOKEN"}}' in others


def test_long_names_are_cut_and_stay_apart() -> None:
    package = opened(serverless_samples.knative())
    answers = {"deploy": {"image_worker": "w:1"}, "env": {"TOKEN": "x"}}
    names = [
        each["metadata"]["name"]
        for name in ("x" * 80, "x" * 79 + "y")
        for each in yaml.safe_load_all(made(package, answers, name)["knative.yaml"])
    ]
    assert max(map(len, names)) <= 63
    assert len(set(names)) == len(names)


def test_manifests_of_knative_that_a_package_brings() -> None:
    metadata = {"type": "serverless", "name": "thumbs", "version": "1.0.0", "target": "knative",
                "template": "service.yaml"}  # fmt: skip
    package = opened(serverless_samples.files(metadata, **{"service.yaml": serverless_samples.SERVICE}))
    injected = 'x"\n  y: [1]'
    text = made(package, {"env": {"TOKEN": "x", "TITLE": injected}})["service.yaml"]
    container = yaml.safe_load(text)["spec"]["template"]["spec"]["containers"][0]
    assert container["env"] == [{"name": "TITLE", "value": injected}]


# --- the scaffold ------------------------------------------------------------------------------------------


def test_the_scaffold_is_sound_on_all_three_targets() -> None:
    files = service.scaffold("greeter", "serverless")
    assert b"my-app" not in b"".join(files.values())
    assert service.lint(archive.write(files, "greeter")) == []
    assert serverless_tools.lint(files) == []


_CALLS = """
import io, json, threading, urllib.request
import aws, function_app, server
import azure.functions as func
from http.server import ThreadingHTTPServer

answers = [aws.hello({"pathParameters": {"name": "Ann"}}, None)["body"]]
request = func.HttpRequest("GET", "http://x/hello/Ann", route_params={"name": "Ann"}, body=b"")
hello = next(f for f in function_app.app.get_functions() if f.get_function_name() == "hello")
answers.append(hello.get_user_function()(request).get_body().decode())
listening = ThreadingHTTPServer(("127.0.0.1", 0), server.Handler)
threading.Thread(target=listening.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{listening.server_port}"
answers.append(urllib.request.urlopen(f"{address}/hello/Ann").read().decode())
answers.append(urllib.request.urlopen(address, data=b"{}").status)
print("ANSWERS", json.dumps(answers))
"""


def test_the_scaffold_answers_the_same_on_each_target(tmp_path: Path) -> None:
    for path, data in service.scaffold("greeter", "serverless").items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", _CALLS],
        cwd=tmp_path / "src", env={"GREETING": "Hi", "NO_PROXY": "*"},
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = next(line for line in done.stdout.splitlines() if line.startswith("ANSWERS "))
    assert json.loads(said.removeprefix("ANSWERS ")) == ["Hi, Ann!", "Hi, Ann!", "Hi, Ann!", 200]


def test_a_broken_package_is_not_opened() -> None:
    with pytest.raises(PackageInvalid) as caught:
        opened(serverless_samples.files(changed(METADATA, "/triggers/0/function", "nobody")))
    assert "there is no function 'nobody'" in caught.value.detail
