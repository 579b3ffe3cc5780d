"""Volumes: the common laws, and attaching, extending and deleting them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pitrix.errors import Conflict, InvalidInput, QuotaExceeded, ResourceNotFound
from providers.base import Capability, Provider
from providers.resources import Volume, VolumeStatus
from tests.contract.providers.bench import Bench, eventually
from tests.contract.providers.laws import CreationLaws


class TestVolumes(CreationLaws):
    capability = Capability.VOLUMES

    def create(self, bench: Bench, key: str, provider: Provider | None = None) -> Volume:
        return bench.volume(key, provider)

    def read(self, provider: Provider, resource_id: str) -> Volume:
        return provider.volumes.get_volume(resource_id)

    def listed(self, provider: Provider, tags: Mapping[str, str]) -> list[Volume]:
        return provider.volumes.list_volumes(tags)

    def delete(self, provider: Provider, resource_id: str) -> None:
        provider.volumes.delete_volume(resource_id)

    def id_of(self, resource: Volume) -> str:
        return resource.volume_id

    def test_it_becomes_available_in_its_size(self, bench: Bench) -> None:
        volume = bench.available(bench.volume(steps=3).volume_id)
        assert (volume.size_gib, volume.machine_id) == (bench.gib(3), None)

    def test_it_is_attached_to_one_machine_at_a_time(self, bench: Bench) -> None:
        volumes, volume = bench.provider.volumes, bench.available(bench.volume().volume_id)
        first, second = bench.running("a"), bench.running("b")
        attached = eventually(  # repeated until it is done; what is done already has no effect
            lambda: volumes.attach_volume(volume.volume_id, first.machine_id),
            lambda volume: volume.status is VolumeStatus.IN_USE,
        )
        assert volumes.attach_volume(volume.volume_id, first.machine_id) == attached
        assert attached.machine_id == first.machine_id
        assert volume.volume_id in bench.provider.machines.get_machine(first.machine_id).volume_ids
        with pytest.raises(Conflict):
            volumes.attach_volume(volume.volume_id, second.machine_id)
        with pytest.raises(Conflict):
            volumes.delete_volume(volume.volume_id)
        detached = eventually(
            lambda: volumes.detach_volume(volume.volume_id),
            lambda volume: volume.status is VolumeStatus.AVAILABLE,
        )
        assert detached.machine_id is None
        assert volumes.detach_volume(volume.volume_id) == detached
        assert bench.provider.machines.get_machine(first.machine_id).volume_ids == ()

    def test_it_grows_and_never_shrinks(self, bench: Bench) -> None:
        volumes, volume = bench.provider.volumes, bench.available(bench.volume(steps=2).volume_id)
        eventually(
            lambda: volumes.extend_volume(volume.volume_id, size_gib=bench.gib(4)),
            lambda volume: (volume.status, volume.size_gib) == (VolumeStatus.AVAILABLE, bench.gib(4)),
        )
        assert volumes.extend_volume(volume.volume_id, size_gib=bench.gib(4)).size_gib == bench.gib(4)
        with pytest.raises(InvalidInput):
            volumes.extend_volume(volume.volume_id, size_gib=bench.gib(3))

    def test_a_full_account_says_so(self, small: Bench) -> None:
        volume = small.available(small.volume("a", steps=6).volume_id)
        with pytest.raises(QuotaExceeded):
            small.volume("b", steps=5)
        with pytest.raises(QuotaExceeded):
            small.provider.volumes.extend_volume(volume.volume_id, size_gib=small.gib(11))

    def test_neither_end_of_an_attachment_may_be_missing(self, bench: Bench) -> None:
        volume = bench.volume()
        with pytest.raises(ResourceNotFound):
            bench.provider.volumes.attach_volume(volume.volume_id, "nothing-0000")
        with pytest.raises(ResourceNotFound):
            bench.provider.volumes.attach_volume("nothing-0000", "nothing-0000")
        with pytest.raises(ResourceNotFound):
            bench.provider.volumes.detach_volume("nothing-0000")
