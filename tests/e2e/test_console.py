"""The main job by clicking: from the store to a running application to the bill, in a real Chromium.

Nothing but the browser touches the platform. The browser comes from ``tests/conftest.py``.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.local_platform import LocalPlatform

#: A deployment of three machines takes seconds on an idle laptop, and far longer on a busy one.
DEPLOYED_WITHIN_MS = 240_000

pytestmark = pytest.mark.browser


@pytest.fixture
def page(browser: Any, platform: LocalPlatform) -> Iterator[Any]:
    """A window on the console; anything the browser complains of fails the test."""
    complaints: list[str] = []
    context = browser.new_context(locale="en-GB", base_url=platform.console_url)
    opened = context.new_page()
    opened.set_default_timeout(30_000)

    def note(said: Any) -> None:
        # The deployed application is looked at too; what the browser misses there is not ours.
        if said.type == "error" and said.location["url"].startswith(platform.console_url):
            complaints.append(f"{said.text} {said.location['url']}")

    opened.on("console", note)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    context.close()
    assert complaints == []


def sign_in(page: Any, platform: LocalPlatform, role: str) -> None:
    """Fill in the sign-in page at hand."""
    login = platform.logins[role]
    page.fill("#username", login.username)
    page.fill("#password", login.password)
    page.click("main button")
    page.wait_for_selector(f".who:text-is('{login.username}')")


def wait_for_status(page: Any, status: str) -> None:
    """Wait until the cluster at hand says so; a failure is told at once, with its reason."""
    page.wait_for_selector(
        f"h1 + .badge:text-is('{status}'), .notice.bad", timeout=DEPLOYED_WITHIN_MS, state="visible"
    )
    assert page.locator(".notice.bad").count() == 0, page.inner_text(".notice.bad")


def confirm(page: Any, action: str) -> None:
    page.click(f"#do-{action}")
    page.click("main form button.primary")


def test_from_the_store_to_the_bill(page: Any, platform: LocalPlatform) -> None:
    name = f"by-clicking-{secrets.token_hex(3)}"
    page.goto("/")
    page.fill("#search", "guestbook")
    page.click("main button:text-is('Search')")
    page.click("main h3 a:text-is('Guestbook')")
    page.click(".page-head a:text-is('Deploy')")
    page.wait_for_url("**/sign-in?next=*")
    sign_in(page, platform, "user")
    page.fill("[name='/cluster/name']", name)
    page.fill("[name='/cluster/web/count']", "2")
    page.fill("[name='/env/web/title']", "Our guests")
    page.wait_for_selector("#quote :text('for all 3 nodes')")
    price = page.inner_text("#quote .price")
    page.click("text=Preview plan and price")
    page.wait_for_selector("text=Create the machine web-2")
    assert page.inner_text("aside .price") == price

    page.click("main button:text-is('Deploy')")
    page.wait_for_selector("progress")
    cluster_url = page.url
    wait_for_status(page, "active")
    assert page.inner_text("aside .price") == price
    rows = page.locator("table tbody tr")
    assert [rows.nth(n).locator("th").inner_text() for n in range(3)] == ["web-1", "web-2", "store-1"]

    page.goto(page.get_attribute("a.mono", "href"))
    assert "Our guests" in page.inner_text("body")
    page.goto(cluster_url)

    confirm(page, "stop")
    wait_for_status(page, "stopped")
    confirm(page, "cease")
    wait_for_status(page, "removed")

    page.goto("/bill")
    card = page.locator("section.card", has=page.locator(f"h2 a:text-is('{name}')"))
    amounts = []
    for row in card.locator("tbody tr").all():
        time, quantity, unit_price, amount = (cell.inner_text() for cell in row.locator("td").all())
        assert seconds(time) > 0
        amounts.append(money(amount))
        # Quantities are shown to six places, so the product is right to about a millionth.
        by_hand = Decimal(re.findall(r"[\d.]+", quantity)[0]) * money(unit_price)
        assert abs(by_hand - money(amount)) <= Decimal("0.000002")
    assert len(amounts) == 3
    assert sum(amounts) == money(card.locator(".card-head strong").inner_text())
    processors = card.locator("tbody tr", has=page.locator("th:text-is('Processors')"))
    ran_s, hours = seconds(processors.locator("td").nth(0).inner_text()), processors.locator("td").nth(1)
    assert abs(Decimal(ran_s) / 3600 - Decimal(hours.inner_text().split()[0])) < Decimal("0.000001")


def test_the_store_in_chinese_on_a_phone(browser: Any, platform: LocalPlatform) -> None:
    context = browser.new_context(
        locale="zh-CN", base_url=platform.console_url, viewport={"width": 390, "height": 1600}
    )
    page = context.new_page()
    page.goto("/")
    assert page.get_attribute("html", "lang") == "zh-CN"
    assert page.locator("main article").count() >= 3
    # Icons come from the bucket by a redirect: the policy of the page lets them in.
    page.wait_for_load_state("networkidle")
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.click("main h3 a >> nth=0")
    page.wait_for_selector(".prose")
    context.close()


def test_a_refused_package_is_told_to_the_operator(page: Any, platform: LocalPlatform) -> None:
    page.goto("/sign-in")
    sign_in(page, platform, "operator")
    page.click("text=Repositories")
    page.click("main h2 a:text-is('platform')")
    page.wait_for_selector("h3 a:text-is('guestbook')")


def money(text: str) -> Decimal:
    """``USD 1,234.5`` as a number."""
    return Decimal(text.split()[1].replace(",", ""))


def seconds(text: str) -> int:
    """``1 h 2 min 5 s`` as a number."""
    units = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}
    return sum(int(amount) * units[unit] for amount, unit in re.findall(r"(\d+) (\w+)", text))
