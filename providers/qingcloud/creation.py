"""How a key names one resource in a cloud that knows no keys: look, lock, look again, make, mark.

A resource is found by the key in its name. Two callers who find nothing at the same time would both make it,
and QingCloud refuses to delete a machine in the minute after it was made; so the second must not be made at
all. The lock is a *tag* of the account, which is made and deleted at once and costs nothing:

* whoever wants the lock makes a tag of a name of its own and looks at all tags of that lock;
* it has the lock if it sees its own tag alone. A later one sees that tag, so two never have it;
* of several the smallest id goes on looking until the others are gone; the others delete theirs;
* a tag that is older than any call lasts was left by somebody who was killed, and is deleted.

Nothing here waits for the cloud. Only a caller who meets another one making the same thing at the same moment
pauses between its looks, and gives up after some seconds with an error that is retried.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

from pitrix.errors import PitrixError, ProviderUnavailable
from providers.base import check_key
from providers.qingcloud import mapping
from providers.qingcloud.client import Client
from providers.qingcloud.kinds import Kind, Row

PATIENCE_S = 15.0
PAUSE_S = 0.1
ABANDONED = timedelta(minutes=5)
"""Age of a lock whose owner is dead: a creation is a few calls of at most half a minute each."""


def create_once(
    cloud: Client,
    kind: Kind,
    *,
    key: str,
    name: str,
    tags: Mapping[str, str],
    make: Callable[[str], str],
    finish: Callable[[str], object] = lambda _: None,
    extra: Mapping[str, Any] | None = None,
) -> Row:
    """Make a resource, or return the one already made for this key.

    Args:
        make: Makes it with the name that it is given, and returns its id.
        finish: What else belongs to its making; done again if it was interrupted.
        extra: What its description remembers besides its name and tags.

    Raises:
        InvalidInput: The key is none.
        ProviderUnavailable: Another call is making it and does not come to an end; ask again.
    """
    check_key(key)
    deadline = time.monotonic() + PATIENCE_S
    while (row := find(cloud, kind, key)) is None or not mapping.mark(kind, row).complete:
        with _locked(cloud, f"{kind.name}:{key}") as locked:
            if locked:
                row = find(cloud, kind, key)
                if row is None:
                    resource_id = make(mapping.cloud_name(name, key, tags))
                elif mapping.mark(kind, row).complete:
                    return row
                else:
                    resource_id = kind.id_of(row)
                finish(resource_id)
                text = mapping.description(name, tags, extra or {})
                cloud.call(kind.modify, **{kind.name: resource_id, "description": text})
                return cloud.row(kind, resource_id)
        if time.monotonic() > deadline:
            raise ProviderUnavailable(f"Another call is making the {kind.words} {name!r:.80}; ask again.")
        time.sleep(PAUSE_S)
    return row


def find(cloud: Client, kind: Kind, key: str) -> Row | None:
    """The resource that a key names, if there is one; the oldest, should there be several."""
    found = [row for row in cloud.rows(kind, search_word=key) if mapping.mark(kind, row).key == key]
    return min(found, key=lambda row: (row["create_time"], kind.id_of(row)), default=None)


def tagged(cloud: Client, kind: Kind, tags: Mapping[str, str], **filters: Any) -> list[Row]:
    """All resources of a kind that we made and that carry every one of ``tags``."""
    word = mapping.searchable(tags) or None
    return [row for row in cloud.rows(kind, search_word=word, **filters) if mapping.carries(kind, row, tags)]


# --- the lock ----------------------------------------------------------------------------------------


@contextmanager
def _locked(cloud: Client, what: str) -> Iterator[bool]:
    """Try once to be the only one who makes ``what``; yields whether that is so."""
    lock = f"pitrix-lock-{hashlib.sha256(what.encode()).hexdigest()[:20]}"
    mine = f"{lock}-{secrets.token_hex(6)}"
    tag_id = ""
    try:
        tag_id = cloud.call("CreateTag", tag_name=mine)["tag_id"]
        yield _alone(cloud, lock, mine)
    finally:
        with suppress(PitrixError):  # what is left is found to be abandoned later
            held = [tag_id] if tag_id else [tag["tag_id"] for tag in _tags(cloud, mine)]
            if held:
                cloud.call("DeleteTags", tags=held)


def _alone(cloud: Client, lock: str, mine: str) -> bool:
    """Look until only our tag is there, or one goes first."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        tags = _tags(cloud, lock)
        ours = next((tag for tag in tags if tag["tag_name"] == mine), None)
        if ours is None:
            return False
        made = mapping.created_at(ours)
        dead = [tag["tag_id"] for tag in tags if made - mapping.created_at(tag) > ABANDONED]
        if dead:
            cloud.call("DeleteTags", tags=dead)
            continue
        if len(tags) == 1:
            return True
        if min(tag["tag_id"] for tag in tags) != ours["tag_id"]:
            return False
        time.sleep(PAUSE_S)
    return False


def _tags(cloud: Client, word: str) -> list[Row]:
    found = cloud.everything("DescribeTags", "tag_set", search_word=word)
    return [tag for tag in found if tag["tag_name"].startswith(word)]
