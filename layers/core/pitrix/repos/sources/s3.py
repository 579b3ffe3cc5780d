"""A bucket of S3, or of anything that speaks its protocol (MinIO, Ceph, QingStor, ...), as a source.

Owns the addresses ``s3://bucket/folder``, listing by pages, and the meaning of S3's errors. Signing, parsing
and retries are boto3's; the connection to a custom endpoint is ours (`guarded.py`), put in by botocore's
event ``before-send``, so that an endpoint is as bounded and as harmless as any other address. Without one
the bucket is Amazon's (or, on a laptop, the local cloud's): botocore builds the host from a checked region
and bucket, and connects by itself.

Never uses the platform's own role: a bucket is read with the repository's keys or anonymously, for otherwise
whoever registers a repository could read what only the platform may. That holds for the environment too:
profiles and settings of the machine are not read for the keys.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from contextlib import closing
from contextvars import ContextVar
from functools import cache
from threading import Lock
from typing import Any, Final

from pitrix.addresses import blaming, parse
from pitrix.errors import FieldError, InvalidInput, NotFound, PitrixError, SourceUnavailable, TooLarge
from pitrix.repos.model import Credential, Fetched, Listing, Repo, SourceEntry
from pitrix.repos.ports import StoredObject
from pitrix.repos.sources import Surroundings, objects

#: One page names at most 1,000 keys of at most 1,024 bytes.
MAX_PAGE_BYTES: Final = 8 * 1024 * 1024
#: Listing 200,000 archives takes 200 requests.
LISTING_TIME_S: Final = 300.0
_CHUNK: Final = 256 * 1024
_READ_TIME_S: Final = 120.0

_URL: Final = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", re.DOTALL)
#: Without dots: in a host name it can only ever be one label below Amazon's own.
_REGION: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,38}")
_KEY_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")

_MISSING: Final = frozenset({"NoSuchKey", "404", "NotFound"})
_DENIED: Final = frozenset(
    {"AccessDenied", "403", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken",
     "InvalidToken", "AllAccessDisabled", "AccountProblem", "401"}
)  # fmt: skip
_ELSEWHERE: Final = frozenset(
    {"PermanentRedirect", "TemporaryRedirect", "301", "307", "AuthorizationHeaderMalformed",
     "IllegalLocationConstraintException"}
)  # fmt: skip
_WAIT: Final = frozenset(
    {"SlowDown", "RequestLimitExceeded", "Throttling", "RequestTimeout", "ServiceUnavailable"}
)

#: The largest body that the request of this thread takes.
_at_most: ContextVar[int] = ContextVar("pitrix_s3_at_most", default=MAX_PAGE_BYTES)


class S3Source:
    """`pitrix.repos.ports.PackageSource` over one folder of a bucket. An entry's key goes without it."""

    def __init__(self, repo: Repo, credential: Credential | None, surroundings: Surroundings) -> None:
        """Check the address; touch no network and load no SDK.

        Raises:
            InvalidInput: the address, endpoint, region or credential is none that a bucket can have.
        """
        with blaming("url"):
            self._bucket, self._prefix = _address(repo.url)
        self._region = repo.region or "us-east-1"
        with blaming("region"):
            if not _REGION.fullmatch(self._region):
                raise InvalidInput(f"region {repo.region!r} must be letters, digits and hyphens.")
        with blaming("endpoint"):
            self._endpoint = _endpoint(repo.endpoint)
        with blaming("credential"):
            if credential is not None and not _are_keys(credential):
                raise InvalidInput("A bucket takes an access key and its secret.")
        self._credential = credential
        self._surroundings = surroundings
        self._with_provenance = bool(repo.keys)
        self._made: Any = None
        self._lock = Lock()

    def listing(self, validator: str = "") -> Listing | None:
        """The archives below the folder, at any depth."""
        return objects.listing(
            self._objects(),
            strip=self._prefix,
            scope=f"{self._endpoint} {self._bucket} {self._prefix}",
            validator=validator,
            with_provenance=self._with_provenance,
        )

    def fetch(self, entry: SourceEntry, *, at_most_bytes: int) -> Fetched:
        """One archive, and the provenance file beside it."""
        if not entry.location.startswith(self._prefix):
            raise NotFound(f"{entry.location!r} is not in this repository.")
        archive = self._read(entry.location, at_most_bytes)
        provenance = None
        if entry.provenance:
            try:
                provenance = self._read(entry.provenance, objects.MAX_PROVENANCE_BYTES)
            except (NotFound, TooLarge):
                provenance = None
        return Fetched(archive=archive, provenance=provenance)

    def _objects(self) -> Iterator[StoredObject]:
        until = time.monotonic() + LISTING_TIME_S
        more: dict[str, str] = {}
        while True:
            page = self._call("list_objects_v2", Prefix=self._prefix, MaxKeys=1000, **more)
            for found in page.get("Contents", []):
                yield StoredObject(
                    key=found["Key"],
                    size_bytes=int(found.get("Size", 0)),
                    etag=found.get("ETag", "").strip('"'),
                )
            token = page.get("NextContinuationToken", "")
            if not page.get("IsTruncated") or not token:
                return
            if time.monotonic() > until:
                raise SourceUnavailable(
                    f"Listing the bucket {self._bucket} takes more than {LISTING_TIME_S:.0f} s."
                )
            more = {"ContinuationToken": token}

    def _read(self, key: str, at_most_bytes: int) -> bytes:
        token = _at_most.set(at_most_bytes)
        try:
            answer = self._call("get_object", Key=key)
            # Not `with answer["Body"]`: that gives urllib3's stream, which does not miss what was cut off.
            with closing(answer["Body"]) as stream:
                if int(answer.get("ContentLength") or 0) > at_most_bytes:
                    raise TooLarge(f"{key} is larger than {at_most_bytes:,} bytes.")
                return _drained(stream, key, at_most_bytes)
        finally:
            _at_most.reset(token)

    def _call(self, operation: str, **parameters: Any) -> Any:
        """Ask the bucket.

        Raises:
            NotFound: there is no such object.
            InvalidInput: the bucket, its region or the credential is wrong.
            SourceUnavailable: nobody answers as S3 does.
        """
        import botocore.exceptions

        try:
            return getattr(self._client(), operation)(Bucket=self._bucket, **parameters)
        except botocore.exceptions.ClientError as error:
            raise self._meaning(error.response, parameters.get("Key", "")) from None
        except botocore.exceptions.BotoCoreError as error:
            place = self._endpoint or "S3"
            raise SourceUnavailable(f"{place} does not answer as S3 does ({type(error).__name__}).") from None

    def _meaning(self, response: Any, key: str) -> PitrixError:
        code = str(response.get("Error", {}).get("Code", ""))[:60]
        status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code == "NoSuchBucket" or (status == 404 and not key):
            return InvalidInput(f"There is no bucket {self._bucket!r} here.")
        if code in _MISSING:
            return NotFound(f"{key} is listed, but not there.")
        if code in _ELSEWHERE or 300 <= status < 400:
            return InvalidInput(f"The bucket {self._bucket!r} is in another region than {self._region}.")
        if code in _WAIT or status >= 500 or status == 429:
            return SourceUnavailable(f"The store of bucket {self._bucket!r} cannot answer now ({status}).")
        if code in _DENIED or status in (401, 403):
            what = "without a credential" if self._credential is None else "with this credential"
            said = f"The bucket {self._bucket!r} may not be read {what} ({status})."
            return InvalidInput(said, errors=[FieldError("credential", said)])
        return InvalidInput(f"The store of bucket {self._bucket!r} refuses the request ({status}).")

    def _client(self) -> Any:
        with self._lock:
            if self._made is None:
                self._made = self._connect()
            return self._made

    def _connect(self) -> Any:
        import boto3
        from botocore import UNSIGNED
        from botocore.config import Config

        given = self._credential
        session = boto3.session.Session(
            botocore_session=_plain_session(),
            # Never empty, as boto3 would then look for the platform's own; unsigned requests do not use them.
            aws_access_key_id=given.access_key_id if given else "anonymous",
            aws_secret_access_key=given.secret_access_key if given else "anonymous",
            region_name=self._region,
        )
        client = session.client(
            "s3",
            endpoint_url=self._endpoint or None,
            config=Config(
                signature_version="s3v4" if given else UNSIGNED,
                connect_timeout=10,
                read_timeout=20,
                retries={"mode": "standard", "total_max_attempts": 3},
                max_pool_connections=16,
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                # Elsewhere than on AWS no name of a bucket resolves as a host.
                s3={"addressing_style": "path" if self._endpoint else "auto"},
            ),
        )
        if self._endpoint:
            client.meta.events.register("before-send.s3", self._send)
        return client

    def _send(self, request: Any, **_: Any) -> Any:
        """Send a signed request of botocore's by the guarded client, in place of botocore itself.

        Raises:
            InvalidInput: the endpoint sends elsewhere. botocore would look for the bucket's region with a
                ``HEAD``, and over the answer to that with another, without an end.
        """
        from botocore.awsrequest import AWSResponse

        elsewhere = InvalidInput(f"The endpoint says that the bucket {self._bucket!r} is in another region.")
        if request.method == "HEAD":
            raise elsewhere
        headers = {
            str(name): value.decode("latin-1") if isinstance(value, bytes) else str(value)
            for name, value in request.headers.items()
        }
        answer = self._surroundings.client.send(
            request.method,
            request.url,
            at_most_bytes=_at_most.get(),
            headers=headers,
            body=request.body or b"",
            follow=False,
            plain_login=True,  # a signature, not a secret
        )
        if 300 <= answer.status < 400:
            raise elsewhere
        return AWSResponse(request.url, answer.status, dict(answer.headers), _Raw(answer.body))


@cache
def _loader() -> Any:
    """S3's description and the list of endpoints: read once (80 ms), for all clients."""
    from botocore.loaders import create_loader

    return create_loader()


def _plain_session() -> Any:
    import botocore.session

    session = botocore.session.Session()
    session.register_component("data_loader", _loader())
    return session


class _Raw(io.BytesIO):
    """A body as botocore expects it from urllib3."""

    def stream(self, amt: int = _CHUNK, **_: Any) -> Iterator[bytes]:
        while piece := self.read(amt):
            yield piece


def _drained(stream: Any, key: str, at_most_bytes: int) -> bytes:
    """The rest of a stream, at most so many bytes, in at most `_READ_TIME_S`."""
    import botocore.exceptions

    until, out = time.monotonic() + _READ_TIME_S, io.BytesIO()
    try:
        while piece := stream.read(_CHUNK):
            if out.tell() + len(piece) > at_most_bytes:
                raise TooLarge(f"{key} is larger than {at_most_bytes:,} bytes.")
            if time.monotonic() > until:
                raise SourceUnavailable(f"Reading {key} takes more than {_READ_TIME_S:.0f} s.")
            out.write(piece)
    except (botocore.exceptions.BotoCoreError, OSError):
        raise SourceUnavailable(f"The connection broke off while {key} was read.") from None
    return out.getvalue()


def _endpoint(url: str) -> str:
    """An endpoint in its one spelling; empty for Amazon's.

    Raises:
        InvalidInput: it is none.
    """
    if not url:
        return ""
    endpoint = parse(url)
    if "?" in endpoint.target:
        raise InvalidInput("endpoint may not have a query.")
    return endpoint.url.rstrip("/")


def _are_keys(credential: Credential) -> bool:
    return bool(_KEY_ID.fullmatch(credential.access_key_id) and credential.secret_access_key)


def _address(url: str) -> tuple[str, str]:
    """Bucket and folder (empty, or ending with a slash) of ``s3://bucket/folder``.

    Raises:
        InvalidInput: it is no such address.
    """
    found = _URL.fullmatch(url)
    if found is None or ".." in found[1]:
        raise InvalidInput(f"{url[:120]!r} must be s3://bucket or s3://bucket/folder.")
    folder = (found[2] or "").strip("/")
    if len(folder) > 900 or any(char < " " for char in folder):
        raise InvalidInput("The folder of the bucket may have 900 characters, and no control characters.")
    return found[1], f"{folder}/" if folder else ""
