"""EC2 instances: machines of the x86 families that are sold everywhere, in a network's subnet.

Owns which types and images are on offer. Volumes are attached as soon as a new machine runs, which is
when EC2 first allows it: whoever polls ``get_machine`` brings that about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from pitrix.errors import Conflict, CredentialInvalid, InvalidInput, ResourceNotFound
from providers.aws import errors, mapping, userdata
from providers.aws.cloud import Cloud, one, with_id
from providers.base import Machines, check_key, smallest_type
from providers.resources import Image, Machine, MachineSpec, MachineType, Quota

FAMILIES = ("t3", "m7i", "m6i", "c7i", "c6i", "r7i", "r6i", "g4dn", "g5", "g6")
"""The families on offer, by preference: of two types of one size the first counts. x86, because images are;
all on Nitro, where volumes are found by their ids."""

_PUBLISHED = {
    "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64": "Amazon Linux 2023",
    "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id": "Ubuntu 24.04",
    "/aws/service/debian/release/12/latest/amd64": "Debian 12",
}
"""Where AWS, Canonical and Debian publish the id of their newest image in each region; the default first."""

_STANDARD = "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances"
_GRAPHICS = "Running On-Demand G and VT instances"
_VCPU_QUOTAS = {_STANDARD: "L-1216C47A", _GRAPHICS: "L-DB2E81BA"}
_COUNTS = {_STANDARD: "cpu", _GRAPHICS: ""}
"""Quotas count virtual CPUs of running instances, by the first letter of their family."""

_TOKENS = 8
_REPLAYED = timedelta(seconds=5)
_CONSOLE_BYTES = 64 * 1024

_sizes: dict[str, MachineType] = {}
"""What AWS sells is the same in every account and does not change: asked once a process."""


class AwsMachines(Cloud, Machines):
    """A client token makes creating idempotent. An instance that is gone keeps its token for a while, so that
    the next one of its key has another."""

    def machine_types(self) -> list[MachineType]:
        """One type a size: what the families before have already is left out of those after."""
        offered = self._cloud.pages(
            "ec2",
            "DescribeInstanceTypeOfferings",
            "InstanceTypeOfferings",
            LocationType="availability-zone",
            Filters=mapping.where(location=self._cloud.zone),
            MaxResults=1000,
        )
        names = (each["InstanceType"] for each in offered)
        sizes = self._known(
            name for name in names if name.partition(".")[0] in FAMILIES and ".metal" not in name
        )
        chosen: dict[tuple[int, int, int], MachineType] = {}
        for size in sorted(sizes, key=lambda size: FAMILIES.index(size.machine_type.partition(".")[0])):
            chosen.setdefault((size.gpu, size.cpu, size.memory_mib), size)
        return sorted(chosen.values(), key=lambda size: (size.cpu, size.memory_mib, size.gpu))

    def machine_images(self) -> list[Image]:
        """What Amazon, Canonical and Debian publish, and the account's own images."""
        told = self._cloud.call("ssm", "GetParameters", Names=list(_PUBLISHED))["Parameters"]
        ids = {each["Name"]: each["Value"] for each in told}
        published = [
            Image(image_id=ids[parameter], name=name)
            for parameter, name in _PUBLISHED.items()
            if parameter in ids
        ]
        own = self._cloud.pages(
            "ec2", "DescribeImages", "Images", Owners=["self"], Filters=mapping.where(state="available")
        )
        return published + sorted((mapping.image(each) for each in own), key=lambda image: image.name)

    def create_machine(self, spec: MachineSpec, *, idempotency_key: str) -> Machine:
        key = check_key(idempotency_key)
        made = self._of_key(key)
        living = [each for each in made if each["State"]["Name"] not in mapping.DEAD]
        if living:
            return self._told(living[0])
        size = smallest_type(self.machine_types(), cpu=spec.cpu, memory_mib=spec.memory_mib, gpu=spec.gpu)
        wanted = self._request(spec, size, key)
        for attempt in range(len(made), len(made) + _TOKENS):
            token = mapping.derived(key, str(attempt))
            if instance := self._run(wanted, token):
                return mapping.machine(instance, size)
        raise Conflict("This key made several machines that are gone; AWS remembers them for a while yet.")

    def get_machine(self, machine_id: str) -> Machine:
        """Attaches the volumes that a new machine was wanted with, as soon as EC2 lets it."""
        instance = self._instance(machine_id)
        awaited = mapping.awaited_volumes(instance)
        reason = ""
        if awaited and instance["State"]["Name"] == "running":
            try:
                for volume_id in awaited:
                    self._attach(volume_id, instance)
            except (Conflict, InvalidInput, ResourceNotFound) as error:
                reason = f"A volume cannot be attached. {error.detail}"
        elif mapping.all_tags(instance).get(mapping.TAG_VOLUMES) and instance["State"]["Name"] == "running":
            # All are there: from now on each may be detached without coming back.
            tag = [{"Key": mapping.TAG_VOLUMES}]
            self._cloud.call("ec2", "DeleteTags", Resources=[machine_id], Tags=tag)
        return self._told(instance, reason)

    def list_machines(self, tags: Mapping[str, str]) -> list[Machine]:
        filters = mapping.by_tags(tags)
        found = self._cloud.pages("ec2", "DescribeInstances", "Reservations", Filters=filters)
        instances = [each for reservation in found for each in reservation["Instances"]]
        living = [each for each in instances if each["State"]["Name"] != "terminated"]
        sizes = {size.machine_type: size for size in self._known(each["InstanceType"] for each in living)}
        return [mapping.machine(each, sizes[each["InstanceType"]]) for each in living]

    def start_machine(self, machine_id: str) -> Machine:
        self._change("StartInstances", machine_id)
        return self.get_machine(machine_id)

    def stop_machine(self, machine_id: str) -> Machine:
        self._change("StopInstances", machine_id)
        return self.get_machine(machine_id)

    def resize_machine(self, machine_id: str, *, cpu: int, memory_mib: int) -> Machine:
        """Never gives GPUs, nor takes them: the machine keeps as many as it has."""
        instance = self._instance(machine_id)
        [now] = self._known([instance["InstanceType"]])
        size = smallest_type(self.machine_types(), cpu=cpu, memory_mib=memory_mib, gpu=now.gpu)
        if size.machine_type == now.machine_type:
            return self._told(instance)
        if instance["State"]["Name"] != "stopped":
            raise Conflict(f"The machine {machine_id} is not stopped; stop it before it is resized.")
        self._cloud.call(
            "ec2",
            "ModifyInstanceAttribute",
            InstanceId=machine_id,
            InstanceType={"Value": size.machine_type},
        )
        return self.get_machine(machine_id)

    def delete_machine(self, machine_id: str) -> None:
        try:
            with_id("i-", machine_id, "machine")
            self._cloud.call("ec2", "TerminateInstances", InstanceIds=[machine_id])
        except ResourceNotFound:
            return

    def quotas(self) -> list[Quota]:
        """Those that a deployment meets first; what the credential may not ask for is left out."""
        running = self._instances(instance_state_name=["pending", "running"])
        sizes = {
            size.machine_type: size.cpu for size in self._known(each["InstanceType"] for each in running)
        }
        used = {
            name: sum(
                sizes[each["InstanceType"]]
                for each in running
                if each["InstanceType"].startswith(("g", "vt")) == (name == _GRAPHICS)
            )
            for name in _VCPU_QUOTAS
        }
        quotas = [
            Quota(name=name, used=used[name], limit=limit, unit="vCPU", counts=_COUNTS[name])
            for name, code in _VCPU_QUOTAS.items()
            if (limit := self._limit("ec2", code)) is not None
        ]
        if (limit := self._limit("ec2", "L-0263D0A3")) is not None:
            addresses = self._cloud.call("ec2", "DescribeAddresses")["Addresses"]
            quotas.append(
                Quota(name="EC2-VPC Elastic IPs", used=len(addresses), limit=limit, counts="addresses")
            )
        if (limit := self._limit("vpc", "L-F678F1CE")) is not None:
            vpcs = len(list(self._cloud.pages("ec2", "DescribeVpcs", "Vpcs")))
            quotas.append(Quota(name="VPCs per Region", used=vpcs, limit=limit, counts="networks"))
        return quotas

    def console_output(self, machine_id: str) -> str:
        with_id("i-", machine_id, "machine")
        output: str = self._cloud.call("ec2", "GetConsoleOutput", InstanceId=machine_id, Latest=True).get(
            "Output", ""
        )
        return output.encode()[-_CONSOLE_BYTES:].decode(errors="ignore")

    # --- steps ---------------------------------------------------------------------------------------

    def _request(self, spec: MachineSpec, size: MachineType, key: str) -> dict[str, Any]:
        """The parameters of RunInstances, after what it names was found."""
        with_id("ami-", spec.image, "image")
        vpc_id = with_id("vpc-", spec.network_id, "network")
        filters = mapping.where(vpc_id=vpc_id, availability_zone=self._cloud.zone)
        subnets = self._cloud.call("ec2", "DescribeSubnets", Filters=filters)["Subnets"]
        subnet = one(subnets, f"subnet in {self._cloud.zone} of the network", vpc_id)
        for volume_id in spec.volume_ids:
            if self._volume(volume_id)["AvailabilityZone"] != self._cloud.zone:
                raise InvalidInput(f"The volume {volume_id} is in another zone than {self._cloud.zone}.")
        ours = {mapping.TAG_VOLUMES: " ".join(spec.volume_ids)} if spec.volume_ids else {}
        return {
            "ImageId": spec.image,
            "InstanceType": size.machine_type,
            "MinCount": 1,
            "MaxCount": 1,
            "SubnetId": subnet["SubnetId"],
            "SecurityGroupIds": self._groups_of(vpc_id, spec) or None,
            "KeyName": self._key_name(spec.key_pair) if spec.key_pair else None,
            "UserData": userdata.wrapped(spec.user_data, spec.volume_ids) or None,
            "MetadataOptions": {"HttpTokens": "required"},
            "TagSpecifications": mapping.tagging("instance", spec.name, spec.tags, key, **ours),
        }

    def _groups_of(self, vpc_id: str, spec: MachineSpec) -> list[str]:
        """The wanted groups and the network's default one, whose members reach each other."""
        if not spec.security_group_ids:
            return []  # EC2 takes the default one itself
        for group_id in spec.security_group_ids:
            with_id("sg-", group_id, "security group")
        found = self._cloud.call(
            "ec2", "DescribeSecurityGroups", Filters=mapping.where(vpc_id=vpc_id, group_name="default")
        )["SecurityGroups"]
        return [*(each["GroupId"] for each in found), *spec.security_group_ids]

    def _key_name(self, key_pair_id: str) -> str:
        with_id("key-", key_pair_id, "key pair")
        found = self._cloud.call("ec2", "DescribeKeyPairs", Filters=mapping.where(key_pair_id=key_pair_id))[
            "KeyPairs"
        ]
        return str(one(found, "key pair", key_pair_id)["KeyName"])

    def _run(self, wanted: Mapping[str, Any], token: str) -> Any:
        """Run an instance with a token; None if the token is that of one that is gone."""
        try:
            answer = self._cloud.call("ec2", "RunInstances", ClientToken=token, **wanted)
        except InvalidInput as error:
            if errors.code_of(error) != "IdempotentParameterMismatch":
                raise
            # An earlier call with other user data made it: it is taken as it is, if it lives.
            living = self._instances(client_token=token)
            return living[0] if living else None
        instance = answer["Instances"][0]
        told = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        launched: datetime = instance["LaunchTime"]
        # A proxy on the way may have written a date of its own in another form: then it counts as a replay.
        now = _date(told) if told else launched
        if now is not None and now - launched < _REPLAYED:
            return None if instance["State"]["Name"] in mapping.DEAD else instance
        living = self._instances(client_token=token)
        return living[0] if living else None

    def _change(self, operation: str, machine_id: str) -> None:
        """Start or stop; while the other is still going on, EC2 refuses, and the caller repeats."""
        with_id("i-", machine_id, "machine")
        try:
            self._cloud.call("ec2", operation, InstanceIds=[machine_id])
        except Conflict as error:
            if errors.code_of(error) not in ("IncorrectInstanceState", "IncorrectState"):
                raise

    # --- looking -------------------------------------------------------------------------------------

    def _told(self, instance: Any, reason: str = "") -> Machine:
        [size] = self._known([instance["InstanceType"]])
        return mapping.machine(instance, size, reason)

    def _of_key(self, key: str) -> list[Any]:
        """All instances of a key, those included that are gone and not yet forgotten."""
        filters = mapping.by_tags({mapping.TAG_KEY: key})
        found = self._cloud.pages("ec2", "DescribeInstances", "Reservations", Filters=filters)
        return [each for reservation in found for each in reservation["Instances"]]

    def _known(self, names: Iterable[str]) -> list[MachineType]:
        """The sizes of types, asked for where they are not known yet."""
        wanted = sorted(set(names))
        unknown = [name for name in wanted if name not in _sizes]
        for start in range(0, len(unknown), 100):  # as many as EC2 takes at once
            part = unknown[start : start + 100]
            for each in self._cloud.pages(
                "ec2", "DescribeInstanceTypes", "InstanceTypes", InstanceTypes=part
            ):
                _sizes[each["InstanceType"]] = mapping.machine_type(each)
        return [_sizes[name] for name in wanted]

    def _limit(self, service: str, code: str) -> int | None:
        """A quota's value; None where AWS does not tell it."""
        try:
            answer = self._cloud.call(
                "service-quotas", "GetServiceQuota", ServiceCode=service, QuotaCode=code
            )
        except (CredentialInvalid, ResourceNotFound):
            return None
        return int(answer["Quota"]["Value"])


def _date(text: str) -> datetime | None:
    """The moment that an HTTP date tells (RFC 9110, 5.6.7: always in UTC); None where it is none."""
    try:
        return parsedate_to_datetime(text).replace(tzinfo=UTC)
    except ValueError:
        return None
