"""Snapshots: the common laws, and what becomes of them and their volumes."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pitrix.errors import ResourceNotFound
from providers.base import Capability, Provider
from providers.resources import Snapshot, SnapshotStatus, VolumeSpec, VolumeStatus
from tests.contract.providers.bench import Bench, eventually
from tests.contract.providers.laws import CreationLaws


class TestSnapshots(CreationLaws):
    capability = Capability.SNAPSHOTS

    def create(self, bench: Bench, key: str, provider: Provider | None = None) -> Snapshot:
        return bench.snapshot(key, bench.available(bench.volume().volume_id).volume_id, provider)

    def read(self, provider: Provider, resource_id: str) -> Snapshot:
        return provider.snapshots.get_snapshot(resource_id)

    def listed(self, provider: Provider, tags: Mapping[str, str]) -> list[Snapshot]:
        return provider.snapshots.list_snapshots(tags)

    def delete(self, provider: Provider, resource_id: str) -> None:
        provider.snapshots.delete_snapshot(resource_id)

    def id_of(self, resource: Snapshot) -> str:
        return resource.snapshot_id

    def available(self, bench: Bench, snapshot_id: str) -> Snapshot:
        return eventually(
            lambda: self.read(bench.provider, snapshot_id),
            lambda snapshot: snapshot.status is SnapshotStatus.AVAILABLE,
        )

    def test_it_is_of_its_volume(self, bench: Bench) -> None:
        volume = bench.available(bench.volume(steps=3).volume_id)
        made = self.available(bench, bench.snapshot("a", volume.volume_id).snapshot_id)
        assert (made.volume_id, made.size_gib) == (volume.volume_id, bench.gib(3))

    def test_it_outlives_its_volume_and_another_is_made_from_it(self, bench: Bench) -> None:
        volumes, volume = bench.provider.volumes, bench.available(bench.volume().volume_id)
        made = self.available(bench, bench.snapshot("a", volume.volume_id).snapshot_id)
        volumes.delete_volume(volume.volume_id)
        spec = VolumeSpec(name="again", size_gib=bench.gib(2), snapshot_id=made.snapshot_id, tags=bench.tags)
        again = eventually(
            lambda: volumes.create_volume(spec, idempotency_key=bench.key("again")),
            lambda volume: volume.status is VolumeStatus.AVAILABLE,
        )
        assert again.size_gib == bench.gib(2)

    def test_neither_is_made_of_what_never_was(self, bench: Bench) -> None:
        with pytest.raises(ResourceNotFound):
            bench.snapshot("a", "nothing-0000")
        spec = VolumeSpec(name="b", size_gib=bench.gib(1), snapshot_id="nothing-0000", tags=bench.tags)
        with pytest.raises(ResourceNotFound):
            bench.provider.volumes.create_volume(spec, idempotency_key=bench.key("b"))
