"""What the name of a chart's archive says: ``shop-web-1.0.0.tgz`` is ``shop-web`` in version ``1.0.0``.

Owns one rule, which is not unique: names and versions both hold dashes. Never looks anything up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

#: Names that are tried; each costs two reads of the table.
_TRIED_AT_MOST: Final = 6
#: Where a version may begin: behind a dash, with a digit, or with a ``v`` before one.
_VERSION_BEGINS: Final = re.compile(r"-(?=v?[0-9])")
_ENDINGS: Final = (".tgz", ".tar.gz")


def candidates(filename: str) -> Iterator[tuple[str, str]]:
    """Yield what a file's name may stand for, as (name, version), the likeliest first.

    A version with no dash before its pre-release part is the likeliest: ``a-1-2.0.0.tgz`` is ``a-1``.
    """
    ending = next((each for each in _ENDINGS if filename.endswith(each)), None)
    if ending is None or len(filename) > 400:
        return
    stem = filename.removesuffix(ending)
    found = [(stem[: match.start()], stem[match.end() :]) for match in _VERSION_BEGINS.finditer(stem)]
    likely = [each for each in found if re.match(r"v?[0-9]+\.[0-9]+", each[1])]
    others = [each for each in found if each not in likely]
    yield from [each for each in (*likely, *reversed(others)) if each[0]][:_TRIED_AT_MOST]
