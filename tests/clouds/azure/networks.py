"""Networks, interfaces, security groups and public addresses of the fake Azure."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any
from uuid import uuid4

from tests.clouds.azure.world import ArmError, Held, Json, Kind, World, references, shouted, within


def _children(held: Held, body: Json, *names: str) -> None:
    """Nested resources have ids and states of their own."""
    for name in names:
        for child in body["properties"].get(name, []):
            child["id"] = f"{held.id}/{name}/{child['name']}"
            child.setdefault("properties", {})["provisioningState"] = body["properties"]["provisioningState"]
            child["etag"] = f'W/"{held.hidden["guid"]}"'


class VirtualNetwork(Kind):
    def put(self, world: World, held: Held, wanted: Json, *, new: bool) -> None:
        prefixes = wanted["properties"].get("addressSpace", {}).get("addressPrefixes", [])
        spaces = [_range(each) for each in prefixes]
        if not spaces:
            raise ArmError(400, "InvalidRequestFormat", "A virtual network has an address space.")
        kept = set()
        for subnet in wanted["properties"].get("subnets", []):
            inside = _range(subnet["properties"]["addressPrefix"])
            if not any(inside.subnet_of(space) for space in spaces):
                raise ArmError(400, "NetcfgInvalidSubnet", f"Subnet {subnet['name']} is outside the space.")
            kept.add(f"{held.id}/subnets/{subnet['name']}".lower())
        for subnet in held.properties.get("subnets", []):
            subnet_id = f"{held.id}/subnets/{subnet['name']}"
            if subnet_id.lower() not in kept:
                self._unused(world, subnet_id)
        held.facts.setdefault("resourceGuid", str(uuid4()))

    def tell(self, world: World, held: Held, body: Json, expand: str) -> None:
        _children(held, body, "subnets")
        body["etag"] = f'W/"{held.hidden["guid"]}"'

    def may_delete(self, world: World, held: Held) -> None:
        self._unused(world, held.id)

    @staticmethod
    def _unused(world: World, subnet_id: str) -> None:
        if users := world.users(subnet_id):
            message = f"Subnet of {subnet_id} is in use by {users[0].id} and cannot be deleted."
            raise ArmError(400, "InUseSubnetCannotBeDeleted", message)


class SecurityGroup(Kind):
    def put(self, world: World, held: Held, wanted: Json, *, new: bool) -> None:
        seen: set[Any] = set()
        for rule in wanted["properties"].get("securityRules", []):
            told = rule["properties"]
            for needed in ("sourcePortRange", "destinationPortRange", "sourceAddressPrefix"):
                if needed not in told and f"{needed}s" not in told:
                    raise ArmError(400, "SecurityRuleParameterMissing", f"{rule['name']} lacks {needed}.")
            if not 100 <= told["priority"] <= 4096:
                raise ArmError(400, "SecurityRuleInvalidPriority", f"{rule['name']}: 100 to 4096.")
            if (told["direction"], told["priority"]) in seen:
                raise ArmError(400, "SecurityRuleConflict", f"{rule['name']} has another's priority.")
            seen.add((told["direction"], told["priority"]))
            _check_rule(rule["name"], told)
        held.facts.setdefault("resourceGuid", str(uuid4()))

    def tell(self, world: World, held: Held, body: Json, expand: str) -> None:
        _children(held, body, "securityRules")
        users = [user.id for user in world.users(held.id) if "/networkInterfaces/" in user.id]
        if users:
            body["properties"]["networkInterfaces"] = [{"id": user} for user in users]

    def may_delete(self, world: World, held: Held) -> None:
        if users := world.users(held.id):
            code = "InUseNetworkSecurityGroupCannotBeDeleted"
            raise ArmError(400, code, f"{held.id} is in use by {users[0].id}.")


class PublicAddress(Kind):
    def put(self, world: World, held: Held, wanted: Json, *, new: bool) -> None:
        standard = wanted.get("sku", {}).get("name") == "Standard"
        if standard and wanted["properties"].get("publicIPAllocationMethod") != "Static":
            code = "StandardSkuPublicIPAddressesMustBeStatic"
            raise ArmError(400, code, "Standard sku publicIp addresses are static.")
        held.facts.setdefault("resourceGuid", str(uuid4()))

    def tell(self, world: World, held: Held, body: Json, expand: str) -> None:
        if held.doing != "Creating":
            number = int(held.hidden["guid"][:6], 16)
            body["properties"]["ipAddress"] = f"20.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        for user in world.users(held.id):
            for each in user.properties.get("ipConfigurations", []):
                if any(within(used, held.id) for used in references(each)):
                    where = {"id": f"{user.id}/ipConfigurations/{each['name']}"}
                    body["properties"]["ipConfiguration"] = where

    def may_delete(self, world: World, held: Held) -> None:
        if users := world.users(held.id):
            code = "PublicIPAddressCannotBeDeleted"
            raise ArmError(400, code, f"{held.id} is still allocated to {users[0].id}.")


class Interface(Kind):
    def put(self, world: World, held: Held, wanted: Json, *, new: bool) -> None:
        for each in wanted["properties"]["ipConfigurations"]:
            inside = each["properties"]
            address = inside.get("publicIPAddress", {}).get("id", "")
            others = [u for u in world.users(address) if u.id.lower() != held.id.lower()] if address else []
            if others:
                raise ArmError(400, "PublicIPAddressInUse", f"{address} is already used by {others[0].id}.")
            held.hidden.setdefault("ip", self._free(world, inside["subnet"]["id"]))
        held.facts.setdefault("resourceGuid", str(uuid4()))

    def tell(self, world: World, held: Held, body: Json, expand: str) -> None:
        _children(held, body, "ipConfigurations")
        for each in body["properties"]["ipConfigurations"]:
            each["properties"]["privateIPAddress"] = held.hidden["ip"]
            each["properties"].setdefault("privateIPAllocationMethod", "Dynamic")
        if "machine" in held.hidden:
            body["properties"]["virtualMachine"] = {"id": shouted(held.hidden["machine"])}

    def may_delete(self, world: World, held: Held) -> None:
        if "machine" in held.hidden:
            message = f"{held.id} is used by {held.hidden['machine']}."
            raise ArmError(400, "NicInUse", message)

    @staticmethod
    def _free(world: World, subnet_id: str) -> str:
        """The first address of a subnet that nobody has; the first three are Azure's."""
        network = world.get(subnet_id.rsplit("/", 2)[0])
        name = subnet_id.rsplit("/", 1)[1]
        [subnet] = [s for s in network.properties["subnets"] if s["name"].lower() == name.lower()]
        taken = {user.hidden.get("ip") for user in world.users(subnet_id)}
        hosts = [str(ip) for ip in ip_network(subnet["properties"]["addressPrefix"]).hosts()][3:]
        return next(ip for ip in hosts if ip not in taken)


def _range(prefix: str) -> Any:
    try:
        return ip_network(prefix)
    except ValueError as error:
        raise ArmError(400, "InvalidAddressPrefixFormat", f"Address prefix {prefix}: {error}.") from error


def _check_rule(name: str, rule: Json) -> None:
    """Ports are 0 to 65535, in order; sources are networks or tags."""
    ports = rule.get("destinationPortRange", "*")
    if ports != "*":
        first, _, last = ports.partition("-")
        if not (first.isdigit() and int(first) <= int(last or first) <= 65_535):
            raise ArmError(400, "SecurityRuleInvalidPortRange", f"{name}: {ports} is no range of ports.")
    source = rule.get("sourceAddressPrefix", "*")
    if source[:1].isdigit():
        _range(source)
    elif source not in ("*", "Internet", "VirtualNetwork", "AzureLoadBalancer"):
        raise ArmError(400, "SecurityRuleInvalidAddressPrefix", f"{name}: {source} is no address prefix.")


KINDS: dict[str, Kind] = {
    "Microsoft.Network/virtualNetworks": VirtualNetwork(),
    "Microsoft.Network/networkSecurityGroups": SecurityGroup(),
    "Microsoft.Network/publicIPAddresses": PublicAddress(),
    "Microsoft.Network/networkInterfaces": Interface(),
}
