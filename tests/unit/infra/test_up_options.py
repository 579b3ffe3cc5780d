"""Options of `infra/up` that end in the deployment."""

from __future__ import annotations

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
        platform = Platform(DataDir(tmp_path), 4590, TEMPLATE, networks)
        assert platform._parameters(1)["RepoAllowedNetworks"] == expected
