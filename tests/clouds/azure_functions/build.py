"""Installs Microsoft's worker runtime into an environment of its own: some 10 s and 3 MB beyond Python's own.

Its package says that it wants Python 3.13; its code runs on 3.11 as well, which is what its tests here show.
The host of Azure Functions has an older one built in for 3.11 that is in no registry.
"""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path

PINS = (
    "azure-functions==1.26.0",
    "azure-functions-runtime==1.3.0",
    "azurefunctions-extensions-base==1.2.0",
    "markupsafe==3.0.4",
    "werkzeug==3.1.9",
)


def build(into: Path) -> None:
    """Make the environment ``into/venv``.

    Raises:
        RuntimeError: pip failed.
    """
    venv.create(into / "venv", with_pip=True)
    command = [
        str(into / "venv/bin/python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    command += ["--no-deps", "--ignore-requires-python", *PINS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"pip failed: {done.stderr.strip()[-500:]}")
