"""The suite of suites: every capability that a registered provider offers is tested, on a target."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Container, Mapping
from importlib import import_module
from pathlib import Path

import pytest

import providers
from pitrix.errors import CapabilityMissing, NotFound, ProviderError
from providers.base import CAPABILITY_CLASSES, Capability, Machines, Provider
from providers.resources import Connection, Machine, Zone
from tests.contract.providers.laws import CreationLaws, Suite
from tests.contract.providers.targets import ROOT
from tests.contract.providers.targets import names as targets


def suites() -> dict[Capability, type]:
    """The suite class of each capability that has one."""
    for path in Path(__file__).parent.glob("test_*.py"):
        import_module(f"tests.contract.providers.{path.stem}")
    return {
        suite.capability: suite
        for suite in Suite.__subclasses__() + CreationLaws.__subclasses__()
        if hasattr(suite, "capability")
    }


def table(
    registered: Mapping[str, type[Provider]], targeted: Container[str] | None = None
) -> dict[str, dict[str, str]]:
    """Capability by provider: ``covered``, ``not offered``, ``no suite`` or ``no target``."""

    def cell(name: str, capability: Capability) -> str:
        if capability not in registered[name].capabilities():
            return "not offered"
        if capability not in suites():
            return "no suite"
        return "covered" if name in (targets() if targeted is None else targeted) else "no target"

    return {name: {str(c): cell(name, c) for c in Capability} for name in registered}


class Elsewhere(Provider):
    """A provider that somebody registered and forgot to test."""

    name = "elsewhere"
    title = "Elsewhere"
    credential_schema = {"type": "object"}  # noqa: RUF012

    def validate_credential(self) -> None: ...

    def zones(self) -> list[Zone]:
        return []

    def get_release(self, release_id: str) -> None: ...


def test_everything_offered_is_covered(record_property: pytest.FixtureRequest) -> None:
    found = table({name: providers.get(name) for name in providers.names()})
    for name, row in found.items():
        print(name, *(f"{capability}: {state}" for capability, state in row.items()), sep="\n  ")
    open_cells = [(n, c, s) for n, row in found.items() for c, s in row.items() if s.startswith("no ")]
    assert open_cells == []


def test_the_table_finds_what_is_not_covered(monkeypatch: pytest.MonkeyPatch) -> None:
    class Half(Elsewhere, Machines):
        """Offers machines and nothing more."""

    class Releasing(Elsewhere, CAPABILITY_CLASSES[Capability.RELEASES]):  # type: ignore[misc]
        """Offers what no suite tests."""

    known = {name: suite for name, suite in suites().items() if name is not Capability.RELEASES}
    monkeypatch.setitem(globals(), "suites", lambda: known)
    found = table({"half": Half, "releasing": Releasing})
    assert found["half"]["machines"] == "no target"
    assert found["half"]["volumes"] == "not offered"
    assert found["releasing"]["releases"] == "no suite"


def test_the_capabilities_are_the_classes() -> None:
    assert set(CAPABILITY_CLASSES) == set(Capability)
    for capability in Capability:
        assert hasattr(Provider, capability), f"Provider has no attribute for {capability}"


def test_what_is_not_offered_says_so() -> None:
    elsewhere = Elsewhere(Connection(zone="", credential={}))
    for capability in Capability:
        with pytest.raises(CapabilityMissing, match="Elsewhere does not offer"):
            getattr(elsewhere, capability)


def test_the_registry_knows_its_names() -> None:
    assert "local" in providers.names()
    with pytest.raises(NotFound, match=r"there are: .*local"):
        providers.get("nowhere")


@pytest.fixture
def plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution on the path with one entry point; the tests write its module."""
    metadata = tmp_path / "plug_in-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: plug-in\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(
        "[pitrix.providers]\nelsewhere = plug_in_cloud:Cloud\nlocal = plug_in_cloud:Cloud\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "plug_in_cloud", raising=False)
    for cached in (providers._registered, providers.get):
        cached.cache_clear()
    yield tmp_path / "plug_in_cloud.py"
    monkeypatch.undo()
    for cached in (providers._registered, providers.get):
        cached.cache_clear()


def test_a_plug_in_is_found_by_its_entry_point(plug_in: Path) -> None:
    plug_in.write_text("from tests.contract.providers.test_coverage import Elsewhere as Cloud\n")
    assert {"elsewhere", "local"} < set(providers.names())
    assert providers.get("elsewhere").title == "Elsewhere"
    assert providers.get("local").title == "This machine", "a plug-in must not replace a built-in provider"


def test_a_plug_in_that_is_no_provider_is_named(plug_in: Path) -> None:
    plug_in.write_text("class Cloud: pass\n")
    with pytest.raises(ProviderError, match="plug_in_cloud:Cloud"):
        providers.get("elsewhere")


def test_importing_the_registry_loads_no_driver_and_no_sdk() -> None:
    heavy = (
        "{'providers.local.driver', 'boto3', 'botocore', 'kubernetes', 'openstack', 'azure', 'http.client'}"
    )
    program = f"import sys, providers, providers.base; providers.names(); print({heavy} & set(sys.modules))"
    path = {"PYTHONPATH": f"{ROOT}:{ROOT / 'layers' / 'core'}"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_machine_is_told_without_its_secrets() -> None:
    assert "user_data" not in Machine.__dataclass_fields__


def test_the_readme_says_what_is_offered() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (ROOT / "providers/README.md").read_text().splitlines()
        if line.startswith("| ")
    ]
    [head] = [row for row in rows if row[0] == "" and "local" in row]
    told = {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows if len(row) == len(head)}
    built_in = [name for name in providers.names() if (ROOT / "providers" / name).is_dir()]
    assert head[1:] == built_in
    for capability in Capability:
        offered = {name for name in built_in if capability in providers.get(name).capabilities()}
        assert {name for name, cell in told[capability.replace("_", " ")].items() if cell} == offered
