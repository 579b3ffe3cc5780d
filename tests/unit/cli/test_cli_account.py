"""Signing in and out, how sessions are kept and renewed, and how failures look."""

from __future__ import annotations

import json
import stat
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from pitrix.cli import main
from pitrix.cli.api import normalised
from pitrix.cli.failure import WrongUsage
from pitrix.cli.main import app, hoisted
from pitrix.cli.sessions import Sessions
from tests.unit.cli.conftest import Line
from tests.unit.cli.platform import URL, Platform
from tests.unit.console.world import ACCESS_S, PASSWORD


def test_login_whoami_logout(pitrix: Line) -> None:
    result = pitrix("login", "--username", "alice", "--password-stdin", input=PASSWORD + "\n")
    assert result.exit_code == 0
    assert "as alice (user)" in result.stderr
    assert result.stdout == ""
    me = pitrix.json("whoami")
    assert (me["url"], me["username"], me["owner_path"]) == (URL, "alice", ":acme:")
    assert "username  alice" in pitrix("whoami").stdout
    assert pitrix("logout").exit_code == 0
    assert pitrix.sessions.get(URL) is None
    result = pitrix("whoami")
    assert result.exit_code == 3
    assert "pitrix login" in result.stderr


def test_signing_out_ends_the_session_at_the_platform_too(alice: Line, platform: Platform) -> None:
    assert platform.world.pool.refresh_tokens
    assert alice.json("logout") == {"url": URL, "signed_out": True}
    assert not platform.world.pool.refresh_tokens
    assert alice.json("logout") == {"url": URL, "signed_out": False}


def test_the_password_comes_from_the_environment_or_a_question(
    pitrix: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PITRIX_PASSWORD", PASSWORD)
    assert pitrix("login", "-u", "alice").exit_code == 0
    monkeypatch.delenv("PITRIX_PASSWORD")
    assert pitrix("login", "-u", "alice").exit_code == 2
    assert pitrix("login").exit_code == 2
    pitrix.interactive = True
    result = pitrix("login", input=f"bob\n{PASSWORD}\n")
    assert result.exit_code == 0
    assert PASSWORD not in result.output
    assert pitrix.json("whoami")["username"] == "bob"


def test_a_wrong_password_is_said_so_and_nothing_is_kept(pitrix: Line) -> None:
    result = pitrix("login", "-u", "alice", "--password-stdin", input="wrong\n")
    assert result.exit_code == 3
    assert "Wrong username or password." in result.stderr
    assert pitrix.sessions.get(URL) is None


def test_the_session_file_is_private(alice: Line) -> None:
    path = alice.sessions.path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [file.name for file in path.parent.iterdir()] == ["session.json"]


def test_sessions_are_kept_by_platform_and_the_last_is_the_default(tmp_path: Path, alice: Line) -> None:
    sign_in = alice.sessions.get(URL)
    assert sign_in is not None
    alice.sessions.put("http://other.test", replace(sign_in, username="zoe"))
    assert alice.sessions.current_url() == "http://other.test"
    assert alice.sessions.get(URL) == sign_in
    assert sign_in.access_token not in repr(sign_in)


def test_a_damaged_session_file_is_named(alice: Line) -> None:
    alice.sessions.path.write_text("{")
    result = alice("whoami")
    assert result.exit_code == 1
    assert str(alice.sessions.path) in result.stderr.replace("\n", "")


def test_a_session_of_another_version_counts_as_none(alice: Line) -> None:
    alice.sessions.path.write_text(json.dumps({"current": URL, "sessions": {URL: {"token": "x"}}}))
    assert alice("whoami").exit_code == 3


def test_an_access_token_is_renewed_before_it_expires(alice: Line, platform: Platform) -> None:
    known = alice.sessions.get(URL)
    assert known is not None
    alice.sessions.put(URL, replace(known, expires_at=time.time() + 5))
    platform.world.clock.advance(100)
    platform.requests.clear()
    alice.json("whoami")
    assert platform.requests == ["POST /v1/tokens", "GET /v1/me"]
    renewed = alice.sessions.get(URL)
    assert renewed is not None
    assert renewed.access_token != known.access_token


def test_a_token_that_expired_after_all_is_renewed_once(alice: Line, platform: Platform) -> None:
    platform.world.clock.advance(ACCESS_S + 60)  # the platform's clock is ahead of ours
    platform.requests.clear()
    alice.json("whoami")
    assert platform.requests == ["GET /v1/me", "POST /v1/tokens", "GET /v1/me"]


def test_a_session_that_cannot_be_renewed_is_over(alice: Line, platform: Platform) -> None:
    platform.world.clock.advance(ACCESS_S + 60)
    platform.world.pool.refresh_tokens.clear()
    result = alice("whoami")
    assert result.exit_code == 3
    assert "Your session is over" in result.stderr
    assert alice.sessions.get(URL) is None


def test_a_given_token_needs_no_login(
    pitrix: Line, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = platform.world.identity.sign_in("bob", PASSWORD).access_token
    monkeypatch.setenv("PITRIX_TOKEN", token)
    assert pitrix.json("whoami")["username"] == "bob"
    monkeypatch.setenv("PITRIX_TOKEN", "nonsense")
    result = pitrix("whoami")
    assert result.exit_code == 3


def test_a_platform_that_is_away_says_how_to_start_it(alice: Line, platform: Platform) -> None:
    platform.away = 1
    result = alice("whoami")
    assert result.exit_code == 4
    assert "./infra/up" in result.stderr
    assert "Traceback" not in result.output


def test_what_is_not_pitrix_is_said_so(alice: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    page = httpx.MockTransport(lambda request: httpx.Response(200, html="<html>"))
    monkeypatch.setattr(alice, "platform", page)
    result = alice("whoami")
    assert result.exit_code == 4
    assert "not Pitrix" in result.stderr


@pytest.mark.parametrize("error", [httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("gone")])
def test_a_broken_connection_is_no_traceback(
    alice: Line, monkeypatch: pytest.MonkeyPatch, error: httpx.HTTPError
) -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise error

    monkeypatch.setattr(alice, "platform", httpx.MockTransport(broken))
    result = alice("whoami")
    assert result.exit_code == 4
    assert URL in result.stderr


def test_failures_are_json_for_a_machine(pitrix: Line) -> None:
    result = pitrix("--output", "json", "clusters", "list")
    assert result.exit_code == 3
    assert result.stdout == ""
    assert json.loads(result.stderr)["title"] == "Sign in first"


def test_a_problem_document_is_shown_with_every_bad_field(alice: Line) -> None:
    result = alice("jobs", "list", "--cluster", "nope")
    assert result.exit_code == 1
    assert "Not found: Cluster nope does not exist." in result.stderr
    problem = json.loads(alice("jobs", "show", "job_nope", "--output", "json").stderr)
    assert (problem["status"], problem["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("http://127.0.0.1:4590/", "http://127.0.0.1:4590"),
        ("https://store.example.com/v1", "https://store.example.com"),
        ("localhost:4590", "http://localhost:4590"),
    ],
)
def test_addresses_are_normalised(given: str, expected: str) -> None:
    assert normalised(given) == expected


@pytest.mark.parametrize("given", ["ftp://x", "http://", "http://user:pw@host"])
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(WrongUsage):
        normalised(given)


def test_a_wrong_address_ends_with_usage(pitrix: Line) -> None:
    result = pitrix("whoami", url="ftp://x")
    assert result.exit_code == 2
    assert "not the address" in result.stderr


def test_global_options_may_stand_anywhere() -> None:
    assert hoisted(["apps", "list", "--output", "json"]) == ["--output", "json", "apps", "list"]
    assert hoisted(["a", "--url=x", "--", "--output", "b"]) == ["--url=x", "a", "--", "--output", "b"]
    assert hoisted(["a", "--output"]) == ["--output", "a"]


def test_every_command_has_help() -> None:
    from typer.main import get_command
    from typer.testing import CliRunner

    def commands(group: object, names: tuple[str, ...]) -> list[tuple[str, ...]]:
        found = [names]
        for name, child in getattr(group, "commands", {}).items():
            found += commands(child, (*names, name))
        return found

    every = commands(get_command(app), ())
    assert len(every) > 25
    for names in every:
        result = CliRunner().invoke(app, [*names, "--help"])
        assert result.exit_code == 0, names
        assert "Usage" in result.output


def test_the_version_is_told(pitrix: Line) -> None:
    assert pitrix("--version").stdout.startswith("pitrix ")


def test_a_mistake_of_ours_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(main, "app", broken)
    monkeypatch.delenv("PITRIX_DEBUG", raising=False)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert "ZeroDivisionError" in told
    assert "Traceback" not in told
    monkeypatch.setenv("PITRIX_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main.main()


def test_completion_knows_the_commands() -> None:
    from typer.testing import CliRunner

    environment = {"_PITRIX_COMPLETE": "complete_bash", "COMP_WORDS": "pitrix clus", "COMP_CWORD": "1"}
    result = CliRunner().invoke(app, [], env=environment, prog_name="pitrix")
    assert "clusters" in result.output


def test_the_password_on_an_open_line_is_warned_of(pitrix: Line) -> None:
    result = pitrix("login", "-u", "alice", "--password-stdin", input=PASSWORD + "\n")
    assert "not https" in result.stderr
    pitrix.sessions.forget(URL)
    result = pitrix("login", "-u", "a", "--password-stdin", input="x\n", url="http://127.0.0.1:9")
    assert "not https" not in result.stderr


def test_sessions_default_to_the_users_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PITRIX_CONFIG_DIR", str(tmp_path))
    assert Sessions().path == tmp_path / "session.json"
    monkeypatch.delenv("PITRIX_CONFIG_DIR")
    assert Sessions().path.parent.name == "pitrix"
