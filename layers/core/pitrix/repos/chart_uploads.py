"""Puts pushed charts into the bucket that packages are uploaded to.

Owns one kind of write. What is written triggers the indexer once more, which finds that nothing changed: a
pushed chart thereby has the same history as an uploaded one, and is indexed even if the push broke off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class S3PushedObjects:
    """`charts.PushedObjects` on S3."""

    def __init__(self, connect: Callable[[], Any], bucket: str) -> None:
        self._connect = connect
        self._bucket = bucket

    def put(self, key: str, data: bytes) -> None:
        """Write an object; one that is there is replaced."""
        self._connect().put_object(Bucket=self._bucket, Key=key, Body=data)
