"""The layers as they are built: within Lambda's limits, and complete: each SDK imports from them alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.local import build, transform
from infra.local.paths import ROOT, TEMPLATE

pytestmark = pytest.mark.xdist_group("layers")  # one worker builds them, the others would wait

MB = 1_000_000
#: Of a function's code and all its layers, unzipped (quota of AWS Lambda).
UNZIPPED_MB = 250
MOST_LAYERS = 5

#: What is used of each SDK; a layer that lacks something that these need fails here and not at a customer's.
SDKS = {
    "aws": ["boto3", "botocore.session"],
    "azure": [
        "azure.identity", "azure.mgmt.compute", "azure.mgmt.network", "azure.mgmt.resource",
        "azure.mgmt.storage", "azure.mgmt.web", "azure.storage.blob",
    ],
    "kubernetes": ["kubernetes.client", "kubernetes.config"],
    "openstack": ["openstack.connection", "openstack.compute.v2._proxy", "openstack.block_storage.v3._proxy"],
    "qingcloud": ["qingcloud.iaas"],
    "vmware": ["pyVmomi", "pyVim.connect"],
}  # fmt: skip


@pytest.fixture(scope="module")
def template() -> transform.Template:
    return transform.load(TEMPLATE)


@pytest.fixture(scope="module")
def layers(template: transform.Template, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All layers that are not built on demand; the others by :func:`wanted`."""
    into = tmp_path_factory.mktemp("layers")
    for layer in transform.layers(template):
        build.build_layer(ROOT, layer, into)
    return into


def wanted(template: transform.Template, layers: Path, names: list[str]) -> None:
    """Build these, as a function that waits for them would have it."""
    for layer in transform.layers(template):
        if layer.on_demand and layer.name in names:
            build.build_wanted(ROOT, layer, layers)


def of_function(template: transform.Template, cloud: str) -> list[str]:
    """The layers of a cloud's function, as it would be deployed to the local cloud."""
    local = transform.localize(template, code={}, read_definition=lambda _: {}, digest="")
    function = local["Resources"][f"Cloud{cloud.capitalize()}Function"]["Properties"]
    found: list[str] = function["Environment"]["Variables"]["LOCAL_LAYERS"].split()
    return found


def unzipped_mb(folder: Path) -> float:
    """Without byte code, which the layers that are deployed do not hold."""
    parts = [folder / "python", folder / "requirements"]
    files = (path for part in parts if part.exists() for path in part.resolve().rglob("*"))
    return sum(path.stat().st_size for path in files if path.is_file() and path.suffix != ".pyc") / MB


@pytest.mark.parametrize("cloud", SDKS)
def test_a_clouds_function_fits_and_its_sdk_is_complete(
    template: transform.Template, layers: Path, cloud: str
) -> None:
    names = of_function(template, cloud)
    wanted(template, layers, names)
    total = sum(unzipped_mb(layers / name) for name in names)
    # The Helm program is still packed in the local cloud's layer.
    total += 65 if "HelmLayer" in names else 0
    assert total < UNZIPPED_MB, f"{cloud}: {total:.0f} MB"
    assert len(names) <= MOST_LAYERS
    paths = [str(layers / name / part) for name in names for part in ("python", "requirements")]
    code = f"""
import sys
sys.path += {[*paths, str(build.lambda_runtime())]!r}
import providers
sdks = {{"boto3", "botocore", "kubernetes", "openstack", "azure", "qingcloud", "pyVmomi"}}
assert not sdks & set(sys.modules)
for module in {SDKS[cloud]!r}:
    __import__(module)
"""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_no_other_function_carries_an_sdk(template: transform.Template) -> None:
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function" and not name.startswith("Cloud"):
            assert "Sdk" not in json.dumps(resource["Properties"].get("Layers", [])), name


def test_each_layer_is_built_by_a_makefile_of_its_own(template: transform.Template) -> None:
    for layer in transform.layers(template):
        makefile = (ROOT / layer.source / "Makefile").read_text()
        assert f"build-{layer.name}:" in makefile, layer.source


def test_every_function_has_room_for_the_layer_of_the_plug_ins(template: transform.Template) -> None:
    local: Any = transform.localize(
        template, code={}, read_definition=lambda _: {}, digest="", plugins=["One"]
    )
    functions = {n: r for n, r in local["Resources"].items() if r["Type"] == "AWS::Serverless::Function"}
    for name, function in functions.items():
        layers = function["Properties"]["Environment"]["Variables"]["LOCAL_LAYERS"].split()
        assert layers[:3] == ["One", "CoreLayer", "ProvidersLayer"], f"{name}: where both carry a file, ours"
        assert len(layers) <= MOST_LAYERS, name
    assert of_function(template, "plugins") == ["CoreLayer", "ProvidersLayer"]


@pytest.mark.parametrize("cloud", SDKS)
def test_each_cloud_has_its_function_by_the_name_that_it_is_called_by(
    template: transform.Template, cloud: str
) -> None:
    from pitrix.runtimes.aws import OWN_FUNCTION, function_name

    assert set(SDKS) == OWN_FUNCTION
    name = template["Resources"][f"Cloud{cloud.capitalize()}Function"]["Properties"]["FunctionName"]
    assert name == {"Fn::Sub": function_name("${AWS::StackName}-cloud-", cloud)}
