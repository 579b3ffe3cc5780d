"""What every provider offers of itself: its name, its form, its zones, and a verdict on a credential."""

from __future__ import annotations

from dataclasses import replace

import pytest
from jsonschema import Draft202012Validator

import providers
from pitrix.errors import CredentialInvalid
from providers.base import ways
from tests.contract.providers.targets import Target


class TestAccounts:
    def test_a_good_credential_is_accepted(self, target: Target) -> None:
        target.connect().validate_credential()

    def test_its_zone_is_among_the_zones(self, target: Target) -> None:
        assert target.account.zone in [zone.zone for zone in target.connect().zones()]

    def test_a_refused_credential_says_why(self, target: Target) -> None:
        assert target.refused
        for connection in target.refused.values():
            with pytest.raises(CredentialInvalid) as refused:
                target.connect(connection).validate_credential()
            assert len(refused.value.detail) > 20
            for name, value in connection.credential.items():
                assert name == "endpoint" or value not in refused.value.detail

    def test_a_zone_that_is_none_is_refused(self, target: Target) -> None:
        with pytest.raises(CredentialInvalid):
            target.connect(replace(target.account, zone="nowhere")).validate_credential()

    def test_the_schema_describes_the_credential(self, target: Target) -> None:
        schema = providers.get(target.name).credential_schema
        Draft202012Validator.check_schema(schema)
        for way in ways(schema):
            assert way["additionalProperties"] is False
            assert all(field["title"] for field in way["properties"].values())
            assert any(field.get("writeOnly") for field in way["properties"].values()), "nothing is secret"
        Draft202012Validator(schema).validate(dict(target.account.credential))

    def test_no_repr_shows_the_credential(self, target: Target) -> None:
        assert all(value not in repr(target.account) for value in target.account.credential.values())
