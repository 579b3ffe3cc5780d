"""Machines: QingCloud's instances.

A machine has one security group at most, as an instance has. Its user data is QingCloud's executable kind,
which is written to ``/etc/rc.local`` and so runs at every boot. Without a key pair it gets a password that
nobody knows, because QingCloud wants one or the other.
"""

from __future__ import annotations

import base64
import gzip
import secrets
from collections.abc import Mapping
from itertools import takewhile
from typing import Any

from pitrix.errors import Conflict, InvalidInput
from providers.base import Machines, smallest_type
from providers.qingcloud import mapping
from providers.qingcloud.client import Client
from providers.qingcloud.creation import create_once, tagged
from providers.qingcloud.errors import unless_busy
from providers.qingcloud.kinds import IMAGE, INSTANCE
from providers.resources import Image, Machine, MachineSpec, MachineStatus, MachineType, Quota

_COUNTED = {
    "instance": ("DescribeInstances", {"status": ["pending", "running", "stopped", "suspended"]}),
    "volume": ("DescribeVolumes", {"status": ["pending", "available", "in-use", "suspended"]}),
    "eip": ("DescribeEips", {"status": ["pending", "available", "associated", "suspended"]}),
}
"""What is limited, by QingCloud's word for it, and how what counts against the limit is asked for."""

_COUNTS = {"instance": "machines", "volume": "volumes", "eip": "addresses"}
"""The same in our words."""

_PLAIN_LENGTH = 4096
"""User data longer than this, in base64, is sent compressed: it travels in a request's address."""


class QingCloudMachines(Machines):
    """Every promise is the base class's; what differs is said at the method."""

    _cloud: Client

    def machine_types(self) -> list[MachineType]:
        rows = self._cloud.call("DescribeInstanceTypes")["instance_type_set"]
        types = [mapping.machine_type(row) for row in rows if row.get("status", "available") == "available"]
        return sorted(types, key=lambda size: (size.cpu, size.memory_mib, size.machine_type))

    def machine_images(self) -> list[Image]:
        """QingCloud's own Linux images, Ubuntu first and the newest of a family first; then the account's."""
        found = [
            row
            for provider in ("system", "self")
            for row in self._cloud.rows(IMAGE, provider=provider, status=["available"])
            if row.get("platform") != "windows"
        ]
        newest = sorted(found, key=lambda row: str(row.get("image_name", "")), reverse=True)
        return [
            mapping.image(row)
            for row in sorted(
                newest, key=lambda row: (row.get("provider") != "system", row.get("os_family") != "ubuntu")
            )
        ]

    def create_machine(self, spec: MachineSpec, *, idempotency_key: str) -> Machine:
        """There are no types with GPUs; a machine is in one security group at most."""
        if len(spec.security_group_ids) > 1:
            raise InvalidInput("A machine of QingCloud is in one security group; put all rules into one.")
        row = create_once(
            self._cloud,
            INSTANCE,
            key=idempotency_key,
            name=spec.name,
            tags=spec.tags,
            make=lambda name: self._run(spec, name),
        )
        return mapping.machine(row)

    def _run(self, spec: MachineSpec, name: str) -> str:
        size = smallest_type(self.machine_types(), cpu=spec.cpu, memory_mib=spec.memory_mib, gpu=spec.gpu)
        answer = self._cloud.call(
            "RunInstances",
            image_id=spec.image,
            instance_type=size.machine_type,
            instance_name=name,
            vxnets=[spec.network_id],
            volumes=list(spec.volume_ids) or None,
            security_group=next(iter(spec.security_group_ids), None),
            **_login(spec.key_pair),
            **_user_data(spec.user_data),
        )
        return str(answer["instances"][0])

    def get_machine(self, machine_id: str) -> Machine:
        return mapping.machine(self._cloud.row(INSTANCE, machine_id))

    def list_machines(self, tags: Mapping[str, str]) -> list[Machine]:
        return [mapping.machine(row) for row in tagged(self._cloud, INSTANCE, tags)]

    def start_machine(self, machine_id: str) -> Machine:
        return self._to(machine_id, "StartInstances", MachineStatus.STOPPED)

    def stop_machine(self, machine_id: str) -> Machine:
        return self._to(machine_id, "StopInstances", MachineStatus.RUNNING)

    def _to(self, machine_id: str, action: str, start: MachineStatus) -> Machine:
        """Send what leads away from ``start``, if the machine rests there now."""
        row = self._cloud.row(INSTANCE, machine_id)
        if mapping.machine_status(row) is start:
            with unless_busy():
                self._cloud.call(action, instances=[machine_id])
            row = self._cloud.row(INSTANCE, machine_id)
        return mapping.machine(row)

    def resize_machine(self, machine_id: str, *, cpu: int, memory_mib: int) -> Machine:
        machine = self.get_machine(machine_id)
        size = smallest_type(self.machine_types(), cpu=cpu, memory_mib=memory_mib)
        if (machine.cpu, machine.memory_mib) == (size.cpu, size.memory_mib):
            return machine
        if machine.status is not MachineStatus.STOPPED:
            raise Conflict(f"The machine {machine_id} is {machine.status}; stop it before it is resized.")
        with unless_busy():
            self._cloud.call("ResizeInstances", instances=[machine_id], instance_type=size.machine_type)
        return self.get_machine(machine_id)

    def delete_machine(self, machine_id: str) -> None:
        """It stays in QingCloud's recycle bin for a while, without its address and its volumes."""
        row = self._cloud.row_or_none(INSTANCE, machine_id)
        if row is not None and row.get("transition_status") != "terminating":
            with unless_busy():
                self._cloud.call("TerminateInstances", instances=[machine_id])

    def quotas(self) -> list[Quota]:
        """How many machines, volumes and public addresses; QingCloud tells what is left, not the limit."""
        answer = self._cloud.call("GetQuotaLeft", resource_types=list(_COUNTED))
        left = {each["resource_type"]: int(each["left"]) for each in answer["quota_left_set"]}
        quotas = []
        for name in left.keys() & _COUNTED.keys():
            action, counting = _COUNTED[name]
            used = int(self._cloud.call(action, limit=1, **counting)["total_count"])
            quotas.append(Quota(name=name, used=used, limit=used + left[name], counts=_COUNTS[name]))
        return sorted(quotas, key=lambda quota: quota.name)

    def console_output(self, machine_id: str) -> str:
        """Always "": QingCloud shows a console's picture to people and gives programs no text."""
        self._cloud.row(INSTANCE, machine_id)
        return ""


def _login(key_pair: str | None) -> dict[str, Any]:
    if key_pair:
        return {"login_mode": "keypair", "login_keypair": key_pair}
    return {"login_mode": "passwd", "login_passwd": f"Aa1{secrets.token_hex(12)}"}


def _user_data(script: str) -> dict[str, Any]:
    if not script:
        return {}
    text = script if script.startswith("#!") else f"#!/bin/sh\n{script}"
    value = _base64(text.encode())
    if len(value) > _PLAIN_LENGTH:
        value = min(value, _base64(_packed(text).encode()), key=len)
    return {"need_userdata": 1, "userdata_type": "exec", "userdata_value": value}


def _packed(script: str) -> str:
    """A shell script that unpacks and runs ``script``; it begins with the same comments, for who reads it."""
    lines = script.splitlines()[1:]
    comments = "".join(f"{line}\n" for line in takewhile(lambda line: line.startswith("#"), lines))
    packed = _base64(gzip.compress(script.encode(), mtime=0))
    return (
        f"#!/bin/sh\n{comments}"
        f't=$(mktemp) && echo {packed} | base64 -d | gzip -d > "$t" && chmod 700 "$t" && "$t"\n'
        's=$?; rm -f "$t"; exit $s\n'
    )


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
