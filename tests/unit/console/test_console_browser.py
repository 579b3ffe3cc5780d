"""The console in a real Chromium: what scripts add, what every page weighs, and who can use it.

The browser comes from ``tests/conftest.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.unit.console import serve
from tests.unit.console import world as worlds
from tests.unit.console.test_console_pages import deploy

MAX_BYTES = 150_000
MAX_REQUESTS = 5

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[worlds.World, str]]:
    """A platform with a running, a failed and a half-deployed cluster, and its address."""
    world = worlds.build()
    with serve.serving(world) as address:
        running = deploy(world, name="running")
        world.run(running.job.job_id)
        failed = deploy(world, name="failed")
        world.run(failed.job.job_id, 9, error="The command 'init' on web-1 ended with exit code 1.")
        world.run(deploy(world, name="halfway").job.job_id, 6)
        world.push("broken", b"not a package")
        yield world, address


@pytest.fixture
def open_page(browser: Any, site: tuple[worlds.World, str]) -> Iterator[Callable[..., Any]]:
    """Open a window signed in as ``username``; anything the browser complains of fails the test."""
    contexts, complaints = [], []

    def opened(username: str = "alice", **options: Any) -> Any:
        context = browser.new_context(
            **{"locale": "en-GB", "viewport": {"width": 1280, "height": 900}} | options
        )
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console",
            lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None,
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.set_default_timeout(15_000)
        page.goto(site[1] + "/sign-in")
        if username:
            page.fill("#username", username)
            page.fill("#password", worlds.PASSWORD)
            page.click("main button")
            page.wait_for_url(site[1] + "/")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def addresses(world: worlds.World) -> list[str]:
    """Every page worth a look."""
    clusters, _ = world.clusters.list_clusters(world.principal("alice"))
    jobs, _ = world.clusters.jobs(world.principal("alice"))
    running = next(cluster for cluster in clusters if cluster.name == "running")
    guestbook = f"/apps/{world.apps['guestbook']}"
    return [
        "/", guestbook, f"{guestbook}/deploy", "/clusters",
        *(f"/clusters/{each.cluster_id}" for each in clusters),
        f"/clusters/{running.cluster_id}/actions/cease",
        f"/clusters/{running.cluster_id}/actions/run-service?role=store&service=wipe",
        "/jobs", f"/jobs/{jobs[-1].job_id}", "/bill", "/runtimes", "/?search=nothing-like-this",
    ]  # fmt: skip


def test_a_deployment_by_clicking(open_page: Callable[..., Any], site: tuple[worlds.World, str]) -> None:
    world, _ = site
    page = open_page()
    page.click("text=Guestbook")
    page.click("main a:has-text('Deploy') >> nth=0")
    page.wait_for_selector("#quote .price")
    first = page.inner_text("#quote .price")
    page.fill("[name='/cluster/name']", "clicked")
    page.fill("[name='/cluster/web/count']", "3")
    page.check("input[name='/cluster/web/memory'][value='1024']", force=True)
    page.wait_for_function(
        "before => document.querySelector('#quote .price').innerText !== before", arg=first
    )
    page.wait_for_selector("#quote :text('for all 4 nodes')")
    price = page.inner_text("#quote .price")
    page.click("text=Preview plan and price")
    page.wait_for_selector("text=Create the machine web-3")
    assert page.inner_text("aside .price") == price
    page.click("main button:text-is('Deploy')")
    page.wait_for_selector("progress")
    cluster = world.clusters.get(world.principal("alice"), page.url.rpartition("/")[2])
    assert cluster.job_id
    world.run(cluster.job_id, 4)
    page.wait_for_selector("text=/^4 of/")
    world.run(cluster.job_id)
    page.wait_for_selector("h1 + .badge:text('active')")
    assert page.get_attribute("#live", "hx-get") is None
    assert page.get_attribute("a.mono", "href") == "http://127.0.12.2:8080/"
    page.click("#do-stop")
    page.click("main button:text-is('Stop')")
    page.wait_for_selector(".badge:text('stopping')")
    stopping = world.clusters.get(world.principal("alice"), cluster.cluster_id)
    assert stopping.job_id
    world.run(stopping.job_id)
    page.wait_for_selector(".badge:text('stopped')")


def test_a_wrong_answer_gets_the_focus(browser: Any, site: tuple[worlds.World, str]) -> None:
    world, address = site
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    page.goto(f"{address}/sign-in?next=/apps/{world.apps['guestbook']}/deploy")
    page.fill("#username", "alice")
    page.fill("#password", worlds.PASSWORD)
    page.click("main button")
    page.fill("[name='/cluster/web/count']", "99")
    page.wait_for_selector("#quote :text('99 is out of range')")
    page.click("text=Preview plan and price")
    page.wait_for_selector("[role=alert]")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "alert"
    page.click("[role=alert] a")
    assert page.evaluate("document.activeElement.name") == "/cluster/web/count"
    context.close()


def test_the_price_does_not_come_without_scripts_but_the_preview_does(
    open_page: Callable[..., Any], site: tuple[worlds.World, str]
) -> None:
    world, address = site
    page = open_page(java_script_enabled=False)
    page.goto(f"{address}/apps/{world.apps['guestbook']}/deploy")
    page.fill("[name='/cluster/name']", "scriptless")
    page.click("text=Preview plan and price")
    assert "USD 0.086505" in page.inner_text("aside .price")
    page.click("main button:text-is('Deploy')")
    assert page.locator("meta[http-equiv=refresh]").count() == 1
    cluster = world.clusters.get(world.principal("alice"), page.url.rpartition("/")[2])
    assert cluster.job_id
    world.run(cluster.job_id)
    page.reload()
    assert page.inner_text("h1 + .badge") == "active"


def test_no_page_is_heavy(open_page: Callable[..., Any], site: tuple[worlds.World, str]) -> None:
    world, address = site
    page = open_page()
    for where in addresses(world):
        page.goto(address + where)
        loaded = page.evaluate(
            """() => ["navigation", "resource"].flatMap(kind => performance.getEntriesByType(kind))
            .filter(each => !["img", "xmlhttprequest"].includes(each.initiatorType))
            .filter(each => !each.name.includes("/static/mark."))
            .map(each => [each.name, each.decodedBodySize])"""
        )
        # The site's icon is listed or not, as the browser likes: it counts for one.
        assert len(loaded) + 1 <= MAX_REQUESTS, (where, loaded)
        assert sum(size for _, size in loaded) <= MAX_BYTES, (where, loaded)


@pytest.mark.parametrize(("scheme", "locale"), [("light", "en-GB"), ("dark", "zh-CN")])
def test_axe_finds_nothing_serious(
    open_page: Callable[..., Any], site: tuple[worlds.World, str], scheme: str, locale: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    axe = Axe()
    world, address = site
    page = open_page(color_scheme=scheme, locale=locale, reduced_motion="reduce")
    found = {}
    for where in addresses(world):
        page.goto(address + where)
        violations = axe.run(page).response["violations"]
        told = [
            f"{each['id']}: {[node['html'][:160] for node in each['nodes'][:3]]}"
            for each in violations if each["impact"] in ("serious", "critical", "moderate")
        ]  # fmt: skip
        if told:
            found[where] = told
    assert found == {}


@pytest.mark.parametrize("width", [320, 768])
def test_no_page_scrolls_sideways(
    open_page: Callable[..., Any], site: tuple[worlds.World, str], width: int
) -> None:
    world, address = site
    page = open_page(viewport={"width": width, "height": 800})
    wide = {}
    for where in addresses(world):
        page.goto(address + where)
        over = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if over > 0:
            wide[where] = over
    assert wide == {}


def test_the_keyboard_is_enough(open_page: Callable[..., Any], site: tuple[worlds.World, str]) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")


def test_the_size_fills_in_what_belongs_to_it(browser: Any, site: tuple[worlds.World, str]) -> None:
    page = browser.new_page()
    page.goto(site[1] + "/")
    page.evaluate(
        """() => document.querySelector('main').innerHTML = `<form>
        <input type="radio" name="size" value="Test" data-size-index="0">
        <div data-sizes='["1", "3"]'><input type="number" name="count" value="3"></div>
        <fieldset data-sizes='["1", "2"]'><input type="radio" name="cpu" value="1">
        <input type="radio" name="cpu" value="2" checked></fieldset>
        <div data-when='[{"name": "cpu", "values": ["2"], "negated": false}]' id="only"></div></form>`"""
    )
    page.check("[name=size]")
    assert page.input_value("[name=count]") == "1"
    assert page.is_checked("[name=cpu][value='1']")
    assert page.evaluate("document.getElementById('only').hidden")
    page.close()
