"""Connecting a cloud in the console, without scripts: guided by its form, checked, kept, changed, let go."""

from __future__ import annotations

import pytest

from tests.unit.console.gateway import Answer, Gateway, Visitor
from tests.unit.console.world import PASSWORD, World
from tests.unit.runtimes.paper import SECRET

FORM = {"provider": "two-ways", "way": "secret", "name": "mine", "zone": "", "description": "", "do": "save"}


def connected(alice: Visitor, **changes: str) -> Answer:
    alice.get("/runtimes/connect?provider=two-ways")
    return alice.post("/runtimes/connect", FORM | {"credential.secret": SECRET} | changes)


def test_the_clouds_that_one_may_connect_are_offered(alice: Visitor, gateway: Gateway) -> None:
    assert 'href="/runtimes/connect"' in alice.get("/runtimes").body
    offered = alice.get("/runtimes/connect").body
    assert "Paper Cloud" in offered
    assert "Engine room" not in offered, "an operator's"
    operator = Visitor(gateway)
    operator.sign_in("root", PASSWORD)
    assert "Engine room" in operator.get("/runtimes/connect").body


def test_the_form_is_the_clouds_own(alice: Visitor) -> None:
    page = alice.get("/runtimes/connect?provider=two-ways").body
    assert 'name="credential.secret" type="password"' in page
    assert "way=file" in page
    page = alice.get("/runtimes/connect?provider=two-ways&way=file").body
    assert '<textarea class="input code" id="credential-secret"' in page
    assert '<option value="small" selected>' in page
    assert "Its number." in page


def test_an_account_is_checked_and_nothing_kept(alice: Visitor) -> None:
    page = connected(alice, do="check")
    assert "The cloud accepts it" in page.body
    assert "The North" in page.body
    assert SECRET not in page.body, "a secret is not given back to the page"
    assert 'value="mine"' in page.body
    assert "mine" not in alice.get("/runtimes").body


def test_an_account_is_connected_looked_into_changed_and_let_go(alice: Visitor, world: World) -> None:
    page = connected(alice, zone="south")
    assert page.status == 200
    for told in ("<h1>mine</h1>", "south", "The North", "a4", "10.0.0.0/24"):
        assert told in page.body
    (runtime,) = [
        r for r in world.runtimes.list_runtimes(world.principal("alice")).runtimes if r.name == "mine"
    ]
    one = f"/runtimes/{runtime.runtime_id}"
    alice.get(f"{one}/edit")
    page = alice.post(f"{one}/edit", FORM | {"name": "ours", "zone": "north", "credential.secret": ""})
    assert "<h1>ours</h1>" in page.body
    refused = alice.post(f"{one}/edit", FORM | {"name": "ours", "credential.secret": "wrong-horse"})
    assert refused.status == 422
    assert "not one of ours" in refused.body
    assert "wrong-horse" not in refused.body
    assert "destroyed" in alice.get(f"{one}/delete").body
    assert "ours" not in alice.post(f"{one}/delete").body


def test_lines_come_as_they_are_in_the_file(alice: Visitor, world: World) -> None:
    form = {
        "way": "file",
        "credential.secret": f"{SECRET}\r\n",
        "credential.size": "large",
        "credential.account": "",
    }
    assert connected(alice, **form).status == 200
    vault = world.runtimes._vault.secrets  # type: ignore[attr-defined]
    assert {"method": "file", "secret": f"{SECRET}\n", "size": "large"} in vault.values()


@pytest.mark.parametrize(
    ("changes", "status", "told"),
    [
        ({"credential.secret": "wrong-horse"}, 422, "not one of ours"),
        ({"credential.secret": "short"}, 400, "must have at least 8 characters"),
        ({"credential.secret": ""}, 400, "is required"),
        ({"name": ""}, 400, "1 to 60 letters"),
        ({"zone": "west"}, 422, "no zone"),
        ({"provider": "nowhere"}, 404, "no provider"),
        ({"provider": "engine-room", "way": ""}, 403, "Only an operator"),
    ],
)
def test_what_is_wrong_is_told(alice: Visitor, changes: dict[str, str], status: int, told: str) -> None:
    page = connected(alice, **changes)
    assert page.status == status
    assert told in page.body
    assert SECRET not in page.body


def test_a_cloud_that_is_away_leaves_the_page_usable(alice: Visitor, world: World) -> None:
    connected(alice)
    (runtime,) = [
        r for r in world.runtimes.list_runtimes(world.principal("alice")).runtimes if r.name == "mine"
    ]
    vault = world.runtimes._vault.secrets  # type: ignore[attr-defined]
    vault[runtime.secret_name] = {"method": "secret", "secret": "wrong-horse"}
    world.clock.advance(600)
    page = alice.get(f"/runtimes/{runtime.runtime_id}")
    assert page.status == 200
    assert page.body.count("not one of ours") == 1
    assert "/delete" in page.body


def test_others_do_not_see_it(alice: Visitor, world: World, gateway: Gateway) -> None:
    connected(alice)
    (runtime,) = [
        r for r in world.runtimes.list_runtimes(world.principal("alice")).runtimes if r.name == "mine"
    ]
    bob = Visitor(gateway)
    bob.sign_in("bob", PASSWORD)
    for path in ("", "/edit", "/delete"):
        assert bob.get(f"/runtimes/{runtime.runtime_id}{path}").status == 404
    shared = bob.get("/runtimes/rt_local").body
    assert "/runtimes/rt_local/edit" not in shared
