"""What stands before the simulators: it checks signatures and permissions, and keeps EC2's promises.

Owns client tokens (*Ensuring idempotency in Amazon EC2 API requests*), dry runs, the limits of the small
account, and which simulator answers what. Signatures and policies are checked by moto's own IAM. Knows
nothing about what is asked.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl

from tests.clouds.aws import prices
from tests.clouds.aws.answers import refusal
from tests.clouds.aws.mends import living

Answer = tuple[str, list[tuple[str, str]], bytes]

EMULATED = {"cloudformation", "s3", "lambda", "apigateway"}
"""What the emulator of functions answers; moto answers the rest."""

LIMITED = {"machines": 1, "memory_mib": 1024, "volume_gib": 10}

_TOKENED = {"RunInstances", "CreateVolume", "CopyImage"}
_VOLUME = re.compile(r"<volumeId>(vol-[0-9a-f]+)</volumeId>")


class Refused(Exception):
    """The front's own answer, by AWS's code, sentence and HTTP status."""

    def __init__(self, code: str, message: str, status: str = "400 Bad Request") -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


@dataclass
class Request:
    """A request, with what its signature says about it."""

    environ: dict[str, Any]
    body: bytes
    headers: dict[str, str] = field(init=False)
    key_id: str = field(init=False)
    region: str = field(init=False)
    service: str = field(init=False)
    form: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.headers = {
            name[5:].replace("_", "-").title(): value
            for name, value in self.environ.items()
            if name.startswith("HTTP_")
        }
        if self.environ.get("CONTENT_TYPE"):
            self.headers["Content-Type"] = self.environ["CONTENT_TYPE"]
        found = re.search(r"Credential=([^/]*)/[^/]*/([^/]*)/([^/]*)/", self.headers.get("Authorization", ""))
        self.key_id, self.region, self.service = found.groups() if found else ("", "", "")
        is_form = self.environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded")
        self.form = dict(parse_qsl(self.body.decode(), keep_blank_values=True)) if is_form else {}

    @property
    def action(self) -> str:
        target = self.headers.get("X-Amz-Target", "")
        return self.form.get("Action", "") or target.rpartition(".")[2]

    @property
    def path(self) -> str:
        """As it was sent: what is in the path may be encoded."""
        raw: str = self.environ.get("RAW_URI") or self.environ.get("REQUEST_URI") or self.environ["PATH_INFO"]
        return raw


class Front:
    """The WSGI application."""

    def __init__(
        self, moto: Callable[..., Iterable[bytes]], emulator: tuple[str, int] | None, small: str
    ) -> None:
        self._moto = moto
        self._emulator = emulator
        self._small = small
        self._tokens: dict[tuple[str, ...], tuple[dict[str, str], Answer]] = {}
        self._making = threading.Lock()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        request = Request(environ, body)
        try:
            account = _account_of(request)
            _check(request, account)
            status, headers, answer = self._answer(request, account)
        except Refused as refused:
            told, answer = refusal(request.service, refused.code, refused.message)
            status, headers = refused.status, list(told.items())
        headers = [each for each in headers if each[0].lower() not in ("content-length", "connection")]
        start(status, [*headers, ("Content-Length", str(len(answer)))])
        return [answer]

    def _answer(self, request: Request, account: str) -> Answer:
        if request.service in EMULATED:
            return self._ask_emulator(request, account)
        if request.service == "pricing":
            told = json.dumps(prices.get_products(json.loads(request.body))).encode()
            return "200 OK", [("Content-Type", "application/x-amz-json-1.1")], told
        if request.form.get("DryRun") == "true":
            raise Refused("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", "412 x")
        if request.service == "ec2" and account == self._small:
            _limit(request, account)
        token = request.form.get("ClientToken")
        if token and request.action in _TOKENED:
            with self._making:
                return self._once(request, account, token)
        return self._ask_moto(request)

    def _once(self, request: Request, account: str, token: str) -> Answer:
        """The answer that the token has had already, or a new one."""
        name = (account, request.region, request.action, token)
        if name in self._tokens:
            wanted, answer = self._tokens[name]
            if not _is_gone(answer, account, request.region):
                if wanted != request.form:
                    message = "The parameters differ from those of an earlier request with this client token."
                    raise Refused("IdempotentParameterMismatch", message)
                return answer
        answer = self._ask_moto(request)
        if answer[0].startswith("200"):
            self._tokens[name] = request.form, answer
        return answer

    def _ask_moto(self, request: Request) -> Answer:
        told: list[Any] = []
        environ = {**request.environ, "wsgi.input": BytesIO(request.body)}
        body = b"".join(self._moto(environ, lambda status, headers, *_: told.extend((status, headers))))
        return told[0], told[1], body

    def _ask_emulator(self, request: Request, account: str) -> Answer:
        """The emulator takes the number of an account for an access key, and checks no signature."""
        if self._emulator is None:
            raise Refused("ServiceUnavailable", "There is no emulator.", "503 Service Unavailable")
        signed = request.headers["Authorization"].replace(f"={request.key_id}/", f"={account}/")
        headers = {**request.headers, "Authorization": signed}
        headers.pop("Transfer-Encoding", None)
        connection = HTTPConnection(*self._emulator, timeout=120)
        try:
            connection.request(request.environ["REQUEST_METHOD"], request.path, request.body, headers)
            response = connection.getresponse()
            kept = [each for each in response.getheaders() if each[0].lower() != "transfer-encoding"]
            return f"{response.status} {response.reason or '-'}", kept, response.read()
        except (OSError, HTTPException) as error:
            raise Refused("ServiceUnavailable", repr(error), "503 Service Unavailable") from error
        finally:
            connection.close()


def _account_of(request: Request) -> str:
    """The account whose key signed.

    Raises:
        Refused: Nobody knows the key.
    """
    from moto.iam.models import iam_backends
    from moto.sts.models import sts_backends

    for account, by_partition in list(iam_backends.items()):
        if request.key_id in by_partition["aws"].access_keys:
            return str(account)
        for role in sts_backends[account]["aws"].assumed_roles:
            if role.access_key_id == request.key_id:
                return str(account)
    if request.service == "ec2":
        raise Refused("AuthFailure", "AWS was not able to validate the provided access credentials", "401 x")
    code = {
        "s3": "InvalidAccessKeyId",
        "sts": "InvalidClientTokenId",
        "cloudformation": "InvalidClientTokenId",
    }
    message = "The security token included in the request is invalid."
    raise Refused(code.get(request.service, "UnrecognizedClientException"), message, "403 Forbidden")


def _check(request: Request, account: str) -> None:
    """Check the signature, and what the key's owner may do where the request names its action.

    Raises:
        Refused: In the service's own words.
    """
    from moto.core.exceptions import ServiceException
    from moto.iam.access_control import IAMRequest, S3IAMRequest
    from werkzeug.exceptions import HTTPException as Refusal

    kind = S3IAMRequest if request.service == "s3" else IAMRequest
    is_ec2 = request.service == "ec2"
    try:
        asked = kind(
            account_id=account,
            method=request.environ["REQUEST_METHOD"],
            path=request.path,
            data={name: [value] for name, value in request.form.items()},
            body=request.body,
            headers=request.headers,
            action=request.action,
        )
        asked.check_signature()
    except (Refusal, ServiceException) as error:
        if is_ec2:
            message = "AWS was not able to validate the provided access credentials"
            raise Refused("AuthFailure", message, "401 Unauthorized") from error
        message = "The request signature we calculated does not match the signature you provided."
        raise Refused("SignatureDoesNotMatch", message, "403 Forbidden") from error
    if not request.action:
        return  # of the services with paths, an account's keys may do everything here
    try:
        role = request.form.get("RoleArn")
        if role:
            asked.backend.get_role_by_arn(role)  # moto lets roles be assumed that are none
        asked.check_action_permitted(role or "*")
    except (Refusal, ServiceException) as error:
        code = "UnauthorizedOperation" if is_ec2 else "AccessDenied"
        raise Refused(
            code, f"You are not authorized to perform {request.action}.", "403 Forbidden"
        ) from error


def _limit(request: Request, account: str) -> None:
    """The limits of the small account: EC2 has such ones for machines by type, and for the size of volumes.

    Raises:
        Refused: One is reached.
    """
    from moto.ec2.models import ec2_backends
    from moto.ec2.models.instance_types import INSTANCE_TYPES

    backend = ec2_backends[account][request.region]
    if request.action == "RunInstances":
        running = living(each for each in backend.all_instances())
        memory_mib = INSTANCE_TYPES[request.form["InstanceType"]]["MemoryInfo"]["SizeInMiB"]
        if len(running) >= LIMITED["machines"] or memory_mib > LIMITED["memory_mib"]:
            message = (
                "Your quota allows for 0 more running instance(s) of this type. You requested at least 1."
            )
            raise Refused("InstanceLimitExceeded", message)
    if request.action in ("CreateVolume", "ModifyVolume"):
        others = [each for each in backend.volumes.values() if each.id != request.form.get("VolumeId")]
        if sum(each.size for each in others) + int(request.form["Size"]) > LIMITED["volume_gib"]:
            message = f"You have exceeded your maximum gp3 storage limit of {LIMITED['volume_gib']} GiB."
            raise Refused("VolumeLimitExceeded", message)


def _is_gone(answer: Answer, account: str, region: str) -> bool:
    """Whether what an answer made is a volume that was deleted since: what EC2 says then is not written
    anywhere, and here its token is free again. (Instances that are gone keep theirs.)"""
    from moto.ec2.models import ec2_backends

    made = _VOLUME.search(answer[2].decode())
    return made is not None and made[1] not in ec2_backends[account][region].volumes
