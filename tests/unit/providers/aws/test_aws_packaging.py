"""What a serverless package becomes before CloudFormation gets it."""

from __future__ import annotations

import io
import json
import zipfile

import pytest

from pitrix.errors import InvalidInput
from providers.aws import packaging
from providers.resources import FunctionSpec

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Word: {Type: String}
Resources:
  HelloFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: src
      Environment: {Variables: {WORD: !Ref Word}}
  Plain:
    Type: AWS::Lambda::Function
    Properties: {Code: ./built.zip}
"""


def spec(template: str = TEMPLATE, parameters: str = "[]") -> FunctionSpec:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("package.json", "{}")
        archive.writestr("src/app.py", "x = 1")
        archive.writestr("src/lib/more.py", "y = 2")
        archive.writestr("built.zip", b"as it is")
    manifests = {"template.yaml": template, "parameters.json": parameters}
    return FunctionSpec(name="hello", manifests=manifests, code=code.getvalue())


def test_code_goes_into_the_bucket_and_functions_get_versions() -> None:
    made = packaging.packaged(spec(), bucket="b", prefix="app", version=3)
    resources = json.loads(made.template)["Resources"]
    hello = resources["HelloFunction"]["Properties"]
    assert hello["CodeUri"]["Bucket"] == "b"
    assert hello["AutoPublishAlias"] == packaging.ALIAS
    assert hello["Environment"]["Variables"] == {"WORD": {"Ref": "Word"}, packaging.VERSION_VARIABLE: "3"}
    with zipfile.ZipFile(io.BytesIO(made.objects[hello["CodeUri"]["Key"]])) as archive:
        assert archive.namelist() == ["app.py", "lib/more.py"]
    assert made.objects[resources["Plain"]["Properties"]["Code"]["S3Key"]] == b"as it is"


def test_the_same_code_is_the_same_object_and_each_version_is_published() -> None:
    first, second = (packaging.packaged(spec(), bucket="b", prefix="app", version=n) for n in (1, 2))
    assert first.objects == second.objects
    assert first.template != second.template


@pytest.mark.parametrize(
    ("template", "parameters"),
    [
        ("Resources: [", "[]"),
        ("Outputs: {}", "[]"),
        ("Resources: {A: text}", "[]"),
        (TEMPLATE.replace("CodeUri: src", "CodeUri: nowhere"), "[]"),
        (TEMPLATE, "{"),
        (TEMPLATE, '[{"ParameterKey": "Word"}]'),
    ],
)
def test_what_cannot_be_deployed_is_refused(template: str, parameters: str) -> None:
    with pytest.raises(InvalidInput):
        packaging.packaged(spec(template, parameters), bucket="b", prefix="app", version=1)
