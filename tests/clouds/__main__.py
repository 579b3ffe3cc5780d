"""The command ``python -m tests.clouds``: builds once, into the cache, what the clouds under test need.

``build [name…]`` builds what is missing of the named clouds, or of all; ``where NAME`` prints a folder.
"""

from __future__ import annotations

import argparse
import shutil
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
    built = [build(name) for name in arguments.names or cache.names()]
    return 0 if all(built) else 1


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
