"""The bucket that packages are uploaded to.

Owns reading it and signing uploads to it. Never writes into it: that would trigger the indexer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pitrix.errors import NotFound, TooLarge
from pitrix.repos.ports import ObjectPage, StoredObject


class S3UploadBucket:
    """`ports.UploadBucket` on S3. ``connect`` gives a client that signs with version 4."""

    def __init__(self, connect: Callable[[], Any], bucket: str) -> None:
        self._connect = connect
        self._bucket = bucket

    def upload_url(self, key: str, *, size_bytes: int | None, expires_in_s: int) -> str:
        params: dict[str, Any] = {"Bucket": self._bucket, "Key": key}
        if size_bytes is not None:
            params["ContentLength"] = size_bytes  # signed: S3 refuses a body of another length
        url: str = self._connect().generate_presigned_url("put_object", Params=params, ExpiresIn=expires_in_s)
        return url

    def read(self, key: str, *, at_most_bytes: int) -> bytes:
        client = self._connect()
        try:
            answer = client.get_object(Bucket=self._bucket, Key=key)
        except client.exceptions.NoSuchKey:
            raise NotFound(f"There is no object {key!r}.") from None
        with answer["Body"] as stream:
            if answer["ContentLength"] > at_most_bytes:
                raise TooLarge(
                    f"The package has {answer['ContentLength']:,} bytes; at most {at_most_bytes:,} are taken."
                )
            data: bytes = stream.read()
        return data

    def list_objects(self, prefix: str, *, limit: int, cursor: str | None) -> ObjectPage:
        after = {"StartAfter": cursor} if cursor else {}
        answer = self._connect().list_objects_v2(Bucket=self._bucket, Prefix=prefix, MaxKeys=limit, **after)
        found = [StoredObject(key=o["Key"], size_bytes=o["Size"]) for o in answer.get("Contents", [])]
        more = answer.get("IsTruncated", False) and found
        return ObjectPage(objects=found, next_cursor=found[-1].key if more else None)
