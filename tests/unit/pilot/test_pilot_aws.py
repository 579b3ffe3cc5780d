"""The adapters: what API Gateway and Step Functions answer, in Pilot's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from pitrix.pilot.aws import ApiGatewayConnections, S3AgentBundle, StepFunctionsCallbacks
from pitrix.pilot.ports import ConnectionGone


@pytest.fixture
def stubbed() -> Callable[[str], tuple[Any, Stubber]]:
    def make(service: str) -> tuple[Any, Stubber]:
        client = boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url="http://127.0.0.1:1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        stub = Stubber(client)
        stub.activate()
        return client, stub

    return make


def test_a_closed_connection_is_gone(stubbed: Callable[[str], tuple[Any, Stubber]]) -> None:
    client, stub = stubbed("apigatewaymanagementapi")
    connections = ApiGatewayConnections(lambda: client)
    stub.add_response("post_to_connection", {}, {"ConnectionId": "c1", "Data": "hällo".encode()})
    connections.post("c1", "hällo")
    stub.add_client_error("post_to_connection", "GoneException", http_status_code=410)
    with pytest.raises(ConnectionGone):
        connections.post("c1", "x")
    stub.add_client_error("post_to_connection", "LimitExceededException", http_status_code=429)
    with pytest.raises(ClientError):  # the caller tries again: the frame was not sent
        connections.post("c1", "x")
    stub.add_client_error("delete_connection", "GoneException", http_status_code=410)
    connections.close("c1")
    stub.assert_no_pending_responses()


@pytest.mark.parametrize("code", ["TaskTimedOut", "TaskDoesNotExist", "InvalidToken"])
def test_a_state_machine_that_no_longer_waits_is_no_error(
    stubbed: Callable[[str], tuple[Any, Stubber]], code: str
) -> None:
    client, stub = stubbed("stepfunctions")
    callbacks = StepFunctionsCallbacks(lambda: client)
    stub.add_client_error("send_task_success", code)
    callbacks.succeed("t1", {"exit_code": 0})
    stub.add_client_error("send_task_failure", code)
    callbacks.fail("t1", "CommandFailed", "because")
    stub.add_client_error("send_task_success", "ThrottlingException")
    with pytest.raises(ClientError):  # stays due: the schedule answers later
        callbacks.succeed("t1", {})
    stub.assert_no_pending_responses()


def test_what_a_state_machine_is_told(stubbed: Callable[[str], tuple[Any, Stubber]]) -> None:
    client, stub = stubbed("stepfunctions")
    callbacks = StepFunctionsCallbacks(lambda: client)
    stub.add_response("send_task_success", {}, {"taskToken": "t1", "output": '{"exit_code": 0}'})
    callbacks.succeed("t1", {"exit_code": 0})
    cause = "x" * 32_768
    stub.add_response("send_task_failure", {}, {"taskToken": "t1", "error": "CommandFailed", "cause": cause})
    callbacks.fail("t1", "CommandFailed", cause + "cut")
    stub.assert_no_pending_responses()


def test_a_machine_fetches_the_bundle_without_credentials(
    stubbed: Callable[[str], tuple[Any, Stubber]],
) -> None:
    client, _ = stubbed("s3")
    url = S3AgentBundle(lambda: client, "catalog", "agent/agent.pyz").url()
    assert "agent/agent.pyz?" in url
    assert "Signature=" in url
