"""Serves the files of ``site/``; in ``index.html`` the settings and the node's name are filled in."""

from __future__ import annotations

import mimetypes
from html import escape
from string import Template

import node

SITE = (node.APP_DIR / "site").resolve()


def index(_request):
    page = Template((SITE / "index.html").read_text("utf-8"))
    return page.safe_substitute(
        title=escape(node.env("title")),
        color=escape(node.env("color")),
        node=escape(node.NODE_ID),
        ip=escape(node.NODE_IP),
    )


def file(request):
    path = (SITE / request.path.lstrip("/")).resolve()
    if SITE not in path.parents or not path.is_file():
        raise node.Problem(404, f"there is nothing at {request.path}")
    return node.Response(path.read_bytes(), content_type=mimetypes.guess_type(path.name)[0] or "")


if __name__ == "__main__":
    routes = {("GET", "/"): index, ("HEAD", "/"): index, ("GET", "/*"): file, ("HEAD", "/*"): file}
    node.serve(routes, int(node.env("port")))
