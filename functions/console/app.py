"""The web console: HTML pages rendered on the server.

Owns the map of the site and nothing else; ``chalicelib`` has the rest (its docstring says where to look).
Every path here is a page for people, the API for programs lives under ``/v1`` in the other functions. No
authorizer stands before these routes: the session is a cookie, read by ``chalicelib.session``.
"""

from __future__ import annotations

from chalice.app import Chalice

from chalicelib.site import Site

app = Chalice(app_name="pitrix-console", configure_logs=False)
_site = Site(app)

# Open to everyone.
_site.route("/", "GET", "store.store", public=True)
_site.route("/apps/{app_id}", "GET", "store.app_page", public=True)
_site.route("/sign-in", "GET", "account.sign_in_form", public=True)
_site.route("/sign-in", "POST", "account.sign_in", public=True)
_site.route("/sign-out", "POST", "account.sign_out", public=True)
_site.route("/preferences", "POST", "account.preferences", public=True)
_site.route("/static/{name}", "GET", "files.static", public=True)

# For whoever signed in; what each may see and do is the services' business.
_site.route("/apps/{app_id}/deploy", "GET", "deploy.begin")
_site.route("/apps/{app_id}/deploy", "POST", "deploy.proceed")
_site.route("/apps/{app_id}/quote", "POST", "deploy.quote")
_site.route("/clusters", "GET", "clusters.cluster_list")
_site.route("/clusters/{cluster_id}", "GET", "clusters.cluster_page")
_site.route("/clusters/{cluster_id}/live", "GET", "clusters.cluster_live")
_site.route("/clusters/{cluster_id}/actions/{action}", "GET", "clusters.confirm")
_site.route("/clusters/{cluster_id}/actions/{action}", "POST", "clusters.act")
_site.route("/jobs", "GET", "clusters.job_list")
_site.route("/jobs/{job_id}", "GET", "clusters.job_page")
_site.route("/jobs/{job_id}/live", "GET", "clusters.job_live")
_site.route("/runtimes", "GET", "runtimes.runtime_list")
_site.route("/runtimes/connect", "GET", "runtimes.connect_form")
_site.route("/runtimes/connect", "POST", "runtimes.connect")
_site.route("/runtimes/{runtime_id}", "GET", "runtimes.runtime_page")
_site.route("/runtimes/{runtime_id}/edit", "GET", "runtimes.edit_form")
_site.route("/runtimes/{runtime_id}/edit", "POST", "runtimes.edit")
_site.route("/runtimes/{runtime_id}/delete", "GET", "runtimes.delete_form")
_site.route("/runtimes/{runtime_id}/delete", "POST", "runtimes.delete")
_site.route("/repos", "GET", "repos.repo_list")
_site.route("/repos/{repo_id}", "GET", "repos.repo_page")
_site.route("/repos/{repo_id}/sync", "POST", "repos.sync")
_site.route("/bill", "GET", "bill.bill")
