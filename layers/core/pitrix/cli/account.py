"""``pitrix login``, ``logout``, ``whoami``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pitrix.cli import render
from pitrix.cli.api import is_private
from pitrix.cli.context import Cli
from pitrix.cli.failure import NotSignedIn, WrongUsage


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the root."""
    app.command()(login)
    app.command()(logout)
    app.command()(whoami)


def login(
    ctx: typer.Context,
    username: Annotated[
        str, typer.Option("--username", "-u", envvar="PITRIX_USERNAME", help="Asked for if not given.")
    ] = "",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    password: Annotated[str, typer.Option(envvar="PITRIX_PASSWORD", hidden=True, show_default=False)] = "",
) -> None:
    """Sign in; the session is kept until logout.

    The password is asked for, read from standard input, or taken from PITRIX_PASSWORD.
    """
    cli = Cli.of(ctx)
    if not is_private(cli.url):
        cli.note(f"Careful: {cli.url} is not https; your password can be read on its way.")
    if not username:
        if not cli.interactive:
            raise WrongUsage("Who are you?", hint="Give --username or PITRIX_USERNAME.")
        username = typer.prompt("Username", err=True)
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    elif not password:
        if not cli.interactive:
            raise WrongUsage("There is no password.", hint="Give --password-stdin or PITRIX_PASSWORD.")
        password = typer.prompt("Password", hide_input=True, err=True)
    signed_in = cli.api.sign_in(username, password)
    me = cli.api.get("/me")
    cli.result(
        {"url": cli.url, **me},
        lambda: cli.note(f"Signed in to {cli.url} as {signed_in.username} ({me['role']})."),
    )


def logout(ctx: typer.Context) -> None:
    """End the session, here and at the platform."""
    cli = Cli.of(ctx)
    ended = cli.api.sign_out()
    cli.result(
        {"url": cli.url, "signed_out": ended},
        lambda: cli.note(f"Signed out of {cli.url}." if ended else f"You were not signed in to {cli.url}."),
    )


def whoami(ctx: typer.Context) -> None:
    """Show who is signed in, and where."""
    cli = Cli.of(ctx)
    if not cli.api.signed_in:
        raise NotSignedIn(f"You are not signed in to {cli.url}.", hint="Sign in with: pitrix login")
    me = cli.api.get("/me")
    facts = {"platform": cli.url, "username": me["username"], "role": me["role"], "owner": me["owner_path"]}
    cli.result({"url": cli.url, **me}, lambda: render.as_facts(cli.out, facts))
