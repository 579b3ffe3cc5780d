"""Repositories for those who publish: what became of each upload, and why a package was refused."""

from __future__ import annotations

from chalicelib import render
from chalicelib.visit import Reply, Visit
from pitrix import bootstrap
from pitrix.identity.model import require

_A_PAGE = 30


def repo_list(visit: Visit) -> Reply:
    """The repositories that the visitor may publish to."""
    require(visit.who, "repos", "push")
    found = bootstrap.repos().list_repos(visit.who, limit=_A_PAGE, cursor=visit.query.get("cursor"))
    return render.page(visit, "repos.html", repos=found.repos, cursor=found.next_cursor)


def repo_page(visit: Visit, repo_id: str) -> Reply:
    """One repository and its events, newest first."""
    require(visit.who, "repos", "push")
    repo = bootstrap.repos().get_repo(visit.who, repo_id)
    found = bootstrap.repos().list_events(visit.who, repo_id, limit=_A_PAGE, cursor=visit.query.get("cursor"))
    return render.page(visit, "repo.html", repo=repo, events=found.events, cursor=found.next_cursor)
