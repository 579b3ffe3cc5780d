"""All resources of this cloud and the rules about them.

Every change happens under one lock and is on disk before it is answered. What takes long (a machine
going up or down) is noted as *wanted*, and a thread of its own brings the machine there (:meth:`_settle`),
so that a hypervisor which is killed half-way finds on its next start what remains to be done.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock, Thread
from typing import Any, TypeVar

from . import addresses
from .errors import Clash, Invalid, Missing, QuotaReached
from .machines import Chassis
from .model import (
    Creation,
    KeyPair,
    KeyPairRequest,
    Machine,
    MachineRequest,
    Network,
    NetworkRequest,
    Resource,
    Volume,
    VolumeRequest,
)
from .store import Store

log = logging.getLogger("hypervisor")
R = TypeVar("R", bound=Resource)
Json = dict[str, Any]

IMAGES = {"local": "This machine"}
SIZES = [(cpu, cpu * mib) for cpu in (1, 2, 4, 8, 16) for mib in (512, 1024, 2048, 4096)]
"""Common sizes, (cores, MiB). Any other within the limits of ``model`` may be asked for as well."""


@dataclass(frozen=True, kw_only=True)
class Quota:
    """Most of everything, counting what is stopped too."""

    machines: int = 64
    memory_mib: int = 131072
    volume_gib: int = 4096
    networks: int = addresses.MOST_NETWORKS
    key_pairs: int = 100


class Cloud:
    """The cloud on this machine, kept in one folder. ``open`` it once; ``close`` it to stop its machines."""

    def __init__(self, data: Path, *, quota: Quota, python: str, grace_s: float = 10.0) -> None:
        self._data = data
        self._quota = quota
        self._python = python
        self._grace_s = grace_s
        self._lock = RLock()
        self._closing = False
        self._networks = Store(data / "networks", Network)
        self._volumes = Store(data / "volumes", Volume)
        self._key_pairs = Store(data / "key_pairs", KeyPair)
        self._machines = Store(data / "machines", Machine)
        self._chassis: dict[str, Chassis] = {}
        self._held = addresses.Held()

    def open(self) -> None:
        """Bring every machine to where it should be: adopt those that live, boot those that should."""
        with self._lock:
            for network in self._networks:
                if not self._held.take(network.cidr):
                    log.warning("another hypervisor on this machine uses %s too", network.cidr)
            for machine in self._machines:
                up = self._body(machine.id).is_up()
                log.info("%s is up: %s, wanted: %s", machine.id, up, machine.on)
                if machine.on and not machine.deleted and not up:
                    machine.boot += 1
                    self._machines.save(machine)
                self._settle_soon(machine.id)

    def close(self) -> None:
        """Stop every machine and remember which ones ran. Returns when all their processes have ended."""
        with self._lock:
            self._closing = True
            bodies = {machine.id: self._body(machine.id) for machine in self._machines}
        threads = [Thread(target=self._power_off, args=pair) for pair in bodies.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._held.release_all()

    # --- the account ---------------------------------------------------------------------------------

    def account(self) -> Json:
        with self._lock:
            used = {
                "machines": len(self._machines),
                "memory_mib": sum(m.memory_mib for m in self._machines),
                "volume_gib": sum(v.size_gib for v in self._volumes),
                "networks": len(self._networks),
                "key_pairs": len(self._key_pairs),
            }
        limits = vars(self._quota)
        return {
            "zones": [{"id": "local", "title": "This machine"}],
            "quotas": {name: {"limit": limits[name], "used": used[name]} for name in used},
            "one_address": not addresses.has_many_addresses(),
        }

    def machine_types(self) -> list[Json]:
        return [{"id": f"local-{cpu}c-{mib}m", "cpu": cpu, "memory_mib": mib} for cpu, mib in sorted(SIZES)]

    def images(self) -> list[Json]:
        return [{"id": image, "name": name} for image, name in IMAGES.items()]

    def _within(self, what: str, used: int, more: int, unit: str = "") -> None:
        limit: int = getattr(self._quota, what)
        if used + more > limit:
            raise QuotaReached(
                f"The quota of {limit}{unit} {what.split('_')[0].replace('key', 'key pairs')} is reached: "
                f"{used}{unit} are used, {more}{unit} more were asked for."
            )

    # --- networks ------------------------------------------------------------------------------------

    def create_network(self, wanted: NetworkRequest) -> Network:
        def make() -> Network:
            self._within("networks", len(self._networks), 1)
            taken = [network.cidr for network in self._networks]
            cidr = addresses.choose_network(wanted.cidr, taken, self._data, self._held.take)
            return Network(**_common("net", wanted), cidr=cidr)

        return self._create(self._networks, wanted, make)

    def get_network(self, network_id: str) -> Network:
        return self._networks.get(network_id)

    def list_networks(self, tags: Mapping[str, str]) -> list[Network]:
        return _with_tags(self._networks, tags)

    def delete_network(self, network_id: str) -> None:
        with self._lock:
            if inside := [m.id for m in self._machines if m.network_id == network_id]:
                raise Clash(f"Machines are still in {network_id}: {', '.join(inside)}.")
            network = self._networks.find(network_id)
            if network:
                self._networks.remove(network_id)
                self._held.release(network.cidr)

    # --- volumes -------------------------------------------------------------------------------------

    def create_volume(self, wanted: VolumeRequest) -> Volume:
        def make() -> Volume:
            self._within("volume_gib", sum(v.size_gib for v in self._volumes), wanted.size_gib, " GiB")
            volume = Volume(**_common("vol", wanted), size_gib=wanted.size_gib)
            self._content(volume.id).mkdir(mode=0o700, parents=True)
            return volume

        return self._create(self._volumes, wanted, make)

    def get_volume(self, volume_id: str) -> Volume:
        return self._volumes.get(volume_id)

    def list_volumes(self, tags: Mapping[str, str]) -> list[Volume]:
        return _with_tags(self._volumes, tags)

    def attach_volume(self, volume_id: str, machine_id: str) -> Volume:
        with self._lock:
            volume, machine = self._volumes.get(volume_id), self._live(machine_id)
            if volume.machine_id == machine_id:
                return volume
            if volume.machine_id is not None:
                raise Clash(f"{volume_id} is attached to {volume.machine_id}.")
            machine.volume_ids.append(volume_id)
            return self._recable(machine, volume, machine_id)

    def detach_volume(self, volume_id: str) -> Volume:
        with self._lock:
            volume = self._volumes.get(volume_id)
            if volume.machine_id is None:
                return volume
            machine = self._machines.get(volume.machine_id)
            machine.volume_ids.remove(volume_id)
            return self._recable(machine, volume, None)

    def _recable(self, machine: Machine, volume: Volume, machine_id: str | None) -> Volume:
        self._machines.save(machine)
        volume.machine_id = machine_id
        body = self._body(machine.id)
        if body.root.exists():  # otherwise its first boot does it
            body.connect([self._content(v) for v in machine.volume_ids])
        return self._volumes.save(volume)

    def extend_volume(self, volume_id: str, size_gib: int) -> Volume:
        with self._lock:
            volume = self._volumes.get(volume_id)
            more = size_gib - volume.size_gib
            if more < 0:
                raise Invalid(f"{volume_id} cannot shrink from {volume.size_gib} to {size_gib} GiB.")
            self._within("volume_gib", sum(v.size_gib for v in self._volumes), more, " GiB")
            volume.size_gib = size_gib
            return self._volumes.save(volume)

    def delete_volume(self, volume_id: str) -> None:
        with self._lock:
            volume = self._volumes.find(volume_id)
            if volume is None:
                return
            if volume.machine_id is not None:
                raise Clash(f"{volume_id} is attached to {volume.machine_id}.")
            self._volumes.remove(volume_id)

    def _content(self, volume_id: str) -> Path:
        return self._volumes.folder(volume_id) / "content"

    # --- key pairs -----------------------------------------------------------------------------------

    def import_key_pair(self, wanted: KeyPairRequest) -> KeyPair:
        def make() -> KeyPair:
            self._within("key_pairs", len(self._key_pairs), 1)
            public_key = wanted.public_key.strip()
            return KeyPair(
                **_common("key", wanted), public_key=public_key, fingerprint=_fingerprint(public_key)
            )

        return self._create(self._key_pairs, wanted, make)

    def get_key_pair(self, key_pair_id: str) -> KeyPair:
        return self._key_pairs.get(key_pair_id)

    def list_key_pairs(self, tags: Mapping[str, str]) -> list[KeyPair]:
        return _with_tags(self._key_pairs, tags)

    def delete_key_pair(self, key_pair_id: str) -> None:
        with self._lock:
            if self._key_pairs.find(key_pair_id):
                self._key_pairs.remove(key_pair_id)

    # --- machines ------------------------------------------------------------------------------------

    def create_machine(self, wanted: MachineRequest) -> Json:
        """Note the machine and start bringing it up."""

        def make() -> Machine:
            if wanted.image not in IMAGES:
                raise Missing(f"There is no image {wanted.image!r}; there are: {', '.join(IMAGES)}.")
            network = self._networks.get(wanted.network_id)
            if wanted.key_pair is not None:
                self._key_pairs.get(wanted.key_pair)
            volumes = [self._volumes.get(volume_id) for volume_id in dict.fromkeys(wanted.volume_ids)]
            if held := [v.id for v in volumes if v.machine_id is not None]:
                raise Clash(f"Attached to another machine: {', '.join(held)}.")
            self._within("machines", len(self._machines), 1)
            self._within("memory_mib", sum(m.memory_mib for m in self._machines), wanted.memory_mib, " MiB")
            machine = Machine(
                **_common("machine", wanted),
                cpu=wanted.cpu,
                memory_mib=wanted.memory_mib,
                image=wanted.image,
                network_id=network.id,
                address=addresses.choose_address(
                    network.cidr, [m.address for m in self._machines if m.network_id == network.id]
                ),
                volume_ids=[volume.id for volume in volumes],
                key_pair=wanted.key_pair,
            )
            self._body(machine.id).install(wanted.user_data)
            for volume in volumes:
                volume.machine_id = machine.id
                self._volumes.save(volume)
            return machine

        with self._lock:
            machine = self._create(self._machines, wanted, make)
            self._settle_soon(machine.id)
            return self._describe(machine)

    def get_machine(self, machine_id: str) -> Json:
        return self._describe(self._machines.get(machine_id))

    def list_machines(self, tags: Mapping[str, str]) -> list[Json]:
        return [self._describe(machine) for machine in _with_tags(self._machines, tags)]

    def start_machine(self, machine_id: str) -> Json:
        with self._lock:
            machine = self._live(machine_id)
            if not machine.on or self._status(machine)[0] == "error":
                machine.on = True
                machine.boot += 1
                self._machines.save(machine)
                self._settle_soon(machine_id)
            return self._describe(machine)

    def stop_machine(self, machine_id: str) -> Json:
        with self._lock:
            machine = self._live(machine_id)
            if machine.on:
                machine.on = False
                self._machines.save(machine)
                self._settle_soon(machine_id)
            return self._describe(machine)

    def resize_machine(self, machine_id: str, *, cpu: int, memory_mib: int) -> Json:
        with self._lock:
            machine = self._live(machine_id)
            if self._status(machine)[0] != "stopped":
                raise Clash(f"{machine_id} is not stopped.")
            more = memory_mib - machine.memory_mib
            self._within("memory_mib", sum(m.memory_mib for m in self._machines), more, " MiB")
            machine.cpu, machine.memory_mib = cpu, memory_mib
            return self._describe(self._machines.save(machine))

    def delete_machine(self, machine_id: str) -> None:
        with self._lock:
            machine = self._machines.find(machine_id)
            if machine is not None and not machine.deleted:
                machine.deleted = True
                self._machines.save(machine)
                self._settle_soon(machine_id)

    def console(self, machine_id: str) -> str:
        self._machines.get(machine_id)
        return self._body(machine_id).console()

    def _live(self, machine_id: str) -> Machine:
        machine = self._machines.get(machine_id)
        if machine.deleted:
            raise Missing(f"{machine_id} is being deleted.")
        return machine

    def _describe(self, machine: Machine) -> Json:
        status, reason = self._status(machine)
        return {
            "id": machine.id,
            "name": machine.name,
            "tags": machine.tags,
            "created_at": machine.created_at,
            "status": status,
            "reason": reason,
            "cpu": machine.cpu,
            "memory_mib": machine.memory_mib,
            "image": machine.image,
            "network_id": machine.network_id,
            "address": machine.address,
            "volume_ids": machine.volume_ids,
            "key_pair": machine.key_pair,
        }

    def _status(self, machine: Machine) -> tuple[str, str]:
        """How the machine is, from what its init says, and from whether it lives at all."""
        body = self._body(machine.id)
        up, boot = body.is_up(), body.last_boot()
        if machine.deleted:
            return "pending", ""
        if not machine.on:
            return ("pending", "") if up else ("stopped", "")
        if boot is None or boot.boot != machine.boot:
            return "pending", ""
        if boot.phase == "failed":
            return "error", boot.reason
        if not up:
            return "error", "The machine's first process was killed."
        return ("running" if boot.phase == "running" else "pending"), ""

    # --- bringing machines to where they should be ---------------------------------------------------

    def _settle_soon(self, machine_id: str) -> None:
        arguments = (machine_id, self._body(machine_id))
        Thread(target=self._settle, args=arguments, daemon=True, name=f"settle-{machine_id}").start()

    def _settle(self, machine_id: str, body: Chassis) -> None:
        """Bring one machine to what its record wants; one thread at a time for each machine."""
        with body.in_hand:
            try:
                while self._step(machine_id, body):
                    pass
            except Exception:
                log.exception("%s could not be brought to what is wanted", machine_id)

    def _step(self, machine_id: str, body: Chassis) -> bool:
        """One move towards what is wanted; False when there is none left, or the cloud closes."""
        with self._lock:
            machine = self._machines.find(machine_id)
            if machine is None or self._closing:
                return False
            boot = body.last_boot()
            boots = machine.on and not machine.deleted and (boot is None or boot.boot != machine.boot)
        if machine.on and not machine.deleted and not boots:
            return False
        body.power_off(machine_id)
        if not boots:
            return self._stay_off(machine)
        try:
            with self._lock:
                key = self._key_pairs.find(machine.key_pair) if machine.key_pair else None
                number = machine.boot
                body.prepare(
                    machine,
                    authorized_key=key.public_key if key else "",
                    volumes=[self._content(volume_id) for volume_id in machine.volume_ids],
                )
            body.power_on(machine_id)
        except OSError as error:
            log.exception("%s does not boot", machine_id)
            body.note_failure(number, f"The machine could not be started: {error}")
        return True  # look again: it may have been stopped or deleted meanwhile

    def _stay_off(self, machine: Machine) -> bool:
        """A machine has been brought down; True if it should be brought up again by now."""
        with self._lock:
            if not machine.deleted:
                return machine.on
            for volume in self._volumes:
                if volume.machine_id == machine.id:
                    volume.machine_id = None
                    self._volumes.save(volume)
            self._machines.remove(machine.id)
            del self._chassis[machine.id]
            return False

    def _power_off(self, machine_id: str, body: Chassis) -> None:
        with body.in_hand:
            try:
                body.power_off(machine_id)
            except TimeoutError:
                log.exception("%s does not stop", machine_id)

    def _body(self, machine_id: str) -> Chassis:
        with self._lock:
            if machine_id not in self._chassis:
                folder = self._machines.folder(machine_id)
                self._chassis[machine_id] = Chassis(folder, python=self._python, grace_s=self._grace_s)
            return self._chassis[machine_id]

    # --- what all kinds share ------------------------------------------------------------------------

    def _create(self, store: Store[R], wanted: Creation, make: Callable[[], R]) -> R:
        with self._lock:
            return store.by_client_token(wanted.client_token) or store.save(make())


def _common(prefix: str, wanted: Creation) -> Json:
    return {
        "id": f"{prefix}-{secrets.token_hex(8)}",
        "name": wanted.name,
        "client_token": wanted.client_token,
        "tags": wanted.tags,
        "created_at": datetime.now(UTC),
    }


def _with_tags(resources: Iterable[R], tags: Mapping[str, str]) -> list[R]:
    return [r for r in resources if tags.items() <= r.tags.items()]


def _fingerprint(public_key: str) -> str:
    """The key's SHA-256 as ``ssh-keygen -l`` shows it.

    Raises:
        Invalid: It is not one line of OpenSSH's public key format.
    """
    kind, _, rest = public_key.partition(" ")
    try:
        blob = base64.b64decode(rest.split(" ")[0], validate=True)
    except binascii.Error:
        blob = b""
    name = kind.encode()
    if "\n" in public_key or not name or not blob.startswith(len(name).to_bytes(4, "big") + name):
        raise Invalid("That is not a public key in OpenSSH's one-line form (ssh-ed25519 AAAA… comment).")
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
