"""Archives and files of packages in the catalog's bucket, named by their digest, and what belongs to them.

Owns the layout ``archives/<hex>.tgz``, ``files/<hex>/<path>``, ``provenances/<version>.prov`` and
``indexes/<key>``. Never writes into the bucket that uploads go to (that would trigger the indexer again).
Archives and files are immutable: the same digest is the same bytes. Indexes are dropped after some days.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from pitrix.errors import NotFound


class S3PackageStore:
    """`ports.PackageStore` on an S3 bucket. ``connect`` gives a client that signs with version 4."""

    def __init__(self, connect: Callable[[], Any], bucket: str) -> None:
        self._connect = connect
        self._bucket = bucket

    def put_archive(self, digest: str, archive: bytes) -> None:
        self._connect().put_object(
            Bucket=self._bucket, Key=_archive_key(digest), Body=archive, ContentType="application/gzip"
        )

    def archive(self, digest: str) -> bytes:
        client = self._connect()
        try:
            answer = client.get_object(Bucket=self._bucket, Key=_archive_key(digest))
        except client.exceptions.NoSuchKey:
            raise NotFound(f"The archive {digest} is not in the store.") from None
        data: bytes = answer["Body"].read()
        return data

    def put_file(self, digest: str, path: str, data: bytes, content_type: str) -> None:
        # "attachment": a picture still shows inside a page, but nobody is led onto a file that runs as one.
        self._connect().put_object(
            Bucket=self._bucket,
            Key=_file_key(digest, path),
            Body=data,
            ContentType=content_type,
            ContentDisposition="attachment",
        )

    def archive_url(self, digest: str, filename: str, expires_in_s: int) -> str:
        return self._signed(_archive_key(digest), expires_in_s, f'attachment; filename="{filename}"')

    def file_url(self, digest: str, path: str, expires_in_s: int) -> str:
        return self._signed(_file_key(digest, path), expires_in_s)

    def put_provenance(self, version_id: str, provenance: bytes) -> None:
        self._connect().put_object(
            Bucket=self._bucket, Key=_provenance_key(version_id), Body=provenance, ContentType="text/plain"
        )

    def provenance_url(self, version_id: str, filename: str, expires_in_s: int) -> str:
        return self._signed(_provenance_key(version_id), expires_in_s, f'attachment; filename="{filename}"')

    def put_index(self, key: str, data: bytes, *, gzipped: bool) -> None:
        encoding = {"ContentEncoding": "gzip"} if gzipped else {}
        self._connect().put_object(
            Bucket=self._bucket, Key=f"indexes/{key}", Body=data, ContentType="application/json", **encoding
        )

    def index_stored_at(self, key: str) -> datetime | None:
        client = self._connect()
        try:
            found: datetime = client.head_object(Bucket=self._bucket, Key=f"indexes/{key}")["LastModified"]
        except client.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise
        return found

    def index_url(self, key: str, expires_in_s: int) -> str:
        return self._signed(f"indexes/{key}", expires_in_s)

    def _signed(self, key: str, expires_in_s: int, disposition: str = "") -> str:
        """An address that anybody may read an object at for a while."""
        said = {"ResponseContentDisposition": disposition} if disposition else {}
        url: str = self._connect().generate_presigned_url(
            "get_object", Params={"Bucket": self._bucket, "Key": key, **said}, ExpiresIn=expires_in_s
        )
        return url


def _archive_key(digest: str) -> str:
    return f"archives/{digest.removeprefix('sha256:')}.tgz"


def _provenance_key(version_id: str) -> str:
    return f"provenances/{version_id}.prov"


def _file_key(digest: str, path: str) -> str:
    return f"files/{digest.removeprefix('sha256:')}/{path}"
