"""Regular expressions that come from one stranger and are matched against the text of another.

Owns the bounds: how long a text may be, how much a pattern may cost to compile, how long a match may take.
The standard library's ``re`` can be stopped by nothing, so the ``regex`` package does the work.
"""

from __future__ import annotations

import math
import re
from typing import Any

MAX_TEXT = 4096
TIMEOUT_S = 0.2
#: Counted repeats are unrolled when a pattern is compiled, inside of each other even multiplied.
MAX_UNROLLED = 20_000

#: What only the ``regex`` package knows: patterns that call patterns (each call takes memory), and texts that
#: match nearly.  JSON Schema has neither, nor have the clouds that packages come from.
_CALL = re.compile(r"(?<!\\)\(\?(?:R|[+-]?\d|&|P>)")
_NEARLY = re.compile(r"(?<!\\)(?<!\\[pPN])\{[\d\s<=+,]*[eids][\s<=\d,+eids]*[:}]")
_REPEAT = re.compile(r"\{(\d{1,12})(?:,\d*)?\}")


class PatternRefused(Exception):
    """The pattern is not a regular expression, or costs too much; the message says which."""


def compile(pattern: str) -> Any:
    """The compiled pattern.

    Raises:
        PatternRefused: It cannot be compiled, or only at a cost that nobody should pay.
    """
    import regex

    if _CALL.search(pattern) or _NEARLY.search(pattern):
        raise PatternRefused("patterns that call patterns or match nearly are not supported")
    counts = (min(int(count), MAX_UNROLLED + 1) for count in _REPEAT.findall(pattern))
    if math.prod(max(count, 1) for count in counts) > MAX_UNROLLED:
        raise PatternRefused(f"its repeats multiply to more than {MAX_UNROLLED}")
    try:
        return regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError) as error:
        raise PatternRefused(str(error)) from None


def mismatch(pattern: str, text: str) -> str:
    """Why a text does not match a pattern anywhere; empty when it does, or when the pattern is broken.

    A broken pattern is its author's to mend (lint says so): users are not stopped by it.
    """
    if len(text) > MAX_TEXT:
        return f"has {len(text)} characters; the limit is {MAX_TEXT}"
    try:
        found = compile(pattern).search(text, timeout=TIMEOUT_S)
    except PatternRefused:
        return ""
    except TimeoutError:
        return "takes too long to check against the pattern of the package; try a shorter text"
    return "" if found else f"does not match the pattern {pattern}"
