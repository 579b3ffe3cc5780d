"""The application: a page that says hello, and names the node it came from."""

from __future__ import annotations

from html import escape

import node


def page(_request):
    greeting = escape(node.env("greeting"))
    return f"<!doctype html><title>{greeting}</title><h1>{greeting}</h1><p>Node {escape(node.NODE_ID)}</p>"


if __name__ == "__main__":
    node.serve({("GET", "/"): page}, int(node.env("port")))
