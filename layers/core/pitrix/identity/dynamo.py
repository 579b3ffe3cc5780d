"""User records and ended sessions on the storage port.

Owns the keys of the identity table:

====================  ==========  ==================================  =======================
pk                    sk          data                                index g1
====================  ==========  ==================================  =======================
``USER#<username>``   ``USER``    the record                          ``USERS``, path#username
``USER_ID#<id>``      ``USER``    ``{"username": …}``                 –
``SESSION#<id>``      ``ENDED``   –, dropped when its tokens expired  –
====================  ==========  ==================================  =======================

The record lies under the username because that is what an access token carries: authorizing a request costs
one read of it. Never decides who may read what: ``service.py`` does.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from pitrix.errors import Conflict
from pitrix.identity.model import User
from pitrix.table import Delete, Item, Put, Table, pack, unpack


class TableUserStore:
    """`ports.UserStore` on a `pitrix.table.Table`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, username: str) -> User | None:
        """The record of that name."""
        item = self._table.get(_user_key(username), "USER")
        return None if item is None else _user(item)

    def get_by_id(self, user_id: str) -> User | None:
        """The record of that id: two reads, which only the administration of users pays."""
        pointer = self._table.get(f"USER_ID#{user_id}", "USER")
        return None if pointer is None else self.get(pointer.data["username"])

    def page(self, owner_path: str, *, limit: int, cursor: str | None) -> tuple[list[User], str | None]:
        """Users at or below an owner path; the sort key of the index begins with it."""
        page = self._table.query("USERS", index="g1", prefix=owner_path, limit=limit, cursor=cursor)
        return [_user(item) for item in page.items], page.next_cursor

    def add(self, user: User) -> User:
        """Store a new record and the pointer from its id."""
        pointer = Item(pk=f"USER_ID#{user.user_id}", sk="USER", data={"username": user.username})
        try:
            self._table.transact([Put(item=_item(user), if_absent=True), Put(item=pointer, if_absent=True)])
        except Conflict as error:
            raise Conflict(f"The username {user.username!r} is taken.") from error
        return replace(user, version=1)

    def save(self, user: User) -> User:
        """Store a changed record if nobody else changed it."""
        return _user(self._table.put(_item(user), if_version=user.version))

    def remove(self, user: User) -> None:
        """Forget a record and its pointer."""
        self._table.transact(
            [
                Delete(pk=_user_key(user.username), sk="USER"),
                Delete(pk=f"USER_ID#{user.user_id}", sk="USER"),
            ]
        )

    def end_session(self, session_id: str, *, until: datetime) -> None:
        """Remember that a session is over; the table drops the note some time after ``until``."""
        self._table.put(Item(pk=f"SESSION#{session_id}", sk="ENDED", expires_at=int(until.timestamp()) + 60))

    def is_session_ended(self, session_id: str) -> bool:
        """Whether the session was ended."""
        return self._table.get(f"SESSION#{session_id}", "ENDED") is not None


def _user_key(username: str) -> str:
    return f"USER#{username}"


def _item(user: User) -> Item:
    data = pack(user)
    del data["version"]  # the item's own version is the truth
    return Item(
        pk=_user_key(user.username),
        sk="USER",
        data=data,
        version=user.version,
        g1=("USERS", f"{user.owner_path}#{user.username}"),
    )


def _user(item: Item) -> User:
    return replace(unpack(item.data, User), version=item.version)
