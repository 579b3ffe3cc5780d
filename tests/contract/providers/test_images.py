"""Images: the common laws, and what is made from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from pitrix.errors import Conflict, ResourceNotFound
from providers.base import Capability, Provider
from providers.resources import Image, ImageStatus
from tests.contract.providers.bench import Bench, eventually
from tests.contract.providers.laws import CreationLaws


class TestImages(CreationLaws):
    capability = Capability.IMAGES

    def create(self, bench: Bench, key: str, provider: Provider | None = None) -> Image:
        return bench.image(key, provider)

    def read(self, provider: Provider, resource_id: str) -> Image:
        return provider.images.get_image(resource_id)

    def listed(self, provider: Provider, tags: Mapping[str, str]) -> list[Image]:
        return provider.images.list_images(tags)

    def delete(self, provider: Provider, resource_id: str) -> None:
        provider.images.delete_image(resource_id)

    def id_of(self, resource: Image) -> str:
        return resource.image_id

    def available(self, bench: Bench, image_id: str) -> Image:
        return eventually(
            lambda: self.read(bench.provider, image_id), lambda image: image.status is ImageStatus.AVAILABLE
        )

    def test_only_a_stopped_machine_is_captured(self, bench: Bench) -> None:
        machine = bench.running()
        with pytest.raises(Conflict):
            bench.provider.images.capture_image(
                machine.machine_id, name="a", tags=bench.tags, idempotency_key=bench.key("a")
            )

    def test_a_machine_is_made_from_it(self, bench: Bench) -> None:
        made = self.available(bench, bench.image().image_id)
        assert bench.running("second", image=made.image_id).image == made.image_id

    def test_it_is_not_made_of_what_never_was(self, bench: Bench) -> None:
        with pytest.raises(ResourceNotFound):
            bench.provider.images.capture_image(
                "nothing-0000", name="a", tags=bench.tags, idempotency_key=bench.key("a")
            )

    def test_it_is_shared_with_another_account(self, bench: Bench) -> None:
        """Sharing twice has no effect; what the other account sees is asked of the other account."""
        bench.target.need("sharing")
        other = bench.target.other_account
        assert other is not None, "a target without another account says so in lacks"
        name, account = other
        made = self.available(bench, bench.image().image_id)
        for _ in range(2):
            bench.provider.images.share_image(made.image_id, accounts=(name,))
        seen = bench.target.connect(account).images.get_image(made.image_id)
        assert seen.image_id == made.image_id

    def test_it_is_copied_to_another_zone(self, bench: Bench) -> None:
        bench.target.need("copying")
        zone = bench.target.other_zone
        made = self.available(bench, bench.image().image_id)
        copies = {
            bench.provider.images.copy_image(
                made.image_id, zone=zone, idempotency_key=bench.key("copy")
            ).image_id
            for _ in range(2)
        }
        assert len(copies) == 1
        there = bench.target.connect(replace(bench.target.account, zone=zone)).images
        [copy] = copies
        eventually(lambda: there.get_image(copy), lambda image: image.status is ImageStatus.AVAILABLE)
        assert copy in [image.image_id for image in there.list_images(bench.tags)]
        for image_id in {copy, made.image_id} - {made.image_id}:
            there.delete_image(image_id)

    def test_it_cannot_be_shared_or_copied_when_it_never_was(self, bench: Bench) -> None:
        with pytest.raises(ResourceNotFound):
            bench.provider.images.share_image("nothing-0000", accounts=("somebody",))
