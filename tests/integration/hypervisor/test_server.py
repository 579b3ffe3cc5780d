"""The hypervisor's HTTP face and its command line."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from infra.local.hypervisor import addresses
from infra.local.hypervisor.errors import Clash, Invalid, QuotaReached
from tests.integration.hypervisor.conftest import ROOT, Lab


def call(
    lab: Lab, method: str, path: str, body: bytes | None = None, token: str | None = None
) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(lab.endpoint.removeprefix("http://"), timeout=10)
    token = lab.token_file.read_text() if token is None else token
    try:
        connection.request(method, path, body, {"Authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_health_needs_no_token_and_all_else_does(lab: Lab) -> None:
    assert call(lab, "GET", "/v1/health", token="") == (200, {"status": "ok"})
    for token in ("", "wrong", "ünïcode"):
        status, answer = call(lab, "GET", "/v1/account", token=token)
        assert (status, answer["error"]["code"]) == (401, "unauthorized")


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"{", "truncated"),
        (b"[]", "object"),
        (b'{"name": "n"}', "client_token"),
        (b'{"name": "n", "client_token": "k", "colour": "red"}', "colour"),
        (b'{"name": 7, "client_token": "k"}', "$.name"),
        (b'{"name": "n", "client_token": "k", "tags": {"a": 1}}', "$.tags"),
    ],
)
def test_a_body_that_is_wrong_is_refused_by_what_is_wrong(lab: Lab, body: bytes, named: str) -> None:
    status, answer = call(lab, "POST", "/v1/networks", body)
    assert (status, answer["error"]["code"]) == (400, "invalid")
    assert named in answer["error"]["message"]
    assert call(lab, "GET", "/v1/networks?tag.none=none") == (200, [])


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/nothing", "/v1/machines/a/b/c", "/v1/machines/x/explode"])
def test_there_is_no_other_route(lab: Lab, path: str) -> None:
    assert call(lab, "POST", path)[0] == 404


def test_ids_do_not_lead_out_of_the_data_folder(lab: Lab) -> None:
    (lab.data / "victim").mkdir()
    call(lab, "DELETE", "/v1/volumes/..%2Fvictim")
    call(lab, "DELETE", "/v1/volumes/../victim")
    assert (lab.data / "victim").exists()


def test_a_body_without_end_is_refused(lab: Lab) -> None:
    host, port = lab.endpoint.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(b"POST /v1/networks HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 400")


def test_one_hypervisor_a_data_folder(lab: Lab) -> None:
    second = subprocess.run(lab.command(), cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    assert second.returncode == 4
    assert "another one is using" in second.stderr


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = subprocess.run(
            Lab(tmp_path).command("--port", port),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert refused.returncode == 3
    assert port in refused.stderr


# --- addresses: both kinds of system, without a server -----------------------------------------------------


def test_networks_are_chosen_until_none_is_left(tmp_path: Path) -> None:
    taken: list[str] = []
    for _ in range(addresses.MOST_NETWORKS):
        taken.append(addresses.choose_network(None, taken, tmp_path))
    assert len(set(taken)) == 254
    with pytest.raises(QuotaReached):
        addresses.choose_network(None, taken, tmp_path)
    with pytest.raises(Clash):
        addresses.choose_network(taken[0], taken, tmp_path)


def test_two_hypervisors_on_one_machine_never_have_the_same_network(tmp_path: Path) -> None:
    if not addresses.has_many_addresses():
        pytest.skip("this system has one loopback address")
    one, other = addresses.Held(), addresses.Held()
    mine = addresses.choose_network(None, [], tmp_path, one.take)
    theirs = addresses.choose_network(None, [], tmp_path, other.take)
    assert mine != theirs
    with pytest.raises(Clash):
        addresses.choose_network(mine, [], tmp_path, other.take)
    one.release(mine)
    assert addresses.choose_network(mine, [], tmp_path, other.take) == mine
    one.release_all()
    other.release_all()


def test_addresses_are_chosen_until_none_is_left() -> None:
    taken: list[str] = []
    for _ in range(253):
        taken.append(addresses.choose_address("127.80.7.0/24", taken))
    assert (taken[0], taken[-1]) == ("127.80.7.2", "127.80.7.254")
    with pytest.raises(QuotaReached):
        addresses.choose_address("127.80.7.0/24", taken)


def test_a_system_with_one_loopback_address_shares_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(addresses, "has_many_addresses", lambda: False)
    network = addresses.choose_network(None, ["127.0.0.1/32"], tmp_path)
    assert network == "127.0.0.1/32"
    assert addresses.choose_address(network, ["127.0.0.1"]) == "127.0.0.1"
    with pytest.raises(Invalid):
        addresses.choose_network("127.80.1.0/24", [], tmp_path)
