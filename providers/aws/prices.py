"""List prices, from the Price List API. What it does not tell is not guessed.

Source: *AWS Billing User Guide*, "AWS Price List Query API"; a month has 730 hours, as in its
calculator.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from pitrix.errors import ResourceNotFound
from providers.aws.cloud import Cloud
from providers.aws.volumes import DEFAULT_CLASS
from providers.base import Prices
from providers.resources import Price

HOURS_A_MONTH = 730

_REGION = "us-east-1"
"""Where the Price List API answers for every region."""

_SOURCE = "AWS Price List API, on demand"
_MACHINE = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
}
"""A Linux machine on shared hardware, without software that costs, on no reservation."""


class AwsPrices(Cloud, Prices):
    """On-demand prices, before taxes, discounts and free tiers."""

    def machine_price(self, machine_type: str) -> Price:
        product = self._product({"instanceType": machine_type, **_MACHINE}, machine_type)
        return _price(product, hours=1)

    def volume_price(self, volume_class: str) -> Price:
        """Of the size alone: operations and throughput beyond what is included cost extra."""
        wanted = volume_class or DEFAULT_CLASS
        product = self._product({"productFamily": "Storage", "volumeApiName": wanted}, wanted)
        return _price(product, hours=HOURS_A_MONTH)

    def _product(self, fields: Mapping[str, str], what: str) -> Any:
        """The product that is sold by itself and costs something.

        Raises:
            ResourceNotFound: The list has none.
        """
        wanted = {"regionCode": self._cloud.region, **fields}
        found = self._cloud.pages(
            "pricing",
            "GetProducts",
            "PriceList",
            region=_REGION,
            ServiceCode="AmazonEC2",
            Filters=[{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in wanted.items()],
        )
        for text in found:
            product = json.loads(text)
            if any(amount for _, amount in _amounts(product)):
                return product
        raise ResourceNotFound(f"AWS's price list has no {what!r} in {self._cloud.region}.")


def _amounts(product: Any) -> list[tuple[str, Decimal]]:
    """Currency and amount of each on-demand price of a product."""
    return [
        (currency, Decimal(amount))
        for term in product.get("terms", {}).get("OnDemand", {}).values()
        for dimension in term["priceDimensions"].values()
        for currency, amount in dimension["pricePerUnit"].items()
    ]


def _price(product: Any, *, hours: int) -> Price:
    currency, amount = max(_amounts(product), key=lambda each: each[1])
    micros = (amount * 1_000_000 / hours).quantize(Decimal(1), ROUND_HALF_UP)
    return Price(
        currency=currency,
        micros_per_hour=int(micros),
        as_of=date.fromisoformat(product["publicationDate"][:10]),
        source=_SOURCE,
    )
