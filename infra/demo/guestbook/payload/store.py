"""The store of the guestbook: messages in SQLite on the node's volume, over HTTP for the front ends."""

from __future__ import annotations

import contextlib
import sqlite3
import time

import node

MAX_NAME, MAX_TEXT, MAX_MESSAGES = 60, 500, 10_000
DATABASE = node.data_path("/data") / "guestbook.db"


@contextlib.contextmanager
def connect():
    """A connection that commits (or rolls back) and closes at the end of its block."""
    with contextlib.closing(sqlite3.connect(str(DATABASE), timeout=10)) as connection, connection:
        connection.row_factory = sqlite3.Row
        connection.execute(
            "CREATE TABLE IF NOT EXISTS message (id INTEGER PRIMARY KEY, at REAL, name TEXT, text TEXT)"
        )
        yield connection


def list_messages(request):
    """The newest messages first: ``?limit=50``."""
    limit = min(max(int(request.fields.get("limit", 50)), 1), 200)
    with connect() as db:
        rows = db.execute(
            "SELECT id, at, name, text FROM message ORDER BY id DESC LIMIT ?", (limit,)
        ).fetchall()
        total = db.execute("SELECT count(*) FROM message").fetchone()[0]
    return {"total": total, "messages": [dict(row) for row in rows]}


def add_message(request):
    name = str(request.json.get("name", "")).strip()[:MAX_NAME] or "anonymous"
    text = str(request.json.get("text", "")).strip()
    if not text or len(text) > MAX_TEXT:
        raise node.Problem(400, f"a message has 1 to {MAX_TEXT} characters")
    with connect() as db:
        return {"id": _insert(db, name, text)}


def welcome(_request):
    """The first message of a new book; an old one is left as it is."""
    with connect() as db:
        if db.execute("SELECT count(*) FROM message").fetchone()[0]:
            return {"added": 0}
        _insert(db, "Pitrix", node.env("greeting", "Welcome!"))
    return {"added": 1}


def wipe(request):
    """Remove all messages but the newest ``keep``."""
    keep = int(request.json.get("keep", 0))
    with connect() as db:
        removed = db.execute(
            "DELETE FROM message WHERE id NOT IN (SELECT id FROM message ORDER BY id DESC LIMIT ?)", (keep,)
        ).rowcount
    return {"removed": removed}


def stats(_request):
    with connect() as db:
        total, newest = db.execute("SELECT count(*), max(at) FROM message").fetchone()
    return {"messages": total, "seconds_since_last": int(time.time() - newest) if newest else 0}


def _insert(db, name: str, text: str) -> int:
    row = db.execute("INSERT INTO message (at, name, text) VALUES (?, ?, ?)", (time.time(), name, text))
    db.execute("DELETE FROM message WHERE id <= (SELECT max(id) FROM message) - ?", (MAX_MESSAGES,))
    return row.lastrowid


if __name__ == "__main__":
    node.serve(
        {
            ("GET", "/messages"): list_messages,
            ("POST", "/messages"): add_message,
            ("POST", "/welcome"): welcome,
            ("POST", "/wipe"): wipe,
            ("GET", "/stats"): stats,
        },
        int(node.env("port")),
    )
