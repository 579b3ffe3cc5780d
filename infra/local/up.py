"""The command `infra/up`: makes the environments, then hands over to the supervisor (`supervisor.py`).

Owns the command line and what must work before anything is installed, so it needs the standard library only.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from infra.local import venvs
from infra.local.datadir import DataDir
from infra.local.paths import (
    CORE_PROJECT,
    DEFAULT_DATA,
    DEFAULT_PORT,
    EMULATOR_VENV,
    REQUIREMENTS_EMULATOR,
    REQUIREMENTS_PLATFORM,
    VENV,
    venv_python,
)
from infra.local.processes import Identity, is_running, stop, wait_gone
from infra.local.progress import UserError, say, step

_STOP_WITHIN_S = 60
_SETTING = re.compile(r"[a-z0-9-]+\.[a-z0-9_]+=.*")


def main(argv: Sequence[str] | None = None) -> int:
    """Start or stop a platform on this machine; the exit status is 0 when that worked."""
    begun = time.time()
    options = _parse(argv)
    data = DataDir(options.data)
    try:
        if options.stop:
            return stop_platform(data)
        data.check(emulator=venvs.pin(REQUIREMENTS_EMULATOR, "ministack"), reset=options.reset)
        ensure_environments()
        return _hand_over(options, begun)
    except UserError as error:
        say(f"\n  {error}")
        return 1
    except KeyboardInterrupt:
        say("\n  Stopped before it was ready.")
        return 130


def ensure_environments() -> None:
    """Make or mend `.venv` (platform and command line) and `.venv-emulator`, side by side.

    Raises:
        UserError: pip or venv failed.
    """
    if venvs.is_current(VENV, REQUIREMENTS_PLATFORM, CORE_PROJECT) and venvs.is_current(
        EMULATOR_VENV, REQUIREMENTS_EMULATOR
    ):
        return
    with step("Making Python environments"), venvs.building(), ThreadPoolExecutor() as pool:
        made = [
            pool.submit(venvs.ensure, VENV, REQUIREMENTS_PLATFORM, project=CORE_PROJECT),
            pool.submit(venvs.ensure, EMULATOR_VENV, REQUIREMENTS_EMULATOR),
        ]
        for future in made:
            future.result()


def stop_platform(data: DataDir) -> int:
    """Ask the supervisor of a data directory to stop and wait until it did."""
    recorded = data.running().get("supervisor")
    supervisor = Identity(**recorded) if recorded else None
    if supervisor is None or not is_running(supervisor):
        leftovers = data.leftovers()
        for leftover in leftovers:
            stop(leftover, grace_s=_STOP_WITHIN_S)
        data.forget_run()
        say(
            f"  No platform runs in {data.path}."
            if not leftovers
            else "  Stopped what an earlier run left behind."
        )
        return 0
    with step(f"Stopping the platform in {data.path}"):
        os.kill(supervisor.pid, signal.SIGTERM)
        if not wait_gone(supervisor, timeout_s=_STOP_WITHIN_S):
            raise UserError(f"It still runs (process {supervisor.pid}); its logs are in {data.logs}.")
    return 0


def _hand_over(options: argparse.Namespace, begun: float) -> int:
    command = [str(venv_python(VENV)), "-m", "infra.local"]
    command += ["--data", str(options.data), "--port", str(options.port), "--begun", str(begun)]
    if options.template:
        command += ["--template", str(options.template)]
    for network in options.allow_network:
        command += ["--allow-network", network]
    for setting in options.cloud_setting:
        command += ["--cloud-setting", setting]
    for plugin in options.plugin:
        command += ["--plugin", str(plugin)]
    if options.reset:
        command.append("--reset")
    if not options.detach:
        os.execv(command[0], command)
    child = subprocess.Popen(
        [*command, "--detach"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert child.stdout is not None
    try:
        for line in child.stdout:  # ends when the supervisor is ready and lets go of its output, or is gone
            sys.stdout.buffer.write(line)
            sys.stdout.flush()
    except KeyboardInterrupt:
        child.terminate()
        child.wait()
        raise
    time.sleep(0.05)
    return child.poll() or 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="infra/up",
        description="Start Pitrix on this machine: a cloud on the laptop with the whole platform in it.",
    )
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="where it listens on 127.0.0.1 (%(default)s)"
    )
    parser.add_argument(
        "--data", type=Path, default=DEFAULT_DATA, metavar="DIR", help="what it keeps (%(default)s)"
    )
    parser.add_argument("--detach", action="store_true", help="return when it is ready and leave it running")
    parser.add_argument(
        "--stop", action="store_true", help="stop the platform that runs in the data directory"
    )
    parser.add_argument("--reset", action="store_true", help="throw away the data directory's content first")
    parser.add_argument(
        "--allow-network",
        action="append",
        default=[],
        metavar="CIDR",
        help="let repositories and clouds lie in this private network (192.168.1.0/24); may be repeated",
    )
    parser.add_argument(
        "--cloud-setting",
        action="append",
        default=[],
        metavar="CLOUD.NAME=VALUE",
        help="a setting of a provider, such as aws.endpoint=http://127.0.0.1:5000; may be repeated",
    )
    parser.add_argument(
        "--plugin",
        action="append",
        default=[],
        type=Path,
        metavar="DIR",
        help="a Python project with a provider of its own, as infra/demo/provider-plugin; may be repeated",
    )
    parser.add_argument("--template", type=Path, help=argparse.SUPPRESS)  # the tests deploy one of their own
    options = parser.parse_args(argv)
    if not 1 <= options.port <= 65535:
        parser.error("--port must be between 1 and 65535")
    for network in options.allow_network:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            parser.error(f"--allow-network: {error}")
    for setting in options.cloud_setting:
        if not _SETTING.fullmatch(setting):
            parser.error(f"--cloud-setting: {setting!r} is not written as CLOUD.NAME=VALUE")
    options.plugin = [plugin.resolve() for plugin in options.plugin]
    for plugin in options.plugin:
        if not (plugin / "pyproject.toml").is_file():
            parser.error(f"--plugin: {plugin} has no pyproject.toml")
    options.data = options.data.resolve()
    return options


if __name__ == "__main__":
    sys.exit(main())
