"""``pitrix package``: create, check, render, build, sign and publish a package.

Owns the group of commands, and `create` and `schema`; the others are in the ``package_*`` modules beside
this one.  Checks run on this machine with the code that the platform runs (`pitrix.packages.service`), so
what passes here passes there.  Only ``push`` talks to a platform.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pitrix.cli import package_build, package_lint, package_push, package_render, package_sign, render
from pitrix.cli.context import Cli
from pitrix.cli.failure import Failure
from pitrix.packages import service as packages

_KINDS = ", ".join(packages.types())
_SCHEMAS = ", ".join(packages.schema_names())

app = typer.Typer(no_args_is_help=True, help="Make packages and publish them.")


@app.command()
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the app: lower-case letters, digits and dashes.")],
    kind: Annotated[
        str,
        typer.Option("--type", help=f"Kind of package: {_KINDS}.", autocompletion=packages.types),
    ] = "vm",
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Where to put it; by default a directory of that name.")
    ] = None,
) -> None:
    """Start a new package that works as it is."""
    cli = Cli.of(ctx)
    files = packages.scaffold(name, kind)
    target = directory or Path(name)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Failure(f"{target} exists already and is not empty.", hint="Give another place with --dir.")
    for path, content in files.items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).write_bytes(content)

    def as_text() -> None:
        cli.out.print(f"Created {target} with {len(files)} files:", markup=False)
        for path in sorted(files):
            cli.out.print(f"  {path}", markup=False)
        cli.out.print(
            f"Next: pitrix package lint {target} && pitrix package push {target}",
            markup=False,
            soft_wrap=True,
        )

    cli.result({"directory": str(target), "type": kind, "files": sorted(files)}, as_text)


package_lint.register(app)
package_render.register(app)
package_build.register(app)
package_sign.register(app)
package_push.register(app)


@app.command()
def schema(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(help=f"One of: {_SCHEMAS}.", autocompletion=packages.schema_names, show_default=False),
    ] = None,
) -> None:
    """Print the JSON Schema of a file of packages, for editors; without a name, what there is."""
    cli = Cli.of(ctx)
    if name is None:
        found = {each: packages.schema(each).get("title", "") for each in packages.schema_names()}
        cli.result(found, lambda: render.as_facts(cli.out, found))
        return
    document = packages.schema(name)
    text = json.dumps(document, indent=2, ensure_ascii=False)
    cli.result(document, lambda: cli.out.print(text, markup=False, soft_wrap=True))
