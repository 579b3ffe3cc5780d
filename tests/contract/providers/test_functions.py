"""Functions: the common laws, and the versions, aliases and answers of serverless applications."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from pitrix.errors import InvalidInput, ResourceNotFound
from providers.base import Capability, Provider
from providers.resources import Function, FunctionStatus
from tests.contract.providers.bench import Bench, eventually
from tests.contract.providers.laws import CreationLaws


class TestFunctions(CreationLaws):
    capability = Capability.FUNCTIONS

    def create(self, bench: Bench, key: str, provider: Provider | None = None) -> Function:
        return bench.function(key, provider)

    def read(self, provider: Provider, resource_id: str) -> Function:
        return provider.functions.get_function(resource_id)

    def listed(self, provider: Provider, tags: Mapping[str, str]) -> list[Function]:
        return provider.functions.list_functions(tags)

    def delete(self, provider: Provider, resource_id: str) -> None:
        provider.functions.remove_function(resource_id)

    def id_of(self, resource: Function) -> str:
        return resource.function_id

    def active(self, bench: Bench, function_id: str) -> Function:
        function = eventually(
            lambda: self.read(bench.provider, function_id),
            lambda function: function.status is not FunctionStatus.PENDING,
        )
        assert function.status is FunctionStatus.ACTIVE, function.reason
        return function

    def published(self, bench: Bench, function_id: str, word: str, key: str) -> Function:
        """A new version that says ``word``: asked for until it is the newest, as a state machine does."""
        spec = bench.function_spec("a", word)
        eventually(
            lambda: bench.provider.functions.publish_version(
                function_id, spec, idempotency_key=bench.key(key)
            ),
            lambda function: function.status is not FunctionStatus.PENDING,
        )
        return self.active(bench, function_id)

    def test_it_becomes_active_with_a_version(self, bench: Bench) -> None:
        function = self.active(bench, bench.function("a").function_id)
        assert function.version
        assert function.reason == ""

    def test_it_answers(self, bench: Bench) -> None:
        bench.target.need("invoking")
        made = self.active(bench, bench.function("a", word="hello").function_id)
        answer = bench.provider.functions.invoke_function(
            made.function_id, "", json.dumps({"number": 7}).encode(), timeout_s=30
        )
        assert answer.error == ""
        assert json.loads(answer.payload) == {"word": "hello", "asked": {"number": 7}}

    def test_one_that_fails_says_so(self, bench: Bench) -> None:
        bench.target.need("invoking")
        made = self.active(bench, bench.function("a").function_id)
        answer = bench.provider.functions.invoke_function(
            made.function_id, "", json.dumps({"fail": "no such luck"}).encode(), timeout_s=30
        )
        assert "no such luck" in answer.error

    def test_a_new_version_answers_anew(self, bench: Bench) -> None:
        first = self.active(bench, bench.function("a", word="hello").function_id)
        second = self.published(bench, first.function_id, "goodbye", "publish")
        assert second.function_id == first.function_id
        assert second.version not in ("", first.version)
        again = self.published(bench, first.function_id, "goodbye", "publish")
        assert again.version == second.version, "the key did so already"
        if "invoking" not in bench.target.lacks:
            answer = bench.provider.functions.invoke_function(first.function_id, "", b"{}", timeout_s=30)
            assert json.loads(answer.payload)["word"] == "goodbye"

    def test_an_alias_answers_with_the_version_it_is_pointed_at(self, bench: Bench) -> None:
        functions = bench.provider.functions
        first = self.active(bench, bench.function("a", word="hello").function_id)
        second = self.published(bench, first.function_id, "goodbye", "publish")
        for version in (first.version, second.version, second.version):
            pointed = functions.point_alias(first.function_id, alias="live", version=version)
            assert pointed.aliases["live"] == version
            assert self.read(bench.provider, first.function_id).aliases["live"] == version
        with pytest.raises(ResourceNotFound):
            functions.point_alias(first.function_id, alias="live", version="nothing-0000")

    def test_what_is_no_archive_is_refused(self, bench: Bench) -> None:
        spec = replace(bench.function_spec("a"), code=b"hello")
        with pytest.raises(InvalidInput):
            bench.provider.functions.deploy_function(spec, idempotency_key=bench.key("a"))
        assert self.ids(bench) == []

    def test_without_manifests_there_is_nothing_to_deploy(self, bench: Bench) -> None:
        spec = replace(bench.function_spec("a"), manifests={})
        with pytest.raises(InvalidInput):
            bench.provider.functions.deploy_function(spec, idempotency_key=bench.key("a"))
        assert self.ids(bench) == []

    def test_what_never_was_neither_answers_nor_changes(self, bench: Bench) -> None:
        functions = bench.provider.functions
        with pytest.raises(ResourceNotFound):
            functions.invoke_function("nothing-0000", "", b"{}", timeout_s=5)
        with pytest.raises(ResourceNotFound):
            functions.publish_version(
                "nothing-0000", bench.function_spec("a"), idempotency_key=bench.key("p")
            )
        with pytest.raises(ResourceNotFound):
            functions.point_alias("nothing-0000", alias="live", version="1")

    def test_a_function_that_it_has_not_does_not_answer(self, bench: Bench) -> None:
        made = self.active(bench, bench.function("a").function_id)
        with pytest.raises(ResourceNotFound):
            bench.provider.functions.invoke_function(made.function_id, "nothing-0000", b"{}", timeout_s=5)
