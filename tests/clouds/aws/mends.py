"""What moto's EC2 lets pass or leaves out, and EC2 does not: patched into moto in its own process.

Source: *Amazon EC2 API Reference* (CreateImage: a name is used once; CopyImage: TagSpecifications;
DeregisterImage: DeleteAssociatedSnapshots; AttachVolume: a volume has one machine); *Service Quotas*.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

REGIONS = ("eu-central-1", "eu-west-1", "us-east-1", "us-east-2")
QUOTAS = {
    ("ec2", "L-1216C47A"): ("Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 640.0),
    ("ec2", "L-DB2E81BA"): ("Running On-Demand G and VT instances", 64.0),
    ("ec2", "L-0263D0A3"): ("EC2-VPC Elastic IPs", 5.0),
}


def apply() -> None:
    """Patch moto; once, before it serves."""
    _names_of_images_are_used_once()
    _copies_of_images_have_tags()
    _images_take_their_snapshots_with_them()
    _images_are_shared()
    _snapshots_of_amazon_are_not_ours()
    _volumes_have_one_machine()
    _machines_boot_from_their_root_device()
    _security_groups_with_machines_stay()
    _regions_are_few()
    _quotas_are_told()


def _names_of_images_are_used_once() -> None:
    from moto.ec2.exceptions import EC2ClientError
    from moto.ec2.models.amis import AmiBackend

    def checked(make: Callable[..., Any], names: Callable[..., str | None]) -> Callable[..., Any]:
        def making(self: Any, *arguments: Any, **named: Any) -> Any:
            name = names(*arguments, **named)
            for ami in list(self.amis.values()):
                if ami.owner_id == self.account_id and ami.name == name:
                    message = f"AMI name {name} is already in use by AMI {ami.id}"
                    raise EC2ClientError("InvalidAMIName.Duplicate", message)
            return make(self, *arguments, **named)

        return making

    AmiBackend.create_image = checked(AmiBackend.create_image, lambda _, name, *__, **___: name)  # type: ignore[method-assign]
    AmiBackend.copy_image = checked(AmiBackend.copy_image, lambda _, __, name, *___: name)  # type: ignore[method-assign]


def _copies_of_images_have_tags() -> None:
    from moto.ec2.responses.amis import AmisResponse

    copy = AmisResponse.copy_image

    def copy_image(self: Any) -> Any:
        answer = copy(self)
        for specification in self._get_param("TagSpecifications", []):
            for tag in specification["Tags"]:
                self.ec2_backend.amis[answer.result["ImageId"]].add_tag(tag["Key"], tag["Value"])
        return answer

    AmisResponse.copy_image = copy_image  # type: ignore[method-assign]


def _images_take_their_snapshots_with_them() -> None:
    from moto.ec2.models.amis import AmiBackend

    deregister = AmiBackend.deregister_image

    def deregister_image(self: Any, ami_id: str) -> None:
        ami = self.amis.get(ami_id)
        deregister(self, ami_id)
        self.snapshots.pop(ami.ebs_snapshot.id, None)

    AmiBackend.deregister_image = deregister_image  # type: ignore[method-assign]


def _images_are_shared() -> None:
    """An image that is named is found in any account that may launch it."""
    from moto.ec2.models import ec2_backends
    from moto.ec2.models.amis import AmiBackend

    describe = AmiBackend.describe_images

    def shared_with(backend: Any, ami_id: str) -> list[Any]:
        others = (each[backend.region_name] for each in list(ec2_backends.values()))
        found = (each.amis[ami_id] for each in others if each is not backend and ami_id in each.amis)
        return [ami for ami in found if {"UserId": backend.account_id} in ami.launch_permissions]

    def describe_images(self: Any, ami_ids: Any = None, *arguments: Any, **named: Any) -> Any:
        if ami_ids and len(ami_ids) == 1 and (shared := shared_with(self, ami_ids[0])):
            return shared
        return describe(self, ami_ids, *arguments, **named)

    AmiBackend.describe_images = describe_images  # type: ignore[method-assign]


def _snapshots_of_amazon_are_not_ours() -> None:
    """Moto shows the snapshots of Amazon's own images as each account's, a thousand of them."""
    from moto.ec2.models.amis import AmiBackend

    load = AmiBackend._load_amis

    def load_amis(self: Any) -> None:
        load(self)
        self.snapshots.clear()

    AmiBackend._load_amis = load_amis  # type: ignore[method-assign]


def _machines_boot_from_their_root_device() -> None:
    """The first device bears the name that its image gives it."""
    from moto.ec2.models.instances import Instance

    def setup_defaults(self: Any) -> None:
        volume = self.ec2_backend.create_volume(size=8, zone_name=self._placement.zone)
        self.ec2_backend.attach_volume(volume.id, self.id, self.root_device_name, True)

    Instance.setup_defaults = setup_defaults  # type: ignore[method-assign]


def _security_groups_with_machines_stay() -> None:
    from moto.ec2.exceptions import EC2ClientError
    from moto.ec2.models.security_groups import SecurityGroupBackend

    delete = SecurityGroupBackend._delete_security_group

    def delete_security_group(self: Any, vpc_id: str | None, group_id: str) -> None:
        for instance in living(self.all_instances()):
            if group_id in [group.id for nic in instance.nics.values() for group in nic.group_set]:
                message = f"resource {group_id} has a dependent object"
                raise EC2ClientError("DependencyViolation", message)
        delete(self, vpc_id, group_id)

    SecurityGroupBackend._delete_security_group = delete_security_group  # type: ignore[method-assign]


def _regions_are_few() -> None:
    """An account may use those it opted in to; moto shows all, those of other partitions too."""
    from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend

    describe = RegionsAndZonesBackend.describe_regions

    def describe_regions(self: Any, *arguments: Any, **named: Any) -> Any:
        found = describe(self, *arguments, **named)
        return [each for each in found if each.name in REGIONS]

    RegionsAndZonesBackend.describe_regions = describe_regions  # type: ignore[method-assign]


def _volumes_have_one_machine() -> None:
    from moto.ec2.exceptions import EC2ClientError
    from moto.ec2.models.elastic_block_store import EBSBackend

    attach = EBSBackend.attach_volume

    def attach_volume(self: Any, volume_id: str, *arguments: Any, **named: Any) -> Any:
        if self.get_volume(volume_id).attachment:
            raise EC2ClientError("VolumeInUse", f"{volume_id} is already attached to an instance")
        return attach(self, volume_id, *arguments, **named)

    EBSBackend.attach_volume = attach_volume  # type: ignore[method-assign]


def _quotas_are_told() -> None:
    from moto.servicequotas.models import ServiceQuotasBackend

    known = ServiceQuotasBackend.get_service_quota

    def get_service_quota(self: Any, service_code: str, quota_code: str) -> dict[str, Any]:
        if (service_code, quota_code) not in QUOTAS:
            return known(self, service_code, quota_code)
        name, value = QUOTAS[service_code, quota_code]
        return {"ServiceCode": service_code, "QuotaCode": quota_code, "QuotaName": name, "Value": value}

    ServiceQuotasBackend.get_service_quota = get_service_quota  # type: ignore[method-assign]


def living(instances: Iterable[Any]) -> list[Any]:
    """The instances of moto that are not gone."""
    return [each for each in instances if each.state not in ("terminated", "shutting-down")]
