"""The local cloud for real: a small template through the whole of `infra/up`, and what survives what.

The template in `local_cloud/` has every joint in it: REST and WebSocket API, layer, table, state machine.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local.deploy import STACK, Cloud
from infra.local.processes import Identity, is_running, wait_gone
from tests.local_platform import DidNotStart, LocalPlatform, start, up

pytestmark = pytest.mark.emulator

TEMPLATE = Path(__file__).parent / "local_cloud" / "template.yaml"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPlatform]:
    data = tmp_path_factory.mktemp("tiny") / "data"
    running = start(data, template=TEMPLATE)
    yield running
    running.stop()


def request(
    platform: LocalPlatform, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", platform.port, timeout=30)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    return answer.status, json.loads(content) if content else None


def delivered(platform: LocalPlatform, text: str) -> str | None:
    """What the function behind the queue kept last, some time after ``text`` was sent."""
    cloud = Cloud(platform.port)
    described = cloud.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
    queue = next(each["OutputValue"] for each in described["Outputs"] if each["OutputKey"] == "QueueUrl")
    cloud.client("sqs").send_message(QueueUrl=queue, MessageBody=text)
    for _ in range(100):
        kept: str | None = request(platform, "GET", "/v1/items/queued")[1]["kept"]
        if kept == text:
            break
        time.sleep(0.1)
    return kept


def processes(platform: LocalPlatform) -> dict[str, Identity]:
    recorded = json.loads((platform.data / "run.json").read_text())
    return {name: Identity(**value) for name, value in recorded.items() if isinstance(value, dict)}


def test_the_console_and_the_api_answer_at_the_root_of_the_port(tiny: LocalPlatform) -> None:
    status, seen = request(tiny, "GET", "/?a=1")
    assert status == 200
    assert seen["greeting"] == "hello"  # from the layer
    assert seen["path"] == "/"
    assert seen["query"] == {"a": "1"}
    assert seen["public_url"] == tiny.console_url
    assert 0 < seen["remaining_ms"] <= 10_000


def test_a_path_parameter_arrives_as_it_does_on_aws(tiny: LocalPlatform) -> None:
    status, seen = request(tiny, "GET", "/v1/items/locale%2Fzh%20cn.json")
    assert status == 200
    assert seen["item"] == "locale%2Fzh%20cn.json"
    assert seen["resource"] == "/v1/items/{item}"


def test_functions_see_what_they_see_on_aws_and_nothing_of_the_developers(tiny: LocalPlatform) -> None:
    assert request(tiny, "GET", "/")[1]["pytest_importable"] is False


def test_a_body_of_the_size_api_gateway_takes_arrives_whole_and_a_larger_one_does_not(
    tiny: LocalPlatform,
) -> None:
    assert request(tiny, "PUT", "/v1/items/big", b"x" * 300_000)[1]["length"] == 300_000
    status, problem = request(tiny, "PUT", "/v1/items/big", bytes(10 * 1024 * 1024 + 1))
    assert status == 413
    assert "presigned" in problem["detail"]


def test_other_names_other_origins_and_the_emulators_switches_are_refused(tiny: LocalPlatform) -> None:
    assert request(tiny, "GET", "/", Host="evil.example")[0] == 403
    headers = {"X-Amz-Target": "DynamoDB_20120810.ListTables", "Origin": "https://evil.example"}
    assert request(tiny, "POST", "/", b"{}", **headers)[0] == 403
    assert request(tiny, "POST", "/_ministack/reset")[0] == 404
    assert request(tiny, "POST", "/_pitrix/save")[0] == 404
    assert request(tiny, "GET", "/")[0] == 200


def test_nothing_listens_but_on_the_loopback(tiny: LocalPlatform) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; shows this machine's own address
        address = probe.getsockname()[0]
    if address.startswith("127."):
        pytest.skip("this machine has no address but the loopback")
    with socket.socket() as client:
        client.settimeout(2)
        assert client.connect_ex((address, tiny.port)) != 0


def test_a_state_machine_catches_an_error_of_ours_by_its_class(tiny: LocalPlatform) -> None:
    machines = Cloud(tiny.port).client("stepfunctions")
    arn = outputs(tiny)["Machine"]
    execution = machines.start_execution(stateMachineArn=arn, input="{}")["executionArn"]
    deadline = time.monotonic() + 20
    while (found := machines.describe_execution(executionArn=execution))["status"] == "RUNNING":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert (found["status"], json.loads(found["output"])) == ("SUCCEEDED", "caught")
    assert "no more machines" in tiny.log("FailFunction")


def test_agents_connect_to_one_address_and_are_answered_over_it(tiny: LocalPlatform) -> None:
    from websockets.sync.client import connect

    with connect(f"ws://127.0.0.1:{tiny.port}/_pilot") as agent:
        agent.send('{"hi":1}')
        assert agent.recv(timeout=10) == '}1:"ih"{'


def test_a_presigned_url_works_from_outside(tiny: LocalPlatform) -> None:
    s3 = Cloud(tiny.port).client("s3")
    s3.create_bucket(Bucket="uploads")
    url = s3.generate_presigned_url("put_object", Params={"Bucket": "uploads", "Key": "a b"})
    assert request(tiny, "PUT", url.removeprefix(tiny.console_url), b"content")[0] == 200
    assert s3.get_object(Bucket="uploads", Key="a b")["Body"].read() == b"content"


def test_a_second_platform_in_the_same_directory_or_on_the_same_port_is_refused(
    tiny: LocalPlatform, tmp_path: Path
) -> None:
    same_directory = up("--detach", "--data", str(tiny.data), "--port", "1")
    assert same_directory.returncode == 1
    assert "already runs" in same_directory.stdout
    same_port = up("--detach", "--data", str(tmp_path / "other"), "--port", str(tiny.port))
    assert same_port.returncode == 1
    assert f"Port {tiny.port} is taken by" in same_port.stdout
    assert "Traceback" not in same_directory.stdout + same_port.stdout
    assert request(tiny, "GET", "/")[0] == 200


def test_what_is_kept_is_for_its_owner_alone(tiny: LocalPlatform) -> None:
    assert stat.S_IMODE(tiny.data.stat().st_mode) == 0o700


def test_data_survives_a_stop_a_kill_and_a_change_of_port_and_reset_forgets_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = start(data, template=TEMPLATE)
    try:
        request(first, "PUT", "/v1/items/kept", b"before the stop")
        assert delivered(first, "on the first port") == "on the first port"
        begun = processes(first)
        assert "Stopping" in first.stop()
        assert not any(map(is_running, begun.values()))
        assert not list((data / "tmp").iterdir())

        second = start(data, template=TEMPLATE)  # free_port: another one
        assert second.port != first.port
        status, seen = request(second, "GET", "/v1/items/kept")
        assert (status, seen["kept"]) == (200, "before the stop")
        assert seen["public_url"] == second.console_url
        assert delivered(second, "after a change of port") == "after a change of port"

        third = start_again(second)
        assert "Deploying template.yaml (unchanged)" in third.output
        request(third, "PUT", "/v1/items/kept", b"before the kill")
        time.sleep(6)  # "but for the last seconds"
        running = processes(third)
        for identity in running.values():
            os.kill(identity.pid, signal.SIGKILL)
        for identity in running.values():
            assert wait_gone(identity, timeout_s=10)

        fourth = start(data, port=third.port, template=TEMPLATE)
        assert request(fourth, "GET", "/v1/items/kept")[1]["kept"] == "before the kill"
        fourth.stop()

        assert up(
            "--detach",
            "--reset",
            "--data",
            str(data),
            "--port",
            str(fourth.port),
            "--template",
            str(TEMPLATE),
        ).stdout.count("✓")
        assert request(fourth, "GET", "/v1/items/kept")[1]["kept"] is None
    finally:
        up("--stop", "--data", str(data))


def test_when_the_supervisor_is_killed_its_children_save_and_end_and_nothing_is_left(tmp_path: Path) -> None:
    data = tmp_path / "data"
    running = start(data, template=TEMPLATE)
    try:
        request(running, "PUT", "/v1/items/kept", b"the very last moment")
        started = processes(running)
        os.kill(started["supervisor"].pid, signal.SIGKILL)
        for identity in started.values():
            assert wait_gone(identity, timeout_s=30)
        again = start(data, port=running.port, template=TEMPLATE)
        assert request(again, "GET", "/v1/items/kept")[1]["kept"] == "the very last moment"
    finally:
        up("--stop", "--data", str(data))


def test_a_template_that_cannot_be_deployed_says_why_and_leaves_nothing_running(tmp_path: Path) -> None:
    broken = tmp_path / "template.yaml"
    broken.write_text(
        "AWSTemplateFormatVersion: '2010-09-09'\nTransform: AWS::Serverless-2016-10-31\n"
        "Resources:\n"
        "  Fn: {Type: 'AWS::Serverless::Function', Properties: {Handler: 7}}\n  X: {Type: 'AWS::No::Such'}\n"
    )
    data = tmp_path / "data"
    with pytest.raises(DidNotStart, match=r"template\.yaml") as refused:
        start(data, template=broken)
    assert "Traceback" not in str(refused.value)
    assert not (data / "run.json").exists()


def test_stopping_what_does_not_run_is_no_error(tmp_path: Path) -> None:
    done = up("--stop", "--data", str(tmp_path / "none"))
    assert done.returncode == 0
    assert "No platform runs" in done.stdout


def start_again(platform: LocalPlatform) -> LocalPlatform:
    platform.stop()
    return start(platform.data, port=platform.port, template=TEMPLATE)


def outputs(platform: LocalPlatform) -> dict[str, str]:
    stack = Cloud(platform.port).client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
