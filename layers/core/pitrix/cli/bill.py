"""``pitrix bill``: what was used, and what it costs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from pitrix.billing.model import format_money
from pitrix.cli import render
from pitrix.cli.context import Cli

app = typer.Typer(invoke_without_command=True, help="Read the bill: by default the preview of this month's.")

Period = Annotated[
    str, typer.Option(help="A month, such as 2026-11; this month by default.", show_default=False)
]


@app.callback()
def bill(ctx: typer.Context, period: Period = "") -> None:
    """Read the bill: by default the preview of this month's."""
    if ctx.invoked_subcommand is None:
        _preview(Cli.of(ctx), period)


@app.command()
def preview(ctx: typer.Context, period: Period = "") -> None:
    """Preview the invoice of a month: the real one, as far as it is known by now."""
    _preview(Cli.of(ctx), period)


@app.command()
def usage(
    ctx: typer.Context,
    start: Annotated[str, typer.Option("--from", help="From this time (RFC 3339) on.")] = "",
    end: Annotated[str, typer.Option("--to", help="Up to this time (RFC 3339).")] = "",
) -> None:
    """Show what was used in a stretch of time; this month by default."""
    cli = Cli.of(ctx)
    report = cli.api.get("/reports/usage", **{"from": start, "to": end})
    cli.result(report, lambda: _show(cli, report, "Usage"))


def _preview(cli: Cli, period: str) -> None:
    invoice = cli.api.post("/invoices:preview", {"period": period or datetime.now(UTC).strftime("%Y-%m")})
    heading = f"Preview of the invoice of {invoice['period']}"
    cli.result(invoice, lambda: _show(cli, invoice, heading))


def _show(cli: Cli, report: Any, heading: str) -> None:
    """Print the lines of a usage report or an invoice, which are alike, and their total."""
    currency = report["currency"]
    names = {each["cluster_id"]: each["name"] for each in cli.api.items("/clusters", at_most=1000)}
    start, end, metered_to = (_utc(report[name]) for name in ("starts_at", "ends_at", "metered_to"))
    cli.out.print(f"{heading} for {report['account']}", style="bold", markup=False)
    cli.out.print(f"{start} to {end} (UTC), metered to {metered_to}", markup=False, soft_wrap=True)
    columns = {
        "CLUSTER": lambda line: names.get(line["cluster_id"], line["cluster_id"]),
        "CHARGE": lambda line: line["title"],
        "SECONDS": lambda line: line["seconds"],
        "QUANTITY": lambda line: f"{line['quantity']} {line['unit']}",
        "PRICE": lambda line: format_money(line["unit_price_micros"], currency),
        "AMOUNT": lambda line: format_money(line["amount_micros"], currency),
    }
    render.as_table(cli.out, columns, report["lines"], empty="Nothing was used.")
    cli.out.print(f"Total: {format_money(report['total_micros'], currency)}", style="bold")


def _utc(text: str) -> str:
    """An RFC 3339 time as billing reckons: in UTC, whatever the reader's clock says."""
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
