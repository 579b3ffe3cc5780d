"""Lists that are made of several queries, read one after the other as if they were one.

Owns the cursor over them. What a query returns, and to whom, is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from pitrix.errors import FieldError, InvalidInput
from pitrix.table import decode_cursor, encode_cursor

T = TypeVar("T")

#: A query: given how many and from where, some items and where it goes on.
Source = Callable[[int, str | None], tuple[list[T], str | None]]


def chain(
    sources: Sequence[Source[T]], *, name: str, limit: int, cursor: str | None
) -> tuple[list[T], str | None]:
    """Return up to ``limit`` items of the sources in their order, and the cursor of the next page.

    Args:
        name: What identifies the list and who asks, so that a cursor of another one is refused.

    Raises:
        InvalidInput: the cursor is broken or belongs to another list.
    """
    place = decode_cursor(cursor, name) if cursor else {"source": "0"}
    if place.get("source") not in {str(number) for number in range(len(sources))}:
        message = "is not a cursor of this list; start without one"
        raise InvalidInput(f"cursor: {message}.", errors=[FieldError("cursor", message)])
    number, after = int(place["source"]), place.get("after")
    found: list[T] = []
    while number < len(sources) and len(found) < limit:
        items, after = sources[number](limit - len(found), after)
        found += items
        number += after is None
    if number == len(sources):
        return found, None
    return found, encode_cursor(name, {"source": str(number)} | ({"after": after} if after else {}))
