"""Credentials against the form of their provider, where there are several ways to sign in."""

from __future__ import annotations

from typing import Any

import pytest

from pitrix.runtimes import credentials


def way(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "title": name.title(),
        "properties": {"method": {"const": name}} | fields,
        "required": ["method", *fields],
        "additionalProperties": False,
    }


SCHEMA = {
    "oneOf": [
        way(
            "keys", access_key={"type": "string", "pattern": "^AK"}, secret={"type": "string", "minLength": 8}
        ),
        way("role", role={"type": "string"}, size={"type": "string", "enum": ["s", "l"]}),
    ]
}


def told(credential: dict[str, Any]) -> dict[str, str]:
    return {each.field: each.message for each in credentials.problems(SCHEMA, credential)}


def test_each_way_is_judged_by_itself() -> None:
    assert told({"method": "keys", "access_key": "AK1", "secret": "12345678"}) == {}
    assert told({"method": "role", "role": "r", "size": "l"}) == {}
    assert set(told({"method": "role", "access_key": "AK1"})) == {
        "credential.role", "credential.size", "credential.access_key",
    }  # fmt: skip


@pytest.mark.parametrize("method", [{}, {"method": "magic"}])
def test_without_a_way_the_ways_are_told(method: dict[str, str]) -> None:
    assert told({"access_key": "AK1"} | method) == {"credential.method": "must be one of: keys, role"}


def test_every_rule_has_words_and_no_value_is_repeated() -> None:
    said = told({"method": "keys", "access_key": "hush-hush", "secret": "hush"})
    assert said["credential.access_key"].endswith("^AK")
    assert said["credential.secret"] == "must have at least 8 characters"
    assert told({"method": "role", "role": "r", "size": "hush"}) == {
        "credential.size": "must be one of: s, l"
    }
    assert "hush" not in str(said)


def test_what_no_vault_holds_is_refused_before_it_is_looked_at() -> None:
    assert list(told({"method": "keys", "secret": "x" * 40_000})) == ["credential"]
