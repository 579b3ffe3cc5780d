"""The local form of a template: what changes, and that nothing else does."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from infra.local import transform

TEMPLATE = """
Globals:
  Function: {Runtime: python3.11, Timeout: 29, Tracing: Active, Layers: [!Ref Core]}
Parameters: {PublicUrl: {Type: String}}
Resources:
  Core:
    Type: AWS::Serverless::LayerVersion
    Metadata: {BuildMethod: makefile}
    Properties: {ContentUri: layers/core}
  Table: {Type: AWS::DynamoDB::Table, Properties: {TableName: !Sub "${AWS::StackName}-t"}}
  Fn:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/a
      Handler: app.app
      Layers: [!Ref Extra, 'arn:aws:lambda:::layer:theirs:1']
      Environment: {Variables: {TABLE: !Ref Table, ROLE: !GetAtt Role.Arn.Deep}}
  Extra: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: layers/extra}}
  Machine:
    Type: AWS::Serverless::StateMachine
    Properties: {DefinitionUri: m.asl.yaml, DefinitionSubstitutions: {Fn: !GetAtt Fn.Arn}}
Outputs: {Api: {Value: !If [HasUrl, !Ref PublicUrl, none]}}
"""


@pytest.fixture
def template(tmp_path: Path) -> transform.Template:
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    return transform.load(tmp_path / "template.yaml")


def localize(template: transform.Template) -> dict[str, Any]:
    return transform.localize(
        template,
        code={"Fn": "s3://bucket/a.zip"},
        read_definition=lambda uri: {"StartAt": uri},
        digest="d1",
    )


def test_functions_that_share_what_they_are_given_have_layers_of_their_own(tmp_path: Path) -> None:
    shared = "Environment: &shared {Variables: {TABLE: t}}"
    text = TEMPLATE.replace(
        "Environment: {Variables: {TABLE: !Ref Table, ROLE: !GetAtt Role.Arn.Deep}}", shared
    )
    other = "  Other: {Type: AWS::Serverless::Function, Properties: {CodeUri: b, Environment: *shared}}"
    (tmp_path / "template.yaml").write_text(text.replace("Outputs:", f"{other}\nOutputs:"))
    local = localize(transform.load(tmp_path / "template.yaml"))
    given = {n: local["Resources"][n]["Properties"]["Environment"]["Variables"] for n in ("Fn", "Other")}
    assert given["Fn"] == {"TABLE": "t", "LOCAL_LAYERS": "Core Extra"}
    assert given["Other"] == {"TABLE": "t", "LOCAL_LAYERS": "Core"}


def test_plug_ins_have_the_place_of_the_parameter_that_names_them(tmp_path: Path) -> None:
    shared = "Layers: [!If [P, !Ref PluginLayer, !Ref AWS::NoValue], !Ref Core]"
    (tmp_path / "template.yaml").write_text(TEMPLATE.replace("Layers: [!Ref Core]", shared))
    template = transform.load(tmp_path / "template.yaml")
    for plugins, expected in (([], "Core Extra"), (["One", "Two"], "One Two Core Extra")):
        local = transform.localize(
            template, code={}, read_definition=lambda uri: {}, digest="", plugins=plugins
        )
        assert local["Resources"]["Fn"]["Properties"]["Environment"]["Variables"]["LOCAL_LAYERS"] == expected


def test_short_tags_are_read_in_their_long_form(template: transform.Template) -> None:
    variables = template["Resources"]["Fn"]["Properties"]["Environment"]["Variables"]
    assert variables == {"TABLE": {"Ref": "Table"}, "ROLE": {"Fn::GetAtt": ["Role", "Arn.Deep"]}}
    assert template["Outputs"]["Api"]["Value"] == {"Fn::If": ["HasUrl", {"Ref": "PublicUrl"}, "none"]}


def test_a_function_runs_on_the_local_runtime_with_the_code_from_the_bucket(
    template: transform.Template,
) -> None:
    properties = localize(template)["Resources"]["Fn"]["Properties"]
    assert properties["Runtime"] == "provided.al2023"
    assert properties["CodeUri"] == "s3://bucket/a.zip"
    assert properties["Handler"] == "app.app"


def test_layers_of_this_template_reach_the_bootstrap_by_name_and_are_not_deployed(
    template: transform.Template,
) -> None:
    local = localize(template)
    properties = local["Resources"]["Fn"]["Properties"]
    assert properties["Environment"]["Variables"]["LOCAL_LAYERS"] == "Core Extra"
    assert "Layers" not in properties
    assert "Layers" not in local["Globals"]["Function"]
    assert not {"Core", "Extra"} & local["Resources"].keys()


def test_a_state_machine_gets_its_definition_inline(template: transform.Template) -> None:
    properties = localize(template)["Resources"]["Machine"]["Properties"]
    assert properties == {
        "Definition": {"StartAt": "m.asl.yaml"},
        "DefinitionSubstitutions": {"Fn": {"Fn::GetAtt": ["Fn", "Arn"]}},
    }


def test_everything_else_stays_and_the_original_is_not_touched(template: transform.Template) -> None:
    before = copy.deepcopy(template)
    local = localize(template)
    assert template == before
    assert local["Resources"]["Table"] == template["Resources"]["Table"]
    assert local["Parameters"] == template["Parameters"]
    assert local["Globals"]["Function"] == {"Timeout": 29}
    assert local["Outputs"] == template["Outputs"] | {transform.DIGEST_OUTPUT: {"Value": "d1"}}


def test_code_folders_and_layers_are_found(template: transform.Template) -> None:
    assert transform.code_folders(template) == {"Fn": "functions/a"}
    assert [(layer.name, layer.source) for layer in transform.layers(template)] == [
        ("Core", "layers/core"),
        ("Extra", "layers/extra"),
    ]


def test_the_real_template_keeps_no_function_on_a_runtime_that_the_emulator_would_run_itself() -> None:
    from infra.local.paths import ROOT, TEMPLATE

    template = transform.load(TEMPLATE)
    folders = transform.code_folders(template)
    local = transform.localize(
        template,
        code={name: f"s3://bucket/{name}.zip" for name in folders},
        read_definition=lambda uri: transform.load(ROOT / uri),
        digest="d",
    )
    functions = [r for r in local["Resources"].values() if r["Type"] == "AWS::Serverless::Function"]
    assert functions
    assert {function["Properties"]["Runtime"] for function in functions} == {"provided.al2023"}
    assert all((ROOT / folder).is_dir() for folder in folders.values())
