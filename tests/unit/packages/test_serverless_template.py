"""SAM and CloudFormation templates of packages: their form, and what they may not make."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pitrix.errors import InvalidInput
from pitrix.packages import archive, service
from pitrix.packages.formats.serverless import cfn as serverless_cfn
from pitrix.packages.formats.serverless import cfn_lint as serverless_cfn_lint
from pitrix.packages.formats.serverless import lint as serverless_lint
from pitrix.packages.formats.serverless import tools as serverless_tools
from pitrix.packages.model import FieldType, Form, Problem, Severity
from tests.unit.packages import serverless_samples
from tests.unit.packages.serverless_samples import TEMPLATE


def lint(text: str, **more: Any) -> list[Problem]:
    return service.lint(archive.write(serverless_samples.template(text, **more), "package"))


def form(text: str = TEMPLATE, locale: str = "en", **more: Any) -> Form:
    package = service.open_package(archive.write(serverless_samples.template(text, **more), "package"))
    return service.form(package, locale)


# --- the form ----------------------------------------------------------------------------------------------


PARAMETERS = (
    "  Account: {Type: Number, Default: '012345678901'}\n  Ratio: {Type: Number, Default: '1.50'}\n"
    "  Huge: {Type: Number, Default: 12345678901234567890}\n  Switch: {Type: String, Default: yes}\n"
    "  Odd: {Type: Number, Default: nan}\n  Regions: {Type: CommaDelimitedList, Default: 'a, b'}\n"
)


def test_parameters_are_grouped_ordered_and_labelled_by_the_interface() -> None:
    groups = form().groups
    assert [(each.label, [field.path for field in each.fields]) for each in groups] == [
        ("What it says", [["parameters", "Greeting"], ["parameters", "Volume"]]),
        ("Parameters", [["parameters", "Secret"], ["parameters", "Zones"]]),
    ]
    greeting, volume, secret, zones = form().fields()
    assert (greeting.label, greeting.description) == ("Words", "The first word. One word.")
    assert (greeting.default, greeting.required, greeting.pattern) == ("Hello", False, "^(?:[A-Z][a-z]+)$")
    assert (volume.type, volume.default, volume.minimum, volume.maximum) == (FieldType.NUMBER, 3, 1, 11)
    assert (secret.type, secret.required, secret.min_length) == (FieldType.PASSWORD, True, 8)
    assert (zones.multichoice, zones.default, zones.choices) == (True, ["a", "b"], ["a", "b", "c"])


def test_texts_are_translated() -> None:
    translated = form(locale="zh-cn", **{"locale/zh-cn.json": {"Words": "问候", "What it says": "内容"}})
    assert (translated.groups[0].label, translated.fields()[0].label) == ("内容", "问候")


@pytest.mark.parametrize(
    ("answers", "wrong"),
    [
        ({}, ["parameters.Secret"]),
        ({"Secret": "short"}, ["parameters.Secret"]),
        ({"Secret": "long enough", "Greeting": "hello"}, ["parameters.Greeting"]),
        ({"Secret": "long enough", "Greeting": "Hello World"}, ["parameters.Greeting"]),
        ({"Secret": "long enough", "Volume": 12}, ["parameters.Volume"]),
        ({"Secret": "long enough", "Zones": ["d"]}, ["parameters.Zones"]),
        ({"Secret": "long enough", "Other": 1}, ["parameters.Other"]),
    ],
)
def test_answers_are_held_to_what_the_template_says(answers: dict[str, Any], wrong: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        service.complete_answers(form(), {"parameters": answers})
    assert [each.field for each in caught.value.errors] == wrong


def test_what_it_becomes_is_the_template_and_a_file_of_parameters() -> None:
    package = service.open_package(archive.write(serverless_samples.template(), "package"))
    answers = service.complete_answers(service.form(package), {"parameters": {"Secret": "long enough"}})
    template, parameters = service.manifests(package, answers, name="shop")
    assert (template.path, template.text) == ("template.yaml", TEMPLATE)
    assert {each["ParameterKey"]: each["ParameterValue"] for each in json.loads(parameters.text)} == {
        "Greeting": "Hello",
        "Volume": "3",
        "Secret": "long enough",
        "Zones": "a, b",  # as the template writes it
    }


def test_defaults_go_out_as_the_template_writes_them() -> None:
    """Numbers are texts to CloudFormation: who changes nothing must not change them."""
    text = TEMPLATE.replace("Parameters:\n  Volume:", "Parameters:\n" + PARAMETERS + "  Volume:")
    package = service.open_package(archive.write(serverless_samples.template(text), "package"))
    given = {"Secret": "long enough", "Ratio": 2.5}
    answers = service.complete_answers(service.form(package), {"parameters": given})
    sent = {
        each["ParameterKey"]: each["ParameterValue"]
        for each in json.loads(service.manifests(package, answers, name="shop")[1].text)
    }
    assert {key: sent[key] for key in ("Account", "Ratio", "Huge", "Switch", "Odd", "Regions")} == {
        "Account": "012345678901", "Ratio": "2.5", "Huge": "12345678901234567890", "Switch": "true",
        "Odd": "nan", "Regions": "a, b",
    }  # fmt: skip
    json.dumps(service.default_answers(service.form(package)), allow_nan=False)


def test_a_parameter_that_a_group_names_twice_is_asked_for_once() -> None:
    twice = TEMPLATE.replace("[Greeting, Volume]", "[Greeting, Greeting, Volume]")
    assert twice != TEMPLATE
    assert [each.key for each in form(twice).fields()] == [each.key for each in form().fields()]


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [("^a|b$", ["a", "b"], ["ax", "xb"]), ("^a\\$", ["a$"], ["a$b"]), ("^[a-z]+$", ["ab"], ["a1"])],
)
def test_a_pattern_has_to_fit_the_whole_value(pattern: str, good: list[str], bad: list[str]) -> None:
    asked = form(TEMPLATE.replace("'[A-Z][a-z]+'", f"'{pattern}'"))
    for text in good:
        service.complete_answers(asked, {"parameters": {"Secret": "long enough", "Greeting": text}})
    for text in bad:
        with pytest.raises(InvalidInput):
            service.complete_answers(asked, {"parameters": {"Secret": "long enough", "Greeting": text}})


@pytest.mark.parametrize("default", ["[a]", "{a: b}", "null"])
def test_a_default_is_a_text(default: str) -> None:
    (problem,) = lint(TEMPLATE.replace("Default: Hello", f"Default: {default}"))
    assert problem.severity == Severity.ERROR
    assert (problem.key, problem.message) == (
        "/Parameters/Greeting/Default",
        "a default is a text or a number",
    )


def test_our_own_words_are_in_the_language_of_the_user() -> None:
    assert [form(locale=locale).groups[-1].label for locale in ("en", "zh-cn")] == ["Parameters", "参数"]


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("AWS::EC2::VPC::Id", "vpc-0a1b", "subnet-0a1b"),
        ("List<AWS::EC2::Subnet::Id>", "subnet-0a,subnet-1b", "subnet-0a;x"),
    ],
)
def test_the_clouds_own_types_are_checked(kind: str, good: str, bad: str) -> None:
    text = TEMPLATE.replace("Parameters:\n  Volume:", f"Parameters:\n  Net:\n    Type: {kind}\n  Volume:")
    asked = form(text)
    service.complete_answers(asked, {"parameters": {"Secret": "long enough", "Net": good}})
    with pytest.raises(InvalidInput):
        service.complete_answers(asked, {"parameters": {"Secret": "long enough", "Net": bad}})


# --- what a template may not make --------------------------------------------------------------------------

HEAD = "Transform: AWS::Serverless-2016-10-31\nResources:\n"
QUEUE = "Resources: {Q: {Type: AWS::SQS::Queue}}\n"
FUNCTION = HEAD + "  F:\n    Type: AWS::Serverless::Function\n    Properties:\n      Runtime: python3.13\n"


def resource(kind: str, properties: str = "{}") -> str:
    return f"{HEAD}  R:\n    Type: {kind}\n    Properties: {properties}\n"


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        (resource("AWS::IAM::User"), "/Resources/R/Type", "may not make AWS::IAM::User"),
        (resource("AWS::IAM::AccessKey"), "/Resources/R/Type", "keys that never end"),
        (resource("AWS::Organizations::Account"), "/Resources/R/Type", "changes the organization"),
        (resource("AWS::CloudFormation::Macro"), "/Resources/R/Type", "changes other templates"),
        (resource("AWS::CloudFormation::StackSet"), "/Resources/R/Type", "other accounts"),
        (
            resource(
                "AWS::IAM::Role", "{ManagedPolicyArns: ['arn:aws:iam::aws:policy/AdministratorAccess']}"
            ),
            "/Resources/R/Properties/ManagedPolicyArns/0",
            "AdministratorAccess hands over the account",
        ),
        (
            resource(
                "AWS::IAM::Role",
                "{ManagedPolicyArns: [!Sub 'arn:${AWS::Partition}:iam::aws:policy/IAMFullAccess']}",
            ),
            "/Resources/R/Properties/ManagedPolicyArns/0",
            "IAMFullAccess",
        ),
        (
            resource("AWS::Serverless::Function", "{InlineCode: x, Policies: PowerUserAccess}"),
            "/Resources/R/Properties/Policies",
            "PowerUserAccess",
        ),
        (
            resource(
                "AWS::Serverless::Function",
                "{InlineCode: x, Policies: [{Statement: {Effect: Allow, Action: '*', Resource: '*'}}]}",
            ),
            "/Resources/R/Properties/Policies/0/Statement/Action",
            "every action is allowed",
        ),
        (
            resource(
                "AWS::IAM::Policy",
                "{PolicyDocument: {Statement: [{Effect: Allow, Action: [iam:PassRole], Resource: ['*']}]}}",
            ),
            "/Resources/R/Properties/PolicyDocument/Statement/0/Action",
            "give itself every right",
        ),
        (
            resource(
                "AWS::IAM::Policy",
                "{PolicyDocument: {Statement: [{Effect: Allow, NotAction: [s3:x], Resource: ['*']}]}}",
            ),
            "/Resources/R/Properties/PolicyDocument/Statement/0/NotAction",
            "everything but",
        ),
        (
            resource(
                "AWS::IAM::Role",
                "{AssumeRolePolicyDocument: {Statement: [{Effect: Allow, "
                "Action: sts:AssumeRole, Principal: {AWS: 'arn:aws:iam::123456789012:root'}}]}}",
            ),
            "/Resources/R/Properties/AssumeRolePolicyDocument/Statement/0/Principal/AWS",
            "is let into the account",
        ),
        (
            resource(
                "AWS::IAM::Role",
                "{AssumeRolePolicyDocument: {Statement: [{Effect: Allow, "
                "Action: sts:AssumeRole, Principal: '*'}]}}",
            ),
            "/Resources/R/Properties/AssumeRolePolicyDocument/Statement/0/Principal",
            "is let into the account",
        ),
        (
            resource("AWS::Lambda::Permission", "{Principal: '*'}"),
            "/Resources/R/Properties/Principal",
            "everybody",
        ),
        (
            resource("Custom::Thing", "{ServiceToken: 'arn:aws:lambda:us-east-1:123456789012:function:x'}"),
            "/Resources/R/Properties/ServiceToken",
            "not of this package",
        ),
        (
            FUNCTION + "      CodeUri: s3://others/code.zip\n",
            "/Resources/F/Properties/CodeUri",
            "s3://others/code.zip",
        ),
        (
            FUNCTION + "      CodeUri: {Bucket: others, Key: code.zip}\n",
            "/Resources/F/Properties/CodeUri",
            "the bucket 'others'",
        ),
        (
            FUNCTION + "      CodeUri: ../../etc\n",
            "/Resources/F/Properties/CodeUri",
            "leads out of the package",
        ),
        (FUNCTION + "      CodeUri: lib\n", "/Resources/F/Properties/CodeUri", "there is no 'lib'"),
        (
            FUNCTION + "      CodeUri: src\n      Handler: web.apy\n",
            "/Resources/F/Properties/Handler",
            "src/web.py does not define 'apy'",
        ),
        (
            resource("AWS::Lambda::Function", "{Code: {S3Bucket: others, S3Key: x}}"),
            "/Resources/R/Properties/Code",
            "the bucket 'others'",
        ),
        (
            resource("AWS::CloudFormation::Stack", "{TemplateURL: 'https://example.com/x.yaml'}"),
            "/Resources/R/Properties/TemplateURL",
            "not from the package",
        ),
        (
            resource(
                "AWS::Serverless::Application", "{Location: {ApplicationId: x, SemanticVersion: 1.0.0}}"
            ),
            "/Resources/R/Properties/Location",
            "the application repository",
        ),
        (
            resource("AWS::SQS::Queue", "{QueueName: {'Fn::Transform': {Name: Mine}}}"),
            "/Resources/R/Properties/QueueName/Fn::Transform",
            "runs or fetches",
        ),
        (
            "Transform: [AWS::Serverless-2016-10-31, MyMacro]\nResources: {Q: {Type: AWS::SQS::Queue}}\n",
            "/Transform",
            "the transform 'MyMacro'",
        ),
        (
            "Transform: {Name: AWS::Include, Parameters: {Location: s3://x/y}}\n" + QUEUE,
            "/Transform",
            "the transform 'AWS::Include'",
        ),
        (
            "Resources: {F: {Type: AWS::Serverless::Function}}\n",
            "/Resources/F/Type",
            "needs the transform of SAM",
        ),
        ("Resources: {}\n", "/Resources", "makes nothing"),
        ("Resources: {F: 1}\n", "/Resources/F", "a mapping with a Type"),
        ("Resource: {}\nResources: {Q: {Type: AWS::SQS::Queue}}\n", "/Resource", "no section of a template"),
        (
            "Parameters: {A: 1}\nResources: {Q: {Type: AWS::SQS::Queue}}\n",
            "/Parameters/A",
            "a mapping with a Type",
        ),
        (
            "Parameters: {A: {Type: String, AllowedValues: [a], Default: b}}\n" + QUEUE,
            "/Parameters/A/Default",
            "none of AllowedValues",
        ),
        ("- 1\n", "", "a template is a mapping"),
        ("a: !Unknown x\n", "", "!Unknown"),
        ("a: [\n", "", ""),
        ("a: &a [*a]\n", "", "contains itself"),
    ],
)
def test_what_a_package_must_not_do_is_refused(text: str, key: str, message: str) -> None:
    found = [each for each in lint(text) if each.severity == Severity.ERROR and each.file == "template.yaml"]
    assert [each.key for each in found if message in each.message] == [key], "\n".join(map(str, lint(text)))
    assert found[0].line >= 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (resource("AWS::RDS::DBInstance"), "paid for while nobody uses it"),
        (resource("AWS::S3::Bucket", "{AccessControl: PublicRead}"), "everybody may read the bucket"),
        (
            FUNCTION
            + "      InlineCode: x\n      Layers: ['arn:aws:lambda:us-east-1:123456789012:layer:x:1']\n",
            "a layer of another account",
        ),
        (
            resource(
                "AWS::IAM::Policy",
                "{PolicyDocument: {Statement: {Effect: Allow, Action: 's3:*', Resource: '*'}}}",
            ),
            "s3:* is allowed on everything",
        ),
        (
            TEMPLATE.replace("NoEcho: true", "NoEcho: true\n    Default: hunter22"),
            "everybody can read in the package",
        ),
        (TEMPLATE.replace("python3.13", "python3.9"), "no more updates since 2025-12-15"),
    ],
)
def test_what_an_owner_should_see_first_is_warned_of(text: str, message: str) -> None:
    assert [each.severity for each in lint(text) if message in each.message] == [Severity.WARNING]


def test_good_roles_and_relative_code_pass() -> None:
    role = (
        "{AssumeRolePolicyDocument: {Statement: [{Effect: Allow, Action: sts:AssumeRole, "
        "Principal: {Service: lambda.amazonaws.com}}]}}"
    )
    assert lint(resource("AWS::IAM::Role", role)) == []
    metadata = {"type": "serverless", "name": "hello", "version": "1.0.0", "target": "aws-lambda"}
    below = {"package.json": {**metadata, "template": "deploy/app.yaml"}, "template.yaml": None}
    text = FUNCTION + "      CodeUri: ../src\n      Handler: web.api\n"
    assert lint(text, **below, **{"deploy/app.yaml": text}) == []


def test_json_templates_are_read_too() -> None:
    text = json.dumps(
        {"Resources": {"Q": {"Type": "AWS::SQS::Queue"}, "U": {"Type": "AWS::IAM::User"}}}, indent=1
    )
    metadata = {
        "type": "serverless",
        "name": "x",
        "version": "1.0.0",
        "target": "aws-lambda",
        "template": "t.json",
    }
    found = service.lint(
        archive.write(serverless_samples.files(metadata, **{"config.json": None, "t.json": text}), "x")
    )
    assert [(each.line, each.key) for each in found] == [(7, "/Resources/U/Type")]


def test_a_template_is_for_one_target_and_asks_by_itself() -> None:
    metadata = {"type": "serverless", "name": "x", "version": "1.0.0", "template": "template.yaml",
                "targets": ["aws-lambda", "knative"], "functions": []}  # fmt: skip
    found = lint(
        TEMPLATE, **{"package.json": {**metadata, "functions": [{"name": "a", "runtime": "python3.13"}]}}
    )
    assert {(each.file, each.key) for each in found} >= {
        ("package.json", "/targets"),
        ("package.json", "/functions"),
    }
    asked = lint(TEMPLATE, **{"config.json": serverless_samples.CONFIG})
    assert ["the parameters of the template are the form" in each.message for each in asked] == [True]


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers()
    | st.sampled_from(["*", "Allow", "s3://x", "../..", "AWS::IAM::Role", "x"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["Type", "Properties", "Effect", "Action", "Resource", "Principal", "Policies",
                         "Statement", "CodeUri", "Layers", "Default", "AllowedValues", "Function"]),
        inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
_SECTIONS = ["Transform", "Globals", "Parameters", "Resources", "Metadata"]


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(_SECTIONS), _VALUES | st.dictionaries(st.just("A"), _VALUES)))
def test_lint_and_form_never_raise_whatever_a_template_holds(template: dict[str, Any]) -> None:
    text = json.dumps({"Resources": {"Q": {"Type": "AWS::SQS::Queue"}}, **template})
    files = serverless_samples.template(text)
    problems = serverless_lint.lint(files)
    if not any(each.severity == Severity.ERROR for each in problems):
        package = service.open_package(archive.write(files, "package"))
        asked = service.form(package)
        assert service.manifests(package, service.default_answers(asked), name="x")


def test_a_large_hostile_template_takes_little_time() -> None:
    deep: Any = {"Policies": "AdministratorAccess"}
    for _ in range(45):
        deep = {"Policies": [deep], "Layers": ["x"] * 50, "Effect": "Allow", "Action": ["*"] * 50}
    many = {f"R{at}": {"Type": "A::B::C", "Properties": deep} for at in range(15)}
    document = serverless_cfn.read("t.yaml", b"---\n" + json.dumps({"Resources": many}).encode())
    began = time.process_time()
    assert len(serverless_cfn_lint.lint(document, {})) == 100
    assert time.process_time() - began < 5


# --- cfn-lint ----------------------------------------------------------------------------------------------


def test_cfn_lint_names_its_rules_and_the_lines_of_the_package() -> None:
    text = TEMPLATE.replace("Timeout: 10", "Timeout: soon").replace("!Ref Greeting\n", "!Ref Greetings\n")
    found = serverless_tools.cfn_lint(serverless_samples.template(text), "template.yaml")
    told = {each.message.split()[0]: each for each in found}
    assert told["E1020"].line == text.splitlines().index("          GREETING: !Ref Greetings") + 1
    assert told["E1020"].key == "/Resources/Hello/Properties/Environment/Variables/GREETING/Ref"
    assert {each.severity for each in found} == {Severity.ERROR}
