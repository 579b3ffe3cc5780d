"""``python3 agent.pyz --root DIR``: run the agent of the machine whose things are in DIR.

Exit codes: 0 told to stop, 2 the configuration is missing or wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from pitrix_agent.config import Config, ConfigError, load


async def _run(own: Config) -> None:
    if own.kind == "frontgate":
        from pitrix_agent.frontgate import Frontgate

        work = Frontgate(own).run()
    else:
        from pitrix_agent.drone import Drone

        work = Drone(own).run()
    task = asyncio.ensure_future(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        logging.info("stopping")


def main() -> int:
    parser = argparse.ArgumentParser(prog="pitrix-agent", description="The Pitrix agent of this machine.")
    parser.add_argument("--root", type=Path, required=True, help="folder of the machine's own things")
    options = parser.parse_args()
    # Neither frames nor commands are ever logged: they carry keys and passwords.
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("websockets").setLevel(logging.WARNING)
    try:
        own = load(options.root.resolve(), os.environ)
    except ConfigError as error:
        print(f"pitrix-agent: {error}", file=sys.stderr)
        return 2
    asyncio.run(_run(own))
    return 0


if __name__ == "__main__":
    sys.exit(main())
