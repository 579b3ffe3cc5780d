"""Networks: vxnets of our own, joined to one router that all of Pitrix's networks in a zone share.

QingCloud sells routers (a VPC each) dearly and few; so there is one, made when the first network is, in
:data:`VPC`, of which each network has a /24. It is deleted with its last network. A router that somebody
else made is never used.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from ipaddress import IPv4Network, ip_network

from pitrix.errors import Conflict, InvalidInput, QuotaExceeded, ResourceNotFound
from providers.base import Networks, check_key
from providers.qingcloud import mapping
from providers.qingcloud.client import Client
from providers.qingcloud.creation import create_once, find, tagged
from providers.qingcloud.errors import unless_busy
from providers.qingcloud.kinds import ROUTER, VXNET, Row
from providers.resources import Network, NetworkSpec

VPC = IPv4Network("192.168.0.0/16")
ROUTER_KEY = "pitrix-router"
_MANAGED = 1


class QingCloudNetworks(Networks):
    """Every promise is the base class's; what differs is said at the method."""

    _cloud: Client

    def create_network(self, spec: NetworkSpec, *, idempotency_key: str) -> Network:
        """A range that is asked for is a /24 of 192.168.0.0/16. Repeat the call until the network is
        available: the first makes it (and the router), the next joins them."""
        wanted = _checked(spec.cidr)
        row = find(self._cloud, VXNET, check_key(idempotency_key))
        if row is None and wanted is not None:
            router = find(self._cloud, ROUTER, ROUTER_KEY)
            if router is not None and wanted in self._taken(router):
                raise Conflict(f"Another network has {wanted} already.")
        row = create_once(
            self._cloud,
            VXNET,
            key=idempotency_key,
            name=spec.name,
            tags=spec.tags,
            make=lambda name: str(
                self._cloud.call("CreateVxnets", vxnet_name=name, vxnet_type=_MANAGED)["vxnets"][0]
            ),
        )
        return mapping.network(row) if _joined(row) else self._join(str(row["vxnet_id"]), wanted)

    def _join(self, vxnet_id: str, wanted: IPv4Network | None) -> Network:
        """Do what can be done now to give a vxnet its addresses."""
        router = create_once(
            self._cloud,
            ROUTER,
            key=ROUTER_KEY,
            name="pitrix",
            tags={},
            make=lambda name: str(
                self._cloud.call("CreateRouters", router_name=name, vpc_network=str(VPC))["routers"][0]
            ),
        )
        if router["status"] == "active" and not router.get("transition_status"):
            taken = self._taken(router)
            row = self._cloud.row(VXNET, vxnet_id)
            if not _joined(row):
                if wanted in taken:
                    raise Conflict(f"Another network has {wanted} already.")
                cidr = wanted or _free(vxnet_id, taken)
                # Another network may have got the range, or the router, a moment ago: the next call sees it.
                with unless_busy(), suppress(Conflict, ResourceNotFound):
                    self._cloud.call(
                        "JoinRouter", vxnet=vxnet_id, router=router["router_id"], ip_network=str(cidr)
                    )
        return self.get_network(vxnet_id)

    def _taken(self, router: Row) -> set[IPv4Network]:
        return {IPv4Network(each["ip_network"]) for each in self._vxnets_of(router)}

    def _vxnets_of(self, router: Row) -> list[Row]:
        return self._cloud.everything("DescribeRouterVxnets", "router_vxnet_set", router=router["router_id"])

    def get_network(self, network_id: str) -> Network:
        return mapping.network(self._cloud.row(VXNET, network_id))

    def list_networks(self, tags: Mapping[str, str]) -> list[Network]:
        return [mapping.network(row) for row in tagged(self._cloud, VXNET, tags)]

    def delete_network(self, network_id: str) -> None:
        """Repeated until the network is gone: leaves the router, deletes the router if that was its last
        network, and deletes the vxnet."""
        row = self._cloud.row_or_none(VXNET, network_id)
        if row is None:
            return
        if row.get("instance_ids"):
            raise Conflict(f"Machines are still in the network {network_id}.")
        with unless_busy(), suppress(ResourceNotFound):
            if _joined(row):
                self._cloud.call("LeaveRouter", vxnets=[network_id], router=row["router"]["router_id"])
            else:
                self._drop_router()
                self._cloud.call("DeleteVxnets", vxnets=[network_id])

    def _drop_router(self) -> None:
        """Delete the router, if it is there and no network is in it.

        Raises:
            ProviderUnavailable: Something else is being done to it; ask again.
        """
        router = find(self._cloud, ROUTER, ROUTER_KEY)
        if router is None or router.get("transition_status") == "deleting" or self._vxnets_of(router):
            return
        with suppress(Conflict):  # a network joined it a moment ago
            self._cloud.call("DeleteRouters", routers=[router["router_id"]])


def _joined(row: Row) -> bool:
    return bool((row.get("router") or {}).get("ip_network"))


def _checked(cidr: str | None) -> IPv4Network | None:
    """The range that is wanted, if it is one that the router can have.

    Raises:
        InvalidInput: It is none.
    """
    if cidr is None:
        return None
    try:
        network = ip_network(cidr)
    except ValueError as error:
        raise InvalidInput(f"{cidr!r} is no range of addresses: {error}.") from error
    if not (isinstance(network, IPv4Network) and network.prefixlen == 24 and network.subnet_of(VPC)):
        raise InvalidInput(f"A network of QingCloud is a /24 of {VPC}, such as 192.168.5.0/24, not {cidr}.")
    return network


def _free(vxnet_id: str, taken: set[IPv4Network]) -> IPv4Network:
    """A range that nobody has; vxnets begin to look at different places, so that they seldom meet.

    Raises:
        QuotaExceeded: The router is full.
    """
    ranges = list(VPC.subnets(new_prefix=24))[1:-1]
    start = sum(vxnet_id.encode()) * 37 % len(ranges)
    for cidr in ranges[start:] + ranges[:start]:
        if cidr not in taken:
            return cidr
    raise QuotaExceeded(f"The router of Pitrix's networks has no range left in {VPC}.")
