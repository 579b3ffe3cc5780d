"""Errors as they leave the process."""

from __future__ import annotations

from pitrix.errors import FieldError, InvalidInput, ProviderThrottled, known


class FinerThrottling(ProviderThrottled):
    """As a plug-in may have it."""


class FinestThrottling(FinerThrottling):
    """And one of its own."""


def test_outside_an_error_is_one_of_ours() -> None:
    error = known(FinestThrottling("slower, please", errors=[FieldError("a", "b")]))
    assert type(error) is ProviderThrottled
    assert (error.detail, error.errors) == ("slower, please", (FieldError("a", "b"),))


def test_one_of_ours_stays_itself() -> None:
    error = InvalidInput("no")
    assert known(error) is error
