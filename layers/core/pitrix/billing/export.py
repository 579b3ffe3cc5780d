"""Usage reports for other programs: CSV.

Owns: the columns and their order, which do not change. Never: computes; every figure is the report's.
"""

from __future__ import annotations

import csv
import io
from decimal import Decimal

from pitrix.billing.model import UsageReport

COLUMNS = (
    "account",
    "cluster_id",
    "app_id",
    "charge",
    "unit",
    "plan",
    "plan_version",
    "seconds",
    "quantity_seconds",
    "quantity",
    "unit_price_micros",
    "amount_micros",
    "amount",
    "currency",
)


def usage_csv(report: UsageReport) -> str:
    """The report as RFC 4180 text: a header, then a row a line; ``amount`` in the currency's major unit."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    for line in report.lines:
        rows.writerow(
            (
                report.account,
                line.cluster_id,
                line.app_id,
                line.charge,
                line.unit,
                line.plan,
                line.plan_version,
                line.seconds,
                line.quantity_seconds,
                f"{line.quantity:f}",
                line.unit_price_micros,
                line.amount_micros,
                f"{Decimal(line.amount_micros).scaleb(-6):f}",
                report.currency,
            )
        )
    return text.getvalue()
