"""What ends a command, other than success, and the exit code of each.

Owns the classes; ``main.py`` catches them in one place and ``render.py`` prints them. A traceback is a bug.

====  =======================================================================
code  meaning
====  =======================================================================
0     done
1     it was tried and failed: a broken package, a failed job, a refused request
2     wrong usage of the command line (Typer's own code)
3     not signed in, or not allowed
4     the platform does not answer
====  =======================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pitrix.errors import FieldError

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NOT_ALLOWED = 3
EXIT_UNREACHABLE = 4


class Failure(Exception):
    """A sentence for the user, what to do about it, and an exit code."""

    exit_code = EXIT_FAILED
    title = "Failed"

    def __init__(
        self, detail: str, *, hint: str = "", errors: Sequence[FieldError] = (), title: str | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint
        self.errors = tuple(errors)
        if title is not None:
            self.title = title

    def document(self) -> dict[str, Any]:
        """The failure as JSON, in the shape of a problem document."""
        found: dict[str, Any] = {"title": self.title, "detail": self.detail}
        if self.hint:
            found["hint"] = self.hint
        if self.errors:
            found["errors"] = [{"field": error.field, "message": error.message} for error in self.errors]
        return found


class WrongUsage(Failure):
    """The command line makes no sense as given."""

    exit_code = EXIT_USAGE
    title = "Wrong usage"


class NotSignedIn(Failure):
    """There is no session, or it is over."""

    exit_code = EXIT_NOT_ALLOWED
    title = "Sign in first"


class Unreachable(Failure):
    """The platform does not answer, or something else answers in its place."""

    exit_code = EXIT_UNREACHABLE
    title = "The platform does not answer"


class Refused(Failure):
    """The API answered with a problem document (RFC 9457)."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        wrong = [
            FieldError(str(error.get("field", "")), str(error.get("message", "")))
            for error in problem.get("errors") or ()
            if isinstance(error, dict)
        ]
        detail = str(problem.get("detail") or problem.get("message") or f"The API answered {status}.")
        super().__init__(detail, errors=wrong, title=str(problem.get("title") or f"HTTP {status}"))
        self.status = status
        self.code = str(problem.get("code") or "")
        self.problem = problem
        if status in (401, 403):
            self.exit_code = EXIT_NOT_ALLOWED

    def document(self) -> dict[str, Any]:
        """The problem document as the API sent it."""
        return {"status": self.status, "title": self.title, "detail": self.detail, **self.problem}
