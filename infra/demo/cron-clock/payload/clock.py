"""Runs a job every so many seconds and keeps a line of JSON for each run on the node's volume."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from html import escape

import node

DATA = node.data_path("/data")
LOG = DATA / "runs.jsonl"
MAX_LOG = 4 * 1024 * 1024
JOBS = {
    "time": lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    "load": lambda: round(os.getloadavg()[0], 2),
    "disk": lambda: shutil.disk_usage(str(DATA)).free,
}


class Clock:
    """The job and its schedule; one run at a time."""

    def __init__(self, interval_s: int, jobs: list[str]) -> None:
        self.interval_s = interval_s
        self.jobs = [name for name in jobs if name in JOBS]
        self.runs = 0
        self.late_s = 0.0
        self._lock = threading.Lock()

    def run(self, note: str) -> dict:
        with self._lock:
            entry = {"at": time.time(), "node": node.NODE_ID, "note": note}
            entry.update({name: JOBS[name]() for name in self.jobs})
            if LOG.exists() and LOG.stat().st_size > MAX_LOG:
                LOG.replace(LOG.with_suffix(".jsonl.1"))
            with LOG.open("a", encoding="utf-8") as log:
                log.write(json.dumps(entry) + "\n")
            self.runs += 1
            return entry

    def keep_running(self) -> None:
        due = time.monotonic()
        while True:
            self.late_s = max(time.monotonic() - due, 0.0)
            self.run("on schedule")
            # Runs that were missed (a machine that slept) are not made up for.
            due = max(due + self.interval_s, time.monotonic())
            time.sleep(due - time.monotonic())


def latest(limit: int) -> list[dict]:
    if not LOG.exists():
        return []
    lines = LOG.read_text("utf-8").splitlines()[-limit:]
    return [json.loads(line) for line in reversed(lines)]


if __name__ == "__main__":
    clock = Clock(int(node.env("interval", "60")), node.env("jobs").split(","))
    threading.Thread(target=clock.keep_running, daemon=True).start()

    def page(_request):
        rows = "".join(f"<li><code>{escape(json.dumps(each))}</code></li>" for each in latest(20))
        return (
            "<!doctype html><meta charset=utf-8><title>Cron Clock</title><h1>Cron Clock</h1>"
            f"<p>Node <b id=node>{escape(node.NODE_ID)}</b> runs every {clock.interval_s} s.</p>"
            f"<ol>{rows}</ol>"
        )

    node.serve(
        {
            ("GET", "/"): page,
            ("GET", "/runs"): lambda request: latest(min(int(request.fields.get("limit", 100)), 1000)),
            ("POST", "/run"): lambda request: clock.run(str(request.json.get("note", ""))[:100]),
            ("GET", "/stats"): lambda _request: {"runs": clock.runs, "late_s": int(clock.late_s)},
        },
        int(node.env("port")),
    )
