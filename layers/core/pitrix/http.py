"""Between Chalice and the domain: the one place where requests become values and errors become answers.

Owns: who is asking (:func:`principal`) and in which language (:func:`locale`), what they sent (:func:`body`,
:func:`params`), what they get (:func:`ok`, :func:`page`), RFC 9457 problem documents, correlation ids,
``Idempotency-Key``. Never decides whether something is allowed: services do. Log lines are JSON and carry the
correlation id; no body, header or token is ever logged.
"""

from __future__ import annotations

import binascii
import functools
import hashlib
import json
import logging
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar, get_args, get_origin, get_type_hints
from urllib.parse import unquote

import msgspec
from chalice.app import Chalice, Request, Response

from pitrix.errors import Conflict, FieldError, InvalidInput, PackageInvalid, PitrixError, Unprocessable
from pitrix.identity.model import ANONYMOUS, REFUSALS, Principal
from pitrix.packages.forms.messages import negotiate
from pitrix.table import Item, Table

T = TypeVar("T")

CORRELATION_HEADER = "X-Correlation-Id"
PROBLEM_TYPE = "application/problem+json"
_CORRELATION = re.compile(r"^[A-Za-z0-9._:-]{1,128}$")
#: How long a POST with the same Idempotency-Key answers the same (draft-ietf-httpapi-idempotency-key-header).
IDEMPOTENCY_WINDOW_S = 24 * 3600
#: API Gateway gives up on a handler after 29 s: a claim that is older without an answer has lost its owner.
HANDLER_TIME_S = 60
#: DynamoDB holds at most 400 KB an item, and this stands in it as JSON inside JSON.
_REPLAYABLE_BYTES = 150_000

#: Unknown fields that an answer names: a body may hold a million.
_NAMED_AT_MOST = 20

_log = logging.getLogger("pitrix")


class Api(Chalice):
    """A Chalice app whose views may raise :class:`pitrix.errors.PitrixError`."""

    def __init__(self, context: str, *, replays: Callable[[], Table] | None = None) -> None:
        super().__init__(app_name=f"pitrix-{context}", configure_logs=False)
        self.context = context
        self._replays = replays

    def route(self, path: str, **options: Any) -> Callable[..., Any]:
        register = super().route(path, **options)

        def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(view)
            def guarded(**arguments: Any) -> Response:
                return self._answer(view, arguments)

            registered: Callable[..., Any] = register(guarded)
            return registered

        return decorate

    def _answer(self, view: Callable[..., Any], arguments: Mapping[str, Any]) -> Response:
        request = current_request(self)
        correlation = correlation_id(request)
        try:
            _refuse_dead_token(request)
            # API Gateway hands path parameters over still percent-encoded.
            decoded = {name: unquote(value) for name, value in arguments.items()}
            response = self._once(request, lambda: view(**decoded))
        except PitrixError as error:
            response = problem(error, instance=_path(request))
            level = logging.ERROR if error.status >= 500 else logging.INFO
            facts = {"code": error.code, "detail": error.detail, "path": _path(request)}
            log(level, "request refused", correlation, **facts)
        except Exception:
            _log.exception("unexpected error")
            log(logging.ERROR, "request failed", correlation, path=_path(request))
            text = f"Something broke on our side; it is logged under {correlation}."
            response = problem(PitrixError(text), instance=_path(request))
        response.headers.setdefault(CORRELATION_HEADER, correlation)
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        return response

    def _once(self, request: Request, run: Callable[[], Response]) -> Response:
        """Run a view; for a POST with an ``Idempotency-Key``, run it once and repeat the answer after."""
        key = request.headers.get("idempotency-key")
        if not key or request.method != "POST" or self._replays is None:
            return run()
        if len(key) > 200:
            raise _bad_parameter("Idempotency-Key", "is longer than 200 characters")
        return _replayed(self._replays(), principal(self), request, key, run)


def create_api(context: str, *, replays: Callable[[], Table] | None = None) -> Api:
    """Return the Chalice app of one context.

    Args:
        context: Its name, as in ``functions/<context>``.
        replays: Where answers to POSTs with an ``Idempotency-Key`` are kept; called on first use.
    """
    configure_logging()
    return Api(context, replays=replays)


# --- what came in ------------------------------------------------------------------------------------------


def current_request(app: Chalice) -> Request:
    """Return the request that is being answered."""
    assert app.current_request is not None, "called outside of a request"
    return app.current_request


def locale(app: Chalice) -> str:
    """Return the language of the store that suits ``Accept-Language`` best; English when none does."""
    return negotiate(current_request(app).headers.get("accept-language", ""))


def principal(app: Chalice) -> Principal:
    """Return who is asking, as the authorizer found out; anonymous where the route is public."""
    found = current_request(app).context.get("authorizer") or {}
    if not found.get("user_id"):
        return ANONYMOUS
    return Principal(
        user_id=str(found["user_id"]),
        username=str(found["username"]),
        role=str(found["role"]),
        owner_path=str(found["owner_path"]),
    )


def _refuse_dead_token(request: Request) -> None:
    """Raise what the authorizer found wrong with a genuine token: expired, revoked, or a disabled user.

    API Gateway could only refuse without saying why; see ``functions/identity/authorizer.py``.
    """
    found = request.context.get("authorizer") or {}
    refusal = REFUSALS.get(str(found.get("refusal", "")))
    if refusal is not None:
        raise refusal(str(found.get("detail", refusal.title)))


def correlation_id(request: Request) -> str:
    """Return the id that follows this request through logs, state machines and agents."""
    given = request.headers.get(CORRELATION_HEADER.lower(), "")
    return given if _CORRELATION.match(given) else str(request.context.get("requestId", "none"))


def raw_body(app: Chalice) -> bytes:
    """Return the request's body as bytes, whether or not the gateway encoded it."""
    return _raw(current_request(app))


def body(app: Chalice, kind: type[T]) -> T:
    """Return the JSON body as the dataclass ``kind``.

    Raises:
        InvalidInput: not JSON, not an object, a field is missing, unknown or of another type; names it.
    """
    raw = raw_body(app)
    if not raw.strip():
        raise InvalidInput("The body is empty; send a JSON object.", errors=[FieldError("", "is empty")])
    try:
        data = json.loads(raw)
    except UnicodeDecodeError:
        raise InvalidInput("The body is not UTF-8 text.") from None
    except RecursionError:
        raise InvalidInput("The body is nested too deeply.") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidInput(f"The body is not valid JSON: {error.msg} at {place}.") from None
    if b"\\u" in raw and not _is_text(data):
        raise InvalidInput("The body holds half of a character (a lone surrogate, \\ud800 to \\udfff).")
    if not isinstance(data, dict):
        raise InvalidInput("The body must be a JSON object.", errors=[FieldError("", "is not an object")])
    return convert(data, kind)


def convert(data: Mapping[str, Any], kind: type[T], *, strict: bool = True) -> T:
    """Return ``data`` as the dataclass ``kind``, refusing unknown keys.

    Raises:
        InvalidInput: with a field error for each unknown key, or for the first that does not fit.
    """
    # A Struct may rename its fields (``from`` is no name in Python).
    struct = isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    known = set(kind.__struct_encode_fields__ if struct else kind.__dataclass_fields__)  # type: ignore[attr-defined]
    unknown = sorted(set(data) - known)[:_NAMED_AT_MOST]
    if not unknown and is_dataclass(kind):
        _refuse_unknown_inside(data, kind)
    if unknown:
        allowed = ", ".join(sorted(known)) or "none"
        raise InvalidInput(
            f"Unknown field {', '.join(repr(name) for name in unknown)}.",
            errors=[FieldError(name, f"is unknown; known are: {allowed}") for name in unknown],
        )
    try:
        return msgspec.convert(data, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise _translated(error) from None


def _refuse_unknown_inside(data: Mapping[str, Any], kind: type) -> None:
    """Refuse unknown keys of the dataclasses that a dataclass holds: a misspelt one is not to be lost.

    Raises:
        InvalidInput: names the first field that has some, and each of them.
    """
    for name, hint in get_type_hints(kind).items():
        inner = data.get(name)
        nested = [each for each in (hint, *get_args(hint)) if isinstance(each, type) and is_dataclass(each)]
        if len(nested) != 1 or not isinstance(inner, Mapping) or get_origin(hint) in (dict, list, tuple):
            continue
        known = {part.name for part in fields(nested[0])}
        unknown = sorted(set(inner) - known)[:_NAMED_AT_MOST]
        if unknown:
            allowed = ", ".join(sorted(known))
            raise InvalidInput(
                f"Unknown field {', '.join(repr(f'{name}.{each}') for each in unknown)}.",
                errors=[
                    FieldError(f"{name}.{each}", f"is unknown; known are: {allowed}") for each in unknown
                ],
            )


def params(app: Chalice, kind: type[T]) -> T:
    """Return the query parameters as the dataclass ``kind``; numbers and booleans are read from text.

    Raises:
        InvalidInput: a parameter is unknown, given twice, or of another type.
    """
    given = current_request(app).query_params
    values: dict[str, Any] = {}
    for name in given or ():
        found = given.getlist(name)  # type: ignore[union-attr]  # None has no names
        if len(found) > 1:
            raise _bad_parameter(name, "is given more than once")
        values[name] = found[0]
    return convert(values, kind, strict=False)


@dataclass(frozen=True, kw_only=True)
class Paging:
    """The query parameters of a plain list."""

    limit: int = 50
    cursor: str | None = None

    def __post_init__(self) -> None:
        check_limit(self.limit)


def check_limit(limit: int) -> None:
    """Refuse a page size outside 1..200."""
    if not 1 <= limit <= 200:
        raise _bad_parameter("limit", "must be from 1 to 200")


# --- what goes out -----------------------------------------------------------------------------------------


def ok(value: Any, status: int = 200, *, headers: Mapping[str, str] | None = None) -> Response:
    """Return ``value`` (a dataclass, or anything JSON) as a JSON answer."""
    text = msgspec.json.encode(value).decode()
    return Response(text, {"Content-Type": "application/json", **(headers or {})}, status)


def no_content() -> Response:
    """Return an empty answer, 204."""
    return Response("", {}, 204)


def page(items: Sequence[Any], next_cursor: str | None) -> Response:
    """Return one page of a list."""
    return ok({"items": list(items), "next_cursor": next_cursor})


def etag(version: int) -> str:
    """Return the entity tag of an object whose stored version is ``version``."""
    return f'"{version}"'


def if_match(app: Chalice) -> int | None:
    """Return the version that ``If-Match`` names, ``None`` where the header is absent or ``*``.

    Raises:
        InvalidInput: it is not an entity tag of this API.
    """
    given = current_request(app).headers.get("if-match", "").strip()
    if given in ("", "*"):
        return None
    number = given.removeprefix("W/").strip('"')
    if not (number.isascii() and number.isdigit() and len(number) < 16):
        raise _bad_parameter("If-Match", 'is not an ETag of this API, such as "3"')
    return int(number)


def problem(error: PitrixError, *, instance: str) -> Response:
    """Return ``error`` as a problem document (RFC 9457)."""
    document: dict[str, Any] = {
        "type": f"urn:pitrix:error:{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "instance": instance,
    }
    if error.errors:
        document["errors"] = [{"field": e.field, "message": e.message} for e in error.errors]
    if isinstance(error, PackageInvalid) and error.problems:
        document["problems"] = msgspec.to_builtins(error.problems)
    return Response(json.dumps(document, ensure_ascii=False), {"Content-Type": PROBLEM_TYPE}, error.status)


# --- logging -----------------------------------------------------------------------------------------------


def configure_logging() -> None:
    """Send the log to standard output, where Lambda collects it."""
    if not _log.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(_JsonLines())
        _log.addHandler(handler)
        _log.setLevel(logging.INFO)
        _log.propagate = False


def log(level: int, message: str, correlation: str, **fields: Any) -> None:
    """Write one JSON log line."""
    _log.log(level, message, extra={"fields": {"correlation_id": correlation, **fields}})


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {"level": record.levelname, "message": record.getMessage(), **getattr(record, "fields", {})}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


# --- details -----------------------------------------------------------------------------------------------


_AT = re.compile(r"^(?P<what>.*) - at `\$(?P<where>.*)`$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(?P<name>[^`]+)`")


def _translated(error: msgspec.ValidationError) -> InvalidInput:
    """Turn msgspec's «Expected `int`, got `str` - at `$.a.b`» into one that names the field."""
    text = str(error)
    found = _AT.match(text)
    what, where = (found["what"], found["where"].lstrip(".")) if found else (text, "")
    missing = _MISSING.match(what)
    if missing:
        where, what = ".".join(filter(None, [where, missing["name"]])), "is required"
    what = what.replace("`", "")
    return InvalidInput(f"{where or 'The request'}: {what}.", errors=[FieldError(where, what)])


def _is_text(data: Any) -> bool:
    """Whether a value can be written as UTF-8: JSON may hold halves of characters, which nothing can keep."""
    try:
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _raw(request: Request) -> bytes:
    try:
        raw = request.raw_body
    except binascii.Error:
        raise InvalidInput("The body is not valid Base64.") from None
    return raw.encode() if isinstance(raw, str) else raw


def _path(request: Request) -> str:
    """Return the path that was asked for; Chalice's ``request.path`` is the route's pattern."""
    path = request.path
    for name, value in (request.uri_params or {}).items():
        path = path.replace(f"{{{name}}}", value).replace(f"{{{name}+}}", value)
    return path


def _fingerprint(who: Principal, request: Request) -> str:
    """Return what makes a request the same request: who asks as what, for what, with which words."""
    query = request.query_params
    asked = [] if query is None else sorted((name, v) for name in query for v in query.getlist(name))
    parts = [who.role, who.owner_path, _path(request), asked]
    return hashlib.sha256(json.dumps(parts).encode() + b"\n" + _raw(request)).hexdigest()


def _bad_parameter(name: str, message: str) -> InvalidInput:
    return InvalidInput(f"{name} {message}.", errors=[FieldError(name, message)])


def _replayed(
    table: Table, who: Principal, request: Request, key: str, run: Callable[[], Response]
) -> Response:
    """Run a POST at most once for its Idempotency-Key.

    The claim is written before the view runs, so that two requests at once cannot both run it. A request that
    is refused gives it back; one that breaks does not, because it is not known what was done.
    """
    digest = _fingerprint(who, request)
    caller = who.user_id or str(request.context.get("identity", {}).get("sourceIp", ""))
    claim = Item(
        pk=f"IDEMPOTENCY#{caller}",
        sk=key,
        data={"digest": digest},
        expires_at=int(time.time()) + IDEMPOTENCY_WINDOW_S,
    )
    try:
        claim = table.put(claim, if_absent=True)
    except Conflict:
        present = table.get(claim.pk, claim.sk)
        if present is None:
            raise
        if not _abandoned(present):
            return _answer_again(present, digest, key)
        claim = table.put(replace(claim, version=present.version), if_version=present.version)
    try:
        response = run()
    except PitrixError as error:
        if error.status < 500:
            table.delete(claim.pk, claim.sk)  # it was refused: nothing was done
        raise
    text = response.body if isinstance(response.body, str) else json.dumps(response.body)
    kept = {"status": response.status_code, "headers": dict(response.headers), "body": text}
    if len(json.dumps(kept)) > _REPLAYABLE_BYTES:
        kept = {"status": 0}
    claim.data = {"digest": digest, **kept}
    try:
        table.put(claim)
    except Exception:
        # What was asked for is done: to fail now would make the caller do it again.
        _log.exception("the answer to a request with an Idempotency-Key was not kept")
    return response


def _abandoned(claim: Item) -> bool:
    """Whether whoever made the claim is gone: it is over, or was never answered within a handler's time."""
    now = int(time.time())
    begun = (claim.expires_at or 0) - IDEMPOTENCY_WINDOW_S
    return now > (claim.expires_at or 0) or ("status" not in claim.data and now > begun + HANDLER_TIME_S)


def _answer_again(present: Item, digest: str, key: str) -> Response:
    if present.data["digest"] != digest:
        raise Unprocessable(
            f"Idempotency-Key {key!r} was used before for another request; use a new key.",
            errors=[FieldError("Idempotency-Key", "was used for another request")],
        )
    if "status" not in present.data:
        raise Conflict(f"The request with Idempotency-Key {key!r} is still being worked on.")
    if not present.data["status"]:
        raise Conflict(
            f"The request with Idempotency-Key {key!r} is done; its answer was too long to be kept."
        )
    headers = {**present.data["headers"], "Idempotent-Replayed": "true"}
    return Response(present.data["body"], headers, present.data["status"])
