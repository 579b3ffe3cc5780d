"""Versions of charts, and the ranges of them that dependencies and ``kubeVersion`` name.

Owns the grammar of ranges that Helm takes (that of the Go library Masterminds/semver: ``^1.2``, ``~1.2.3``,
``>=1.2 <2``, ``1.x``, ``1.2 - 1.4.5``, with ``,`` or blanks for "and" and ``||`` for "or").  The rules of
the libraries for Python are npm's, which differ.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import total_ordering

_NUMBER = r"(0|[1-9]\d{0,17})"
_REST = r"(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
#: Semantic Versioning 2.0.0 to the letter.
_STRICT = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}{_REST}")
#: What Helm takes for a version too: ``v1.2.3``, ``1.2``, ``1``.
_LOOSE = re.compile(rf"v?(\d{{1,18}})(?:\.(\d{{1,18}}))?(?:\.(\d{{1,18}}))?{_REST}")
_WORD = r"v?[0-9xX*][0-9A-Za-z.+*-]*"
_CONDITION = re.compile(rf"(!=|>=|=>|<=|=<|~>|=|>|<|~|\^|)\s*({_WORD})")
_HYPHEN = re.compile(rf"({_WORD})\s+-\s+({_WORD})")
_BOUND = re.compile(rf"v?(\d{{1,18}}|[xX*])(?:\.(\d{{1,18}}|[xX*]))?(?:\.(\d{{1,18}}|[xX*]))?{_REST}")
MAX_LENGTH = 512


@total_ordering
@dataclass(frozen=True)
class Version:
    """A version that can be compared (semver.org, 11); what stands behind a ``+`` does not count."""

    numbers: tuple[int, int, int]
    pre: tuple[str, ...] = ()

    def __lt__(self, other: Version) -> bool:
        return self._key() < other._key()

    def _key(self) -> tuple[tuple[int, int, int], bool, list[tuple[bool, int, str]]]:
        # A pre-release sorts before its release; numbers before words; a shorter list before a longer one.
        words = [(not each.isdigit(), int(each) if each.isdigit() else 0, each) for each in self.pre]
        return self.numbers, not self.pre, words


def parse(text: str) -> Version | None:
    """A version as Helm takes it; ``None`` when it is none."""
    found = _LOOSE.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if found is None:
        return None
    numbers = (int(found[1]), int(found[2] or 0), int(found[3] or 0))
    return Version(numbers, tuple(found[4].split(".")) if found[4] else ())


def is_strict(text: str) -> bool:
    """Whether a version is one of Semantic Versioning 2.0.0, without a ``v`` and with all three numbers."""
    return len(text) <= MAX_LENGTH and _STRICT.fullmatch(text) is not None


class Range:
    """A range of versions.

    Raises:
        ValueError: It is none; the message says which part.
    """

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise ValueError(f"it has more than {MAX_LENGTH} characters")
        self._any = [_all_of(each) for each in text.split("||")]

    def __contains__(self, version: Version) -> bool:
        return any(all(check(version) for check in each) for each in self._any)


_Check = Callable[[Version], bool]


def _all_of(text: str) -> list[_Check]:
    """The conditions of one alternative; nothing at all means any release, as ``*`` does."""
    rest = _HYPHEN.sub(r">=\1 <=\2", text).strip(" ,\t")
    checks: list[_Check] = []
    while rest:
        found = _CONDITION.match(rest)
        if found is None:
            raise ValueError(f"{rest[:40]!r} is no version or range")
        checks.append(_check(found[1], found[2]))
        rest = rest[found.end() :].lstrip(" ,\t")
    return checks or [_check("", "*")]


def _check(operator: str, text: str) -> _Check:
    found = _BOUND.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:40]!r} is no version")
    given = _until_wild(found.groups()[:3])
    low = Version(_three(given), tuple(found[4].split(".")) if found[4] else ())
    rule = _rules(low, given)[operator]
    # A pre-release is in no range that does not name one itself.
    return lambda version: rule(version) and (not version.pre or bool(low.pre))


def _rules(low: Version, given: list[int]) -> dict[str, _Check]:
    """What each operator means in front of the numbers ``given``, none to three of them."""

    def upto(numbers: list[int]) -> _Check:
        end = _behind(numbers)
        return lambda version: version >= low and (end is None or version.numbers < end)

    def equal(version: Version) -> bool:
        return version == low if len(given) == 3 else upto(given)(version)

    def above(version: Version) -> bool:
        end = _behind(given)
        return version > low if len(given) == 3 else end is not None and version.numbers >= end

    rules: dict[str, _Check] = {
        "=": equal,
        "!=": lambda version: not equal(version),
        ">": above,
        ">=": lambda version: version >= low,
        "<": lambda version: version < low,
        "<=": lambda version: not above(version),
        "~": upto(given[:2]),
        "^": upto(_significant(given)),
    }
    return {**rules, "": equal, "=>": rules[">="], "=<": rules["<="], "~>": rules["~"]}


def _until_wild(parts: tuple[str | None, ...]) -> list[int]:
    numbers: list[int] = []
    for part in parts:
        if part is None or not part.isdigit():
            break
        numbers.append(int(part))
    return numbers


def _three(numbers: list[int]) -> tuple[int, int, int]:
    major, minor, patch = (*numbers, 0, 0, 0)[:3]
    return major, minor, patch


def _behind(numbers: list[int]) -> tuple[int, int, int] | None:
    """The first version that is none of these numbers': (1, 2) gives 1.3.0; nothing is behind ``*``."""
    return _three([*numbers[:-1], numbers[-1] + 1]) if numbers else None


def _significant(numbers: list[int]) -> list[int]:
    """Up to the first number that is not zero: what ``^`` keeps."""
    for place, number in enumerate(numbers):
        if number:
            return numbers[: place + 1]
    return numbers
