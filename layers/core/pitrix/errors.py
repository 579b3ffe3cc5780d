"""Every error the domain can raise, and the HTTP status each one means.

Owns the error vocabulary that handlers, state machines (``Retry``/``Catch`` match on these class names) and
providers share. Never formats an HTTP answer: see :mod:`pitrix.http` for the one place that does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field of a request.

    ``field`` is a JSON pointer (``/answers/cluster/web/count``) or a parameter's name; ``message`` says what
    is wrong and what is allowed.
    """

    field: str
    message: str


class PitrixError(Exception):
    """Base of all domain errors; ``detail`` is a sentence for the person who made the request."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, *, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)


def known(error: PitrixError) -> PitrixError:
    """The error as one of this module's classes: state machines and other functions know no others.

    A provider of a plug-in may have finer ones of its own; what it means outside is their base.
    """
    kind = next(each for each in type(error).__mro__ if each.__module__ == __name__)
    return error if kind is type(error) else kind(error.detail, errors=error.errors)


class InvalidInput(PitrixError):
    """The request is malformed: a field is missing, unknown, of the wrong type or out of range."""

    status = 400
    code = "invalid_input"
    title = "Invalid input"


class Unauthenticated(PitrixError):
    """No valid credentials were given."""

    status = 401
    code = "unauthenticated"
    title = "Sign in first"


class PermissionDenied(PitrixError):
    """The caller is known but may not do this."""

    status = 403
    code = "permission_denied"
    title = "Permission denied"


class NotFound(PitrixError):
    """There is no such thing, or the caller may not know that there is."""

    status = 404
    code = "not_found"
    title = "Not found"


class Conflict(PitrixError):
    """The request contradicts the present state."""

    status = 409
    code = "conflict"
    title = "Conflict"


class Contended(Conflict):
    """Many change the same thing at once, and this call never got its turn; a later one may."""


class PreconditionFailed(PitrixError):
    """``If-Match`` named a version that is no longer the current one."""

    status = 412
    code = "precondition_failed"
    title = "Changed since it was read"


class TooLarge(PitrixError):
    """The body or the object is larger than the limit."""

    status = 413
    code = "too_large"
    title = "Too large"


class Unprocessable(PitrixError):
    """The request is well-formed but cannot be carried out as it stands."""

    status = 422
    code = "unprocessable"
    title = "Cannot be carried out"


class PackageInvalid(Unprocessable):
    """A package breaks the specification; ``problems`` lists every reason (``packages.model.Problem``)."""

    code = "package_invalid"
    title = "The package is not valid"

    def __init__(
        self, detail: str, problems: Sequence[Any] = (), *, errors: Sequence[FieldError] = ()
    ) -> None:
        super().__init__(detail, errors=errors)
        self.problems = list(problems)


class RateLimited(PitrixError):
    """Too many requests; try again later."""

    status = 429
    code = "rate_limited"
    title = "Too many requests"


class ServiceUnavailable(PitrixError):
    """A part the platform depends on does not answer; the same request may succeed later."""

    status = 503
    code = "service_unavailable"
    title = "Temporarily unavailable"


class SourceUnavailable(ServiceUnavailable):
    """The source of a repository does not answer as it should; a later sync may succeed."""

    code = "source_unavailable"
    title = "The repository's source does not answer"


# --- clouds ------------------------------------------------------------------------------------------------


class ProviderError(PitrixError):
    """A cloud refused or failed; the base of everything that ``providers/<cloud>/errors.py`` raises."""

    status = 502
    code = "provider_error"
    title = "The cloud reported an error"


class QuotaExceeded(ProviderError):
    """The account's limit at the cloud is reached; retrying does not help."""

    status = 422
    code = "quota_exceeded"
    title = "The cloud account's quota is exceeded"


class ProviderThrottled(ProviderError):
    """The cloud asks to slow down; the state machine retries with backoff."""

    status = 503
    code = "provider_throttled"
    title = "The cloud asks to slow down"


class ProviderUnavailable(ProviderError):
    """The cloud cannot be reached or answered with a transient failure; retried with backoff."""

    status = 503
    code = "provider_unavailable"
    title = "The cloud cannot be reached"


class CredentialInvalid(ProviderError):
    """The credential is wrong or lacks a permission; the detail names what is missing."""

    status = 422
    code = "credential_invalid"
    title = "The cloud refused the credential"


class ResourceNotFound(ProviderError):
    """The resource does not exist at the cloud."""

    status = 404
    code = "resource_not_found"
    title = "No such resource at the cloud"


class CapabilityMissing(ProviderError):
    """The provider does not offer the capability that the operation needs."""

    status = 422
    code = "capability_missing"
    title = "The cloud does not offer this"


# --- jobs --------------------------------------------------------------------------------------------------


class StepFailed(PitrixError):
    """A step of a job cannot succeed; the job is compensated."""

    status = 409
    code = "step_failed"
    title = "A step of the job failed"


class CommandFailed(StepFailed):
    """A command on a node ended with another exit code than 0."""

    code = "command_failed"
    title = "A command on a node failed"


class CommandTimedOut(StepFailed):
    """A command on a node did not end in time and was killed."""

    code = "command_timed_out"
    title = "A command on a node took too long"


class AgentUnreachable(StepFailed):
    """A node's agent never registered, or its connection was lost for good."""

    code = "agent_unreachable"
    title = "A node's agent cannot be reached"


class JobCancelled(StepFailed):
    """Somebody cancelled the job; what it had made is removed."""

    code = "job_cancelled"
    title = "The job was cancelled"
