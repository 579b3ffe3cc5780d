"""What each provider is tested against: one module a cloud, named as the provider is.

Each has a function ``start(folder)``, a context manager that yields a :class:`Target` and keeps what it
writes in ``folder``. It raises :class:`Unavailable` where this machine lacks what it takes. A provider of
another distribution names its function by an entry point in the group ``pitrix.provider_targets``. A
registered provider without a target fails the suite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Literal

import pytest

import providers
from pitrix import plugins
from providers.base import Provider
from providers.resources import Connection, FunctionSpec
from tests.contract.providers.targets.interposer import Answer, Asked, Interposed, interpose

ROOT = Path(__file__).parents[4]


class Unavailable(Exception):
    """This machine cannot start the target; the message says what to install."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A cloud for one provider. Nothing else about the cloud is known to the tests.

    Attributes:
        kind: ``real`` services or programs, a vendor's or third party's ``simulator``, or a fake of ours that
            is ``spec-checked`` against the vendor's specification.
        account: An account with room.
        small: An account for one machine of at most 1 GiB and volumes of 10 GiB (times ``volume_step_gib``)
            in all; None where the cloud knows no such limits (``lacks`` says so under ``"quota"``).
        refused: Credentials by what is wrong with them.
        upstream: Where the cloud listens: ``http://127.0.0.1:PORT``, or ``https``.
        through: The account, with the cloud at another address (an interposed one).
        changes: Whether a request may change something at the cloud, where its method does not tell.
        throttle: The cloud's own answer to a request when there are too many; None: ``lacks`` says why.
        tls: Certificate and key of the interposer where ``upstream`` is https; the account must trust it.
        other_account: The name by which images are shared with another account, and that account.
        other_zone: A zone that images can be copied to.
        volume_step_gib: Volumes come in multiples of so many GiB; the suites ask for multiples of it.
        privileged: An account whose charts may change the whole cluster.
        runs_guests: Machines really run their user data (a simulator's do not).
        user_data: The user data of a machine, where only the target can tell (``tests/clouds/guests.py``).
        applications: For functions: a small serverless application of one function, which answers
            ``{"word": …, "asked": event}`` with the word it is asked for by, and fails with the text of
            ``event["fail"]`` where there is one. Where it cannot be called, ``lacks`` has ``"invoking"``.
        lacks: What this target cannot show, and why, by the name of a capability or of one thing that a test
            asks for (:meth:`need`). It is skipped with that reason, and shown so in the table of the run.
    """

    name: str
    kind: Literal["real", "simulator", "spec-checked"]
    account: Connection
    small: Connection | None
    refused: Mapping[str, Connection]
    upstream: str
    through: Callable[[str], Connection]
    changes: Callable[[Asked], bool] | None = None
    throttle: Callable[[Asked], Answer] | None = None
    tls: tuple[Path, Path] | None = None
    other_account: tuple[str, Connection] | None = None
    other_zone: str = ""
    privileged: Connection | None = None
    volume_step_gib: int = 1
    runs_guests: bool = False
    user_data: Callable[[str], bytes] | None = None
    applications: Callable[[str], FunctionSpec] | None = None
    lacks: Mapping[str, str] = field(default_factory=dict)

    def need(self, *what: str) -> None:
        """Skip the test where the target cannot show one of these, with the reason."""
        for each in what:
            if each in self.lacks:
                pytest.skip(f"{self.name} ({self.kind}): {self.lacks[each]}")

    def connect(self, connection: Connection | None = None) -> Provider:
        return providers.connect(self.name, connection or self.account)

    @contextmanager
    def interposed(self) -> Iterator[tuple[Provider, Interposed]]:
        """A provider whose calls go through an interposer that the test commands."""
        with interpose(self.upstream, tls=self.tls) as between:
            yield self.connect(self.through(between.url)), between

    @contextmanager
    def answers_lost(self) -> Iterator[Provider]:
        """A provider whose creating and deleting calls reach the cloud while their answers never come back.

        Calls that change nothing are answered, as a provider may look before it makes something.
        """
        with self.interposed() as (provider, between):
            changes = self.changes or (lambda asked: asked.method not in ("GET", "HEAD"))
            between.lose_answers(lambda asked, answer: answer.status < 400 and changes(asked))
            yield provider

    @contextmanager
    def throttled(self) -> Iterator[Provider]:
        """A provider whose cloud says to each of its calls that there were too many."""
        self.need("throttling")
        assert self.throttle is not None, "a target without a throttling answer says so in lacks"
        with self.interposed() as (provider, between):
            between.answer_instead(self.throttle)
            yield provider


def start(name: str) -> Callable[[Path], AbstractContextManager[Target]]:
    """What starts the target of a provider.

    Raises:
        KeyError: There is none.
    """
    if name in names():
        found: Callable[[Path], AbstractContextManager[Target]] = plugins.load(names()[name])
        return found
    raise KeyError(name)


def names() -> dict[str, str]:
    """Provider to ``module:function``, for all providers that have a target."""
    here = Path(__file__).parent
    ours = {
        path.stem: f"{__name__}.{path.stem}:start"
        for path in here.glob("*.py")
        if path.stem not in ("__init__", "interposer")
    }
    return {point.name: point.value for point in entry_points(group="pitrix.provider_targets")} | ours
