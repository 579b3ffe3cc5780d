"""The QingCloud under test is honest: it takes what the specification takes, and says what that says.

Driven by the vendor's own SDK, unmodified. The verdicts on requests are those of a JSON Schema validator over
QingCloud's published files, which the fake has no part in.
"""

from __future__ import annotations

import ast
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from jsonschema import Draft4Validator

from tests.clouds.qingcloud import specification
from tests.clouds.qingcloud.cloud import Account
from tests.clouds.qingcloud.server import Server, Zone, serve

MINE = Account(access_key_id="QYMINE", secret_access_key="mine", user_id="usr-mine0000", quota={"eip": 1})
THEIRS = Account(access_key_id="QYTHEIRS", secret_access_key="theirs", user_id="usr-theirs00")
SETTLE_S = 0.05
MODELLED = {name for name in dir(Zone) if name[0].isupper()} | {"DescribeZones"}

Call = Callable[..., dict[str, Any]]

if not specification.FOLDER.is_dir() and not os.environ.get("CI"):
    pytest.skip(f"QingCloud's API specification is not in {specification.FOLDER}", allow_module_level=True)


@pytest.fixture(scope="module")
def cloud() -> Iterator[Server]:
    with serve([MINE, THEIRS], settle_s=SETTLE_S) as cloud:
        yield cloud


@pytest.fixture
def connect(cloud: Server) -> Iterator[Callable[[Account], Call]]:
    """The vendor's SDK, for one account."""
    from qingcloud.iaas.connection import APIConnection

    made = []

    def connect(account: Account, **options: Any) -> Call:
        host, port = urlsplit(cloud.url).hostname, urlsplit(cloud.url).port
        connection = APIConnection(
            account.access_key_id, account.secret_access_key, options.pop("zone", "pek3a"),
            host=host, port=port, protocol="http", retry_time=1,
        )  # fmt: skip
        made.append(connection)
        return lambda action, **body: connection.send_request(action, body)

    yield connect
    for connection in made:
        for queue in connection._conn.pool.values():
            for each, _ in queue.queue:
                each.close()


@pytest.fixture
def call(connect: Callable[[Account], Call]) -> Call:
    return connect(MINE)


def settled() -> None:
    time.sleep(SETTLE_S * 1.5)


# --- what it models ----------------------------------------------------------------------------------


def test_all_that_it_models_is_in_the_specification(cloud: Server) -> None:
    assert set(cloud.specification.actions) >= MODELLED
    assert len(cloud.specification.actions) > 200


def test_it_models_every_action_that_the_provider_calls(cloud: Server) -> None:
    actions, called = set(cloud.specification.actions), set()
    for path in (specification.ROOT / "providers" / "qingcloud").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                called |= {node.value} & actions
    from providers.qingcloud import kinds

    for kind in vars(kinds).values():
        if isinstance(kind, kinds.Kind):
            called |= {kind.describe, kind.modify}
    assert len(called) > 40
    assert called - MODELLED == set()


def test_what_it_does_not_model_says_so(call: Call) -> None:
    answer = call("CreateLoadBalancer", vxnet="vxnet-1")
    assert answer["ret_code"] != 0


# --- requests ----------------------------------------------------------------------------------------

REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("DescribeInstances", {}),
    ("DescribeInstances", {"status": ["running"], "limit": 1}),
    ("DescribeInstances", {"status": ["asleep"]}),
    ("DescribeInstances", {"limit": "many"}),
    ("DescribeInstances", {"verbose": 7}),
    ("DescribeInstances", {"instances": "i-1"}),
    ("RunInstances", {}),
    ("RunInstances", {"image_id": "jammyx64"}),
    ("RunInstances", {"image_id": "jammyx64", "login_mode": "magic"}),
    ("RunInstances", {"image_id": "nothing", "login_mode": "passwd", "memory": 512}),
    ("RunInstances", {"image_id": "nothing", "login_mode": "passwd", "login_passwd": "Abcdefg1"}),
    ("TerminateInstances", {}),
    ("TerminateInstances", {"instances": ["i-1"]}),
    ("CreateVolumes", {"volume_name": "a"}),
    ("CreateVolumes", {"size": 10, "volume_type": 7}),
    ("CreateVolumes", {"size": 10, "volume_type": 2}),
    ("AddSecurityGroupRules", {"security_group": "sg-1"}),
    ("AddSecurityGroupRules", {"security_group": "sg-1", "rules": [{"direction": 5}]}),
    ("AddSecurityGroupRules", {"security_group": "sg-1", "rules": [{"direction": 0, "protocol": "tcp"}]}),
    ("JoinRouter", {"vxnet": "vxnet-1", "router": "rtr-1"}),
    ("CreateVxnets", {"vxnet_type": 2}),
    ("CreateVxnets", {"vxnet_type": 1, "vxnet_name": "a"}),
    ("AllocateEips", {}),
    ("CreateKeyPair", {"mode": "borrowed"}),
]


@pytest.fixture(scope="module")
def published() -> Callable[[str, dict[str, Any]], bool]:
    """Whether QingCloud's files allow a request, read with nothing of the fake's."""
    files = {path.name: json.loads(path.read_text()) for path in specification.FOLDER.glob("*.json")}
    text = json.dumps(files["definitions.json"])
    definitions = json.loads(text.replace("./definitions.json#/", "#/definitions/"))

    def allowed(action: str, body: dict[str, Any]) -> bool:
        item = files["api_v2.0.json"]["paths"][f"/{action}"]["$ref"]
        operation = files[item.partition("#")[0].removeprefix("./")][action]["get"]
        [schema] = [each["schema"] for each in operation["parameters"] if each.get("in") == "body"]
        return Draft4Validator(schema | {"definitions": definitions}).is_valid(body)

    return allowed


@pytest.mark.parametrize(("action", "body"), REQUESTS, ids=[f"{a}-{n}" for n, (a, _) in enumerate(REQUESTS)])
def test_a_request_is_refused_just_where_the_specification_refuses_it(
    call: Call, published: Callable[[str, dict[str, Any]], bool], action: str, body: dict[str, Any]
) -> None:
    answer = call(action, **body)
    refused = answer["ret_code"] == 1100
    assert refused is not published(action, body), answer


def test_the_specification_decides_both_ways(published: Callable[[str, dict[str, Any]], bool]) -> None:
    verdicts = [published(action, body) for action, body in REQUESTS]
    assert min(verdicts.count(True), verdicts.count(False)) >= 5


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("DescribeInstances", {"colour": "green"}),
        ("TerminateInstances", {"instances": ["i-1"], "direct_cease": 1}),
        ("DescribeUnicorns", {}),
    ],
)
def test_what_the_specification_does_not_name_is_refused(
    call: Call, action: str, body: dict[str, Any]
) -> None:
    assert call(action, **body)["ret_code"] == 1100


def test_an_unknown_zone_is_refused(connect: Any) -> None:
    assert connect(MINE, zone="nowhere")("DescribeInstances")["ret_code"] == 1100


# --- answers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "told",
    [
        {"tag_set": [], "favourite": 1},
        {"tag_set": [{"tag_id": 7}]},
        {"tag_set": {}},
        {"total_count": "none"},
    ],
    ids=["unknown member", "wrong type inside", "no list", "wrong type"],
)
def test_an_answer_that_is_none_is_not_sent(
    call: Call, cloud: Server, monkeypatch: pytest.MonkeyPatch, told: dict[str, Any]
) -> None:
    monkeypatch.setattr(Zone, "DescribeTags", lambda *_: told)
    monkeypatch.setattr(cloud, "problems", [])
    answer = call("DescribeTags")
    assert answer["ret_code"] == 5000
    assert cloud.problems
    assert "tag_set" not in answer


def test_an_accident_is_a_problem_too(call: Call, cloud: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Zone, "DescribeTags", lambda *_: 1 / 0)
    monkeypatch.setattr(cloud, "problems", [])
    assert call("DescribeTags")["ret_code"] == 5000
    assert "ZeroDivisionError" in cloud.problems[0]


# --- signatures --------------------------------------------------------------------------------------


def signed(cloud: Server, account: Account, **changes: str) -> str:
    """A signed query as the SDK makes it; ``changes`` are made afterwards."""
    from qingcloud.iaas.connection import APIConnection

    host = urlsplit(cloud.url).hostname
    connection = APIConnection(account.access_key_id, account.secret_access_key, "pek3a", host=host)
    body = {"action": "DescribeZones", "zone": "pek3a"}
    request = connection.build_http_request("GET", "/iaas/", body)
    request.authorize(connection)
    query: str = request.path.partition("?")[2]
    for name, value in changes.items():
        query = "&".join(
            f"{name}={value}" if pair.startswith(f"{name}=") else pair for pair in query.split("&")
        )
    return query


def ask(cloud: Server, query: str) -> dict[str, Any]:
    url = urlsplit(cloud.url)
    with closing(HTTPConnection(url.hostname, url.port, timeout=5)) as connection:  # type: ignore[arg-type]
        connection.request("GET", f"/iaas/?{query}")
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        return answer


def test_what_the_sdk_signs_is_believed(cloud: Server) -> None:
    assert ask(cloud, signed(cloud, MINE))["ret_code"] == 0


@pytest.mark.parametrize(
    "changes",
    [{"action": "DescribeJobs"}, {"zone": "sh1a"}, {"access_key_id": "QYTHEIRS"}, {"signature": "AAAA"}],
    ids=str,
)
def test_what_was_changed_after_signing_is_not(cloud: Server, changes: dict[str, str]) -> None:
    assert ask(cloud, signed(cloud, MINE, **changes))["ret_code"] == 1200


def test_an_old_request_is_refused(cloud: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qingcloud.conn.auth.get_ts", lambda: "2020-01-01T00:00:00Z")
    assert ask(cloud, signed(cloud, MINE))["ret_code"] == 1300


# --- behaviour that the specification has no words for -----------------------------------------------


def test_what_was_just_made_cannot_be_deleted_at_once(call: Call) -> None:
    [volume] = call("CreateVolumes", size=10)["volumes"]
    refused = call("DeleteVolumes", volumes=[volume])
    assert refused["ret_code"] == 1400
    assert "please try later" in refused["message"]
    settled()
    assert call("DeleteVolumes", volumes=[volume])["ret_code"] == 0


def test_a_volume_has_a_size_that_is_sold(call: Call) -> None:
    assert call("CreateVolumes", size=15)["ret_code"] == 1100


def test_what_is_deleted_is_told_as_such_and_found_no_more(call: Call) -> None:
    [eip] = call("AllocateEips", bandwidth=1)["eips"]
    settled()
    call("ReleaseEips", eips=[eip])
    settled()
    assert [each["status"] for each in call("DescribeEips", eips=[eip])["eip_set"]] == ["released"]
    assert call("ReleaseEips", eips=[eip])["ret_code"] == 2100


def test_an_account_has_limits(call: Call) -> None:
    [eip] = call("AllocateEips", bandwidth=1)["eips"]
    assert call("AllocateEips", bandwidth=1)["ret_code"] == 2500
    assert call("GetQuotaLeft", resource_types=["eip"])["quota_left_set"] == [
        {"resource_type": "eip", "left": 0}
    ]
    settled()
    call("ReleaseEips", eips=[eip])


def test_another_account_sees_nothing_of_it(call: Call, connect: Any) -> None:
    group = call("CreateSecurityGroup", security_group_name="mine")["security_group_id"]
    theirs = connect(THEIRS)
    assert theirs("DescribeSecurityGroups", security_groups=[group])["security_group_set"] == []
    assert theirs("DeleteSecurityGroups", security_groups=[group])["ret_code"] == 2100
    assert call("DeleteSecurityGroups", security_groups=[group])["ret_code"] == 0


def test_a_machine_needs_a_network_that_is_in_a_router(call: Call) -> None:
    [vxnet] = call("CreateVxnets", vxnet_type=1)["vxnets"]
    answer = call(
        "RunInstances",
        image_id="jammyx64",
        login_mode="passwd",
        login_passwd="Abcdefg1",
        instance_type="c1m1",
        vxnets=[vxnet],
    )
    assert answer["ret_code"] == 1400
    call("DeleteVxnets", vxnets=[vxnet])


def test_a_page_is_a_page(call: Call) -> None:
    groups = [call("CreateSecurityGroup")["security_group_id"] for _ in range(25)]
    first = call("DescribeSecurityGroups", limit=20)
    rest = call("DescribeSecurityGroups", limit=20, offset=20)
    assert (first["total_count"], len(first["security_group_set"])) == (25, 20)
    assert len(rest["security_group_set"]) == 5
    call("DeleteSecurityGroups", security_groups=groups)
