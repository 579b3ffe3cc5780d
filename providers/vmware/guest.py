"""What a machine is told at boot, in the form of cloud-init's data source for VMware. No calls.

The settings lie in a machine's extra configuration (``guestinfo``), where the guest reads them. cloud-init
runs a script that is its user data only once, so the script becomes a file that it runs at every boot.
"""

from __future__ import annotations

import base64
import json
from ipaddress import IPv4Network
from typing import Any
from uuid import uuid4

USER_DATA = "guestinfo.userdata"
METADATA = "guestinfo.metadata"
_BOOT_SCRIPT = "/var/lib/cloud/scripts/per-boot/pitrix"


def settings(user_data: str, *, address: str, cidr: str, host_name: str) -> dict[str, str]:
    """The script, the host's name and the network's settings, as extra configuration.

    Args:
        address: The machine's address inside ``cidr``, whose first address is the router and resolves names;
            "" where somebody else gives addresses.
    """
    metadata: dict[str, Any] = {"instance-id": str(uuid4()), "local-hostname": host_name}
    if address:
        within = IPv4Network(cidr)
        router = str(within[1])
        metadata["network"] = {
            "version": 2,
            "ethernets": {
                "nics": {
                    "match": {"name": "e*"},
                    "dhcp4": False,
                    "addresses": [f"{address}/{within.prefixlen}"],
                    "gateway4": router,
                    "nameservers": {"addresses": [router]},
                }
            },
        }
    script = user_data if user_data.startswith("#!") else f"#!/bin/sh\n{user_data}"
    boot = {"path": _BOOT_SCRIPT, "permissions": "0700", "encoding": "b64", "content": _b64(script)}
    return {
        METADATA: _b64(json.dumps(metadata)),
        f"{METADATA}.encoding": "base64",
        USER_DATA: _b64("#cloud-config\n" + json.dumps({"write_files": [boot] if user_data else []})),
        f"{USER_DATA}.encoding": "base64",
    }


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def forgotten() -> dict[str, str]:
    """Settings that take the script and the network's settings away, for an image."""
    return {USER_DATA: "", METADATA: ""}


def host_name(name: str) -> str:
    """A machine's name as its host name (RFC 1123)."""
    plain = "".join(char if char.isascii() and char.isalnum() else "-" for char in name)
    return plain[:63].strip("-") or "node"
