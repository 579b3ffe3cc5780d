"""Instances, images, key pairs, tags, zones and quotas of the QingCloud under test."""

from __future__ import annotations

import base64
import re
from typing import Any

from tests.clouds.qingcloud.cloud import SYSTEM, Resource, State
from tests.clouds.qingcloud.specification import Json, Refused

_TYPES = {
    f"c{cpu}m{gib}": (cpu, gib * 1024)
    for cpu, sizes in {1: (1, 2, 4), 2: (2, 4, 8), 4: (4, 8, 16), 8: (8, 16, 32), 16: (16, 32)}.items()
    for gib in sizes
}
_PASSWORD = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*\d).{8,}")
_IMAGES = (
    ("centos7x64", "CentOS 7.9 64bit", "centos", "linux"),
    ("focalx64", "Ubuntu Server 20.04 64bit", "ubuntu", "linux"),
    ("jammyx64", "Ubuntu Server 22.04 64bit", "ubuntu", "linux"),
    ("win2022dcx64", "Windows Server 2022 64bit", "windows", "windows"),
)


class Compute(State):
    """The actions; each takes the request's parameters and returns what the answer holds besides its code."""

    def furnish(self) -> None:
        """Put into the zone what every zone has."""
        for image_id, name, family, platform in _IMAGES:
            image = self.add(
                "image",
                "img",
                owner=SYSTEM,
                image_name=name,
                os_family=family,
                platform=platform,
                status="available",
                visibility="public",
                provider="system",
                size=20,
                transition_status="",
                processor_type="64bit",
                description="",
            )
            del self.resources[image.id]
            image.told["image_id"] = image_id
            self.resources[image_id] = image

    # --- instances ---------------------------------------------------------------------------------------

    def DescribeInstanceTypes(self, p: Json) -> Json:
        wanted = p.get("instance_types") or list(_TYPES)
        rows = [
            {
                "instance_type_id": name,
                "instance_type_name": name,
                "vcpus_current": _TYPES[name][0],
                "memory_current": _TYPES[name][1],
                "status": "available",
                "zone_id": self.zone,
            }
            for name in wanted
            if name in _TYPES
        ]
        return {"total_count": len(rows), "instance_type_set": rows}

    def RunInstances(self, p: Json) -> Json:
        image = self.get("image", p["image_id"], own=False, statuses=["available", "deprecated"])
        cpu, memory = self._size(p)
        if p["login_mode"] == "keypair":
            self.get("keypair", p.get("login_keypair", ""))
        elif not _PASSWORD.fullmatch(p.get("login_passwd", "")):
            raise Refused(1100, "InvalidParameterFormat, [login_passwd] is too simple")
        vxnets = [self.get("vxnet", vxnet_id) for vxnet_id in p.get("vxnets", [])]
        for vxnet in vxnets:
            if not vxnet.told["_router"]:
                raise Refused(1400, f"PermissionDenied, vxnet [{vxnet.id}] is in no router")
        group = self.get("security_group", p["security_group"]) if "security_group" in p else None
        volumes = [self.get("volume", v, statuses=["available"]) for v in p.get("volumes", [])]
        self._check_user_data(p)
        living = self.living("instance")
        self.count("instance", p["count"], len(living))
        self.count("memory", memory * p["count"], sum(each.told["memory_current"] for each in living))
        made = [
            self._new_instance(p, image, cpu, memory, vxnets, group, volumes if p["count"] == 1 else [])
            for _ in range(p["count"])
        ]
        ids = [each.id for each in made]
        return {"instances": ids, **self.job("RunInstances", ids)}

    def _new_instance(
        self,
        p: Json,
        image: Resource,
        cpu: int,
        memory: int,
        vxnets: list[Resource],
        group: Resource | None,
        volumes: list[Resource],
    ) -> Resource:
        instance = self.add(
            "instance",
            "i",
            lease=True,
            instance_name=p.get("instance_name", ""),
            description="",
            status="pending",
            instance_type=p.get("instance_type", f"c{cpu}m{memory // 1024}"),
            vcpus_current=cpu,
            memory_current=memory,
            zone_id=self.zone,
            image={name: image.told[name] for name in ("image_id", "image_name", "platform", "os_family")},
            keypair_ids=[p["login_keypair"]] if p["login_mode"] == "keypair" else [],
            volume_ids=[each.id for each in volumes],
            vxnets=[
                {
                    "vxnet_id": each.id,
                    "vxnet_name": each.told["vxnet_name"],
                    "vxnet_type": 1,
                    "role": 1,
                    "nic_id": f"52:54:00:{len(self.resources):06x}",
                    "private_ip": self._address(each),
                }
                for each in vxnets
            ],
            _group=group,
            _user_data=p.get("userdata_value", ""),
        )
        for volume in volumes:
            volume.told["instance"] = {"instance_id": instance.id}
            volume.told["status"] = "in-use"
        self.transition(instance, "creating", lambda: self._set(instance, "running"))
        return instance

    def _address(self, vxnet: Resource) -> str:
        """The lowest address of the network that nobody has; .1 is the router's."""
        used = {
            nic["private_ip"]
            for each in self.living("instance")
            for nic in each.told["vxnets"]
            if nic["vxnet_id"] == vxnet.id
        }
        prefix = vxnet.told["_router"]["ip_network"].rpartition(".")[0]
        return next(ip for last in range(2, 255) if (ip := f"{prefix}.{last}") not in used)

    @staticmethod
    def _size(p: Json) -> tuple[int, int]:
        if "instance_type" not in p:
            return p["cpu"], p["memory"]
        if p["instance_type"] not in _TYPES:
            raise Refused(1100, f"InvalidParameterValue, instance type [{p['instance_type']}]")
        return _TYPES[p["instance_type"]]

    @staticmethod
    def _check_user_data(p: Json) -> None:
        if not p["need_userdata"]:
            return
        try:
            base64.b64decode(p["userdata_value"], validate=True)
        except (KeyError, ValueError):
            raise Refused(1100, "InvalidParameterFormat, [userdata_value] should be base64") from None
        if p.get("userdata_type") not in ("plain", "exec"):
            raise Refused(1100, "InvalidParameterValue, [userdata_type] needs an attachment")

    def _set(self, resource: Resource, status: str) -> None:
        resource.told["status"] = status

    def DescribeInstances(self, p: Json) -> Json:
        return self.described("instance", "instances", p, self._told_instance)

    def _told_instance(self, instance: Resource) -> Json:
        told = {name: value for name, value in instance.told.items() if not name.startswith("_")}
        told["volume_ids"] = [
            each.id
            for each in self.living("volume")
            if each.told.get("instance", {}).get("instance_id") == instance.id
        ]
        for eip in self.living("eip"):
            if eip.told.get("resource", {}).get("resource_id") == instance.id:
                told["eip"] = {"eip_id": eip.id, "eip_addr": eip.told["eip_addr"]}
        if instance.told["_group"]:
            told["security_group"] = {"security_group_id": instance.told["_group"].id}
        return told

    def _move(self, action: str, p: Json, transition: str, status: str, statuses: tuple[str, ...]) -> Json:
        instances = [self.get("instance", each, statuses=statuses) for each in p["instances"]]
        for instance in instances:
            self.transition(instance, transition, lambda each=instance: self._moved(each, status))
        return self.job(action, p["instances"])

    def _moved(self, instance: Resource, status: str) -> None:
        instance.told["status"] = status
        if status == "terminated":
            self.release(instance)

    def release(self, instance: Resource) -> None:
        """Take everything from an instance that is gone."""
        instance.told |= {"_group": None, "keypair_ids": []}
        for volume in self.living("volume"):
            if volume.told.get("instance", {}).get("instance_id") == instance.id:
                volume.told |= {"instance": {}, "status": "available"}
        for eip in self.living("eip"):
            if eip.told.get("resource", {}).get("resource_id") == instance.id:
                eip.told |= {"resource": {}, "status": "available"}

    def StartInstances(self, p: Json) -> Json:
        return self._move("StartInstances", p, "starting", "running", ("stopped",))

    def StopInstances(self, p: Json) -> Json:
        return self._move("StopInstances", p, "stopping", "stopped", ("running",))

    def TerminateInstances(self, p: Json) -> Json:
        return self._move("TerminateInstances", p, "terminating", "terminated", ("running", "stopped"))

    def ResizeInstances(self, p: Json) -> Json:
        cpu, memory = self._size(p)
        instances = [self.get("instance", each, statuses=["stopped"]) for each in p["instances"]]
        for instance in instances:
            self.count(
                "memory",
                memory - instance.told["memory_current"],
                sum(each.told["memory_current"] for each in self.living("instance")),
            )
            instance.told |= {
                "vcpus_current": cpu,
                "memory_current": memory,
                "instance_type": p.get("instance_type", f"c{cpu}m{memory // 1024}"),
            }
        return self.job("ResizeInstances", p["instances"])

    def ModifyInstanceAttributes(self, p: Json) -> Json:
        self.modified("instance", p)
        return {}

    # --- images ------------------------------------------------------------------------------------------

    def DescribeImages(self, p: Json) -> Json:
        return self.described("image", "images", p)

    def CaptureInstance(self, p: Json) -> Json:
        instance = self.get("instance", p["instance"], statuses=["stopped"])
        image = self.add(
            "image",
            "img",
            lease=True,
            image_name=p.get("image_name", ""),
            description="",
            status="pending",
            visibility="private",
            provider="self",
            owner=self.account.user_id,
            platform="linux",
            os_family=instance.told["image"]["os_family"],
            size=20,
            processor_type="64bit",
        )
        self.transition(image, "creating", lambda: self._set(image, "available"))
        return {"image_id": image.id, **self.job("CaptureInstance", [image.id])}

    def DeleteImages(self, p: Json) -> Json:
        for image in [self.get("image", each, statuses=["available"]) for each in p["images"]]:
            self.transition(image, "deleting", lambda each=image: self._set(each, "deleted"))
        return self.job("DeleteImages", p["images"])

    def ModifyImageAttributes(self, p: Json) -> Json:
        self.modified("image", p)
        return {"image_id": p["image"]}

    def GrantImageToUsers(self, p: Json) -> Json:
        image = self.get("image", p["image"])
        for user in p["users"]:
            if user not in self.users():
                raise Refused(2100, f"ResourceNotFound, user [{user}] not found")
        image.shared_with |= set(p["users"])
        return {}

    def RevokeImageFromUsers(self, p: Json) -> Json:
        self.get("image", p["image"]).shared_with -= set(p["users"])
        return {}

    def DescribeImageUsers(self, p: Json) -> Json:
        image = self.get("image", p["image_id"])
        rows = [{"image_id": image.id, "user": {"user_id": each}} for each in sorted(image.shared_with)]
        return {"total_count": len(rows), "image_user_set": rows[p["offset"] :][: p["limit"]]}

    def users(self) -> set[str]:
        """The ids of all users; the server knows them."""
        raise NotImplementedError

    # --- key pairs ---------------------------------------------------------------------------------------

    def DescribeKeyPairs(self, p: Json) -> Json:
        def told(pair: Resource) -> Json:
            users = [each.id for each in self.living("instance") if pair.id in each.told["keypair_ids"]]
            return pair.told | {"instance_ids": users}

        return self.described("keypair", "keypairs", p, told)

    def CreateKeyPair(self, p: Json) -> Json:
        if p["mode"] == "user" and not re.fullmatch(
            r"[a-z0-9@.-]+ [A-Za-z0-9+/]+=*( .*)?", p.get("public_key", "")
        ):
            raise Refused(1100, "InvalidParameterFormat, [public_key]")
        pair = self.add(
            "keypair",
            "kp",
            keypair_name=p.get("keypair_name", ""),
            description="",
            encrypt_method=p["encrypt_method"],
            pub_key=p.get("public_key", ""),
        )
        return {"keypair_id": pair.id} | ({"private_key": "…"} if p["mode"] == "system" else {})

    def DeleteKeyPairs(self, p: Json) -> Json:
        pairs = [self.get("keypair", each) for each in p["keypairs"]]
        for instance in self.living("instance"):
            for pair in pairs:
                if pair.id in instance.told["keypair_ids"]:
                    raise Refused(1400, f"PermissionDenied, keypair [{pair.id}] is in use by [{instance.id}]")
        for pair in pairs:
            del self.resources[pair.id]
        return {"keypairs": p["keypairs"]}

    def ModifyKeyPairAttributes(self, p: Json) -> Json:
        self.modified("keypair", p)
        return {}

    # --- tags, zones, quotas -----------------------------------------------------------------------------

    def CreateTag(self, p: Json) -> Json:
        return {"tag_id": self.add("tag", "tag", tag_name=p.get("tag_name", "")).id}

    def DeleteTags(self, p: Json) -> Json:
        for tag in [self.get("tag", each) for each in p["tags"]]:
            del self.resources[tag.id]
        return {"tags": p["tags"]}

    def DescribeTags(self, p: Json) -> Json:
        return self.described("tag", "tags", p)

    def DescribeJobs(self, p: Json) -> Json:
        return self.described("job", "jobs", p)

    def GetQuotaLeft(self, p: Json) -> Json:
        """What has no limit is told as far away from one."""
        rows: list[dict[str, Any]] = []
        for what in p.get("resource_types") or ["instance", "volume", "eip"]:
            limit = self.account.quota.get(what, 1000)
            rows.append({"resource_type": what, "left": max(0, limit - len(self.living(what)))})
        return {"quota_left_set": rows}
