"""When a scheduled function runs: one notation for three clouds, checked before anything is deployed.

Owns reading ``cron`` (five fields, as in crontab and Kubernetes, or the six of Amazon EventBridge) and
``rate``, and saying the same in each target's own words.  All times are UTC.  What a target cannot say is
an error here, never a schedule that is nearly right.

Sources: POSIX ``crontab``; *Amazon EventBridge User Guide*, "Setting a schedule pattern" (fields, wildcards,
one ``?`` in the days); *Azure Functions*, "Timer trigger", NCRONTAB (six fields, the first one seconds);
Knative's ``PingSource`` (five fields).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
_UNITS = {"minute": 60, "hour": 24, "day": 1}
_RATE = re.compile(r"([1-9][0-9]{0,4}) (minute|hour|day)s?")


@dataclass(frozen=True)
class _Range:
    """What a field may hold: its name, the least and the largest number, and names that stand for numbers."""

    name: str
    low: int
    high: int
    names: Mapping[str, int]

    def number(self, text: str) -> int:
        value = self.names.get(text.upper(), -1)
        if value < 0 and re.fullmatch(r"[0-9]{1,4}", text):
            value = int(text)
        if not self.low <= value <= self.high:
            known = f" or {next(iter(self.names))} to {list(self.names)[-1]}" if self.names else ""
            raise ValueError(f"{self.name} is {text[:20]!r}; allowed: {self.low} to {self.high}{known}")
        return value


_MINUTE, _HOUR, _DAY = (
    _Range("minute", 0, 59, {}),
    _Range("hour", 0, 23, {}),
    _Range("day of month", 1, 31, {}),
)
_MONTH = _Range("month", 1, 12, {name: at for at, name in enumerate(_MONTHS, 1)})
_WEEKDAY = _Range("day of week", 0, 7, {name: at for at, name in enumerate(_DAYS)})
_AWS_WEEKDAY = _Range("day of week", 1, 7, {name: at for at, name in enumerate(_DAYS, 1)})
_YEAR = _Range("year", 1970, 2199, {})


@dataclass(frozen=True)
class _Field:
    """One field of five: its numbers, and the step when it was written as ``*/n``."""

    numbers: frozenset[int]
    every: int = 0

    @property
    def free(self) -> bool:
        return self.every == 1

    def text(self, low: int | None = None) -> str:
        """``*``, ``*/n`` (``low/n`` for EventBridge) or the numbers."""
        if self.free:
            return "*"
        if self.every:
            return f"{'*' if low is None else low}/{self.every}"
        return ",".join(str(number) for number in sorted(self.numbers))


@dataclass(frozen=True)
class Schedule:
    """A schedule that was read; `aws`, `azure` and `knative` say it in each target's words.

    Attributes:
        fields: Minute, hour, day of month, month, day of week; empty for the other two kinds.
        eventbridge: The six fields of EventBridge, as they were given.
        rate: Number and unit.
    """

    fields: tuple[_Field, ...] = ()
    eventbridge: str = ""
    rate: tuple[int, str] = (0, "")

    def aws(self) -> str:
        """An expression for EventBridge.

        Raises:
            ValueError: EventBridge cannot say it.
        """
        if self.eventbridge:
            return f"cron({self.eventbridge})"
        if self.rate[0]:
            count, unit = self.rate
            return f"rate({count} {unit}{'s' if count > 1 else ''})"
        minute, hour, day, month, weekday = self.fields
        self._one_kind_of_day("Amazon EventBridge")
        days = "?" if weekday.free is False else day.text(1)
        weekdays = "?" if weekday.free else ",".join(_DAYS[number] for number in sorted(weekday.numbers))
        return f"cron({minute.text(0)} {hour.text(0)} {days} {month.text(1)} {weekdays} *)"

    def azure(self) -> str:
        """An NCRONTAB expression of six fields.

        Raises:
            ValueError: Azure's timer cannot say it.
        """
        five = self._five("Azure Functions")
        self._one_kind_of_day("Azure Functions")
        return f"0 {five}"

    def knative(self) -> str:
        """The five fields of a ``PingSource``.

        Raises:
            ValueError: Five fields cannot say it.
        """
        return self._five("Knative")

    def for_target(self, target: str) -> str:
        """The words of a target (``aws-lambda``, ``azure-functions``, ``knative``).

        Raises:
            ValueError: The target cannot say it.
        """
        words = {"aws-lambda": self.aws, "azure-functions": self.azure, "knative": self.knative}
        return words[target]()

    def _five(self, who: str) -> str:
        if self.eventbridge:
            raise ValueError(f"six fields are Amazon EventBridge's own; {who} takes the five of crontab")
        if self.rate[0]:
            return self._rate_as_cron(who)
        return " ".join(field.text() for field in self.fields)

    def _rate_as_cron(self, who: str) -> str:
        count, unit = self.rate
        if _UNITS[unit] % count or (unit == "day" and count > 1):
            raise ValueError(
                f"{who} knows no rate: every {count} {unit}s does not divide evenly, write it as cron instead"
            )
        step = "*" if count == 1 else f"*/{count}"
        return {"minute": f"{step} * * * *", "hour": f"0 {step} * * *", "day": "0 0 * * *"}[unit]

    def _one_kind_of_day(self, who: str) -> None:
        """crontab runs when either kind of day fits; EventBridge cannot say that, NCRONTAB means both."""
        if self.fields and not self.fields[2].free and not self.fields[4].free:
            raise ValueError(
                f"{who} cannot run on a day of the month or a day of the week in one schedule; "
                "use two triggers, one for each"
            )


def read(trigger: Mapping[str, Any]) -> Schedule:
    """The schedule of a trigger with ``cron`` or ``rate``.

    Raises:
        ValueError: It is none; the message says which field is wrong and what is allowed.
    """
    if "rate" in trigger:
        found = _RATE.fullmatch(str(trigger["rate"]))
        if not found:
            raise ValueError("a rate is a number and minutes, hours or days, such as 5 minutes")
        return Schedule(rate=(int(found[1]), found[2]))
    text = str(trigger.get("cron", "")).strip()
    parts = text.removeprefix("cron(").removesuffix(")").split()
    if len(parts) == 6:
        _check_eventbridge(parts)
        return Schedule(eventbridge=" ".join(parts).upper())
    if len(parts) != 5:
        raise ValueError(
            f"it has {len(parts)} fields; give 5 (minute, hour, day of month, month, day of week), "
            "or the 6 of Amazon EventBridge"
        )
    ranges = (_MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY)
    return Schedule(fields=tuple(_field(part, allowed) for part, allowed in zip(parts, ranges, strict=True)))


def _field(text: str, allowed: _Range) -> _Field:
    high = 6 if allowed is _WEEKDAY else allowed.high
    whole = re.fullmatch(r"\*(?:/([0-9]{1,4}))?", text)
    if whole:
        step = int(whole[1] or 1)
        if not 1 <= step <= allowed.high:
            raise ValueError(f"{allowed.name} has the step {step}; allowed: 1 to {allowed.high}")
        numbers = frozenset(range(allowed.low, high + 1, step))
        # Days of the week are always told one by one: where they begin to count differs from cloud to cloud.
        return _Field(numbers, step if step == 1 or allowed is not _WEEKDAY else 0)
    found: set[int] = set()
    for item in text.split(","):
        span = re.fullmatch(r"([^-/]+)(?:-([^-/]+))?(?:/([0-9]{1,4}))?", item)
        if not span:
            raise ValueError(
                f"{allowed.name} is {text[:40]!r}; write *, 5, 1-5, */5, 1-30/5, or a list of them"
            )
        first = allowed.number(span[1])
        last = allowed.number(span[2]) if span[2] else (high if span[3] else first)
        step = int(span[3] or 1)
        if last < first or step < 1:
            raise ValueError(f"{allowed.name} is {item[:40]!r}: a range goes up, in steps of 1 or more")
        found.update(range(first, last + 1, step))
    if allowed is _WEEKDAY:
        found = {number % 7 for number in found}
    return _Field(frozenset(found))


def _check_eventbridge(parts: list[str]) -> None:
    minute, hour, day, month, weekday, year = (part.upper() for part in parts)
    if (day == "?") == (weekday == "?"):
        raise ValueError(
            "Amazon EventBridge wants ? in one of day of month and day of week, not in both or none"
        )
    for text, allowed in ((minute, _MINUTE), (hour, _HOUR), (month, _MONTH), (year, _YEAR)):
        _field(text, allowed)
    if day != "?" and not re.fullmatch(r"L|LW|L-([1-9]|[12][0-9]|30)|([1-9]|[12][0-9]|3[01])W", day):
        _field(day, _DAY)
    if weekday == "?" or weekday == "L":
        return
    if "#" in weekday:
        if "," in weekday or not re.fullmatch(r"[A-Z0-9]{1,3}#[1-5]", weekday):
            raise ValueError(
                f"day of week is {weekday!r}; the third Tuesday is written 3#3 or TUE#3, and alone"
            )
        weekday = weekday.partition("#")[0]
    elif weekday.endswith("L"):
        weekday = weekday[:-1]
    if "/" in weekday:
        raise ValueError("day of week knows no steps at Amazon EventBridge; list the days")
    if weekday != "*":
        for item in weekday.split(","):
            first, _, last = item.partition("-")
            _AWS_WEEKDAY.number(first)
            if last:
                _AWS_WEEKDAY.number(last)
