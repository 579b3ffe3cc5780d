"""Options of `infra/up` that end in the deployment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.local import up
from infra.local.datadir import DataDir
from infra.local.paths import TEMPLATE
from infra.local.supervisor import Platform


def test_networks_that_repositories_may_lie_in() -> None:
    given = ["--allow-network", "10.0.0.0/8", "--allow-network", "fd00::/8"]
    assert up._parse(given).allow_network == ["10.0.0.0/8", "fd00::/8"]
    assert up._parse([]).allow_network == []


@pytest.mark.parametrize("network", ["everything", "10.0.0.1/8", "10.0.0.0/64"])
def test_what_is_no_network_is_refused(network: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        up._parse(["--allow-network", network])
    assert network in capsys.readouterr().err


def test_they_reach_the_template(tmp_path: Path) -> None:
    for networks, expected in (([], ""), (["10.0.0.0/8", "fd00::/8"], "10.0.0.0/8,fd00::/8")):
        platform = Platform(DataDir(tmp_path), 4590, TEMPLATE, allowed_networks=networks)
        parameters = platform._parameters(1)
        assert (parameters["RepoAllowedNetworks"], parameters["RuntimeAllowedNetworks"]) == (
            expected,
            expected,
        )


def test_settings_of_clouds_reach_the_template(tmp_path: Path) -> None:
    given = up._parse(["--cloud-setting", "aws.endpoint=http://x/?a=b", "--cloud-setting", "aws.region=eu"])
    platform = Platform(DataDir(tmp_path), 4590, TEMPLATE, cloud_settings=given.cloud_setting)
    said = json.loads(platform._parameters(1)["CloudSettings"])
    assert said == {"aws": {"endpoint": "http://x/?a=b", "region": "eu"}}
    assert Platform(DataDir(tmp_path), 4590)._parameters(1)["CloudSettings"] == ""


@pytest.mark.parametrize("setting", ["aws", "aws.endpoint", "endpoint=http://x", "=x"])
def test_what_is_no_setting_is_refused(setting: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        up._parse(["--cloud-setting", setting])
    assert setting in capsys.readouterr().err


def test_a_plug_in_is_a_project_and_becomes_a_layer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        up._parse(["--plugin", str(tmp_path)])
    assert "pyproject.toml" in capsys.readouterr().err
    (tmp_path / "pyproject.toml").touch()
    given = up._parse(["--plugin", str(tmp_path)])
    platform = Platform(DataDir(tmp_path), 4590, TEMPLATE, plugins=given.plugin)
    assert platform._parameters(1)["PluginLayer"] == f"Plugin-{tmp_path.name}"
