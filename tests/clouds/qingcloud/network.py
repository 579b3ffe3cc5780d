"""Vxnets, routers, security groups and public addresses of the QingCloud under test."""

from __future__ import annotations

from ipaddress import IPv4Network, ip_network
from itertools import count

from tests.clouds.qingcloud.cloud import Resource, State
from tests.clouds.qingcloud.specification import Json, Refused

_PUBLIC = count(1)


def _hidden(told: Json) -> Json:
    return {name: value for name, value in told.items() if not name.startswith("_")}


class Network(State):
    """The actions; each takes the request's parameters and returns what the answer holds besides its code."""

    # --- vxnets ------------------------------------------------------------------------------------------

    def CreateVxnets(self, p: Json) -> Json:
        made = [
            self.add(
                "vxnet",
                "vxnet",
                vxnet_name=p.get("vxnet_name", ""),
                description="",
                zone_id=self.zone,
                vxnet_type=p["vxnet_type"],
                owner=self.account.user_id,
                _router={},
            )
            for _ in range(p["count"])
        ]
        return {"vxnets": [each.id for each in made]}

    def DescribeVxnets(self, p: Json) -> Json:
        return self.described("vxnet", "vxnets", p, self._told_vxnet)

    def _told_vxnet(self, vxnet: Resource) -> Json:
        told = _hidden(vxnet.told) | {"instance_ids": self._instances_in(vxnet)}
        if vxnet.told["_router"]:
            told["router"] = {name: vxnet.told["_router"][name] for name in ("router_id", "ip_network")}
        return told

    def _instances_in(self, vxnet: Resource) -> list[str]:
        return [
            each.id
            for each in self.living("instance")
            if any(nic["vxnet_id"] == vxnet.id for nic in each.told["vxnets"])
        ]

    def DeleteVxnets(self, p: Json) -> Json:
        vxnets = [self.get("vxnet", each) for each in p["vxnets"]]
        for vxnet in vxnets:
            if vxnet.told["_router"] or self._instances_in(vxnet):
                raise Refused(1400, f"PermissionDenied, vxnet [{vxnet.id}] is in use")
        for vxnet in vxnets:
            del self.resources[vxnet.id]
        return {"vxnets": p["vxnets"]}

    def ModifyVxnetAttributes(self, p: Json) -> Json:
        self.modified("vxnet", p)
        return {}

    # --- routers -----------------------------------------------------------------------------------------

    def CreateRouters(self, p: Json) -> Json:
        try:
            vpc = str(IPv4Network(p["vpc_network"]))
        except (KeyError, ValueError):
            raise Refused(1100, "InvalidParameterFormat, [vpc_network]") from None
        self.count("router", p["count"], len(self.living("router")))
        made = []
        for _ in range(p["count"]):
            router = self.add(
                "router",
                "rtr",
                lease=True,
                router_name=p.get("router_name", ""),
                description="",
                status="pending",
                router_type=p["router_type"],
                vpc_network=vpc,
                is_applied=1,
            )
            self.transition(router, "creating", lambda each=router: each.told.update(status="active"))
            made.append(router.id)
        return {"routers": made, **self.job("CreateRouters", made)}

    def DescribeRouters(self, p: Json) -> Json:
        return self.described("router", "routers", p)

    def DescribeRouterVxnets(self, p: Json) -> Json:
        rows = [
            {"router_id": p["router"], "vxnet_id": each.id, "ip_network": each.told["_router"]["ip_network"]}
            for each in self._in_router(p["router"])
        ]
        return {"total_count": len(rows), "router_vxnet_set": rows[p["offset"] :][: p["limit"]]}

    def _in_router(self, router_id: str) -> list[Resource]:
        return [each for each in self.mine("vxnet") if each.told["_router"].get("router_id") == router_id]

    def JoinRouter(self, p: Json) -> Json:
        vxnet = self.get("vxnet", p["vxnet"])
        router = self.get("router", p["router"], statuses=["active"])
        try:
            cidr = ip_network(p["ip_network"])
            fits = cidr.subnet_of(IPv4Network(router.told["vpc_network"]))  # type: ignore[arg-type]
        except (ValueError, TypeError):
            fits = False
        if not fits:
            raise Refused(1100, f"InvalidParameterValue, [ip_network] {p['ip_network']} is not in the VPC")
        if vxnet.told["_router"]:
            raise Refused(1400, f"PermissionDenied, vxnet [{vxnet.id}] is in a router already")
        for other in self._in_router(router.id):
            if ip_network(other.told["_router"]["ip_network"]).overlaps(cidr):
                raise Refused(1400, f"PermissionDenied, [{cidr}] is used by vxnet [{other.id}]")
        vxnet.told["_router"] = {"router_id": router.id, "ip_network": str(cidr)}
        self.transition(router, "updating", lambda: None)
        return {"vxnet_id": vxnet.id, "router_id": router.id, **self.job("JoinRouter", [router.id])}

    def LeaveRouter(self, p: Json) -> Json:
        router = self.get("router", p["router"], statuses=["active"])
        vxnets = [self.get("vxnet", each) for each in p["vxnets"]]
        for vxnet in vxnets:
            if vxnet.told["_router"].get("router_id") != router.id or self._instances_in(vxnet):
                raise Refused(1400, f"PermissionDenied, vxnet [{vxnet.id}] cannot leave [{router.id}]")
        for vxnet in vxnets:
            vxnet.told["_router"] = {}
        self.transition(router, "updating", lambda: None)
        return {"vxnets": p["vxnets"], "router_id": router.id, **self.job("LeaveRouter", [router.id])}

    def DeleteRouters(self, p: Json) -> Json:
        for router in [self.get("router", each, statuses=["active"]) for each in p["routers"]]:
            if self._in_router(router.id):
                raise Refused(1400, f"PermissionDenied, router [{router.id}] is in use")
            self.transition(router, "deleting", lambda each=router: each.told.update(status="deleted"))
        return {"routers": p["routers"], **self.job("DeleteRouters", p["routers"])}

    def ModifyRouterAttributes(self, p: Json) -> Json:
        self.modified("router", p)
        return {}

    # --- security groups ---------------------------------------------------------------------------------

    def CreateSecurityGroup(self, p: Json) -> Json:
        group = self.add(
            "security_group",
            "sg",
            security_group_name=p.get("security_group_name", ""),
            description="",
            is_applied=1,
            is_default=0,
        )
        return {"security_group_id": group.id}

    def DescribeSecurityGroups(self, p: Json) -> Json:
        def told(group: Resource) -> Json:
            users = [each for each in self.living("instance") if each.told["_group"] is group]
            return group.told | {
                "resources": [{"resource_id": each.id, "resource_type": "instance"} for each in users]
            }

        return self.described("security_group", "security_groups", p, told)

    def DeleteSecurityGroups(self, p: Json) -> Json:
        groups = [self.get("security_group", each) for each in p["security_groups"]]
        for instance in self.living("instance"):
            if instance.told["_group"] in groups:
                raise Refused(1400, f"PermissionDenied, security group is in use by [{instance.id}]")
        for group in groups:
            for rule in self._rules_of(group.id):
                del self.resources[rule.id]
            del self.resources[group.id]
        return {"security_groups": p["security_groups"]}

    def _rules_of(self, group_id: str) -> list[Resource]:
        return [
            each for each in self.mine("security_group_rule") if each.told["security_group_id"] == group_id
        ]

    def AddSecurityGroupRules(self, p: Json) -> Json:
        group = self.get("security_group", p["security_group"])
        for rule in p["rules"]:
            if rule.get("protocol") not in ("tcp", "udp", "icmp", "gre", "esp", "ah", "ipip", "all"):
                raise Refused(1100, f"InvalidParameterValue, [protocol] {rule.get('protocol')}")
            if not 0 <= rule.get("priority", -1) <= 100:
                raise Refused(1100, "InvalidParameterValue, [priority] should be between 0 and 100")
            if rule["protocol"] in ("tcp", "udp") and not (
                1 <= int(rule.get("val1") or 0) <= int(rule.get("val2") or rule["val1"]) <= 65535
            ):
                raise Refused(1100, "InvalidParameterValue, [val1], [val2] should be ports")
            try:
                ip_network(rule.get("val3") or "0.0.0.0/0")
            except ValueError:
                raise Refused(1100, "InvalidParameterFormat, [val3] should be an IP network") from None
        made = [
            self.add(
                "security_group_rule",
                "sgr",
                security_group_id=group.id,
                **{"val1": "", "val2": "", "val3": "", **rule},
            )
            for rule in p["rules"]
        ]
        for each in made:
            del each.told["create_time"]
        return {"security_group_rules": [each.id for each in made]}

    def DescribeSecurityGroupRules(self, p: Json) -> Json:
        rows = [_hidden(each.told) for each in self._rules_of(p.get("security_group", ""))]
        return {"total_count": len(rows), "security_group_rule_set": rows[p["offset"] :][: p["limit"]]}

    def ModifySecurityGroupAttributes(self, p: Json) -> Json:
        self.modified("security_group", p)
        return {"security_group_id": p["security_group"]}

    # --- public addresses --------------------------------------------------------------------------------

    def AllocateEips(self, p: Json) -> Json:
        self.count("eip", p["count"], len(self.living("eip")))
        made = []
        for _ in range(p["count"]):
            number = next(_PUBLIC)
            eip = self.add(
                "eip",
                "eip",
                lease=True,
                eip_name=p.get("eip_name", ""),
                description="",
                status="pending",
                bandwidth=p["bandwidth"],
                billing_mode=p["billing_mode"],
                need_icp=p["need_icp"],
                eip_addr=f"198.51.{100 + number // 250}.{1 + number % 250}",
                resource={},
            )
            self.transition(eip, "", lambda each=eip: each.told.update(status="available"))
            made.append(eip.id)
        return {"eips": made}

    def DescribeEips(self, p: Json) -> Json:
        def told(eip: Resource) -> Json:
            return {n: v for n, v in eip.told.items() if n != "transition_status" or v}

        return self.described("eip", "eips", p, told)

    def AssociateEip(self, p: Json) -> Json:
        eip = self.get("eip", p["eip"], statuses=["available"])
        instance = self.get("instance", p["instance"], statuses=["running", "stopped"])
        for other in self.living("eip"):
            if other.told["resource"].get("resource_id") == instance.id:
                raise Refused(1400, f"PermissionDenied, [{instance.id}] has the address [{other.id}] already")
        eip.told["resource"] = {"resource_id": instance.id, "resource_type": "instance"}
        self.transition(eip, "associating", lambda: eip.told.update(status="associated"))
        return self.job("AssociateEip", [eip.id])

    def DissociateEips(self, p: Json) -> Json:
        for eip in [self.get("eip", each, statuses=["associated"]) for each in p["eips"]]:
            self.transition(
                eip, "dissociating", lambda each=eip: each.told.update(status="available", resource={})
            )
        return self.job("DissociateEips", p["eips"])

    def ReleaseEips(self, p: Json) -> Json:
        for eip in [self.get("eip", each, statuses=["available"]) for each in p["eips"]]:
            self.transition(eip, "releasing", lambda each=eip: each.told.update(status="released"))
        return self.job("ReleaseEips", p["eips"])

    def ModifyEipAttributes(self, p: Json) -> Json:
        self.modified("eip", p)
        return {"eip_id": p["eip"]}
