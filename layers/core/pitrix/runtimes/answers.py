"""What clouds answered in the last minutes, so that a page that is drawn again asks none of them.

Owns for how long an answer is good, and of which runtime. Never decides who may ask: ``service.py`` does.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final, TypeVar

import msgspec

from pitrix.clock import Clock
from pitrix.runtimes.model import Account, Runtime
from pitrix.runtimes.ports import RuntimeStore

T = TypeVar("T")

#: Seconds for which what a cloud said of its zones, sizes, images and networks is told again.
ANSWER_KEPT_S: Final = 180
#: Seconds after an edit in which some function may still use the credential of before (`pitrix.vault`).
_UNSETTLED_S: Final = 90


class KeptAnswers:
    """Answers about runtimes, each kept with the runtime and for the revision that it was asked with."""

    def __init__(self, *, runtimes: RuntimeStore, clock: Clock) -> None:
        self._runtimes = runtimes
        self._clock = clock

    def to(self, runtime: Runtime, question: str, ask: Callable[[Account], T], kind: type[T]) -> T:
        """What the cloud answered to a question in the last minutes, or answers now.

        Args:
            question: The name that the answer is kept by.
            ask: Asks the cloud; raises what the cloud's answer makes it raise, of which nothing is kept.
        """
        now = self._clock.now()
        kept = self._runtimes.answer(runtime, question, now_s=int(now.timestamp()))
        if kept is not None:
            return msgspec.convert(kept, kind)
        answer = ask(account_of(runtime))
        edited = runtime.updated_at > runtime.created_at
        if not edited or now - runtime.updated_at >= timedelta(seconds=_UNSETTLED_S):
            until_s = int(now.timestamp()) + ANSWER_KEPT_S
            self._runtimes.keep_answer(runtime, question, msgspec.to_builtins(answer), until_s=until_s)
        return answer


def account_of(runtime: Runtime) -> Account:
    """The account behind a runtime, with the name of its credential in place of the credential."""
    return Account(provider=runtime.provider, zone=runtime.zone, secret_name=runtime.secret_name)
