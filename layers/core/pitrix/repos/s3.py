"""The bucket that packages are uploaded to, and the objects that syncs are kept in.

Owns reading the first and signing uploads to it. Never writes into it: that would trigger the indexer. What
syncs keep lies in the catalog's bucket.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pitrix.errors import NotFound, TooLarge
from pitrix.repos.ports import ObjectPage, StoredObject

#: A lifecycle rule in template.yaml deletes objects with this tag after some days.
EXPIRING_TAG = "refused"
#: S3 deletes at most so many objects in one request.
_DELETED_AT_ONCE = 1000


class S3UploadBucket:
    """`ports.UploadBucket` on S3. ``connect`` gives a client that signs with version 4."""

    def __init__(self, connect: Callable[[], Any], bucket: str) -> None:
        self._connect = connect
        self._bucket = bucket

    def upload_url(self, key: str, *, size_bytes: int, expires_in_s: int) -> str:
        # The length is signed: S3 refuses a body of another one.
        params = {"Bucket": self._bucket, "Key": key, "ContentLength": size_bytes}
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

    def let_expire(self, key: str) -> None:
        tag = {"Key": EXPIRING_TAG, "Value": "true"}
        self._connect().put_object_tagging(Bucket=self._bucket, Key=key, Tagging={"TagSet": [tag]})

    def list_objects(self, prefix: str, *, limit: int, cursor: str | None) -> ObjectPage:
        after = {"StartAfter": cursor} if cursor else {}
        answer = self._connect().list_objects_v2(Bucket=self._bucket, Prefix=prefix, MaxKeys=limit, **after)
        found = [
            StoredObject(key=o["Key"], size_bytes=o["Size"], etag=o.get("ETag", "").strip('"'))
            for o in answer.get("Contents", [])
        ]
        more = answer.get("IsTruncated", False) and found
        return ObjectPage(objects=found, next_cursor=found[-1].key if more else None)


class S3SyncObjects:
    """`ports.SyncObjects` in a bucket."""

    def __init__(self, connect: Callable[[], Any], bucket: str) -> None:
        self._connect = connect
        self._bucket = bucket

    def read(self, key: str) -> bytes | None:
        client = self._connect()
        try:
            answer = client.get_object(Bucket=self._bucket, Key=key)
        except client.exceptions.NoSuchKey:
            return None
        with answer["Body"] as stream:
            data: bytes = stream.read()
        return data

    def write(self, key: str, data: bytes) -> None:
        self._connect().put_object(Bucket=self._bucket, Key=key, Body=data)

    def keys(self, prefix: str) -> list[str]:
        pages = self._connect().get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        return sorted(found["Key"] for page in pages for found in page.get("Contents", []))

    def delete(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), _DELETED_AT_ONCE):
            chosen = [{"Key": key} for key in keys[start : start + _DELETED_AT_ONCE]]
            self._connect().delete_objects(Bucket=self._bucket, Delete={"Objects": chosen, "Quiet": True})
