"""S3 tells that objects of the packages bucket came or went: each is indexed, or its going noted.

Owns taking the notification apart. A broken package is no error here (it leaves an event of its repository);
what is raised makes Lambda deliver the notification again, twice, and then hand it to the dead letters.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

from pitrix import bootstrap
from pitrix.http import configure_logging
from pitrix.identity.model import SYSTEM

configure_logging()
_log = logging.getLogger("pitrix")


def handler(event: Mapping[str, Any], context: object) -> dict[str, int]:
    """Deal with every record, also when one before it failed; then raise the first failure."""
    failures: list[Exception] = []
    records = event.get("Records", [])
    for record in records:
        try:
            _one(record)
        except Exception as error:
            _log.exception("a notification could not be dealt with")
            failures.append(error)
    if failures:
        raise failures[0]
    return {"records": len(records)}


def _one(record: Mapping[str, Any]) -> None:
    described = record["s3"]["object"]
    key = unquote_plus(described["key"])
    name = record["eventName"]
    delivery_id = described.get("sequencer", "")  # S3 gives every change of a key its own
    repos = bootstrap.repos()
    if name.removeprefix("s3:").startswith("ObjectRemoved"):
        repos.object_removed(SYSTEM, key, delivery_id=delivery_id and f"removed-{delivery_id}")
    else:
        repos.index_object(SYSTEM, key, delivery_id=delivery_id)
