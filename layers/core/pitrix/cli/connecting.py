"""What a cloud wants to know before it is connected, asked on a command line.

Owns the talk: which cloud, which way to sign in, each field of that way. The questions are the provider's own
(``credential_schema`` of ``GET /v1/providers/{name}``), and so are the rules, which the platform applies. A
secret is never shown: it is typed unseen, or read from a file or from a variable.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from rich.markup import escape

from pitrix.cli.api import segment
from pitrix.cli.context import Cli
from pitrix.cli.failure import Failure, WrongUsage
from pitrix.errors import FieldError

#: Bytes of a file with a credential; the platform takes no more in all.
_LONGEST_FILE = 30_000


def ways(provider: Mapping[str, Any]) -> dict[str, Any]:
    """The ways to sign in to a cloud by name; none where there is but one."""
    branches = provider["credential_schema"].get("oneOf", [])
    return {way["properties"]["method"]["const"]: way for way in branches}


def choose_provider(cli: Cli, name: str | None) -> Any:
    """The cloud of that name, or the one that somebody chooses.

    Raises:
        Failure, Refused: There is none of that name, or nobody can choose.
    """
    if name is not None:
        return cli.api.get(f"/providers/{segment(name)}")
    offered = {provider["name"]: provider for provider in cli.api.items("/providers")}
    titles = {each: provider["title"] for each, provider in offered.items()}
    return offered[_choice(cli, "Which cloud?", titles, "--provider")]


def choose_zone(cli: Cli, checked: Mapping[str, Any]) -> str:
    """One of the zones that an account opens; where nobody can choose, its default."""
    default = str(checked["zone"])
    if len(checked["zones"]) < 2 or not cli.interactive:
        return default
    titles = {each["zone"]: each["title"] for each in checked["zones"]}
    return _choice(cli, "Which zone?", titles, "--zone", default=default)


def credential(
    cli: Cli, provider: Mapping[str, Any], way: str | None, given: Mapping[str, str]
) -> dict[str, str]:
    """A credential for a cloud: what was given, and what had to be asked.

    Args:
        given: Field to value; ``@FILE`` and ``$NAME`` stand for what is in a file and in a variable.

    Raises:
        WrongUsage: A field or a way is unknown, or a file or a variable is not there; names each.
        Failure: Something is missing and nobody can be asked.
    """
    schema, found = _schema(cli, provider, way)
    fields: dict[str, Any] = {key: it for key, it in schema["properties"].items() if key != "method"}
    unknown = [
        FieldError(key, f"is unknown; known are: {', '.join(fields)}") for key in given.keys() - fields
    ]
    if unknown:
        raise WrongUsage(f"{provider['title']} does not ask that.", errors=unknown)
    found |= {key: _value(key, text) for key, text in given.items()}
    required = schema.get("required", ())
    missing = [key for key in fields if key not in found and (key in required or cli.interactive)]
    if missing and not cli.interactive:
        errors = [FieldError(key, _title(fields[key], key)) for key in missing]
        raise Failure(
            f"{provider['title']} needs {len(missing)} more.", errors=errors, hint="Give each by --set."
        )
    for key in missing:
        if answer := _ask(cli, key, fields[key], required=key in required):
            found[key] = answer
    return found


def _schema(cli: Cli, provider: Mapping[str, Any], way: str | None) -> tuple[Any, dict[str, str]]:
    """The schema to follow, and what choosing it says in the credential itself."""
    offered = ways(provider)
    if not offered:
        if way is not None:
            raise WrongUsage(f"{provider['title']} has but one way to sign in.", hint="Leave --way out.")
        return provider["credential_schema"], {}
    titles = {name: str(each.get("title", name)) for name, each in offered.items()}
    if way is not None and way not in offered:
        raise WrongUsage(f"{provider['title']} has no way {way!r}.", hint=f"There are: {', '.join(offered)}")
    chosen = way or (
        _choice(cli, "How to sign in?", titles, "--way") if len(titles) > 1 else next(iter(titles))
    )
    return offered[chosen], {"method": chosen}


def _choice(cli: Cli, question: str, titles: Mapping[str, str], option: str, *, default: str = "") -> str:
    names = list(titles)
    if not cli.interactive:
        raise Failure(f"{question} Nobody can be asked.", hint=f"Give {option}: {', '.join(names)}")
    cli.err.print(f"\n[bold]{escape(question)}[/]")
    for number, name in enumerate(names, start=1):
        title = "" if titles[name] == name else f"  {titles[name]}"
        cli.err.print(f"  {number}) {name}{title}", markup=False)
    while True:
        said = str(typer.prompt(">", default=default or None, err=True)).strip()
        if said in titles:
            return said
        if said.isdigit() and 1 <= int(said) <= len(names):
            return names[int(said) - 1]
        cli.err.print(f"  Say 1 to {len(names)}, or a name.", style="red")


def _ask(cli: Cli, key: str, field: Mapping[str, Any], *, required: bool) -> str:
    """Ask one field; "" for nothing, where it is not required."""
    cli.err.print(f"\n[bold]{escape(_title(field, key))}[/]{'' if required else ' (may be left out)'}")
    if description := field.get("description"):
        cli.err.print(f"  {description}", style="dim", markup=False)
    if field.get("enum"):
        return _choice(
            cli, "One of", {each: each for each in field["enum"]}, "", default=field.get("default", "")
        )
    if field.get("x-multiline"):
        cli.err.print("  @FILE, for it has several lines", style="dim", markup=False)
    while True:
        default = field.get("default") if required else field.get("default", "")
        hidden = bool(field.get("writeOnly")) and not field.get("x-multiline")
        said = str(
            typer.prompt(">", default=default, show_default=bool(default), hide_input=hidden, err=True)
        )
        if not field.get("x-multiline"):
            return said  # as it is: a secret may well begin with an @
        try:
            return _value(key, said)
        except WrongUsage as wrong:
            cli.err.print(f"  {wrong.errors[0].message}", style="red", markup=False)


def _title(field: Mapping[str, Any], key: str) -> str:
    return str(field.get("title", key))


def _value(key: str, text: str) -> str:
    """What a given value stands for.

    Raises:
        WrongUsage: There is no such file or variable.
    """
    if text.startswith("@"):
        path = Path(text[1:]).expanduser()
        try:
            if path.stat().st_size > _LONGEST_FILE:
                raise _cannot(key, f"{path} is larger than {_LONGEST_FILE} bytes")
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeError) as error:
            raise _cannot(key, f"{path} cannot be read ({type(error).__name__})") from None
    if text.startswith("$") and text[1:].isidentifier():
        if text[1:] not in os.environ:
            raise _cannot(key, f"the variable {text[1:]} is not set")
        return os.environ[text[1:]]
    return text


def _cannot(key: str, why: str) -> WrongUsage:
    return WrongUsage(f"{key} cannot be taken.", errors=[FieldError(key, why)])
