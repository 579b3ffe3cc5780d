"""The QingCloud under test over HTTP: signatures, zones, and the check of every answer.

Owns the listening socket and the accounts. A request that is not signed as QingCloud's documentation wants
it (``HmacSHA256`` over method, path and sorted parameters) is refused with 1200; an answer that the
specification does not allow is not sent: it is kept in :attr:`Server.problems`, for a test to find.
"""

from __future__ import annotations

import base64
import calendar
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from tests.clouds.qingcloud.cloud import Account
from tests.clouds.qingcloud.compute import Compute
from tests.clouds.qingcloud.network import Network
from tests.clouds.qingcloud.specification import Json, Refused, Specification
from tests.clouds.qingcloud.storage import Storage

ZONES = ("pek3a", "pek3b", "sh1a")
_COMMON = {
    "action",
    "zone",
    "access_key_id",
    "signature",
    "signature_method",
    "signature_version",
    "time_stamp",
    "version",
    "req_id",
    "expires",
}
_CLOCK_S = 300
_HASHES = {"HmacSHA256": hashlib.sha256, "HmacSHA1": hashlib.sha1}


class Zone(Compute, Storage, Network):
    """All actions in one zone."""

    def __init__(self, zone: str, settle_s: float, users: set[str]) -> None:
        super().__init__(zone, settle_s)
        self._users = users
        self.furnish()

    def users(self) -> set[str]:
        return self._users


class Server:
    """One cloud. ``problems`` is what the specification had against its own answers."""

    def __init__(self, accounts: Iterable[Account], settle_s: float) -> None:
        self.specification = Specification()
        self.problems: list[str] = []
        self.url = ""
        self._accounts = {account.access_key_id: account for account in accounts}
        users = {account.user_id for account in self._accounts.values()}
        self.zones = {zone: Zone(zone, settle_s, users) for zone in ZONES}
        self._lock = threading.Lock()

    def user_data(self, instance_id: str) -> str:
        """The script that an instance runs at each boot, for a test that plays its guest."""
        found = [zone.resources[instance_id] for zone in self.zones.values() if instance_id in zone.resources]
        return base64.b64decode(found[0].told["_user_data"]).decode() if found else ""

    def answer(self, method: str, query: Mapping[str, str]) -> Json:
        """Do what a request asks for; always an answer, as QingCloud answers 200 whatever happens."""
        action = query.get("action", "")
        try:
            account = self._signed(method, query)
            with self._lock:
                return self._done(account, action, query)
        except Exception as error:
            refused = error if isinstance(error, Refused) else Refused(5000, f"InternalError, {error!r}")
            if refused is not error:
                self.problems.append(f"{action}: {error!r}")
            return {"action": f"{action}Response", "ret_code": refused.code, "message": refused.message}

    def _signed(self, method: str, query: Mapping[str, str]) -> Account:
        account = self._accounts.get(query.get("access_key_id", ""))
        if account is None:
            raise Refused(1200, f"AuthFailure, access key [{query.get('access_key_id')}] not found")
        if query.get("signature_method") not in _HASHES:
            raise Refused(1200, "AuthFailure, unknown signature method")
        signed = "&".join(
            f"{quote(name, safe='')}={quote(value, safe='-_~')}"
            for name, value in sorted(query.items())
            if name != "signature"
        )
        text, kind = f"{method}\n/iaas/\n{signed}", _HASHES[query["signature_method"]]
        digest = hmac.new(account.secret_access_key.encode(), text.encode(), kind).digest()
        if not hmac.compare_digest(base64.b64encode(digest).decode(), query.get("signature", "")):
            raise Refused(1200, "AuthFailure, signature not matched")
        try:
            sent = calendar.timegm(time.strptime(query["time_stamp"], "%Y-%m-%dT%H:%M:%SZ"))
        except (KeyError, ValueError):
            raise Refused(1100, "InvalidParameterFormat, [time_stamp]") from None
        if abs(time.time() - sent) > _CLOCK_S:
            raise Refused(1300, "RequestHasExpired, the request is too old")
        return account

    def _done(self, account: Account, action: str, query: Mapping[str, str]) -> Json:
        parameters = {name: value for name, value in query.items() if name not in _COMMON}
        if action in self.specification.actions:
            known = self.specification.actions[action][0].get("properties", {})
            parameters |= {"zone": query["zone"]} if "zone" in known and "zone" in query else {}
        request = self.specification.request(action, parameters)
        if action.startswith(account.forbidden):
            raise Refused(1400, f"PermissionDenied, you have no permission for [{action}]")
        if action == "DescribeZones":
            rows = [{"zone_id": zone, "status": "active", "region_id": zone[:-1]} for zone in self.zones]
            told: Json = {"total_count": len(rows), "zone_set": rows}
        elif query.get("zone") not in self.zones:
            raise Refused(1100, f"InvalidParameterValue, zone [{query.get('zone')}] not found")
        else:
            zone = self.zones[query["zone"]]
            if not hasattr(zone, action):
                raise Refused(5000, f"InternalError, [{action}] is not modelled by this QingCloud")
            zone.account = account
            zone.tick()
            told = getattr(zone, action)(request)
        answer: Json = {"action": f"{action}Response", "ret_code": 0, **_copy(told)}
        if problems := self.specification.problems(action, answer):
            self.problems += problems
            raise Refused(5000, f"InternalError, this answer is none: {problems}")
        return answer


def _copy(told: Json) -> Json:
    """What is told, by itself: without an empty transition, which is none of the specification's words."""

    def kept(value: Any) -> Any:
        if isinstance(value, dict):
            return {n: kept(v) for n, v in value.items() if not (n == "transition_status" and v == "")}
        return [kept(each) for each in value] if isinstance(value, list) else value

    copied: Json = json.loads(json.dumps(kept(told)))
    return copied


@contextmanager
def serve(accounts: Iterable[Account], *, settle_s: float = 0.05, port: int = 0) -> Iterator[Server]:
    """Run a QingCloud on the loopback for these accounts; ``url`` says where.

    Raises:
        FileNotFoundError: The specification is not beside the project.
    """
    cloud = Server(accounts, settle_s)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = 60

        def do_GET(self) -> None:
            self.reply(urlsplit(self.path).query)

        def do_POST(self) -> None:
            self.reply(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())

        def reply(self, text: str) -> None:
            known = urlsplit(self.path).path == "/iaas/"
            query = dict(parse_qsl(text, keep_blank_values=True))
            body = json.dumps(cloud.answer(self.command, query)).encode() if known else b"{}"
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    class Listener(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_: Any) -> None:
            """Connections that end early are what is tested."""

    with Listener(("127.0.0.1", port), Handler) as listener:
        cloud.url = f"http://127.0.0.1:{listener.server_address[1]}"
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield cloud
        finally:
            listener.shutdown()
            thread.join()
