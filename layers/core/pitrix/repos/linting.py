"""Checking a package without publishing it: what comes in as Base64, and the report that goes out.

Owns the report's shape only; what is wrong is for `pitrix.packages` to find.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace
from hashlib import sha256
from typing import Final

from pitrix.errors import FieldError
from pitrix.packages.model import Severity
from pitrix.repos import rules
from pitrix.repos.indexing import problem_of
from pitrix.repos.model import LintReport
from pitrix.repos.ports import PackageChecks

#: The largest archive that fits, as Base64, into the 6 MB that a function may be sent.
MAX_INLINE_BYTES: Final = 4 * 1024 * 1024


def report(packages: PackageChecks, data: bytes) -> LintReport:
    """All that is wrong with an archive, and of a valid one what it is."""
    problems = list(packages.lint(data))
    found = LintReport(
        valid=not any(problem.severity == Severity.ERROR for problem in problems),
        problems=[problem_of(problem) for problem in problems],
        digest=f"sha256:{sha256(data).hexdigest()}",
        size_bytes=len(data),
    )
    if not found.valid:
        return found
    package = packages.open_package(data)
    return replace(found, name=package.name, version=package.version, title=package.title)


def decoded(package: str) -> bytes:
    """The archive that a request carries as Base64.

    Raises:
        InvalidInput: it is larger than `MAX_INLINE_BYTES`, or no Base64; names the field ``package``.
    """
    if len(package) > MAX_INLINE_BYTES * 4 // 3 + 4:
        message = f"is larger than {MAX_INLINE_BYTES:,} bytes; upload it and give its key"
        raise rules.refused([FieldError("package", message)])
    try:
        return base64.b64decode(package, validate=True)
    except (binascii.Error, ValueError):
        raise rules.refused([FieldError("package", "is not Base64")]) from None
