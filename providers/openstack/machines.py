"""Machines: nova's servers. How a server becomes a resource is in ``mapping``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pitrix.errors import Conflict, InvalidInput, ResourceNotFound
from providers.base import Machines, check_key, smallest_type
from providers.openstack import key_pairs, mapping, once
from providers.openstack.client import Client, known
from providers.openstack.mapping import Json, server_tag
from providers.resources import Connection, Image, Machine, MachineSpec, MachineStatus, MachineType, Quota

CONSOLE_BYTES = 64 * 1024
USER_DATA_BYTES = 65_535
"""Nova's limit, in base64."""

_TO_START = {
    "PAUSED": "unpause",
    "SUSPENDED": "resume",
    "SHELVED": "unshelve",
    "SHELVED_OFFLOADED": "unshelve",
}


class OpenStackMachines(Machines):
    """Servers, which boot from an image on a disk of the hypervisor."""

    connection: Connection
    _cloud: Client

    def machine_types(self) -> list[MachineType]:
        """The flavours that the project may use."""
        found = [mapping.machine_type(each, self._gpus(each)) for each in self._flavors()]
        return sorted(found, key=lambda size: (size.cpu, size.memory_mib, size.gpu, size.machine_type))

    def machine_images(self) -> list[Image]:
        """Public images first, the newest of them first of all: no cloud says which is its default."""
        found = self._cloud.pages("image", "/images", "images", {"status": "active"})
        found.sort(key=lambda each: str(each["created_at"]), reverse=True)
        found.sort(key=lambda each: each["visibility"] != "public")
        return [mapping.image(each) for each in found]

    def create_machine(self, spec: MachineSpec, *, idempotency_key: str) -> Machine:
        """Without security groups a machine gets the project's default one, as OpenStack does it."""
        key = check_key(idempotency_key)

        def make() -> Json:
            made = self._cloud.call("compute", "POST", "/servers", body={"server": self._wanted(spec, key)})
            return self._server(made["server"]["id"])

        tagged = {"tags": server_tag(mapping.KEY, key)}
        return mapping.machine(
            once.once(
                self._cloud,
                "machine",
                key,
                find=lambda: self._servers(tagged),
                make=make,
                read=self._server,
                discard=self._delete_server,
            )
        )

    def get_machine(self, machine_id: str) -> Machine:
        return mapping.machine(self._server(machine_id))

    def list_machines(self, tags: Mapping[str, str]) -> list[Machine]:
        tagged = [server_tag(name, value) for name, value in tags.items()] or [server_tag("", "")]
        found = [mapping.machine(each) for each in self._winners(self._servers({"tags": ",".join(tagged)}))]
        return [each for each in found if each.status is not MachineStatus.TERMINATED]

    def start_machine(self, machine_id: str) -> Machine:
        server = self._server(machine_id)
        if server["status"] == "VERIFY_RESIZE":
            return self._act(server, "confirmResize")
        state = mapping.machine(server).status
        if state is MachineStatus.ERROR:
            return self._act(server, "reboot", {"type": "HARD"})
        if state is MachineStatus.STOPPED:
            return self._act(server, _TO_START.get(server["status"], "os-start"))
        return mapping.machine(server)

    def stop_machine(self, machine_id: str) -> Machine:
        server = self._server(machine_id)
        running = server["status"] == "ACTIVE" and not server.get("OS-EXT-STS:task_state")
        return self._act(server, "os-stop") if running else mapping.machine(server)

    def resize_machine(self, machine_id: str, *, cpu: int, memory_mib: int) -> Machine:
        """Nova asks back when it has done it (VERIFY_RESIZE), for which the call is repeated."""
        server = self._server(machine_id)
        if server["status"] == "VERIFY_RESIZE":
            return self._act(server, "confirmResize")
        if server["status"] == "RESIZE":
            return mapping.machine(server)
        flavor = self._fitting(cpu, memory_mib, 0)
        if flavor["name"] == server["flavor"]["original_name"]:
            return mapping.machine(server)
        if server["status"] != "SHUTOFF":
            raise Conflict("A machine is stopped before it gets another size.")
        return self._act(server, "resize", {"flavorRef": flavor["id"]})

    def delete_machine(self, machine_id: str) -> None:
        try:
            self._delete_server(known(machine_id, "machine"))
        except ResourceNotFound:
            return
        once.forget(self._cloud, machine_id)

    def quotas(self) -> list[Quota]:
        return mapping.quotas(self._cloud.get("compute", "/limits")["limits"]["absolute"])

    def console_output(self, machine_id: str) -> str:
        path = f"/servers/{known(machine_id, 'machine')}/action"
        try:
            answer = self._cloud.call("compute", "POST", path, body={"os-getConsoleOutput": {}})
        except Conflict:  # it has none yet
            return ""
        return str(answer["output"] or "").encode()[-CONSOLE_BYTES:].decode(errors="replace")

    # --- calls -------------------------------------------------------------------------------------------

    def _servers(self, query: Mapping[str, str]) -> list[Any]:
        return self._cloud.pages("compute", "/servers/detail", "servers", query)

    def _winners(self, servers: list[Any]) -> list[Any]:
        """Servers without those that were made at once with another of the same key.

        They were deleted by whoever made them; nova may show them for a moment, and he may have died before.
        """
        shared = Counter(each["metadata"].get(mapping.KEY) for each in servers)
        winners = []
        for each in servers:
            key = each["metadata"].get(mapping.KEY)
            named = once.named(self._cloud, "machine", key) if shared[key] > 1 else None
            if named in (None, each["id"]):
                winners.append(each)
            else:
                with suppress(ResourceNotFound, Conflict):
                    self._delete_server(each["id"])
        return winners

    def _server(self, machine_id: str) -> Json:
        found: Json = self._cloud.get("compute", f"/servers/{known(machine_id, 'machine')}")["server"]
        return found

    def _delete_server(self, machine_id: str) -> None:
        self._cloud.call("compute", "DELETE", f"/servers/{machine_id}")

    def _act(self, server: Json, action: str, options: Any = None) -> Machine:
        """Ask for one thing; where nova is busy with the server just now, the call will be repeated."""
        with suppress(Conflict):
            self._cloud.call("compute", "POST", f"/servers/{server['id']}/action", body={action: options})
        return self.get_machine(server["id"])

    def _flavors(self) -> list[Json]:
        return self._cloud.pages("compute", "/flavors/detail", "flavors")

    def _gpus(self, flavor: Json) -> int:
        return mapping.gpus(flavor.get("extra_specs", {}))

    def _fitting(self, cpu: int, memory_mib: int, gpu: int) -> Json:
        flavors = {each["name"]: each for each in self._flavors()}
        types = [mapping.machine_type(each, self._gpus(each)) for each in flavors.values()]
        return flavors[smallest_type(types, cpu=cpu, memory_mib=memory_mib, gpu=gpu).machine_type]

    def _wanted(self, spec: MachineSpec, key: str) -> Json:
        """The body of a creation.

        Raises:
            InvalidInput: No flavour is that large, or the user data is too long.
            ResourceNotFound: Something named in the spec cannot be an id of OpenStack's.
        """
        flavor = self._fitting(spec.cpu, spec.memory_mib, spec.gpu)
        noted = mapping.metadata(key, spec.tags, network=known(spec.network_id, "network"))
        tagged = {**spec.tags, mapping.KEY: key, "": ""}
        disks: list[Json] = [
            {
                "source_type": "image",
                "destination_type": "local",
                "uuid": known(spec.image, "image"),
                "boot_index": 0,
                "delete_on_termination": True,
            }
        ]
        disks += [
            {
                "source_type": "volume",
                "destination_type": "volume",
                "uuid": known(volume_id, "volume"),
                "boot_index": None,
                "delete_on_termination": False,
            }
            for volume_id in spec.volume_ids
        ]
        wanted: dict[str, Any] = {
            "name": spec.name,
            "flavorRef": flavor["id"],
            "imageRef": spec.image,
            "networks": [{"uuid": spec.network_id}],
            "availability_zone": self.connection.zone,
            "metadata": noted,
            "tags": sorted({server_tag(name, value) for name, value in tagged.items()}),
            "block_device_mapping_v2": disks,
        }
        if spec.security_group_ids:
            groups = [known(each, "security group") for each in spec.security_group_ids]
            wanted["security_groups"] = [{"name": each} for each in groups]
        if spec.key_pair:
            wanted["key_name"] = key_pairs.name_of(spec.key_pair)
        if spec.user_data:
            wanted["user_data"] = mapping.user_data(spec.user_data)
            if len(wanted["user_data"]) > USER_DATA_BYTES:
                raise InvalidInput(f"OpenStack takes {USER_DATA_BYTES} bytes of user data, in base64.")
        return wanted
