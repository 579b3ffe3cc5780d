"""The web console: HTML pages rendered on the server.

Owns the Chalice app and nothing else; ``chalicelib`` has the rest (its docstring says where to look). Every path
here is a page for people, the API for programs lives under ``/v1`` in the other functions. No authorizer stands
before these routes: the session is a cookie, read by ``chalicelib.session``.
"""

from __future__ import annotations

from chalice.app import Chalice

from chalicelib.pages import account, bill, clusters, deploy, files, repos, runtimes, store
from chalicelib.site import Site

app = Chalice(app_name="pitrix-console", configure_logs=False)
_site = Site(app)
for _pages in (account, bill, clusters, deploy, files, repos, runtimes, store):
    _pages.register(_site)
