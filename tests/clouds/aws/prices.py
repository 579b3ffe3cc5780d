"""A few products in the form in which the Price List API tells them; moto has none.

Owns the form (*AWS Billing User Guide*, "Reading the service price list file"). The amounts are examples.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_PRODUCTS = (
    ("Compute Instance", {"instanceType": "t3.micro"}, "Hrs", "0.0104000000"),
    ("Compute Instance", {"instanceType": "t3.medium"}, "Hrs", "0.0416000000"),
    ("Compute Instance", {"instanceType": "t3.large"}, "Hrs", "0.0832000000"),
    ("Storage", {"volumeApiName": "gp3"}, "GB-Mo", "0.0800000000"),
    ("Storage", {"volumeApiName": "io2"}, "GB-Mo", "0.1250000000"),
)
_LINUX = {"operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA"}


def get_products(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to GetProducts: what fits all filters, and what is sold as a reservation besides."""
    wanted = {each["Field"]: each["Value"] for each in asked.get("Filters", [])}
    region = wanted.pop("regionCode", "us-east-1")
    found = [
        json.dumps(_product(family, {**attributes, "regionCode": region, **more}, unit, price))
        for family, attributes, unit, amount in _PRODUCTS
        for more, price in _sold(family, amount)
        if wanted.items() <= {"productFamily": family, **attributes, **more}.items()
    ]
    return {"FormatVersion": "aws_v1", "PriceList": found}


def _sold(family: str, amount: str) -> list[tuple[dict[str, str], str]]:
    if family == "Storage":
        return [({}, amount)]
    unused = ({**_LINUX, "capacitystatus": "UnusedCapacityReservation"}, amount)
    return [unused, ({**_LINUX, "capacitystatus": "Used"}, amount)]


def _product(family: str, attributes: Mapping[str, str], unit: str, amount: str) -> dict[str, Any]:
    dimension = {
        "unit": unit,
        "endRange": "Inf",
        "beginRange": "0",
        "appliesTo": [],
        "pricePerUnit": {"USD": amount},
        "description": f"${amount} per {unit}",
    }
    term = {
        "priceDimensions": {"SKU.JRTCKXETXF.6YS6EN2CT7": dimension},
        "effectiveDate": "2026-11-01T00:00:00Z",
        "offerTermCode": "JRTCKXETXF",
        "termAttributes": {},
    }
    return {
        "product": {"productFamily": family, "attributes": attributes, "sku": "SKU"},
        "serviceCode": "AmazonEC2",
        "terms": {"OnDemand": {"SKU.JRTCKXETXF": term}},
        "version": "20261101000000",
        "publicationDate": "2026-11-01T00:00:00Z",
    }
