"""What the API server and Helm say, as errors that a state machine can tell apart."""

from __future__ import annotations

import json

import pytest

from pitrix import errors as domain
from providers.kubernetes import errors


@pytest.mark.parametrize(
    ("status", "message", "wanted"),
    [
        (401, "Unauthorized", domain.CredentialInvalid),
        (403, 'pods is forbidden: User "a" cannot list resource "pods"', domain.CredentialInvalid),
        (403, 'services "b" is forbidden: exceeded quota: small', domain.QuotaExceeded),
        (403, "unable to create in namespace x because it is being terminated", domain.ProviderUnavailable),
        (404, "not found", domain.ResourceNotFound),
        (409, "already exists", domain.Conflict),
        (410, "The provided continue parameter is too old", domain.ProviderUnavailable),
        (422, "invalid", domain.InvalidInput),
        (429, "too many", domain.ProviderThrottled),
        (302, "elsewhere", domain.ProviderError),
        (500, "etcdserver: leader changed", domain.ProviderUnavailable),
    ],
)
def test_answers(status: int, message: str, wanted: type[Exception]) -> None:
    found = errors.from_answer(status, json.dumps({"kind": "Status", "message": message}).encode())
    assert type(found) is wanted


def test_an_answer_that_is_no_status() -> None:
    assert type(errors.from_answer(502, b"<html>")) is domain.ProviderUnavailable


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ('Error: INSTALLATION FAILED: services "a" is forbidden: exceeded quota: x', domain.QuotaExceeded),
        (
            'Error: INSTALLATION FAILED: clusterroles is forbidden: User "system:serviceaccount:a:b" cannot '
            "create resource",
            domain.InvalidInput,
        ),
        (
            "Error: Kubernetes cluster unreachable: the server has asked: Unauthorized",
            domain.CredentialInvalid,
        ),
        ('Error: create: failed to create: Post "https://x": EOF', domain.ProviderUnavailable),
        ("Error: execution error at (a/templates/b.yaml:1:2): greeting is needed", domain.InvalidInput),
        ('Error: unable to build kubernetes objects: no matches for kind "Gadget"', domain.InvalidInput),
        ("Error: UPGRADE FAILED: release: not found", domain.ResourceNotFound),
        ("Error: the server said: TooManyRequests", domain.ProviderThrottled),
        ("Error: something new", domain.ProviderError),
    ],
)
def test_helm(said: str, wanted: type[Exception]) -> None:
    assert type(errors.from_helm(f"WARNING: something\n{said}\n")) is wanted


def test_hooks_are_told_from_the_cluster() -> None:
    assert errors.is_hook("Error: INSTALLATION FAILED: failed pre-install: 1 error occurred: timed out")
    assert not errors.is_hook("Error: failed pre-install: jobs is forbidden: User x cannot create")
    assert not errors.is_hook('Error: failed post-install: Post "https://x": EOF')
    assert errors.is_transient('Release "web" failed: Post "https://x/secrets": EOF')
    assert not errors.is_transient("Release failed: failed pre-install: timed out waiting")


def test_what_is_taken() -> None:
    assert errors.is_taken("Error: INSTALLATION FAILED: cannot reuse a name that is still in use")
    assert errors.is_taken('create: failed to create: secrets "sh.helm.release.v1.web.v1" already exists')
    assert not errors.is_taken('services "web" already exists')


def test_what_helm_said_is_short_and_without_its_warnings() -> None:
    assert errors.short("WARNING: x\nError: a\n  b\n") == "a b"
    assert len(errors.short("Error: " + "x" * 5000)) < 1100
