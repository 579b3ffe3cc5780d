"""What visitors see and do, through the whole function, without scripts."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest

from pitrix import bootstrap
from pitrix.clusters import planning
from pitrix.clusters.model import Job, JobKind
from pitrix.clusters.requests import DeployRequest
from pitrix.errors import InvalidInput
from pitrix.packages import archive
from pitrix.packages import service as packages
from pitrix.repos.model import RepoRequest
from tests.unit.console.gateway import Answer, Gateway, Visitor
from tests.unit.console.world import PASSWORD, World
from tests.unit.repos.kit import FakeSource


def deploy(world: World, username: str = "alice", **request: Any) -> Any:
    """A deployment of the guestbook that was begun."""
    request.setdefault("answers", {"cluster": {"web": {"count": 2}}})
    asked = DeployRequest(app_id=world.apps["guestbook"], runtime_id="rt_local", **request)
    return world.clusters.create(world.principal(username), asked)


def filled(page: Answer, **changes: Any) -> dict[str, Any]:
    """The answers of a form as a browser would send them untouched, with changes (``__`` for ``/``)."""
    form = page.body[page.body.index('<form class="split"') :]
    sent: dict[str, Any] = {}
    for tag in re.findall(r"<input[^>]*>", form):
        found = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if found.get("type") not in ("radio", "checkbox") or " checked" in tag:
            sent[found["name"]] = found.get("value", "")
    return sent | {name.replace("__", "/"): value for name, value in changes.items()}


# --- the store ---------------------------------------------------------------------------------------------


def test_everyone_sees_the_store(visitor: Visitor, world: World) -> None:
    page = visitor.get("/")
    assert page.status == 200
    assert all(name in page.body for name in ("Guestbook", "Hello Web", "Cron Clock"))
    assert f'href="/apps/{world.apps["guestbook"]}"' in page.body
    assert "Sign in" in page.body
    assert 'href="/bill"' not in page.body


def test_search_and_categories_narrow_the_store(visitor: Visitor) -> None:
    assert "Hello Web" not in visitor.get("/?search=guestbook").body
    assert "Nothing found" in visitor.get("/?search=nothing-like-this").body
    assert "Nothing found" in visitor.get("/?category=cat_security").body
    assert "&lt;script&gt;" in visitor.get("/?search=<script>").body


def test_a_broken_cursor_is_a_page_that_says_so(visitor: Visitor) -> None:
    page = visitor.get("/?cursor=nonsense")
    assert (page.status, page.headers["content-type"]) == (400, "text/html; charset=utf-8")
    assert "cursor" in page.body


def test_an_app_page_tells_of_the_package(visitor: Visitor, world: World) -> None:
    page = visitor.get(f"/apps/{world.apps['guestbook']}")
    assert page.status == 200
    assert "<strong>store</strong> keeps the messages" in page.body
    assert "1.0.0" in page.body
    assert "USD 0.086505" in page.body
    assert f"/apps/{world.apps['guestbook']}/deploy" in page.body


def test_an_app_that_insists_on_answers_has_no_price_yet(
    visitor: Visitor, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise InvalidInput("1 answer(s) cannot be used")

    monkeypatch.setattr(world.billing, "quote_request", refuse)
    page = visitor.get(f"/apps/{world.apps['guestbook']}")
    assert page.status == 200
    assert "USD" not in page.body


def test_what_does_not_exist_is_a_designed_page(visitor: Visitor) -> None:
    page = visitor.get("/apps/app_unknown")
    assert page.status == 404
    assert "There is no such page" in page.body
    assert "<header" in page.body


def test_an_empty_store_says_what_will_appear(world: World, visitor: Visitor) -> None:
    from tests.unit.console import world as worlds

    with worlds.build(demo=False).in_place():
        assert "The store is empty" in visitor.get("/").body


# --- sessions ----------------------------------------------------------------------------------------------


def test_pages_of_users_lead_to_the_sign_in_and_back(visitor: Visitor) -> None:
    page = visitor.get("/bill?period=2026-10")
    assert 'name="password"' in page.body
    assert 'value="/bill?period=2026-10"' in page.body
    done = visitor.post(
        "/sign-in", {"username": "alice", "password": PASSWORD, "next": "/bill?period=2026-10"}
    )
    assert done.status == 200
    assert "Nothing to pay" in done.body
    assert "alice" in done.body


def test_a_wrong_password_is_refused_in_words(visitor: Visitor) -> None:
    page = visitor.sign_in("alice", "wrong-Horse-7")
    assert page.status == 401
    assert "Wrong username or password." in page.body
    assert 'value="alice"' in page.body
    assert "pitrix_access" not in visitor.cookies


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.test/",
        "//evil.test/",
        "/\\evil.test",
        "/\t/evil.test",
        "javascript:alert(1)",
        "evil",
    ],
)
def test_a_sign_in_leads_to_this_site_only(visitor: Visitor, target: str) -> None:
    visitor.get("/sign-in")
    token = visitor.token()
    answer = visitor._gateway.send(
        "POST",
        "/sign-in",
        headers={
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": f"pitrix_form={visitor.cookies['pitrix_form']}",
        },
        body="&".join([f"form_token={token}", "username=alice", f"password={PASSWORD}", f"next={target}"]),
    )
    assert (answer.status, answer.headers["location"]) == (303, "/")


def test_cookies_are_out_of_reach(gateway: Gateway, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBLIC_URL", "https://store.example.test")
    bootstrap._built.pop(("settings", ()), None)
    visitor = Visitor(gateway)
    visitor.get("/sign-in")
    answer = gateway.send(
        "POST",
        "/sign-in",
        headers={
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": f"pitrix_form={visitor.cookies['pitrix_form']}",
        },
        body=f"form_token={visitor.token()}&username=alice&password={PASSWORD}",
    )
    kept = {line.partition("=")[0]: line for line in answer.set_cookies}
    assert set(kept) == {"pitrix_access", "pitrix_refresh"}
    assert all("HttpOnly" in line and "SameSite=Lax" in line and "Secure" in line for line in kept.values())


def test_an_expired_session_is_refreshed_unasked(alice: Visitor, world: World) -> None:
    before = alice.cookies["pitrix_access"]
    world.clock.advance(4000)
    assert alice.get("/clusters").status == 200
    assert "Clusters" in alice.answer.body
    assert alice.cookies["pitrix_access"] != before


def test_an_ended_session_leads_to_the_sign_in(alice: Visitor, world: World) -> None:
    world.clock.advance(4000)
    world.pool.refresh_tokens.clear()
    assert 'name="password"' in alice.get("/clusters").body
    assert not {"pitrix_access", "pitrix_refresh"} & set(alice.cookies)


def test_sign_out_ends_the_session_at_the_issuer(alice: Visitor, world: World) -> None:
    access = alice.cookies["pitrix_access"]
    alice.post("/sign-out")
    assert "pitrix_access" not in alice.cookies
    assert world.pool.refresh_tokens == {}
    alice.cookies["pitrix_access"] = access
    assert 'name="password"' in alice.get("/clusters").body


# --- forged requests ---------------------------------------------------------------------------------------


def test_a_form_without_its_token_is_refused(alice: Visitor) -> None:
    assert alice.post("/sign-out", token=False).status == 403
    assert alice.post("/sign-out", {"form_token": "0" * 64}).status == 403
    assert "pitrix_access" in alice.cookies


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "https://evil.test"},
        {"Origin": "null"},
    ],
)
def test_a_form_of_another_site_is_refused(alice: Visitor, headers: dict[str, str]) -> None:
    assert alice.post("/sign-out", **headers).status == 403


def test_a_form_of_this_site_passes(alice: Visitor) -> None:
    assert (
        alice.post("/preferences", {"theme": "dark", "next": "/"}, Origin="https://pitrix.test").status == 200
    )


def test_a_token_of_another_user_is_refused(alice: Visitor, gateway: Gateway) -> None:
    bob = Visitor(gateway)
    bob.sign_in("bob", PASSWORD)
    alice.cookies["pitrix_form"] = bob.cookies["pitrix_form"]
    assert alice.post("/sign-out", {"form_token": bob.token()}).status == 403


# --- deploying ---------------------------------------------------------------------------------------------


def test_the_wizard_draws_the_form(alice: Visitor, world: World) -> None:
    page = alice.get(f"/apps/{world.apps['guestbook']}/deploy").body
    for piece in (
        'name="/cluster/web/count"',
        'min="1" max="20"',
        'type="radio" name="/cluster/web/memory" value="512" checked',
        "1 GiB",
        'name="/env/web/port"',
        "Number of front ends",
        'name="runtime_id" value="rt_local"',
    ):
        assert piece in page
    assert "cluster/subnet" not in page


def test_the_wizard_speaks_chinese(gateway: Gateway, world: World) -> None:
    visitor = Visitor(gateway, language="zh-CN,zh;q=0.9,en;q=0.5")
    visitor.sign_in("alice", PASSWORD)
    page = visitor.get(f"/apps/{world.apps['guestbook']}/deploy").body
    assert '<html lang="zh-CN"' in page
    assert "前端节点的数量" in page


def test_wrong_answers_are_named_at_their_fields(alice: Visitor, world: World) -> None:
    where = f"/apps/{world.apps['guestbook']}/deploy"
    page = alice.get(where)
    sent = filled(page, __cluster__web__count="99", __env__web__port="eighty", intent="preview")
    page = alice.post(where, sent)
    assert page.status == 400
    assert "99 is out of range; allowed: 1 to 20" in page.body
    assert "must be a whole number" in page.body
    assert page.body.count('aria-invalid="true"') == 2
    assert 'value="99"' in page.body
    assert world.clusters.list_clusters(world.principal("alice"))[0] == []


def test_from_form_over_preview_to_a_cluster(alice: Visitor, world: World) -> None:
    where = f"/apps/{world.apps['guestbook']}/deploy"
    sent = filled(alice.get(where), __cluster__name="my book", __cluster__web__count="2", intent="preview")
    preview = alice.post(where, sent)
    assert preview.status == 200
    assert "Create the machine web-2" in preview.body
    assert "USD 0.129208" in preview.body
    edited = alice.post(where, sent | {"intent": "edit"})
    assert 'name="/cluster/name" type="text" value="my book"' in edited.body
    done = alice.post(where, sent | {"intent": "deploy"})
    assert "my book" in done.body
    assert "being created" in done.body
    (cluster,), _ = world.clusters.list_clusters(world.principal("alice"))
    assert (cluster.name, cluster.micros_per_hour) == ("my book", 129_208)
    assert [role.count for role in cluster.roles if role.role == "web"] == [2]


def test_the_price_follows_the_answers(alice: Visitor, world: World) -> None:
    page = alice.get(f"/apps/{world.apps['guestbook']}/deploy")
    where = f"/apps/{world.apps['guestbook']}/quote"
    quote = alice.post(where, filled(page, __cluster__web__count="2"), HX_Request="true")
    assert quote.status == 200
    assert "USD 0.129208" in quote.body
    assert "<html" not in quote.body
    wrong = alice.post(
        where, {"form_token": filled(page)["form_token"], "/cluster/web/count": "99"}, HX_Request="true"
    )
    assert wrong.status == 200
    assert "Nodes: 99 is out of range" in wrong.body


def test_a_deployment_without_a_runtime_says_what_to_do(world: World, alice: Visitor) -> None:
    for runtime in world.runtimes.list_runtimes(world.principal("root")).runtimes:
        world.runtime_store.remove(runtime)
    assert "No cloud to deploy to" in alice.get(f"/apps/{world.apps['guestbook']}/deploy").body
    sent = {"intent": "deploy", "runtime_id": "rt_local"}
    assert alice.post(f"/apps/{world.apps['guestbook']}/deploy", sent).status == 404


# --- clusters and jobs -------------------------------------------------------------------------------------


def test_a_cluster_shows_its_job_then_its_doors(alice: Visitor, world: World) -> None:
    begun = deploy(world)
    where = f"/clusters/{begun.cluster.cluster_id}"
    world.run(begun.job.job_id, 5)
    page = alice.get(where).body
    assert f'hx-get="{where}/live"' in page
    assert 'http-equiv="refresh"' in page
    assert "5 of " in page
    assert "Stop" not in page[page.index("<main") :]
    world.run(begun.job.job_id)
    live = alice.get(f"{where}/live", HX_Request="true").body
    assert "hx-get" not in live
    assert "<html" not in live
    assert 'href="http://127.0.12.2:8080/"' in live
    assert "127.0.12.4" in live
    assert f'href="{where}/actions/stop"' in live


def test_a_failed_deployment_gives_the_reason(alice: Visitor, world: World) -> None:
    begun = deploy(world)
    world.run(begun.job.job_id, 9, error="The command 'init' on web-1 ended with <b>exit code 1</b>.")
    page = alice.get(f"/clusters/{begun.cluster.cluster_id}").body
    assert "ended with &lt;b&gt;exit code 1&lt;/b&gt;" in page
    assert "Nothing is left at the cloud" in page
    assert f'href="/clusters/{begun.cluster.cluster_id}/actions/cease"' in page


def test_a_clean_up_is_shown_after_the_plan(alice: Visitor, world: World) -> None:
    begun = deploy(world)
    world.run(begun.job.job_id, 3)
    (cluster, job) = (begun.cluster, begun.job)
    nodes = world.clusters.nodes(world.principal("alice"), cluster.cluster_id)
    clean_up = planning.undo(JobKind.DEPLOY, cluster, nodes)

    def turn(job: Job) -> None:
        job.part, job.undo_layers = "undo", [layer.name for layer in clean_up.layers]

    world.store.put_steps(job.job_id, "undo", clean_up.steps)
    world.store.change_job(job.job_id, turn)
    page = alice.get(f"/jobs/{job.job_id}").body
    assert "taking back what was made" in page
    assert page.index("Watch the health") < page.index("Final search")
    assert page.count("Look for anything of this cluster") == 1


def test_an_action_is_confirmed_then_done(alice: Visitor, world: World) -> None:
    begun = deploy(world, name="book")
    world.run(begun.job.job_id)
    where = f"/clusters/{begun.cluster.cluster_id}/actions"
    asked = alice.get(f"{where}/stop")
    assert "Stop book?" in asked.body
    assert world.clusters.get(world.principal("alice"), begun.cluster.cluster_id).transition == ""
    assert "stopping" in alice.post(f"{where}/stop").body
    assert alice.post(f"{where}/stop").status == 409
    assert alice.get(f"{where}/start").status == 404
    assert alice.post(f"{where}/explode").status == 404


def test_a_custom_service_asks_its_parameters(alice: Visitor, world: World) -> None:
    begun = deploy(world)
    world.run(begun.job.job_id)
    where = f"/clusters/{begun.cluster.cluster_id}/actions/run-service"
    page = alice.get(f"{where}?role=store&service=wipe")
    assert page.status == 200
    name = re.search(r'type="number"[^>]*', page.body)
    assert name
    field = re.search(r'name="(/[^"]+)" type="number"', page.body)
    assert field
    wrong = alice.post(where, {"role": "store", "service": "wipe", field[1]: "many"})
    assert wrong.status in (400, 422)
    assert "running a service" in alice.post(where, {"role": "store", "service": "wipe", field[1]: "5"}).body
    assert alice.get(f"{where}?role=store&service=nothing").status == 404


def test_jobs_are_listed_and_shown(alice: Visitor, world: World) -> None:
    assert "No jobs yet" in alice.get("/jobs").body
    begun = deploy(world)
    assert f'href="/jobs/{begun.job.job_id}"' in alice.get("/jobs").body
    assert "Create the machine web-1" in alice.get(f"/jobs/{begun.job.job_id}").body
    assert "<html" not in alice.get(f"/jobs/{begun.job.job_id}/live", HX_Request="true").body


def test_nobody_sees_the_clusters_of_others(gateway: Gateway, world: World) -> None:
    begun = deploy(world)
    bob = Visitor(gateway)
    bob.sign_in("bob", PASSWORD)
    assert "Nothing deployed yet" in bob.get("/clusters").body
    for where in (
        f"/clusters/{begun.cluster.cluster_id}",
        f"/clusters/{begun.cluster.cluster_id}/live",
        f"/clusters/{begun.cluster.cluster_id}/actions/stop",
        f"/jobs/{begun.job.job_id}",
    ):
        assert bob.get(where).status == 404
    assert bob.post(f"/clusters/{begun.cluster.cluster_id}/actions/cease").status == 404


# --- bill, runtimes, repositories --------------------------------------------------------------------------


def test_the_bill_is_the_invoice(alice: Visitor, world: World) -> None:
    begun = deploy(world, name="book")
    world.run(begun.job.job_id)
    world.clock.advance(3600)
    invoice = world.billing.preview_invoice(world.principal("alice"), "2026-11")
    page = alice.get("/bill").body
    assert invoice.total_micros == 129_208
    assert "USD 0.129208" in page
    assert "3 h<" in page
    assert "book" in page
    assert "Nothing to pay" in alice.get("/bill?period=2026-10").body
    assert alice.get("/bill?period=yesterday").status == 400


def test_runtimes_are_listed(alice: Visitor) -> None:
    assert "This laptop" in alice.get("/runtimes").body


def test_a_refused_package_says_why_to_those_who_publish(
    gateway: Gateway, world: World, alice: Visitor
) -> None:
    world.push("broken", b"not a package")
    assert alice.get("/repos").status == 403
    root = Visitor(gateway)
    root.sign_in("root", PASSWORD)
    assert "platform" in root.get("/repos").body
    page = root.get("/repos/repo_platform").body
    assert "broken.tgz" in page
    assert "refused" in page
    assert "neither a .tgz nor a .zip" in page


def test_a_remote_repository_shows_its_syncs_and_is_synced_by_its_owner(
    gateway: Gateway, world: World, alice: Visitor
) -> None:
    url = "https://charts.test/stable"
    guestbook = world.uploads.objects["repo_platform/guestbook.tgz"]
    world.kit.sources.by_url[url] = FakeSource({"bad": b"broken", "guestbook": guestbook})
    request = RepoRequest(name="stable", kind="http", url=url, visibility="public")
    repo = world.repos.create_repo(world.principal("root"), request)
    world.kit.carry_out()
    where = f"/repos/{repo.repo_id}"
    root, vera = Visitor(gateway), Visitor(gateway)
    root.sign_in("root", PASSWORD)
    vera.sign_in("vera", PASSWORD)
    assert url in root.get("/repos").body
    page = root.get(where).body
    for shown in ("chart repository", url, "1 apps, 1 versions", "Last sync", "Sync now", "neither a .tgz"):
        assert shown in page
    assert "<button" not in vera.get(where).body.split("<main")[1].split("</main")[0]
    assert "neither a .tgz" not in vera.answer.body
    begun = len(world.kit.machine.started)
    page = root.post(where + "/sync", {"refused": "yes"}).body
    assert len(world.kit.machine.started) == begun + 1
    assert "running" in page
    assert vera.post(where + "/sync").status == 403
    chinese = Visitor(gateway, language="zh-CN")
    chinese.sign_in("root", PASSWORD)
    assert "立即同步" in chinese.get(where).body


def test_what_is_in_a_private_repository_is_found_by_its_owner(gateway: Gateway, world: World) -> None:
    chart = archive.write(packages.scaffold("inside", "helm"), "inside")
    world.kit.sources.by_url["https://charts.test"] = FakeSource({"inside": chart})
    request = RepoRequest(name="our charts", kind="http", url="https://charts.test", visibility="private")
    repo = world.repos.create_repo(world.principal("root"), request)
    world.kit.carry_out()
    root = Visitor(gateway)
    root.sign_in("root", PASSWORD)
    page = root.get(f"/repos/{repo.repo_id}").body
    assert "helm repo add our-charts http" in page
    assert f"/v1/repos/{repo.repo_id}/charts --username root" in page
    link = next(part for part in page.split('"') if part.startswith("/?repo="))
    assert "/apps/" in root.get(link.replace("&amp;", "&")).body
    assert ">inside<" in root.answer.body
    assert ">guestbook<" not in root.answer.body.lower()
    assert ">inside<" not in root.get("/").body
    assert ">inside<" in root.get("/?scope=mine").body
    stranger = Visitor(gateway)
    assert ">inside<" not in stranger.get("/?scope=mine").body
    assert "scope=mine" not in stranger.answer.body.split("<main")[1]


# --- the frame ---------------------------------------------------------------------------------------------


def test_language_and_theme_are_remembered(visitor: Visitor) -> None:
    assert '<html lang="zh-CN"' in visitor.post("/preferences", {"language": "zh-cn", "next": "/"}).body
    assert (
        '<html lang="zh-CN" data-theme="dark"'
        in visitor.post("/preferences", {"theme": "dark", "next": "/"}).body
    )
    assert "data-theme" not in visitor.post("/preferences", {"theme": "", "next": "/"}).body
    assert '<html lang="zh-CN"' in visitor.post("/preferences", {"language": "xx", "next": "/"}).body


def test_every_answer_carries_the_security_headers(visitor: Visitor) -> None:
    for where in ("/", "/apps/app_unknown", "/sign-in"):
        headers = visitor.get(where).headers
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "private, no-store"


def test_pictures_may_come_from_the_catalogs_bucket(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chalicelib import site

    monkeypatch.setenv("BUCKET_CATALOG", "shop-catalog")
    bootstrap._built.pop(("settings", ()), None)
    site.policy.cache_clear()
    try:
        assert (
            "img-src 'self' https://shop-catalog.s3." in visitor.get("/").headers["content-security-policy"]
        )
    finally:
        site.policy.cache_clear()


def test_no_page_holds_inline_scripts_or_styles(alice: Visitor, world: World) -> None:
    begun = deploy(world)
    for where in (
        "/",
        f"/apps/{world.apps['guestbook']}",
        f"/apps/{world.apps['guestbook']}/deploy",
        f"/clusters/{begun.cluster.cluster_id}",
        "/jobs",
        "/bill",
        "/sign-in",
    ):
        page = alice.get(where).body
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", page), where


def test_static_files_may_be_kept_for_ever(visitor: Visitor) -> None:
    for name in re.findall(r'(?:href|src)="(/static/[^"]+)"', visitor.get("/").body):
        found = visitor.get(name)
        assert found.status == 200
        assert "immutable" in found.headers["cache-control"]
    assert visitor.get("/static/site.css").status == 404
    assert visitor.get("/static/..%2Fapp.py").status == 404


def test_addresses_carry_the_stage_where_there_is_no_domain(world: World) -> None:
    from functions.console.app import app

    visitor = Visitor(Gateway(app, stage="live"), base="/live")
    page = visitor.get("/").body
    assert f'href="/live/apps/{world.apps["guestbook"]}"' in page
    assert 'href="/live/static/site.' in page
    assert 'href="/apps' not in page
    assert "Path=/live" in visitor.answer.set_cookies[0]
    assert visitor.sign_in("alice", PASSWORD).status == 200


def test_addresses_follow_the_public_url(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from functions.console.app import app

    monkeypatch.setenv("PUBLIC_URL", "http://127.0.0.1:4566")
    bootstrap._built.pop(("settings", ()), None)
    visitor = Visitor(Gateway(app, stage="live"))
    assert f'href="/apps/{world.apps["guestbook"]}"' in visitor.get("/").body
    assert "Secure" not in visitor.answer.set_cookies[0]


def test_a_fault_of_ours_is_a_page_with_a_reference(
    visitor: Visitor, world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(world.catalog, "list_apps", lambda *_, **__: 1 / 0)
    monkeypatch.setattr(logging.getLogger("pitrix"), "propagate", True)
    page = visitor.get("/")
    assert page.status == 500
    assert "request-1" in page.body
    assert "ZeroDivisionError" not in page.body
    assert "ZeroDivisionError" in caplog.text


def test_every_route_has_its_page() -> None:
    from chalicelib.site import load
    from functions.console.app import app

    named = {entry.view_name for methods in app.routes.values() for entry in methods.values()}
    assert len(named) > 15
    assert all(callable(load(name)) for name in named)


def test_a_form_of_endless_fields_is_refused(alice: Visitor) -> None:
    form = {f"f{number}": "1" for number in range(2_100)}
    assert alice.post("/sign-out", form).status == 400
