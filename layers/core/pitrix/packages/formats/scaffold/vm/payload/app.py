"""The application: a page that says hello, and names the node it came from."""

from __future__ import annotations

from html import escape

import node


def page(_request):
    greeting = escape(node.env("greeting"))
    return "<!doctype html><title>%s</title><h1>%s</h1><p>Node %s</p>" % (
        greeting,
        greeting,
        escape(node.NODE_ID),
    )


if __name__ == "__main__":
    node.serve({("GET", "/"): page}, int(node.env("port")))
