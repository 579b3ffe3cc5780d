"""The front end of the guestbook: a page that shows the messages of the store and takes new ones."""

from __future__ import annotations

import json
import time
from html import escape

import node

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #223 }}
body {{ max-width: 40rem; margin: 2rem auto; padding: 0 1rem }}
form {{ display: grid; gap: .5rem; margin: 1.5rem 0 }}
input, textarea, button {{ font: inherit; padding: .5rem; border: 1px solid #99a; border-radius: .4rem }}
button {{ background: #2456a6; color: #fff; border: 0; cursor: pointer }}
li {{ margin: .8rem 0; overflow-wrap: anywhere }} footer, small {{ color: #667 }}
</style></head><body>
<h1>{title}</h1>
<p>{greeting}</p>
<form method="post" action="/messages">
<label>Name <input name="name" maxlength="60" autocomplete="name"></label>
<label>Message <textarea name="text" maxlength="500" required></textarea></label>
<button>Sign the book</button></form>
<h2>{total} message(s)</h2>
<ul>{messages}</ul>
<footer>Served by node <b id="node">{node}</b> ({ip}); front ends: {peers}.</footer>
</body></html>
"""

_peers: list[str] = []


def store(method: str, path: str, body: dict | None = None) -> dict:
    """Ask the store; its address is looked up each time, so that a new store node is found at once."""
    addresses = node.hosts("store")
    if not addresses:
        raise node.Problem(503, "the metadata names no store yet")
    url = f"http://{next(iter(addresses.values()))}:{node.env('store.port')}{path}"
    answer = node.request(method, url, json.dumps(body).encode() if body is not None else None)
    result = json.loads(answer.text)
    if answer.status >= 300:
        raise node.Problem(answer.status, str(result.get("error", "the store refused")))
    return result


def when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(at))


def page(_request):
    book = store("GET", "/messages?limit=50")
    items = "".join(
        f"<li><b>{escape(each['name'])}</b> <small>{when(each['at'])}</small><br>{escape(each['text'])}</li>"
        for each in book["messages"]
    )
    return PAGE.format(
        title=escape(node.env("title")),
        greeting=escape(node.env("greeting")),
        total=book["total"],
        messages=items,
        node=escape(node.NODE_ID),
        ip=escape(node.NODE_IP),
        peers=escape(", ".join(_peers) or node.NODE_ID),
    )


def sign(request):
    store(
        "POST", "/messages", {"name": request.fields.get("name", ""), "text": request.fields.get("text", "")}
    )
    return node.Response("", 303, headers=[("Location", "/")])


def refresh(_request=None):
    """Look again who the front ends are; called on the old nodes when one comes or goes."""
    _peers[:] = sorted(node.hosts("web"))
    return {"front_ends": len(_peers)}


if __name__ == "__main__":
    refresh()
    node.serve(
        {
            ("GET", "/"): page,
            ("HEAD", "/"): page,
            ("POST", "/messages"): sign,
            ("GET", "/messages"): lambda request: store("GET", "/messages?limit=200"),
            ("POST", "/refresh"): refresh,
        },
        int(node.env("port")),
    )
