"""API Gateway as the console meets it: matches a path to a route and hands the app a Lambda proxy event."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from chalice.app import Chalice

FORM_TYPE = "application/x-www-form-urlencoded"


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: str
    set_cookies: list[str] = field(default_factory=list)


class Gateway:
    """Sends requests to a Chalice app under a stage's name."""

    def __init__(self, app: Chalice, *, stage: str = "") -> None:
        self._app = app
        self._stage = stage
        self._routes = [
            (path, re.compile("^" + re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path) + "$"))
            # a fixed path wins over one with a parameter, as in API Gateway
            for path in sorted(app.routes, key=lambda path: path.count("{"))
        ]

    def send(
        self, method: str, target: str, *, headers: dict[str, str] | None = None, body: str = ""
    ) -> Answer:
        """One request; ``target`` is path and query without the stage."""
        parts = urlsplit(target)
        found = next(
            ((path, match) for path, rule in self._routes if (match := rule.match(parts.path))), None
        )
        if found is None or method not in self._app.routes[found[0]]:
            return Answer(404, {"content-type": "application/problem+json"}, '{"status": 404}')
        resource, match = found
        many = parse_qs(parts.query, keep_blank_values=True)
        event: dict[str, Any] = {
            "resource": resource,
            "path": parts.path,
            "httpMethod": method,
            "headers": {"Host": "pitrix.test", **(headers or {})},
            "queryStringParameters": {name: values[-1] for name, values in many.items()} or None,
            "multiValueQueryStringParameters": many or None,
            "pathParameters": match.groupdict() or None,
            "stageVariables": None,
            "requestContext": {
                "path": (f"/{self._stage}" if self._stage else "") + parts.path,
                "resourcePath": resource,
                "httpMethod": method,
                "requestId": "request-1",
                "identity": {"sourceIp": "192.0.2.1"},
            },
            "body": body or None,
            "isBase64Encoded": False,
        }
        answer = self._app(event, None)
        return Answer(
            answer["statusCode"],
            {name.lower(): value for name, value in answer["headers"].items()},
            answer["body"],
            answer["multiValueHeaders"].get("Set-Cookie", []),
        )


class Visitor:
    """A browser without scripts: keeps cookies, follows redirects, fills in the token of forms."""

    def __init__(self, gateway: Gateway, *, base: str = "", language: str = "en") -> None:
        self._gateway = gateway
        self._base = base
        self._language = language
        self.cookies: dict[str, str] = {}
        self.answer = Answer(0, {}, "")

    def get(self, target: str, **headers: str) -> Answer:
        """Follow a link."""
        return self._send("GET", target, "", headers)

    def post(
        self, target: str, form: dict[str, Any] | None = None, *, token: bool = True, **headers: str
    ) -> Answer:
        """Send a form, by default with the token that the page at hand carries."""
        fields = dict(form or {})
        if token:
            fields.setdefault("form_token", self.token())
        return self._send(
            "POST", target, urlencode(fields, doseq=True), {"Content-Type": FORM_TYPE, **headers}
        )

    def token(self) -> str:
        """The form token of the last page that had one, of the store if there was none."""
        if 'name="form_token"' not in self.answer.body:
            self.get("/")
        found = re.search(r'name="form_token" value="([0-9a-f]+)"', self.answer.body)
        assert found
        return found[1]

    def sign_in(self, username: str, password: str) -> Answer:
        """Sign in on the page for it."""
        self.get("/sign-in")
        return self.post("/sign-in", {"username": username, "password": password, "next": "/"})

    def _send(self, method: str, target: str, body: str, headers: dict[str, str]) -> Answer:
        sent = {
            "Accept-Language": self._language,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        self.answer = self._gateway.send(method, target, headers=sent, body=body)
        for line in self.answer.set_cookies:
            name, _, rest = line.partition("=")
            value, _, attributes = rest.partition(";")
            if "Max-Age=0" in attributes:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        if self.answer.status == 303:
            return self._send("GET", self.answer.headers["location"].removeprefix(self._base), "", {})
        return self.answer
