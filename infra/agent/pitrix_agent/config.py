"""What the agent knows of itself, and where on the machine its things are.

``<root>/agent/config.json`` is written by the user data (``pitrix/pilot/userdata.py``):

``agent_id``, ``cluster_id``, ``node_id``, ``name``   who it is
``kind``                                              ``drone`` or ``frontgate``
``role``                                              the node's role in the application (``web``)
``upstream``                                          ``ws(s)://`` address of Pilot, or of the frontgate
``via_frontgate``                                     whether ``upstream`` is a frontgate
``token``                                             the one-time token; ignored once it has been used
``bundle_url``                                        where this program came from
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

#: Where a frontgate listens for its drones, and a drone serves metadata. Taken elsewhere only if in use.
FRONTGATE_PORT = 9111
METADATA_PORT = 9112


class ConfigError(Exception):
    """The configuration is missing or makes no sense; the agent cannot start."""


@dataclass(frozen=True)
class Config:
    """The configuration file and the machine's environment, put together."""

    agent_id: str
    cluster_id: str
    node_id: str
    name: str
    kind: str
    role: str
    upstream: str
    via_frontgate: bool
    token: str
    root: Path
    data_dir: Path
    address: str

    @property
    def home(self) -> Path:
        """Where the agent keeps its own things; nobody else may look into it."""
        return self.root / "agent"

    @property
    def app_dir(self) -> Path:
        """``PITRIX_APP_DIR``: the payload of the package, and the working directory of commands."""
        return self.root / "app"


def load(root: Path, environ: Mapping[str, str]) -> Config:
    """Read the configuration.

    Raises:
        ConfigError: it cannot be read or lacks something.
    """
    path = root / "agent" / "config.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        upstream = str(raw["upstream"])
        config = Config(
            agent_id=str(raw["agent_id"]),
            cluster_id=str(raw["cluster_id"]),
            node_id=str(raw["node_id"]),
            name=str(raw["name"]),
            kind=str(raw["kind"]),
            role=str(raw["role"]),
            upstream=upstream,
            via_frontgate=bool(raw["via_frontgate"]),
            token=str(raw["token"]),
            root=root,
            data_dir=Path(environ.get("PITRIX_DATA_DIR") or root / "data"),
            address=environ.get("PITRIX_MACHINE_ADDRESS") or _address_towards(upstream),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: {type(error).__name__}: {error}") from error
    if config.kind not in ("drone", "frontgate") or urlsplit(upstream).scheme not in ("ws", "wss"):
        raise ConfigError(f"{path}: kind is drone or frontgate, upstream starts with ws:// or wss://")
    return config


def own_key(home: Path) -> str:
    """Return this agent's key, making it on first use.

    The agent makes its key itself and has it on disk before it is ever sent: whatever is lost on the way, the
    next hello carries the same key.
    """
    path = home / "key"
    present = _read(path)
    if present:
        return present
    key = secrets.token_urlsafe(32)
    write_private(path, key)
    return key


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user may read, all or nothing, and have it on the disk when done."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(str(fresh), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None


def _address_towards(url: str) -> str:
    """Return the address of this machine on the way to ``url``: its primary one. Sends nothing."""
    parts = urlsplit(url)
    family = socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((parts.hostname or "127.0.0.1", parts.port or 443))
        return str(probe.getsockname()[0])
