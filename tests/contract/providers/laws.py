"""What holds for whatever a provider creates, stated once and inherited by the suite of each capability."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest

from pitrix.errors import (
    CredentialInvalid,
    InvalidInput,
    ProviderThrottled,
    ProviderUnavailable,
    ResourceNotFound,
)
from providers.base import TAG_NODE, Capability, Provider
from tests.contract.providers.bench import Bench, eventually
from tests.contract.providers.targets import Target

CALLS_AT_ONCE = 8


class Suite(ABC):
    """The tests of one capability; run for every provider that offers it."""

    capability: ClassVar[Capability]


class CreationLaws(Suite):
    """A suite names its capability and says how to create, read, list and delete; the tests come along."""

    @abstractmethod
    def create(self, bench: Bench, key: str, provider: Provider | None = None) -> Any: ...

    @abstractmethod
    def read(self, provider: Provider, resource_id: str) -> Any: ...

    @abstractmethod
    def listed(self, provider: Provider, tags: Mapping[str, str]) -> list[Any]: ...

    @abstractmethod
    def delete(self, provider: Provider, resource_id: str) -> None: ...

    @abstractmethod
    def id_of(self, resource: Any) -> str: ...

    def ids(self, bench: Bench) -> list[str]:
        return [self.id_of(resource) for resource in self.listed(bench.provider, bench.tags)]

    def delete_and_wait(self, bench: Bench, resource_id: str) -> None:
        """Repeat the deletion until it is done, as a state machine does."""

        def gone() -> bool:
            self.delete(bench.provider, resource_id)
            try:
                self.read(bench.provider, resource_id)
            except ResourceNotFound:
                return True
            return False

        eventually(gone, bool)

    def test_what_was_created_can_be_read(self, bench: Bench) -> None:
        made = self.create(bench, "a")
        read = self.read(bench.provider, self.id_of(made))
        assert (read.name, dict(read.tags)) == (made.name, bench.tags)

    def test_tags_find_exactly_what_carries_them_all(self, bench: Bench) -> None:
        made = self.id_of(self.create(bench, "a"))
        assert self.ids(bench) == [made]
        assert self.listed(bench.provider, {**bench.tags, TAG_NODE: "none"}) == []
        assert made in [self.id_of(resource) for resource in self.listed(bench.provider, {})]

    def test_repeating_a_creation_returns_the_same(self, bench: Bench) -> None:
        first, second = self.create(bench, "a"), self.create(bench, "a")
        assert self.id_of(first) == self.id_of(second)
        assert self.ids(bench) == [self.id_of(first)]

    def test_another_key_makes_another(self, bench: Bench) -> None:
        assert self.id_of(self.create(bench, "a")) != self.id_of(self.create(bench, "b"))

    def test_the_same_creation_many_times_at_once_makes_one(self, bench: Bench) -> None:
        self.create(bench, "warm-up")  # what it needs itself is made before, by one caller

        def create(_: int) -> str:
            return self.id_of(self.create(bench, "a", bench.target.connect()))

        with ThreadPoolExecutor(CALLS_AT_ONCE) as callers:
            made = set(callers.map(create, range(CALLS_AT_ONCE)))
        assert len(made) == 1
        assert len(self.ids(bench)) == 2

    def test_a_creation_whose_answer_was_lost_can_be_repeated(self, bench: Bench) -> None:
        self.create(bench, "warm-up")
        with bench.target.answers_lost() as deaf, pytest.raises(ProviderUnavailable):
            self.create(bench, "a", deaf)
        made = self.id_of(self.create(bench, "a"))
        assert sorted(self.ids(bench)) == sorted({made, self.id_of(self.create(bench, "warm-up"))})

    @pytest.mark.parametrize(
        "key", ["", "k" * 65, "not a key", "ключ"], ids=["empty", "long", "space", "cyrillic"]
    )
    def test_a_key_that_some_cloud_cannot_carry_is_refused(
        self, bench: Bench, key: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bench, "key", lambda name: key if name == "a" else f"{bench.run}.{name}")
        with pytest.raises(InvalidInput):
            self.create(bench, "a")
        assert self.ids(bench) == []

    def test_what_never_was_is_not_found(self, bench: Bench) -> None:
        with pytest.raises(ResourceNotFound):
            self.read(bench.provider, "nothing-0000")

    def test_what_was_deleted_is_not_found_and_not_listed(self, bench: Bench) -> None:
        made = self.id_of(self.create(bench, "a"))
        self.delete_and_wait(bench, made)
        with pytest.raises(ResourceNotFound):
            self.read(bench.provider, made)

    def test_deleting_what_is_gone_succeeds(self, bench: Bench) -> None:
        made = self.id_of(self.create(bench, "a"))
        self.delete_and_wait(bench, made)
        self.delete(bench.provider, made)
        self.delete(bench.provider, "nothing-0000")

    def test_a_deletion_whose_answer_was_lost_can_be_repeated(self, bench: Bench) -> None:
        made = self.id_of(self.create(bench, "a"))
        with bench.target.answers_lost() as deaf, pytest.raises(ProviderUnavailable):
            self.delete(deaf, made)
        self.delete_and_wait(bench, made)

    def test_a_key_may_be_used_again_after_its_resource_is_gone(self, bench: Bench) -> None:
        made = self.id_of(self.create(bench, "a"))
        self.delete_and_wait(bench, made)
        again = self.id_of(self.create(bench, "a"))  # the same id, where a cloud's ids are made of names
        assert self.read(bench.provider, again)
        assert self.ids(bench) == [again]

    def test_being_asked_too_often_is_an_error_of_its_own(self, target: Target) -> None:
        with target.throttled() as provider, pytest.raises(ProviderThrottled):
            self.listed(provider, {})

    def test_without_a_good_credential_nothing_is_told(self, target: Target) -> None:
        for connection in target.refused.values():
            with pytest.raises(CredentialInvalid):
                self.listed(target.connect(connection), {})
