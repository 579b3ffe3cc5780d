"""A user of the REST API: signs in, uploads, orders, and follows jobs; nothing but HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpx

T = TypeVar("T")

ENDED = ("succeeded", "failed", "cancelled")


def wait_for(what: str, look: Callable[[], T | None], *, timeout_s: float = 60) -> T:
    """Return what ``look`` finds, asking until it does."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout_s} s"
        time.sleep(0.3)


class ApiUser:
    """One signed-in user; ``username=None`` is a visitor."""

    def __init__(self, api_url: str, logins: dict[str, str], username: str | None = None) -> None:
        self.http = httpx.Client(base_url=api_url, timeout=60)
        if username is not None:
            answer = self.call(
                "POST",
                "/tokens",
                {"grant_type": "password", "username": username, "password": logins[username]},
            )
            self.http.headers["Authorization"] = f"Bearer {answer['access_token']}"

    def call(
        self, method: str, path: str, body: Any = None, *, status: int | None = None, **params: Any
    ) -> Any:
        """Call a route and return its JSON; anything but success (or ``status``) fails the test."""
        response = self.http.request(method, path, json=body, params=params or None)
        if status is None:
            assert response.status_code < 300, f"{method} {path}: {response.status_code} {response.text}"
        else:
            assert response.status_code == status, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    def items(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """Return every item of a list, page by page."""
        found: list[dict[str, Any]] = []
        cursor = None
        while True:
            page = self.call("GET", path, **params, **({"cursor": cursor} if cursor else {}))
            found += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    def upload(self, filename: str, data: bytes) -> dict[str, Any]:
        """Upload a package to the platform's repository and return the event that came of it."""
        ticket = self.call(
            "POST", "/repos/repo_platform/packages", {"filename": filename, "size_bytes": len(data)}
        )
        put = httpx.put(ticket["upload_url"], content=data, headers=ticket.get("headers") or {})
        assert put.status_code == 200, put.text
        return wait_for(
            f"an index event of {filename}",
            lambda: next(
                (e for e in self.items("/repos/repo_platform/events", limit=20) if e["key"] == ticket["key"]),
                None,
            ),
        )

    def app(self, name: str) -> dict[str, Any]:
        """Return the app of that name, once it is in the store."""
        return wait_for(
            f"{name} in the store", lambda: next((a for a in self.items("/apps", name=name)), None)
        )

    def runtime(self) -> str:
        """Return the id of the runtime that everybody may use."""
        return str(self.items("/runtimes")[0]["runtime_id"])

    def follow(self, job_id: str, *, timeout_s: float = 180) -> dict[str, Any]:
        """Return a job once it has ended; one that does not fails the test with what it is still at."""
        deadline = time.monotonic() + timeout_s
        while True:
            view: dict[str, Any] = self.call("GET", f"/jobs/{job_id}")
            if view["job"]["status"] in ENDED:
                return view
            underway = [step for step in view["steps"] if step["status"] == "running"]
            assert time.monotonic() < deadline, f"{job_id} did not end within {timeout_s} s: {underway}"
            time.sleep(0.3)

    def act(self, cluster_id: str, action: str, body: Any = None) -> dict[str, Any]:
        """Order an action and follow its job to success."""
        job = self.call("POST", f"/clusters/{cluster_id}/actions/{action}", body)["job"]
        view = self.follow(job["job_id"])
        assert view["job"]["status"] == "succeeded", view["job"]["error"]
        return view
