"""What servers answer: read in bounded memory, unpacked, and turned into the errors that it means.

Owns the counting of bytes while a body streams. Never sends anything (`guarded.py` does), and never puts a
body into a message: it may come from a machine that only the platform can see.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpcore

from pitrix.addresses import Target, parse
from pitrix.errors import FieldError, InvalidInput, SourceUnavailable, TooLarge
from pitrix.repos.sources.sockets import seconds_left

#: Answers that are no success are read so far at most: enough for an error document of S3.
MAX_ERROR_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said: header names are in lower case, ``url`` is where the last redirect led.

    ``wire_bytes`` counts the body as it was sent, before it was unpacked.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str
    wire_bytes: int


def read(
    response: httpcore.Response, target: Target, at_most_bytes: int, unpack: bool, bodiless: bool
) -> Answer:
    """Read an answer's body, counting while it streams.

    Args:
        response: Of which nothing was read yet.
        target: Who sent it.
        at_most_bytes: The largest body that is taken, as sent and as unpacked.
        unpack: Undo gzip where the answer says so.
        bodiless: It answers ``HEAD``: its headers speak of a body that does not come.

    Raises:
        TooLarge: the body is larger.
        SourceUnavailable: it is not packed as it says, or breaks off.
    """
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    successful = 200 <= response.status < 300
    encoding = headers.get("content-encoding", "").strip().lower() if unpack and successful else ""
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise SourceUnavailable(f"{target.host} packs its answer in a way that was not asked for.")
    limit = at_most_bytes if successful else MAX_ERROR_BYTES
    declared = headers.get("content-length", "")
    if successful and not bodiless and declared.isdigit() and int(declared) > limit:
        raise _too_large(target, limit)
    unpacking = _Gunzip(limit) if encoding in ("gzip", "x-gzip") else None
    body, wire = io.BytesIO(), 0
    for chunk in response.iter_stream():
        wire += len(chunk)
        if wire > limit and successful:
            raise _too_large(target, limit)
        try:
            body.write(unpacking.feed(chunk) if unpacking else chunk[: limit - body.tell()])
        except zlib.error:
            raise SourceUnavailable(f"{target.host} sent a body that is not gzip as it says.") from None
        except _Overflow:
            raise _too_large(target, limit) from None
        if body.tell() >= limit and not successful:
            break
        seconds_left()
    if unpacking is not None and wire and not unpacking.finished:
        raise SourceUnavailable(f"{target.host} broke off in the middle of its answer.")
    return Answer(response.status, headers, body.getvalue(), target.url, wire)


class _Overflow(Exception):
    """More came out of the packed body than is taken."""


class _Gunzip:
    """Unpacks gzip as it comes, one or several members, up to a limit; more is never held in memory."""

    def __init__(self, at_most_bytes: int) -> None:
        self._left = at_most_bytes
        self._member: Any = None
        self.finished = False

    def feed(self, data: bytes) -> bytes:
        """What one more piece unpacks to.

        Raises:
            zlib.error: it is not gzip.
            _Overflow: it unpacks to more than the limit.
        """
        out = io.BytesIO()
        while data:
            if self._member is None:
                self._member, self.finished = zlib.decompressobj(16 + zlib.MAX_WBITS), False
            piece = self._member.decompress(data, self._left + 1)  # one more, to see that there is more
            self._left -= len(piece)
            if self._left < 0:
                raise _Overflow
            out.write(piece)
            if not self._member.eof:
                break
            data, self._member, self.finished = self._member.unused_data, None, True
        return out.getvalue()


def _too_large(target: Target, limit: int) -> TooLarge:
    return TooLarge(f"{target.host} sends more than {limit:,} bytes.")


def refuse_failure(answer: Answer, what: str) -> None:
    """Turn an answer that is no success into the error that it means.

    Args:
        answer: Of a request for ``what``, which the message names.

    Raises:
        InvalidInput: it asks for a login, or refuses the request for good.
        SourceUnavailable: it is worth asking again later.
    """
    status, host = answer.status, parse(answer.url).host
    if 200 <= status < 300:
        return
    if status in (401, 403):
        said = f"{host} does not give {what} away ({status}): a credential is missing, wrong or too weak."
        raise InvalidInput(said, errors=[FieldError("credential", said)])
    if status == 429:
        wait = answer.headers.get("retry-after", "")[:40]
        hint = f" It asks to wait for {wait} s." if wait.isdigit() else ""
        raise SourceUnavailable(f"{host} asks to slow down (429).{hint}")
    if 400 <= status < 500:
        raise InvalidInput(f"{host} refuses the request for {what} ({status}).")
    raise SourceUnavailable(f"{host} cannot give {what} now ({status}).")
