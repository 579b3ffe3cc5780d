"""Volumes and snapshots of the QingCloud under test; volumes come in steps, as QingCloud sells them."""

from __future__ import annotations

from tests.clouds.qingcloud.cloud import Resource, State
from tests.clouds.qingcloud.specification import Json, Refused

STEP_GIB = 10
_LARGEST_GIB = 2000


class Storage(State):
    """The actions; each takes the request's parameters and returns what the answer holds besides its code."""

    def GetResourceLimit(self, p: Json) -> Json:
        return {"min-size": STEP_GIB, "max-size": _LARGEST_GIB, "step": STEP_GIB}

    def DescribeVolumes(self, p: Json) -> Json:
        return self.described("volume", "volumes", p)

    def CreateVolumes(self, p: Json) -> Json:
        self._check_size(p["size"])
        made = [
            self._new_volume(p.get("volume_name", ""), p["size"], p["volume_type"]) for _ in range(p["count"])
        ]
        ids = [each.id for each in made]
        return {"volumes": ids, **self.job("CreateVolumes", ids)}

    def _check_size(self, size: int) -> None:
        if size % STEP_GIB or not STEP_GIB <= size <= _LARGEST_GIB:
            raise Refused(1100, f"InvalidParameterValue, volume size [{size}] is no multiple of {STEP_GIB}")

    def _new_volume(self, name: str, size: int, volume_type: int) -> Resource:
        living = self.living("volume")
        self.count("volume", 1, len(living))
        self.count("volume_size", size, sum(each.told["size"] for each in living))
        volume = self.add(
            "volume",
            "vol",
            lease=True,
            volume_name=name,
            description="",
            size=size,
            status="pending",
            volume_type=volume_type,
            instance={},
            zone_id=self.zone,
            owner=self.account.user_id,
        )
        self.transition(volume, "creating", lambda: volume.told.update(status="available"))
        return volume

    def AttachVolumes(self, p: Json) -> Json:
        volumes = [self.get("volume", each, statuses=["available"]) for each in p["volumes"]]
        instance = self.get("instance", p["instance"], statuses=["running", "stopped"])
        for volume in volumes:
            volume.told["instance"] = {"instance_id": instance.id}
            self.transition(volume, "attaching", lambda each=volume: each.told.update(status="in-use"))
        return self.job("AttachVolumes", p["volumes"])

    def DetachVolumes(self, p: Json) -> Json:
        volumes = [self.get("volume", each, statuses=["in-use"]) for each in p["volumes"]]
        for volume in volumes:
            if volume.told["instance"].get("instance_id") != p["instance"]:
                raise Refused(1400, f"PermissionDenied, [{volume.id}] is not attached to [{p['instance']}]")
            self.transition(
                volume,
                "detaching",
                lambda each=volume: each.told.update(status="available", instance={}),
            )
        return self.job("DetachVolumes", p["volumes"])

    def ResizeVolumes(self, p: Json) -> Json:
        volumes = [self.get("volume", each, statuses=["available"]) for each in p["volumes"]]
        self._check_size(p["size"])
        for volume in volumes:
            if p["size"] < volume.told["size"]:
                raise Refused(1100, f"InvalidParameterValue, volume [{volume.id}] cannot shrink")
            used = sum(each.told["size"] for each in self.living("volume"))
            self.count("volume_size", p["size"] - volume.told["size"], used)
            volume.told["size"] = p["size"]
        return self.job("ResizeVolumes", p["volumes"])

    def DeleteVolumes(self, p: Json) -> Json:
        for volume in [self.get("volume", each, statuses=["available"]) for each in p["volumes"]]:
            self.transition(volume, "deleting", lambda each=volume: each.told.update(status="deleted"))
        return self.job("DeleteVolumes", p["volumes"])

    def ModifyVolumeAttributes(self, p: Json) -> Json:
        self.modified("volume", p)
        return {}

    # --- snapshots ---------------------------------------------------------------------------------------

    def DescribeSnapshots(self, p: Json) -> Json:
        return self.described("snapshot", "snapshots", p)

    def CreateSnapshots(self, p: Json) -> Json:
        made = []
        for volume in [self.get("volume", each) for each in p["resources"]]:
            snapshot = self.add(
                "snapshot",
                "ss",
                lease=True,
                snapshot_name=p.get("snapshot_name", ""),
                description="",
                snapshot_type=p.get("is_full", 0),
                status="pending",
                provider="self",
                resource={"resource_id": volume.id, "resource_type": "volume"},
                snapshot_resource={"volume_type": volume.told["volume_type"], "size": volume.told["size"]},
            )
            self.transition(snapshot, "creating", lambda each=snapshot: each.told.update(status="available"))
            made.append(snapshot.id)
        return {"snapshots": made, **self.job("CreateSnapshots", made)}

    def DeleteSnapshots(self, p: Json) -> Json:
        for snapshot in [self.get("snapshot", each, statuses=["available"]) for each in p["snapshots"]]:
            self.transition(snapshot, "deleting", lambda each=snapshot: each.told.update(status="deleted"))
        return self.job("DeleteSnapshots", p["snapshots"])

    def CreateVolumeFromSnapshot(self, p: Json) -> Json:
        snapshot = self.get("snapshot", p["snapshot"])
        if snapshot.status != "available":
            raise Refused(1400, f"PermissionDenied, snapshot [{snapshot.id}] is not available")
        of = snapshot.told["snapshot_resource"]
        volume = self._new_volume(p.get("volume_name", ""), of["size"], of["volume_type"])
        return {"volume_id": volume.id, **self.job("CreateVolumeFromSnapshot", [volume.id])}

    def ModifySnapshotAttributes(self, p: Json) -> Json:
        self.modified("snapshot", p)
        return {}
