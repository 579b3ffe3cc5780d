"""Tables in moto's DynamoDB, of the shape that template.yaml gives to every context."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from moto import mock_aws

from pitrix.table_dynamo import DynamoTable


@contextmanager
def dynamo_table(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[DynamoTable]:
    """A fresh table, and an AWS that is gone afterwards."""
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        create_dynamo_table(name)
        yield DynamoTable(name, region="us-east-1")


def _key(name: str, kind: str) -> dict[str, str]:
    return {"AttributeName": name, "KeyType": kind}


def create_dynamo_table(name: str) -> None:
    """Make such a table; inside of ``mock_aws``."""
    indexes: list[Any] = [
        {
            "IndexName": f"by-{index}",
            "KeySchema": [_key(f"{index}pk", "HASH"), _key(f"{index}sk", "RANGE")],
            "Projection": {"ProjectionType": "ALL"},
        }
        for index in ("g1", "g2")
    ]
    boto3.client("dynamodb", region_name="us-east-1").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[_key("pk", "HASH"), _key("sk", "RANGE")],  # type: ignore[list-item]
        AttributeDefinitions=[
            {"AttributeName": attribute, "AttributeType": "S"}
            for attribute in ("pk", "sk", "g1pk", "g1sk", "g2pk", "g2sk")
        ],
        GlobalSecondaryIndexes=indexes,
    )
