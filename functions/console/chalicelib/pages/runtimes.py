"""Runtimes: the cloud accounts that the visitor may deploy to."""

from __future__ import annotations

from chalicelib import render
from chalicelib.visit import Reply, Visit
from pitrix import bootstrap

_A_PAGE = 50


def runtime_list(visit: Visit) -> Reply:
    """All runtimes at or below the visitor's owner path, and those that everyone may use."""
    found = bootstrap.runtimes().list_runtimes(visit.who, limit=_A_PAGE, cursor=visit.query.get("cursor"))
    return render.page(visit, "runtimes.html", runtimes=found.runtimes, cursor=found.next_cursor)
