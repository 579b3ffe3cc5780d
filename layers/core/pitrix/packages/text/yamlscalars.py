"""What the scalars and the tags of a YAML file stand for, as Helm reads them (rules: `text.yamltext`).

Owns the table of words, the forms of numbers and CloudFormation's short tags.  Never parses: that is
`text.yamlreader`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

#: From a tag (``!Ref``) to what a value with that tag becomes.
Tags = Mapping[str, Callable[[Any], Any]]


def _named(name: str) -> Callable[[Any], Any]:
    return lambda value: {name: value}


def _get_att(value: Any) -> Any:
    return {"Fn::GetAtt": value.split(".", 1) if isinstance(value, str) else value}


# From the reference of CloudFormation's intrinsic functions and of its functions for rules.
_FUNCTIONS = (
    "And Base64 Cidr Contains EachMemberEquals EachMemberIn Equals FindInMap GetAZs GetStackOutput If"
    " ImportValue Join Length Not Or RefAll Select Split Sub ToJsonString Transform ValueOf ValueOfAll"
)
#: The short forms of CloudFormation's functions, become its long ones.
CLOUDFORMATION: Tags = {
    "!Ref": _named("Ref"),
    "!Condition": _named("Condition"),
    "!GetAtt": _get_att,
    **{f"!{name}": _named(f"Fn::{name}") for name in _FUNCTIONS.split(" ")},
}

_WORDS: dict[str, Any] = {
    **dict.fromkeys(["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"], True),
    **dict.fromkeys(["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"], False),
    **dict.fromkeys(["", "~", "null", "Null", "NULL"]),
    **dict.fromkeys([".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"], math.inf),
    **dict.fromkeys(["-.inf", "-.Inf", "-.INF"], -math.inf),
    **dict.fromkeys([".nan", ".NaN", ".NAN"], math.nan),
}
_WHOLE = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]{1,16}|0[bB][01]{1,64}|0[oO]?[0-7]{1,22}|[1-9][0-9]{0,19}|0)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_OCTAL = re.compile(r"([-+]?)0[oO]?([0-7]+)")


def plain(text: str) -> Any:
    """What a scalar without quotes and tags is; NaN and the infinities as such."""
    value = _WORDS.get(text, _WORDS)
    if value is not _WORDS:
        return value
    return _number(text) if text[0] in "0123456789+-." else text


def _number(text: str) -> Any:
    bare = text.replace("_", "")
    if _WHOLE.fullmatch(bare):
        octal = _OCTAL.fullmatch(bare)
        value = int(octal[1] + octal[2], 8) if octal else int(bare, 0)
        if -(2**63) <= value < 2**64:
            return value
    if _FLOAT.fullmatch(bare):
        inexact = float(bare)
        if math.isfinite(inexact):
            return inexact
    return text


def key_text(value: Any) -> str:
    """A key that is a number or a boolean, as the text that Helm makes of it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return str(value)
