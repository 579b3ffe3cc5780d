"""Repositories for those who publish: where packages come from, what became of each, and why."""

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
    """One repository: its figures, its last sync, and its events, newest first."""
    require(visit.who, "repos", "push")
    repos = bootstrap.repos()
    repo = repos.get_repo(visit.who, repo_id)
    found = repos.list_events(visit.who, repo_id, limit=_A_PAGE, cursor=visit.query.get("cursor"))
    return render.page(
        visit,
        "repo.html",
        repo=repo,
        figures=repos.statistics(visit.who, repo_id),
        mine=visit.who.owns(repo.owner_path),
        charts=visit.full_url(f"/v1/repos/{repo_id}/charts"),
        events=found.events,
        cursor=found.next_cursor,
    )


def sync(visit: Visit, repo_id: str) -> Reply:
    """Compare the repository with its source, and go back to its page."""
    bootstrap.repos().sync(visit.who, repo_id, retry_refused=visit.field("refused") == "yes")
    return visit.redirect(f"/repos/{repo_id}")
