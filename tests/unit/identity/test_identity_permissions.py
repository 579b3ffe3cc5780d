"""Roles, ownership, and that every question the services ask is one the model knows."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from pitrix.errors import InvalidInput, NotFound, PermissionDenied, Unauthenticated
from pitrix.identity.model import (
    ANONYMOUS,
    BUILT_IN_ROLES,
    MODULES,
    SYSTEM,
    Principal,
    check_owner_path,
    require,
    require_owned,
)

ROOT = Path(__file__).parents[3]


def principal(role: str = "user", owner_path: str = ":acme:") -> Principal:
    return Principal("usr_1", "alice", role, owner_path)


def test_the_built_in_roles_are_the_seven_of_the_design() -> None:
    assert set(BUILT_IN_ROLES) == {
        "operator",
        "vendor",
        "developer",
        "business_reviewer",
        "technical_reviewer",
        "vendor_reviewer",
        "user",
    }


@pytest.mark.parametrize(
    ("role", "module", "action", "allowed"),
    [
        ("user", "catalog", "read", True),
        ("user", "clusters", "create", True),
        ("user", "runtimes", "delete", True),
        ("user", "billing", "quote", True),
        ("user", "repos", "push", False),
        ("user", "catalog", "create", False),
        ("user", "identity", "read", False),
        ("user", "billing", "aggregate", False),
        ("developer", "repos", "push", True),
        ("developer", "catalog", "release", False),
        ("vendor", "catalog", "release", True),
        ("vendor", "clusters", "create", True),
        ("vendor", "catalog", "review_vendor", False),
        ("business_reviewer", "catalog", "review_business", True),
        ("business_reviewer", "catalog", "review_technical", False),
        ("technical_reviewer", "catalog", "review_technical", True),
        ("vendor_reviewer", "catalog", "review_vendor", True),
        ("operator", "identity", "delete", True),
        ("operator", "billing", "manage_prices", True),
        ("no-such-role", "catalog", "read", False),
    ],
)
def test_a_role_holds_its_permissions_and_no_others(
    role: str, module: str, action: str, allowed: bool
) -> None:
    assert principal(role).may(module, action) is allowed


def test_a_visitor_sees_the_store_and_is_asked_to_sign_in_for_the_rest() -> None:
    require(ANONYMOUS, "catalog", "read")
    with pytest.raises(Unauthenticated):
        require(ANONYMOUS, "clusters", "read")


def test_a_known_user_is_denied_not_asked_to_sign_in() -> None:
    with pytest.raises(PermissionDenied, match=r"user.*may not push.*repos"):
        require(principal(), "repos", "push")


def test_the_platform_itself_may_everything_and_owns_everything() -> None:
    for module, actions in MODULES.items():
        for action in actions:
            require(SYSTEM, module, action)
    assert SYSTEM.owns(":acme:")


@pytest.mark.parametrize(
    ("mine", "other", "owned"),
    [
        (":acme:", ":acme:", True),
        (":acme:", ":acme:shop:", True),
        (":acme:", ":acme", True),
        (":acme:shop:", ":acme:", False),
        (":acme:", ":acme-two:", False),
        (":acme", ":acmetwo:", False),
        (":acme:", ":other:acme:", False),
        (":", ":anything:below:", True),
        ("", ":acme:", False),
        (":acme:", "", False),
    ],
)
def test_ownership_follows_whole_names_of_the_path(mine: str, other: str, owned: bool) -> None:
    assert principal(owner_path=mine).owns(other) is owned


def test_a_visitor_owns_nothing() -> None:
    assert not ANONYMOUS.owns(":")
    assert not ANONYMOUS.owns("")


def test_what_belongs_to_another_does_not_exist() -> None:
    require_owned(principal(), ":acme:shop:", "The cluster cl_1")
    with pytest.raises(NotFound, match="The cluster cl_1 does not exist"):
        require_owned(principal(), ":other:", "The cluster cl_1")


@pytest.mark.parametrize("path", [":", ":acme:", ":acme:shop:", ":usr_01jd3v:", ":a.b-c_d:"])
def test_good_owner_paths(path: str) -> None:
    assert check_owner_path(path) == path


@pytest.mark.parametrize("path", ["", "acme", ":acme", "acme:", "::", ":Acme:", ":a b:", ":" + "a:" * 9])
def test_malformed_owner_paths_are_named(path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_owner_path(path)
    assert caught.value.errors[0].field == "owner_path"


def test_every_permission_the_source_asks_for_is_known() -> None:
    """`require(who, "clusters", "crate")` would refuse all but operators, and no other test would tell."""
    unknown, seen = [], 0
    for file in [*ROOT.glob("layers/core/pitrix/**/*.py"), *ROOT.glob("functions/**/*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            asked = {"require": node.args[1:3], "may": node.args[:2]}.get(name, [])
            values = [part.value for part in asked if isinstance(part, ast.Constant)]
            if len(values) == 2:
                seen += 1
                if values[1] not in MODULES.get(str(values[0]), ()):
                    unknown.append(f"{file.relative_to(ROOT)}:{node.lineno} {values}")
    assert seen > 5
    assert not unknown


def test_grants_name_only_known_permissions() -> None:
    wrong = [
        (role.role_id, module, action)
        for role in BUILT_IN_ROLES.values()
        for module, actions in role.grants.items()
        for action in actions
        if module != "*" and action != "*" and action not in MODULES.get(module, ())
    ]
    assert not wrong
