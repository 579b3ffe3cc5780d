"""What this cloud answers when it does not do what was asked."""

from __future__ import annotations


class CloudError(Exception):
    """``status`` is the HTTP status, ``code`` what a client decides by, the message is for people."""

    status = 500
    code = "internal"


class Invalid(CloudError):
    status = 400
    code = "invalid"


class Unauthorized(CloudError):
    status = 401
    code = "unauthorized"


class QuotaReached(CloudError):
    status = 403
    code = "quota_exceeded"


class Missing(CloudError):
    status = 404
    code = "not_found"


class Clash(CloudError):
    status = 409
    code = "conflict"
