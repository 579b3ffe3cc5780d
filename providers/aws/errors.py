"""Translates what AWS and the network say into ``pitrix.errors``; the one place that does.

Owns the table of AWS's error codes. Never decides whether a call is repeated. Sources: *Amazon EC2 Developer
Guide*, "Error codes for the Amazon EC2 API"; *CloudFormation*, *Lambda* and *S3 API Reference*, "Common
Errors".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pitrix.errors import (
    Conflict,
    CredentialInvalid,
    InvalidInput,
    PitrixError,
    ProviderError,
    ProviderThrottled,
    ProviderUnavailable,
    QuotaExceeded,
    ResourceNotFound,
)

_THROTTLED = {
    "ConcurrentSnapshotLimitExceeded",
    "PriorRequestNotComplete",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
}
_UNAVAILABLE = {
    "InsufficientAddressCapacity",
    "InsufficientCapacity",
    "InsufficientHostCapacity",
    "InsufficientInstanceCapacity",
    "InsufficientVolumeCapacity",
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "RequestTimeout",
    "ServiceException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "Unavailable",
}
_CREDENTIAL = {
    "AuthFailure",
    "Blocked",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "InvalidToken",
    "MissingAuthenticationToken",
    "NotSignedUp",
    "OptInRequired",
    "PendingVerification",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_PERMISSION = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
_QUOTA = {"CodeStorageExceededException", "MaxIOPSLimitExceeded", "TooManyBuckets"}
_CONFLICT = {
    "AlreadyExistsException",
    "DependencyViolation",
    "IncorrectInstanceState",
    "IncorrectModificationState",
    "IncorrectState",
    "InvalidIPAddress.InUse",
    "InvalidSubnet.Conflict",
    "InvalidSnapshot.InUse",
    "OperationAborted",
    "OperationInProgressException",
    "Resource.AlreadyAssociated",
    "ResourceConflictException",
    "RouteAlreadyExists",
    "VolumeInUse",
    "VolumeModificationRateExceeded",
    "CannotDelete",
}
_NOT_FOUND = {
    "Gateway.NotAttached",
    "InvalidAMIID.Unavailable",
    "NoSuchBucket",
    "NoSuchKey",
    "NoSuchResourceException",
    "ResourceNotFoundException",
}
_INVALID = {
    "CREATE_FAILED",
    "IdempotentParameterMismatch",
    "InsufficientCapabilitiesException",
    "MissingParameter",
    "Unsupported",
    "UnsupportedOperation",
    "ValidationError",
    "ValidationException",
    "VolumeTypeNotAvailableInZone",
}
#: What a code ends in, where the table does not name it; the first that fits counts.
_ENDINGS: tuple[tuple[tuple[str, ...], type[PitrixError]], ...] = (
    (("LimitExceeded", "LimitExceededException", "QuotaExceeded"), QuotaExceeded),
    ((".NotFound", "NotFoundException", "NotFound"), ResourceNotFound),
    ((".Duplicate", "InUse", "InUseException"), Conflict),
    ((".Malformed", ".Range", ".Format", "ZoneMismatch", "Exception"), InvalidInput),
)
#: In whose codes a known one may stand: ``Client.UnauthorizedOperation``.
_PREFIXES = ("Client.", "Server.")
_MESSAGE_LENGTH = 400


def _table() -> dict[str, type[PitrixError]]:
    groups: Iterable[tuple[set[str], type[PitrixError]]] = (
        (_THROTTLED, ProviderThrottled),
        (_UNAVAILABLE, ProviderUnavailable),
        (_CREDENTIAL, CredentialInvalid),
        (_PERMISSION, CredentialInvalid),
        (_QUOTA, QuotaExceeded),
        (_CONFLICT, Conflict),
        (_NOT_FOUND, ResourceNotFound),
        (_INVALID, InvalidInput),
    )
    return {code: kind for codes, kind in groups for code in codes}


_KINDS: Mapping[str, type[PitrixError]] = _table()


def code_of(error: BaseException) -> str:
    """AWS's own code of a translated error, "" where it has none."""
    return code_of_sdk(error.__cause__)


def code_of_sdk(error: BaseException | None) -> str:
    """AWS's own code of an exception of botocore, "" where it has none."""
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code", "") if isinstance(response, dict) else ""
    return _plain(str(code))


def from_answer(code: str, message: str, status: int, *, service: str, operation: str) -> PitrixError:
    """The error that an answer of AWS stands for.

    Args:
        code: AWS's code; ``message`` its sentence; ``status`` the HTTP status.
        service: The service's IAM prefix, ``operation`` the name of its operation: together the permission.
    """
    code = _plain(code)
    kind = _KINDS.get(code) or _by_ending(code) or _by_status(status)
    if code == "AuthFailure" and "not authorized for images" in message.lower():
        return ResourceNotFound("There is no such image in this account, nor is one shared with it.")
    # What AWS says about credentials may repeat parts of them, and what it says about permissions is an
    # encoded text of a kilobyte: both are said in our own words.
    if code in _PERMISSION or (kind is CredentialInvalid and code not in _CREDENTIAL):
        return CredentialInvalid(
            f"The AWS credential may not do {service}:{operation}; give its user or role this permission."
        )
    if kind is CredentialInvalid:
        return CredentialInvalid(f"AWS refuses the credential ({code}): {_REASONS.get(code, _REFUSED)}")
    return kind(f"AWS {operation}: {message.strip()[:_MESSAGE_LENGTH] or code} ({code})")


_REFUSED = "the access key or its secret is wrong, or the key was deactivated."
_REASONS = {
    "ExpiredToken": "it has expired.",
    "ExpiredTokenException": "it has expired.",
    "OptInRequired": "the account has not opted in to this service or region.",
    "NotSignedUp": "the account has not signed up for this service.",
    "PendingVerification": "the account is still being verified.",
    "Blocked": "the account is blocked.",
    "SignatureDoesNotMatch": "the secret does not belong to the access key.",
}


def from_network(error: Exception, *, operation: str) -> PitrixError:
    """The error that a call without an answer stands for."""
    return ProviderUnavailable(f"AWS {operation}: no answer ({type(error).__name__}).")


def from_sdk(error: Exception, *, service: str, operation: str) -> PitrixError:
    """The error that any exception of botocore stands for."""
    from botocore import exceptions

    if isinstance(error, exceptions.ClientError):
        found = error.response.get("Error", {})
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        code, message = str(found.get("Code", "")), str(found.get("Message", ""))
        return from_answer(code, message, status, service=service, operation=operation)
    if isinstance(error, exceptions.ParamValidationError):
        return InvalidInput(f"AWS {operation}: {str(error)[:_MESSAGE_LENGTH]}")
    lacking = (exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.ProfileNotFound)
    if isinstance(error, lacking):
        return CredentialInvalid("The platform itself has no AWS identity with which to assume a role.")
    if isinstance(error, exceptions.HTTPClientError | exceptions.ConnectionError | exceptions.BotoCoreError):
        return from_network(error, operation=operation)
    return ProviderError(f"AWS {operation}: {type(error).__name__}")


def _plain(code: str) -> str:
    for prefix in _PREFIXES:
        code = code.removeprefix(prefix)
    return code


def _by_ending(code: str) -> type[PitrixError] | None:
    if code.startswith("Invalid") and not code.endswith((".NotFound", ".Duplicate", "InUse")):
        return InvalidInput
    return next((kind for endings, kind in _ENDINGS if code.endswith(endings)), None)


def _by_status(status: int) -> type[PitrixError]:
    if status == 429:
        return ProviderThrottled
    return ProviderUnavailable if status >= 500 else ProviderError
