"""OpenStack: real services, with nova's fake hypervisor below them; see ``tests/clouds/openstack``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.request import Request, urlopen
from uuid import uuid4

from providers.resources import Connection
from tests.clouds import cache
from tests.clouds.openstack import cloud
from tests.contract.providers.targets import Target
from tests.contract.providers.targets.interposer import Answer, Asked

ZONE = "nova"
"""The name of the zone that nova puts hosts in where nobody made others."""

SETTINGS = {"allowed_networks": "127.0.0.0/8"}
_TOO_MANY = Answer(429, {"Retry-After": "1", "Content-Type": "text/plain"}, b"Too many requests")
"""As the proxies in front of public OpenStack clouds answer; the services themselves have no such limit."""


def password(url: str, user: str, **changes: str) -> Connection:
    """The account of one of the users that the cloud was set up with."""
    credential = {
        "method": "password",
        "auth_url": f"{url}/identity/v3",
        "username": user,
        "password": cloud.USERS[user]["password"],
        "project_name": cloud.USERS[user]["project"],
    }
    return Connection(zone=ZONE, credential={**credential, **changes}, settings=SETTINGS)


def token(connection: Connection) -> tuple[str, Mapping[str, str]]:
    """A token of an account by a plain call, with the ids of its project and its user."""
    given = connection.credential
    domain = {"name": "Default"}
    user = {"name": given["username"], "domain": domain, "password": given["password"]}
    body = {
        "auth": {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"name": given["project_name"], "domain": domain}},
        }
    }
    headers = {"Content-Type": "application/json"}
    asked = Request(f"{given['auth_url']}/auth/tokens", json.dumps(body).encode(), headers)
    with urlopen(asked, timeout=30) as answer:
        told = json.load(answer)["token"]
        ids = {"project": told["project"]["id"], "user": told["user"]["id"]}
        return answer.headers["X-Subject-Token"], ids


def application_credential(connection: Connection) -> Connection:
    """The same account, by an application credential that is made for it."""
    signed_in, ids = token(connection)
    url = connection.credential["auth_url"]
    headers = {"X-Auth-Token": signed_in, "Content-Type": "application/json"}
    body = json.dumps({"application_credential": {"name": uuid4().hex}}).encode()
    asked = Request(f"{url}/users/{ids['user']}/application_credentials", body, headers)
    with urlopen(asked, timeout=30) as answer:
        made = json.load(answer)["application_credential"]
    credential = {
        "method": "application_credential",
        "auth_url": url,
        "application_credential_id": made["id"],
        "application_credential_secret": made["secret"],
    }
    return replace(connection, credential=credential)


def changes(asked: Asked) -> bool:
    """Signing in is a POST, and changes nothing."""
    return asked.method not in ("GET", "HEAD") and not asked.path.startswith("/identity/")


@contextmanager
def start(folder: Path) -> Iterator[Target]:
    with cloud.start(folder, cache.built("openstack")) as url:
        demo, other = password(url, "demo"), password(url, "other")
        account = application_credential(demo)
        unknown = {"application_credential_secret": "not-that-secret"}
        yield Target(
            name="openstack",
            kind="real",
            account=account,
            small=password(url, "small"),
            refused={
                "a wrong password": password(url, "demo", password="not-that-password"),
                "a wrong secret": replace(account, credential={**account.credential, **unknown}),
                "a project of others": password(url, "demo", project_name="other"),
                "no OpenStack there": password(url, "demo", auth_url=f"{url}/image/v2"),
                "an address out of bounds": password(url, "demo", auth_url="http://169.254.169.254/v3"),
            },
            upstream=url,
            through=lambda between: replace(account, settings={**SETTINGS, "endpoint": between}),
            changes=changes,
            throttle=lambda _: _TOO_MANY,
            other_account=(token(other)[1]["project"], other),
            lacks={
                "copying": "this cloud has one zone, and in OpenStack an image is in all zones of its region"
            },
        )
