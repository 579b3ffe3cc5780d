"""Runtimes: the cloud accounts that the visitor may deploy to, and connecting one, guided by its cloud."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chalicelib import connecting, render
from chalicelib.visit import Reply, Visit
from pitrix import bootstrap
from pitrix.errors import CapabilityMissing, Conflict, FieldError, InvalidInput, PitrixError, ProviderError
from pitrix.identity.model import ROOT_PATH, Principal, require
from pitrix.runtimes.model import CheckRequest, ProviderInfo, RuntimePatch, RuntimeRequest

_A_PAGE = 50
#: What a page says of a form instead of showing a problem page.
_REFUSALS = (InvalidInput, ProviderError, Conflict)


def runtime_list(visit: Visit) -> Reply:
    """All runtimes at or below the visitor's owner path, and those that everyone may use."""
    found = bootstrap.runtimes().list_runtimes(visit.who, limit=_A_PAGE, cursor=visit.query.get("cursor"))
    may_connect = visit.who.may("runtimes", "create")
    return render.page(
        visit, "runtimes.html", runtimes=found.runtimes, cursor=found.next_cursor, may_connect=may_connect
    )


def runtime_page(visit: Visit, runtime_id: str) -> Reply:
    """One runtime, and what its cloud tells of the account."""
    runtimes = bootstrap.runtimes()
    runtime = runtimes.get(visit.who, runtime_id)
    looks: dict[str, Callable[[Principal, str], Sequence[Any]]] = {
        "zones": runtimes.zones,
        "machine_types": runtimes.machine_types,
        "subnets": runtimes.subnets,
    }
    told: dict[str, list[Any]] = {name: [] for name in looks}
    problems: list[str] = []
    for name, look in looks.items():
        try:
            told[name] = list(look(visit.who, runtime_id))
        except CapabilityMissing:
            continue
        except PitrixError as error:  # the account is shown all the same, to be mended or deleted
            problems = list(dict.fromkeys([*problems, error.detail]))
    mine = visit.who.owns(runtime.owner_path)
    return render.page(visit, "runtime.html", runtime=runtime, told=told, problems=problems, mine=mine)


def connect_form(visit: Visit) -> Reply:
    """Which cloud, and then the form of that cloud."""
    require(visit.who, "runtimes", "create")
    offered = [
        each
        for each in bootstrap.runtimes().providers(visit.who)
        if not each.operator_only or visit.who.owns(ROOT_PATH)
    ]
    chosen = next((each for each in offered if each.name == visit.query.get("provider")), None)
    if chosen is None:
        return render.page(visit, "runtime_clouds.html", providers=offered)
    return _ask(visit, chosen, connecting.form(chosen, visit.query.get("way", "")))


def connect(visit: Visit) -> Reply:
    """Connect the account, or (``do=check``) only ask the cloud about it."""
    runtimes = bootstrap.runtimes()
    provider = runtimes.provider(visit.who, visit.field("provider"))
    asked = connecting.form(provider, visit.field("way"))
    credential, zone = connecting.read(visit, asked), visit.field("zone")
    try:
        if visit.field("do") == "check":
            request = CheckRequest(provider=provider.name, zone=zone, credential=credential)
            return _ask(visit, provider, asked, checked=runtimes.validate(visit.who, request))
        wanted = RuntimeRequest(
            name=visit.field("name"),
            provider=provider.name,
            zone=zone,
            description=visit.field("description"),
            credential=credential,
        )
        runtime = runtimes.create(visit.who, wanted)
    except _REFUSALS as error:
        return _ask(visit, provider, asked, refused=error)
    return visit.redirect(f"/runtimes/{runtime.runtime_id}")


def edit_form(visit: Visit, runtime_id: str) -> Reply:
    """The form with which a runtime is changed; its credential is asked for anew or left as it is."""
    runtimes = bootstrap.runtimes()
    runtime = runtimes.get(visit.who, runtime_id)
    provider = runtimes.provider(visit.who, runtime.provider)
    return _ask(visit, provider, connecting.form(provider, visit.query.get("way", "")), runtime=runtime)


def edit(visit: Visit, runtime_id: str) -> Reply:
    """Change a runtime; a new zone or credential is tried first."""
    runtimes = bootstrap.runtimes()
    runtime = runtimes.get(visit.who, runtime_id)
    provider = runtimes.provider(visit.who, runtime.provider)
    asked = connecting.form(provider, visit.field("way"))
    credential = connecting.read(visit, asked)
    typed = any(visit.field(question.name) for question in asked.questions if question.kind != "select")
    zone = visit.field("zone")
    patch = RuntimePatch(
        name=visit.field("name"),
        description=visit.field("description"),
        zone=zone if zone and zone != runtime.zone else None,
        credential=credential if typed else None,
    )
    try:
        runtimes.edit(visit.who, runtime_id, patch)
    except _REFUSALS as error:
        return _ask(visit, provider, asked, runtime=runtime, refused=error)
    return visit.redirect(f"/runtimes/{runtime_id}")


def delete_form(visit: Visit, runtime_id: str) -> Reply:
    """Ask once more, with the consequences in words."""
    runtime = bootstrap.runtimes().get(visit.who, runtime_id)
    return render.page(visit, "runtime_delete.html", runtime=runtime, refused="")


def delete(visit: Visit, runtime_id: str) -> Reply:
    """Let the account go."""
    runtimes = bootstrap.runtimes()
    try:
        runtimes.delete(visit.who, runtime_id)
    except Conflict as error:
        runtime = runtimes.get(visit.who, runtime_id)
        return render.page(visit, "runtime_delete.html", runtime=runtime, refused=error.detail, status=409)
    return visit.redirect("/runtimes")


def _ask(
    visit: Visit,
    provider: ProviderInfo,
    asked: connecting.Form,
    *,
    runtime: Any = None,
    checked: Any = None,
    refused: PitrixError | None = None,
) -> Reply:
    """The form, with what was typed in and is no secret, and what became of it."""
    left = connecting.blame(asked, refused.errors) if refused else []
    common = ("name", "description", "zone")
    typed = visit.method == "POST"
    values = {
        name: visit.field(name) if typed else (getattr(runtime, name) if runtime else "") for name in common
    }
    return render.page(
        visit,
        "runtime_form.html",
        status=refused.status if refused and refused.status < 500 else 200,
        provider=provider,
        form=asked,
        runtime=runtime,
        values=values,
        wrong=dict.fromkeys(common, "") | {e.field: e.message for e in left if e.field in common},
        # What has a place in the form is told there; the rest, as a whole.
        said=_as_a_whole(refused, [error for error in left if error.field not in common]),
        checked=checked,
    )


def _as_a_whole(refused: PitrixError | None, left: list[FieldError]) -> str:
    """What is said above the form: all of it, unless each error stands at its field."""
    return "" if refused is None or (refused.errors and not left) else refused.detail
