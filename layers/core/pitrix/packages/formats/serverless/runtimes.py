"""Which language runtimes each target runs, and until when.

Owns the table and its sources; a new runtime is one line here.  Never decides what a date means for a
package: `serverless.lint` warns or refuses.

Sources: AWS: *Lambda Developer Guide*, "Lambda runtimes" (deprecation date; the day from which functions
cannot be created any more), as collected by cfn-lint 1.58 (``LmbdRuntimeLifecycle.json``; a test compares).
Azure: *Azure Functions*, "Language runtime support policy": support ends with that of the language itself,
that is PEP 619, 664, 693, 719 and 745 for Python and the release schedule of Node.js.  Knative runs any
image.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from pitrix.packages.formats.serverless.manifest import AWS, AZURE


@dataclass(frozen=True)
class Lifecycle:
    """Attributes:
    deprecated: The day from which the runtime gets no more updates.
    blocked: The day from which no function can be made with it; ``None`` where the cloud names none.
    successor: What to use instead; empty for the newest.
    """

    deprecated: date
    blocked: date | None = None
    successor: str = ""


def _day(text: str) -> date:
    return date.fromisoformat(text)


def _aws(deprecated: str, blocked: str, successor: str) -> Lifecycle:
    return Lifecycle(_day(deprecated), _day(blocked), successor)


LIFECYCLES: dict[str, dict[str, Lifecycle]] = {
    AWS: {
        "python3.8": _aws("2024-10-14", "2027-02-01", "python3.14"),
        "python3.9": _aws("2025-12-15", "2027-02-01", "python3.14"),
        "python3.10": _aws("2026-10-31", "2027-02-01", "python3.14"),
        "python3.11": _aws("2027-06-30", "2027-07-31", "python3.14"),
        "python3.12": _aws("2028-10-31", "2028-11-30", "python3.14"),
        "python3.13": _aws("2029-06-30", "2029-07-31", "python3.14"),
        "python3.14": _aws("2029-06-30", "2029-07-31", ""),
        "nodejs18": _aws("2025-09-01", "2027-02-01", "nodejs24"),
        "nodejs20": _aws("2026-04-30", "2027-02-01", "nodejs24"),
        "nodejs22": _aws("2027-04-30", "2027-06-01", "nodejs24"),
        "nodejs24": _aws("2028-04-30", "2028-06-01", ""),
        "java17": _aws("2027-06-30", "2027-07-31", "java25"),
        "java21": _aws("2029-06-30", "2029-07-31", "java25"),
        "java25": _aws("2029-06-30", "2029-07-31", ""),
        "ruby3.3": _aws("2027-03-31", "2027-04-30", "ruby4.0"),
        "ruby3.4": _aws("2028-03-31", "2028-04-30", "ruby4.0"),
        "ruby4.0": _aws("2029-03-31", "2029-04-30", ""),
        "dotnet8": _aws("2026-11-10", "2027-02-01", "dotnet10"),
        "dotnet10": _aws("2028-11-14", "2028-12-14", ""),
        "provided.al2": _aws("2026-07-31", "2027-02-01", "provided.al2023"),
        "provided.al2023": _aws("2029-06-30", "2029-07-31", ""),
    },
    # The v2 programming model, which is what is checked and deployed here, is Python's (and Node's v4).
    AZURE: {
        "python3.10": Lifecycle(_day("2026-10-31"), None, "python3.13"),
        "python3.11": Lifecycle(_day("2027-10-31"), None, "python3.13"),
        "python3.12": Lifecycle(_day("2028-10-31"), None, "python3.13"),
        "python3.13": Lifecycle(_day("2029-10-31"), None, ""),
        "nodejs20": Lifecycle(_day("2026-04-30"), None, "nodejs22"),
        "nodejs22": Lifecycle(_day("2027-04-30"), None, ""),
    },
}


def aws_name(runtime: str) -> str:
    """Lambda's name of a runtime: ``nodejs24`` is ``nodejs24.x`` there."""
    return f"{runtime}.x" if runtime.startswith("nodejs") else runtime


def known(target: str) -> list[str]:
    """The runtimes of a target that are not deprecated by their table, oldest first; empty for any."""
    return [name for name, life in LIFECYCLES.get(target, {}).items() if not life.successor] or []
