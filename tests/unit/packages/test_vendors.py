"""Packages as their vendors published them: each gives a form, complete answers and a cluster."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pitrix.clusters.model import StepKind
from pitrix.errors import InvalidInput
from pitrix.packages import archive, service
from pitrix.packages.model import Package, Severity
from tests.unit.packages import samples
from tests.unit.packages.plans import plan_of

VENDORS = ["etcd", "harbor", "kafka", "rocketmq", "tomcat", "zookeeper"]

pytestmark = pytest.mark.skipif(
    not samples.VENDORS.is_dir(),
    reason="the vendors' packages (shared/data/appcenter) are not beside the project",
)


def archived(name: str) -> bytes:
    folder = samples.VENDORS / name
    files = {
        each.relative_to(folder).as_posix(): each.read_bytes() for each in folder.rglob("*") if each.is_file()
    }
    files["package.json"] = json.dumps({"name": name, "version": "1.0.0"}).encode()
    return archive.write(files, name)


def opened(name: str) -> Package:
    return service.open_package(archived(name))


#: What a user must answer: links to clusters that have no default.
NEEDED: dict[str, Any] = {"kafka": {"cluster": {"zk_service": "cl-zookeeper"}}}


@pytest.mark.parametrize("name", VENDORS)
def test_no_errors(name: str) -> None:
    found = service.lint(archived(name))
    assert [each for each in found if each.severity == Severity.ERROR] == []
    assert len(found) <= 1


@pytest.mark.parametrize("name", VENDORS)
def test_form_in_both_languages(name: str) -> None:
    package = opened(name)
    for locale in ("en", "zh-cn"):
        form = service.form(package, locale)
        keys = [each.key for each in form.fields()]
        assert len(keys) == len(set(keys)) > 10
        assert {"cluster.name", "cluster.vxnet"} <= set(keys)
        assert not any(group.key.startswith("service_params") for group in form.groups)
    chinese = {each.label for each in service.form(package, "zh-cn").fields()}
    assert any(ord(letter) > 0x4E00 for label in chinese for letter in label)


@pytest.mark.parametrize("name", VENDORS)
def test_default_answers_give_a_cluster(name: str) -> None:
    package = opened(name)
    form = service.form(package)
    answers = service.complete_answers(form, NEEDED.get(name, {}))
    assert service.complete_answers(form, answers) == answers
    spec = service.render(package, answers)
    assert sum(each.machines for each in spec.roles) >= 1
    for role in spec.roles:
        if role.count:
            assert role.cpu >= 1
            assert role.memory_mib >= 512
        assert all(each.cmd for each in role.services.values())
    assert all(isinstance(each.port, int) for each in spec.endpoints.values())
    assert service.render(package, service.default_answers(form)).roles == spec.roles


@pytest.mark.parametrize("name", VENDORS)
def test_default_answers_give_a_plan(name: str) -> None:
    """Every machine and volume is made once, and each service of the roles with nodes finds its place."""
    package = opened(name)
    spec = service.render(package, service.complete_answers(service.form(package), NEEDED.get(name, {})))
    plan = plan_of(spec)
    steps = [step for layer in plan.layers for step in layer.steps]
    machines = [step for step in steps if step.kind == StepKind.CREATE_MACHINE]
    assert len(machines) == sum(role.machines for role in spec.roles)
    volumes = sum(len(role.volumes) * role.machines for role in spec.roles)
    assert len([step for step in steps if step.kind == StepKind.CREATE_VOLUME]) == volumes
    started = {step.params["service"] for step in steps if step.kind == StepKind.RUN_SERVICE}
    wanted = {
        each for role in spec.roles if role.count for each in ("init", "start") if each in role.services
    }
    assert wanted <= started


@pytest.mark.parametrize("name", VENDORS)
def test_the_template_is_linted_though_the_config_is_broken(name: str) -> None:
    files = {each: data for each, data in opened(name).files.items() if each != "config.json"}
    found = service.lint(archive.write({**files, "config.json": b"{"}, name))
    assert {each.file for each in found if each.severity == Severity.ERROR} == {"config.json"}


def test_kafka_needs_its_zookeeper() -> None:
    package = opened("kafka")
    form = service.form(package)
    with pytest.raises(InvalidInput) as caught:
        service.complete_answers(form, {})
    assert [each.field for each in caught.value.errors] == ["cluster.zk_service"]
    spec = service.render(package, service.complete_answers(form, NEEDED["kafka"]))
    assert spec.links == {"zk_service": "cl-zookeeper"}
    assert spec.env["replica.lag.time.max.ms"] == 10000
    assert spec.endpoints["client"].port == 9092
    assert spec.endpoints["kafka-manager"].port == 9000
    assert spec.role("client").user_access


def test_zookeeper_has_one_role_without_a_name_and_a_choice_of_many() -> None:
    package = opened("zookeeper")
    spec = service.render(package, service.complete_answers(service.form(package), {}))
    assert [each.role for each in spec.roles] == [""]
    assert spec.env["4lw.commands.whitelist"].startswith("conf,cons,crst")
    fewer = {"env": {"4lw.commands.whitelist": ["ruok", "stat"]}}
    spec = service.render(package, service.complete_answers(service.form(package), fewer))
    assert spec.env["4lw.commands.whitelist"] == "ruok,stat"
    assert spec.roles[0].server_id_upper_bound == 255
    assert spec.roles[0].health_check
    assert spec.roles[0].health_check.check_cmd == "appctl check"


def test_etcd_has_sizes_and_services_with_parameters() -> None:
    package = opened("etcd")
    form = service.form(package)
    small = service.render(package, service.complete_answers(form, {"cluster": {"resource_group": "Test"}}))
    large = service.render(package, service.complete_answers(form, {}))
    assert (small.role("etcd_node").count, large.role("etcd_node").count) == (1, 3)
    asked = service.service_form(package, "etcd_node", "repairMinorityNode", "zh-cn")
    assert [(each.key, each.required, each.default) for each in asked.fields] == [
        ("healthnode.ip", True, None),
        ("unhealthnode.ip", True, None),
    ]
    init = large.role("etcd_node").services["init"]
    assert (init.nodes_to_execute_on, init.post_start_service) == (1, True)
    assert large.display_tabs["TLSConnectionGuide-column"]["roles_to_execute_on"] == ["etcd_node"]


def test_rocketmq_counts_its_replicas() -> None:
    package = opened("rocketmq")
    spec = service.render(package, service.complete_answers(service.form(package), {}))
    assert spec.role("broker").machines == 6
    assert spec.endpoints["nameserver"].roles == ["nameserver"]
