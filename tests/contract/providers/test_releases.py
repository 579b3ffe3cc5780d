"""Charts: the common laws, and installing, changing, undoing and watching what they become."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest

from pitrix.errors import Conflict, InvalidInput, ProviderUnavailable, QuotaExceeded, ResourceNotFound
from providers.base import Capability, Provider
from providers.resources import Release, ReleaseSpec, ReleaseStatus
from tests.contract.providers import charts
from tests.contract.providers.bench import Bench, eventually
from tests.contract.providers.laws import CreationLaws


def spec(bench: Bench, name: str = "web", chart: bytes | None = None, **values: Any) -> ReleaseSpec:
    return ReleaseSpec(
        name=name,
        namespace=f"{bench.run}-{name}"[:63],
        chart=charts.chart() if chart is None else chart,
        values=values,
        timeout_s=30,
        tags=bench.tags,
    )


class TestReleases(CreationLaws):
    capability = Capability.RELEASES

    def create(self, bench: Bench, key: str, provider: Provider | None = None) -> Release:
        releases = (provider or bench.provider).releases
        return releases.install_release(spec(bench, f"web-{key}"), idempotency_key=bench.key(key))

    def read(self, provider: Provider, resource_id: str) -> Release:
        return provider.releases.get_release(resource_id)

    def listed(self, provider: Provider, tags: Mapping[str, str]) -> list[Release]:
        return provider.releases.list_releases(tags)

    def delete(self, provider: Provider, resource_id: str) -> None:
        provider.releases.uninstall_release(resource_id)

    def id_of(self, resource: Release) -> str:
        return resource.release_id

    def installed(self, bench: Bench, wanted: ReleaseSpec, key: str = "key") -> Release:
        """Install and wait until it is there; insists on it."""
        made = bench.provider.releases.install_release(wanted, idempotency_key=bench.key(key))
        return self.settled(bench, made.release_id)

    def settled(
        self, bench: Bench, release_id: str, status: ReleaseStatus = ReleaseStatus.DEPLOYED
    ) -> Release:
        found = eventually(
            lambda: bench.provider.releases.get_release(release_id),
            lambda release: release.status is not ReleaseStatus.PENDING,
        )
        assert found.status is status, found.reason
        return found

    def test_it_is_deployed_when_its_workloads_are_ready(self, bench: Bench) -> None:
        release = self.installed(bench, spec(bench, replicas=2))
        assert (release.revision, release.chart_version, release.reason) == (1, "1.0.0", "")
        (workload,) = bench.provider.releases.release_workloads(release.release_id)
        assert (workload.kind, workload.name, workload.wanted, workload.ready) == ("Deployment", "web", 2, 2)
        assert [(pod.status, pod.ready, pod.cpu_millis, pod.memory_mib) for pod in workload.pods] == [
            ("running", True, 250, 64)
        ] * 2
        assert len({pod.private_ip for pod in workload.pods}) == 2
        events = bench.provider.releases.release_events(release.release_id)
        assert any(each.about.startswith("Pod web-") for each in events)
        assert [each.at for each in events] == sorted((each.at for each in events), reverse=True)
        (endpoint,) = bench.provider.releases.release_endpoints(release.release_id)
        assert (endpoint.protocol, endpoint.port) == ("http", 80)
        assert endpoint.host.startswith("web.")

    def test_what_does_not_start_says_why(self, bench: Bench) -> None:
        wanted = spec(bench, annotations={"test/fail": "ImagePullBackOff"})
        made = bench.provider.releases.install_release(wanted, idempotency_key=bench.key("key"))

        def reasons() -> list[str]:
            workloads = bench.provider.releases.release_workloads(made.release_id)
            return [pod.reason for workload in workloads for pod in workload.pods]

        assert "ImagePullBackOff" in eventually(reasons, lambda found: "Image" in "".join(found))[0]
        release = bench.provider.releases.get_release(made.release_id)
        assert (release.status, "0 of 1" in release.reason) == (ReleaseStatus.PENDING, True)

    def test_an_upgrade_is_seen_before_done_once_and_undone(self, bench: Bench) -> None:
        releases = bench.provider.releases
        id = self.installed(bench, spec(bench)).release_id
        assert releases.diff_release(id, spec(bench)) == ""
        newer = spec(bench, chart=charts.chart(version="1.1.0"), greeting="goodbye", password="another")
        diff = releases.diff_release(id, newer)
        assert '-  greeting: "hello"' in diff
        assert '+  greeting: "goodbye"' in diff
        assert "another" not in diff, "a diff must not show a secret"
        for _ in range(2):  # the second time has no effect
            changed = releases.upgrade_release(id, newer, idempotency_key=bench.key("up"))
            assert (changed.release_id, changed.revision, changed.chart_version) == (id, 2, "1.1.0")
        self.settled(bench, id)
        assert releases.diff_release(id, newer) == ""
        for _ in range(2):
            undone = releases.rollback_release(id, revision=1, idempotency_key=bench.key("back"))
            assert (undone.revision, undone.chart_version) == (3, "1.0.0")
        assert releases.diff_release(id, spec(bench)) == ""
        again = releases.upgrade_release(id, newer, idempotency_key=bench.key("up-again"))
        assert again.revision == 4
        history = releases.release_history(id)
        assert [(each.revision, each.status) for each in history] == [
            (4, "deployed"), (3, "superseded"), (2, "superseded"), (1, "superseded"),
        ]  # fmt: skip
        with pytest.raises(ResourceNotFound):
            releases.rollback_release(id, revision=99, idempotency_key=bench.key("nowhere"))

    def test_a_change_whose_answer_was_lost_can_be_repeated(self, bench: Bench) -> None:
        id = self.installed(bench, spec(bench)).release_id
        newer = spec(bench, greeting="goodbye")
        with bench.target.answers_lost() as deaf, pytest.raises(ProviderUnavailable):
            deaf.releases.upgrade_release(id, newer, idempotency_key=bench.key("up"))
        upgraded = bench.provider.releases.upgrade_release(id, newer, idempotency_key=bench.key("up"))
        assert upgraded.revision == 2

    @pytest.mark.parametrize("lost", [1, 3, 4, 6, 9, 10])
    def test_whichever_answer_is_lost_repeating_makes_one(self, bench: Bench, lost: int) -> None:
        wanted, count = spec(bench), iter(range(1000))
        with bench.target.interposed() as (provider, between):
            between.lose_answers(
                lambda asked, answer: asked.method not in ("GET", "HEAD") and next(count) == lost
            )
            with suppress(ProviderUnavailable):
                provider.releases.install_release(wanted, idempotency_key=bench.key("key"))
        made = self.installed(bench, wanted)
        assert self.ids(bench) == [made.release_id]
        assert made.revision == 1

    def test_a_name_is_taken_once(self, bench: Bench) -> None:
        self.installed(bench, spec(bench))
        with pytest.raises(Conflict):
            bench.provider.releases.install_release(spec(bench), idempotency_key=bench.key("other"))

    def test_hooks_run_and_tests_do_not(self, bench: Bench) -> None:
        wanted = spec(bench, chart=charts.chart(charts.HOOKS))
        release = self.installed(bench, wanted)
        events = bench.provider.releases.release_events(release.release_id)
        assert any(each.about.startswith("Job web-before") for each in events)
        assert not any("test" in each.about for each in events)

    def test_a_hook_that_fails_fails_the_release(self, bench: Bench) -> None:
        wanted = spec(bench, chart=charts.chart(charts.HOOKS), hookFails=True)
        made = bench.provider.releases.install_release(wanted, idempotency_key=bench.key("key"))
        assert (made.status, "pre-install" in made.reason) == (ReleaseStatus.FAILED, True)

    def test_charts_inside_of_charts_are_installed(self, bench: Bench) -> None:
        wanted = spec(bench, chart=charts.chart(charts.WORKERS, parts={"base": charts.STATEFUL}))
        release = self.installed(bench, wanted)
        workloads = bench.provider.releases.release_workloads(release.release_id)
        assert [(each.kind, each.wanted, each.ready) for each in workloads] == [
            ("DaemonSet", 1, 1), ("Job", 2, 2), ("StatefulSet", 1, 1),
        ]  # fmt: skip
        hosts = [each.host for each in bench.provider.releases.release_endpoints(release.release_id)]
        assert hosts == ["shop.example.com"]

    @pytest.mark.parametrize("what", charts.TRESPASSING)
    def test_a_chart_stays_in_its_own_namespace(self, bench: Bench, what: str) -> None:
        wanted = spec(bench, chart=charts.chart(charts.TRESPASSING[what]))
        with pytest.raises(InvalidInput):
            bench.provider.releases.install_release(wanted, idempotency_key=bench.key("key"))

    def test_definitions_are_for_who_may_change_the_whole_cluster(self, bench: Bench) -> None:
        wanted = spec(bench, chart=charts.chart(charts.GADGET))
        with pytest.raises(InvalidInput, match=r"gadgets\.example\.com"):
            bench.provider.releases.install_release(wanted, idempotency_key=bench.key("key"))
        assert bench.target.privileged is not None
        mighty = Bench(bench.target, bench.target.connect(bench.target.privileged))
        mighty.provider.validate_credential()
        self.installed(mighty, spec(mighty, chart=charts.chart(charts.GADGETS)))

        def accepted() -> bool:
            """What an administrator installed may be used by all, once the roles are put together."""
            with suppress(InvalidInput):
                return bool(self.installed(bench, wanted))
            return False

        eventually(accepted, bool)
        mighty.sweep()

    def test_a_farewell_is_said(self, bench: Bench) -> None:
        """Hooks around the deletion run, and one that fails does not keep the release."""
        release = self.installed(bench, spec(bench, chart=charts.chart(charts.FAREWELL)))
        self.delete_and_wait(bench, release.release_id)

    @pytest.mark.parametrize("what", ["no chart", "no values", "refused by the server"])
    def test_a_chart_that_cannot_be_installed_is_refused_and_leaves_nothing(
        self, bench: Bench, what: str
    ) -> None:
        wanted = {
            "no chart": spec(bench, chart=b"no chart"),
            "no values": spec(bench, greeting=""),
            "refused by the server": spec(bench, replicas="many"),
        }[what]
        with pytest.raises(InvalidInput):
            bench.provider.releases.install_release(wanted, idempotency_key=bench.key("key"))
        eventually(lambda: self.ids(bench), lambda ids: ids == [])

    def test_a_full_namespace_says_so(self, small: Bench) -> None:
        self.installed(small, spec(small, "first"), "a")
        with pytest.raises(QuotaExceeded):
            small.provider.releases.install_release(spec(small, "second"), idempotency_key=small.key("b"))
