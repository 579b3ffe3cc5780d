"""Guests for clouds whose machines are only told of: what a machine is to run at boot runs on this one.

Owns reading user data back from a cloud, taking the shell scripts out of it as cloud-init would, and running
them: each guest is a folder, a loopback address and a process group. Runs nothing but the platform's own
script, which starts an agent; what asks for volumes or systemd is not for here.
"""

from __future__ import annotations

import base64
import contextlib
import email
import gzip
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import yaml

from pitrix.errors import PitrixError
from providers.resources import Connection, Machine, MachineStatus
from tests.contract.providers.targets import Target

_LOOK_EVERY_S = 1
#: Beside the network of the local cloud (127.80.0.0/16), one group of 250 addresses a cloud.
_NETWORK = "127.90"
_OURS = "Pitrix node"


def scripts(data: bytes) -> list[str]:
    """The shell scripts in user data, in the order in which cloud-init runs them at a boot.

    Source: *cloud-init*, "User data formats" (gzip, MIME multi-part, scripts, cloud-config).
    """
    if data.startswith(b"\x1f\x8b"):
        data = gzip.decompress(data)
    text = data.decode()
    if text.startswith("#!"):
        return [text]
    if text.startswith("#cloud-config"):
        return [_content(each) for each in (yaml.safe_load(text) or {}).get("write_files", [])]
    found = []
    for part in email.message_from_string(text).walk():
        if not part.is_multipart() and "shellscript" in part.get_content_subtype():
            found.append(_decoded(part))
    return found


def _decoded(part: Message) -> str:
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()


def _content(file: Any) -> str:
    content = str(file["content"])
    encoding = str(file.get("encoding", ""))
    data = base64.b64decode(content) if "b64" in encoding or "base64" in encoding else content.encode()
    return (gzip.decompress(data) if encoding.startswith("gz") else data).decode()


# --- reading user data back --------------------------------------------------------------------------------


def reader(target: Target) -> Callable[[str], bytes]:
    """What gives the user data of one of a target's machines, by its id."""
    if target.user_data is not None:
        return target.user_data
    read = _READERS[target.name]
    return lambda machine_id: read(target.account, machine_id)


def _from_aws(account: Connection, machine_id: str) -> bytes:
    import boto3

    ec2 = boto3.client(
        "ec2",
        region_name=account.zone[:-1],
        endpoint_url=account.settings["endpoint"],
        aws_access_key_id=account.credential["access_key_id"],
        aws_secret_access_key=account.credential["secret_access_key"],
    )
    told = ec2.describe_instance_attribute(InstanceId=machine_id, Attribute="userData")
    return base64.b64decode(told["UserData"]["Value"])


def _from_openstack(account: Connection, machine_id: str) -> bytes:
    """User data is told to administrators alone."""
    from tests.clouds.openstack import cloud
    from tests.contract.providers.targets.openstack import password, token

    url = account.credential["auth_url"].removesuffix("/identity/v3")
    signed_in, _ = token(
        password(url, next(n for n, user in cloud.USERS.items() if "admin" in user["roles"]))
    )
    headers = {"X-Auth-Token": signed_in, "X-OpenStack-Nova-API-Version": "2.3"}
    with urlopen(Request(f"{url}/compute/v2.1/servers/{machine_id}", headers=headers), timeout=30) as answer:
        return base64.b64decode(json.load(answer)["server"]["OS-EXT-SRV-ATTR:user_data"])


def _from_vmware(account: Connection, machine_id: str) -> bytes:
    from pyVim.connect import Disconnect, SmartConnect
    from pyVmomi import vim

    place = account.credential["endpoint"].removeprefix("https://")
    host, _, port = place.partition(":")
    session = SmartConnect(
        host=host,
        port=int(port),
        user=account.credential["username"],
        pwd=account.credential["password"],
        disableSslCertValidation=True,
    )
    try:
        machine = vim.VirtualMachine(machine_id, session._stub)
        settings = {each.key: each.value for each in machine.config.extraConfig}
    finally:
        Disconnect(session)
    return base64.b64decode(settings["guestinfo.userdata"])


_READERS: dict[str, Callable[[Connection, str], bytes]] = {
    "aws": _from_aws,
    "openstack": _from_openstack,
    "vmware": _from_vmware,
}


# --- running it --------------------------------------------------------------------------------------------


class Guests:
    """The guests of one cloud: they come up and go down with its machines."""

    def __init__(self, target: Target, folder: Path, number: int) -> None:
        self._target = target
        self._read = reader(target)
        self._folder = folder
        self._number = number
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._stopping = threading.Event()
        self._watching = threading.Thread(target=self._watch, daemon=True)
        self._addresses: dict[str, str] = {}
        self.faults: list[str] = []

    def _watch(self) -> None:
        cloud = self._target.connect().machines
        while not self._stopping.wait(_LOOK_EVERY_S):
            try:
                machines = {each.machine_id: each for each in cloud.list_machines({})}
            except PitrixError:
                continue  # it is asked again in a moment
            for machine_id in [each for each in self._running if not _up(machines.get(each))]:
                self._power_off(machine_id)
            for machine_id, machine in machines.items():
                if _up(machine) and machine_id not in self._running:
                    self._power_on(machine)

    def _power_on(self, machine: Machine) -> None:
        found = [
            text for text in scripts(self._read(machine.machine_id)) if _OURS in text or "gzip -d" in text
        ]
        if len(found) != 1:
            self.faults.append(f"{machine.name} has no script of the platform")
            return
        address = self._addresses.setdefault(
            machine.machine_id, f"{_NETWORK}.{self._number}.{len(self._addresses) + 1}"
        )
        root = self._folder / address
        root.mkdir(exist_ok=True)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(root),
            "TMPDIR": str(root),
            "PITRIX_MACHINE_DIR": str(root),
            "PITRIX_MACHINE_ADDRESS": address,
            "PITRIX_PYTHON": sys.executable,
        }
        with (root / "console.log").open("ab") as console:
            self._running[machine.machine_id] = subprocess.Popen(
                ["/bin/sh", "-c", found[0]],
                cwd=root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )

    def address(self, machine_id: str) -> str:
        """The loopback address of a machine that was switched on."""
        return self._addresses[machine_id]

    def _power_off(self, machine_id: str) -> None:
        process = self._running.pop(machine_id)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)

    def stop(self) -> None:
        """Switch all of them off."""
        self._stopping.set()
        if self._watching.is_alive():
            self._watching.join(30)
        for machine_id in list(self._running):
            self._power_off(machine_id)


def _up(machine: Machine | None) -> bool:
    return machine is not None and machine.status is MachineStatus.RUNNING


@contextmanager
def running(target: Target, folder: Path, number: int) -> Iterator[Guests]:
    """Guests for all machines of a target's account, now and later.

    Args:
        number: From 1 to 250, another one for each cloud under test: a part of the guests' addresses.
    """
    guests = Guests(target, folder, number)
    guests._watching.start()
    try:
        yield guests
    finally:
        guests.stop()
