"""The command ``python -m tests.clouds``: builds once, into the cache, what the clouds under test need.

``build [name…]`` builds what is missing of the named clouds, or of all; ``where NAME`` prints a folder.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence

from tests.clouds import cache


def main(argv: Sequence[str]) -> int:
    """Run one command; 1 when a cloud could not be built."""
    parser = argparse.ArgumentParser(prog="python -m tests.clouds", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build", help="build what is missing")
    building.add_argument("names", nargs="*", metavar="NAME", help="; ".join(cache.names()))
    commands.add_parser("where", help="print a cloud's folder").add_argument("name", choices=cache.names())
    arguments = parser.parse_args(argv)
    if arguments.command == "where":
        print(cache.place(arguments.name))
        return 0
    unknown = set(arguments.names) - set(cache.names())
    if unknown:
        parser.error(f"nothing is built for {', '.join(sorted(unknown))}; known: {', '.join(cache.names())}")
    wanted = arguments.names or cache.names()
    install_packages([name for name in wanted if not cache.is_built(name) or cache.packages(name)])
    built = [build(name) for name in wanted]
    return 0 if all(built) else 1


def install_packages(names: Sequence[str]) -> None:
    """Install what clouds name in ``debian-packages.txt``, on Debian and Ubuntu as root.

    Elsewhere a cloud's own ``build.py`` says what it lacks.
    """
    missing = sorted({each for name in names for each in cache.packages(name) if not _is_installed(each)})
    unbuilt = any(not cache.is_built(name) for name in names)
    if os.geteuid() != 0 or not shutil.which("apt-get") or not (missing or unbuilt):
        return
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    # Recipes install packages, too, and a fresh machine has no lists of them.
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *missing]):
        done = subprocess.run(
            ["apt-get", "--quiet", *command], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            print(f"apt-get {command[0]} failed: {done.stderr.strip()[-300:]}", file=sys.stderr, flush=True)


def _is_installed(package: str) -> bool:
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    return done.stdout == "installed"


def build(name: str) -> bool:
    """Build one cloud unless it is there; whether it is there now. What went wrong is printed."""
    place = cache.place(name)
    with cache.lock(place):
        if cache.is_built(name):
            print(f"{name}: is in {place}", flush=True)
            return True
        shutil.rmtree(place, ignore_errors=True)  # what an interrupted build left
        place.mkdir(parents=True)
        print(f"{name}: building into {place} …", flush=True)
        began = time.monotonic()
        try:
            cache.recipe(name).build(place)
        except Exception as error:  # one cloud that cannot be built does not keep the others from it
            print(f"{name}: not built: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            return False
        cache.mark_built(name)
        print(f"{name}: built in {time.monotonic() - began:.0f} s", flush=True)
        return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
