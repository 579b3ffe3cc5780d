"""QingCloud: a cloud of ours that is held to QingCloud's specification, driven by the unmodified SDK."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from providers.resources import Connection
from tests.clouds.qingcloud import specification
from tests.clouds.qingcloud.cloud import Account
from tests.clouds.qingcloud.server import serve
from tests.clouds.qingcloud.storage import STEP_GIB
from tests.contract.providers.targets import Target, Unavailable
from tests.contract.providers.targets.interposer import Answer, Asked

ACCOUNT = Account(access_key_id="QYACCOUNTKEY", secret_access_key="account-secret", user_id="usr-account0")
OTHER = Account(access_key_id="QYOTHERKEY", secret_access_key="other-secret", user_id="usr-other000")
SMALL = Account(
    access_key_id="QYSMALLKEY",
    secret_access_key="small-secret",
    user_id="usr-small000",
    quota={"instance": 1, "memory": 1024, "volume_size": 10 * STEP_GIB},
)
FORBIDDEN = Account(
    access_key_id="QYFORBIDDENKEY",
    secret_access_key="forbidden-secret",
    user_id="usr-forbid00",
    forbidden=("Describe",),
)


def _action(asked: Asked) -> str:
    return parse_qs(urlsplit(asked.path).query).get("action", [""])[0]


def _busy(asked: Asked) -> Answer:
    """What QingCloud says to too many requests: 200, and a code for it."""
    body = {
        "action": f"{_action(asked)}Response",
        "ret_code": 5100,
        "message": "ServerBusy, too many requests",
    }
    return Answer(200, {"Content-Type": "application/json"}, json.dumps(body).encode())


@contextmanager
def start(folder: Path) -> Iterator[Target]:
    if not specification.FOLDER.is_dir():
        raise Unavailable(f"QingCloud's API specification is not in {specification.FOLDER}")
    with serve([ACCOUNT, OTHER, SMALL, FORBIDDEN]) as cloud:

        def connection(account: Account, **credential: str) -> Connection:
            key = {"access_key_id": account.access_key_id, "secret_access_key": account.secret_access_key}
            return Connection(zone="pek3a", credential=key | credential, settings={"endpoint": cloud.url})

        account = connection(ACCOUNT)
        yield Target(
            name="qingcloud",
            kind="spec-checked",
            account=account,
            small=connection(SMALL),
            refused={
                "an unknown key": connection(ACCOUNT, access_key_id="QYNOBODYSKEY"),
                "a wrong secret": connection(ACCOUNT, secret_access_key="wrong-secret"),
                "no permission": connection(FORBIDDEN),
            },
            upstream=cloud.url,
            through=lambda url: replace(account, settings={"endpoint": url}),
            changes=lambda asked: not _action(asked).startswith(("Describe", "Get")),
            throttle=_busy,
            other_account=(OTHER.user_id, connection(OTHER)),
            volume_step_gib=STEP_GIB,
            user_data=lambda machine_id: cloud.user_data(machine_id).encode(),
            lacks={"copying": "QingCloud's API has no call that copies an image to another zone"},
        )
        assert cloud.problems == [], "an answer of the cloud under test is none of QingCloud's specification"
