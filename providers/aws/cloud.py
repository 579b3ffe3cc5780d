"""What the capabilities of AWS share: the client, looking things up, attaching, and making one of a kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pitrix.errors import Conflict, ResourceNotFound
from providers.aws import mapping
from providers.aws.client import Client

Json = dict[str, Any]

_DEVICES = [f"/dev/sd{letter}" for letter in "fghijklmnop"]
"""The names that EC2 recommends for data volumes of Linux machines."""


class Cloud:
    """The base of each capability's class."""

    _cloud: Client

    def _instance(self, machine_id: str) -> Json:
        """An instance as EC2 tells it.

        Raises:
            ResourceNotFound: It never was, or is forgotten.
        """
        with_id("i-", machine_id, "machine")
        found = self._cloud.call("ec2", "DescribeInstances", InstanceIds=[machine_id])["Reservations"]
        instances: list[Json] = [each for reservation in found for each in reservation["Instances"]]
        if not instances:
            raise ResourceNotFound(f"There is no machine {machine_id}.")
        return instances[0]

    def _instances(self, **filters: str | list[str]) -> list[Json]:
        """All living instances that fit."""
        found = self._cloud.pages(
            "ec2", "DescribeInstances", "Reservations", Filters=mapping.where(**filters)
        )
        return [
            each
            for reservation in found
            for each in reservation["Instances"]
            if each["State"]["Name"] not in mapping.DEAD
        ]

    def _volume(self, volume_id: str) -> Json:
        with_id("vol-", volume_id, "volume")
        found = self._cloud.call("ec2", "DescribeVolumes", VolumeIds=[volume_id])["Volumes"]
        return one(found, "volume", volume_id)

    def _attach(self, volume_id: str, instance: Json) -> None:
        """Attach an available volume to an instance that runs or is stopped, under the next free name."""
        taken = {each["DeviceName"] for each in instance.get("BlockDeviceMappings", [])}
        device = next((each for each in _DEVICES if each not in taken), None)
        if device is None:
            raise Conflict(
                f"The machine {instance['InstanceId']} holds no more than {len(_DEVICES)} volumes."
            )
        self._cloud.call(
            "ec2", "AttachVolume", VolumeId=volume_id, InstanceId=instance["InstanceId"], Device=device
        )
        instance.setdefault("BlockDeviceMappings", []).append(
            {"DeviceName": device, "Ebs": {"VolumeId": volume_id}}
        )


def with_id(prefix: str, resource_id: str, what: str) -> str:
    """Return the id if it is one of that kind; AWS answers to others in a different way each time.

    Raises:
        ResourceNotFound: It is not, so there is none.
    """
    if not resource_id.startswith(prefix):
        raise ResourceNotFound(f"There is no {what} {resource_id!r}; ids of AWS begin with {prefix}.")
    return resource_id


def one(found: list[Json], what: str, resource_id: str) -> Json:
    """The only one that was found.

    Raises:
        ResourceNotFound: None was.
    """
    if not found:
        raise ResourceNotFound(f"There is no {what} {resource_id}.")
    return found[0]


def only_one(
    look: Callable[[], list[Json]],
    make: Callable[[], Json],
    drop: Callable[[Json], None],
    order: Callable[[Json], Any],
) -> Json:
    """Make one of what AWS gives no client token and no unique name for.

    Whoever makes one looks again: of several made at once, or left by a call that was cut off, the oldest
    stays and the others are dropped.
    """
    found = look()
    if not found:
        made = make()
        found = look()
        # What is made is not always seen at once.
        if made not in found and order(made) not in [order(each) for each in found]:
            found.append(made)
    oldest, *others = sorted(found, key=order)
    for other in others:
        drop(other)
    return oldest


def made_order(identity: str) -> Callable[[Json], tuple[str, str]]:
    """Orders what was made by its own tag, then by id."""

    def order(answer: Json) -> tuple[str, str]:
        return mapping.all_tags(answer).get(mapping.TAG_MADE, ""), answer[identity]

    return order
