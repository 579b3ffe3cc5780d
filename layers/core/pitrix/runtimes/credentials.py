"""Whether a credential fits the form that its provider publishes.

Owns the words for what does not fit: each names a field and says what is allowed, none repeats a value, which
may be the secret. Never asks a cloud.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pitrix.errors import FieldError
from providers.base import ways

#: Bytes of a credential; Secrets Manager keeps 65,536, and JSON may double what is quoted in it.
LONGEST: Final = 30_000
_RULES: Final = {
    "minLength": "must have at least {} characters",
    "maxLength": "must have at most {} characters",
    "pattern": "is not written as it should be; it matches {}",
    "enum": "must be one of: {}",
    "const": "must be {}",
    "type": "must be a {}",
}


def problems(schema: Mapping[str, Any], credential: Mapping[str, str]) -> list[FieldError]:
    """What is wrong with a credential, by field (``credential.secret``); empty when it fits.

    Where there are several ways to sign in, ``method`` says which; all else is judged by that way alone.
    """
    from jsonschema import Draft202012Validator  # heavy, and only a connecting request needs it

    if sum(len(str(value).encode()) for value in credential.values()) > LONGEST:
        return [FieldError("credential", f"must have at most {LONGEST} bytes in all")]
    offered = ways(schema)
    named = {way["properties"]["method"]["const"]: way for way in offered} if len(offered) > 1 else {}
    way = named.get(credential.get("method", "")) if named else offered[0]
    if way is None:
        return [FieldError("credential.method", f"must be one of: {', '.join(named)}")]
    known = way.get("properties", {})
    found: list[FieldError] = []
    for problem in Draft202012Validator(way).iter_errors(dict(credential)):
        rule, limit = str(problem.validator), problem.validator_value
        if rule == "required":
            missing = [name for name in limit if name not in credential]
            found += [FieldError(f"credential.{name}", "is required") for name in missing]
        elif rule == "additionalProperties":
            allowed = f"is unknown; known are: {', '.join(known)}"
            found += [FieldError(f"credential.{name}", allowed) for name in credential if name not in known]
        else:  # the library's own message would repeat the value
            path = ".".join(["credential", *map(str, problem.absolute_path)])
            found.append(FieldError(path, _broken(rule, limit)))
    # The library reports `required` once for every missing name, and each time we list them all.
    return list(dict.fromkeys(found))


def _broken(rule: str, limit: Any) -> str:
    shown = ", ".join(map(str, limit)) if isinstance(limit, list) else str(limit)
    return _RULES.get(rule, f"does not fit the rule {rule}: {{}}").format(shown)
