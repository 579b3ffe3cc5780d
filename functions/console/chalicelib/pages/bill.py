"""The bill: a month's invoice as it stands, cluster by cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from chalicelib import render
from chalicelib.visit import Reply, Visit
from pitrix import bootstrap
from pitrix.billing.model import InvoiceLine
from pitrix.errors import NotFound

#: Months one can go back to.
_MONTHS = 12


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one cluster adds to the bill."""

    cluster_id: str
    name: str
    lines: Sequence[InvoiceLine]
    total_micros: int


def bill(visit: Visit) -> Reply:
    """The invoice preview of a month, the present one unless another is asked for."""
    now = bootstrap.clock().now()
    months = _months(now)
    period = visit.query.get("period") or months[0]
    invoice = bootstrap.billing().preview_invoice(visit.who, period)
    return render.page(
        visit,
        "bill.html",
        invoice=invoice,
        months=months,
        period=period,
        shares=_shares(visit, invoice.lines),
        open_period=period == months[0],
    )


def _months(now: datetime) -> list[str]:
    """The present month and those before it, as ``2026-11``."""
    first = now.year * 12 + now.month - 1
    return [f"{month // 12:04}-{month % 12 + 1:02}" for month in range(first, first - _MONTHS, -1)]


def _shares(visit: Visit, lines: Sequence[InvoiceLine]) -> list[Share]:
    """The invoice's lines by cluster, in the order of the invoice."""
    grouped: dict[str, list[InvoiceLine]] = {}
    for line in lines:
        grouped.setdefault(line.cluster_id, []).append(line)
    return [
        Share(
            cluster_id=cluster_id,
            name=_name(visit, cluster_id),
            lines=own,
            total_micros=sum(line.amount_micros for line in own),
        )
        for cluster_id, own in grouped.items()
    ]


def _name(visit: Visit, cluster_id: str) -> str:
    """The cluster's name, or its id when it is no longer to be seen."""
    try:
        return bootstrap.clusters().get(visit.who, cluster_id).name or cluster_id
    except NotFound:
        return cluster_id
