"""Rules 1, 3 and 7 of the design: imports point one way, clouds keep to their folders."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.conftest import CORE, ROOT, Module, modules

CONTEXTS = sorted(path.name for path in CORE.iterdir() if (path / "service.py").is_file())
FUNCTIONS = ROOT / "functions"
PROVIDERS = ROOT / "providers"

#: What a model or a service must not know: transport, storage and clouds.
OUTSIDE = (
    "boto3",
    "botocore",
    "pynamodb",
    "chalice",
    "kubernetes",
    "openstack",
    "azure",
    "qingcloud",
    "pyVmomi",
)
#: What no cold start should pay for before it is needed.
HEAVY = ("boto3", "botocore", "pynamodb", "jinja2", "jsonschema", "cryptography", "jwt", "yaml", "ulid")


def _offends(imported: set[str], *forbidden: str) -> list[str]:
    return sorted(name for name in imported if any(name == f or name.startswith(f"{f}.") for f in forbidden))


def _ids(found: list[Module]) -> list[str]:
    return [module.name for module in found]


DOMAIN = [
    m
    for m in modules(CORE)
    if m.path.name in ("model.py", "service.py", "ports.py") and m.path.parent.name in CONTEXTS
]
CORE_MODULES = modules(CORE)
HANDLERS = modules(FUNCTIONS)
PROVIDER_MODULES = modules(PROVIDERS)


def test_there_is_something_to_check() -> None:
    assert len(CONTEXTS) >= 8
    assert len(DOMAIN) >= 3 * 7
    assert len(HANDLERS) >= 12


@pytest.mark.parametrize("module", DOMAIN, ids=_ids(DOMAIN))
def test_models_services_and_ports_know_no_outside(module: Module) -> None:
    assert _offends(module.imports(), *OUTSIDE) == []
    assert not any(name.endswith((".dynamo", ".aws", ".s3", ".table_dynamo")) for name in module.imports())


@pytest.mark.parametrize("module", CORE_MODULES, ids=_ids(CORE_MODULES))
def test_the_core_knows_no_function_and_no_driver(module: Module) -> None:
    drivers = [f"providers.{p.name}" for p in PROVIDERS.iterdir() if (p / "driver.py").is_file()]
    assert _offends(module.imports(), "functions", *drivers) == []


@pytest.mark.parametrize("module", CORE_MODULES, ids=_ids(CORE_MODULES))
def test_a_context_reaches_anothers_storage_only_in_bootstrap(module: Module) -> None:
    if module.path.name == "bootstrap.py":
        return
    own = module.path.relative_to(CORE).parts[0]
    foreign = [
        name
        for name in module.imports()
        if name.startswith("pitrix.") and name.split(".")[-1] == "dynamo" and name.split(".")[1] != own
    ]
    assert foreign == []


#: What others may import of the packages context: its door, its shapes, and pure tools beside the door which
#: know no format: through it, whoever needs one of them alone would pay for all of them at a cold start.
PACKAGES_OPEN = (
    "model", "service", "text", "chart_entry", "chart_index", "provenance", "sarif",
)  # fmt: skip


@pytest.mark.parametrize("module", CORE_MODULES + HANDLERS, ids=_ids(CORE_MODULES + HANDLERS))
def test_packages_have_one_door(module: Module) -> None:
    if module.path.is_relative_to(CORE / "packages"):
        return
    parts = {name.split(".")[2] for name in module.imports() if name.startswith("pitrix.packages.")}
    if module.path == CORE / "http.py":
        parts -= {"forms"}  # the choice between the languages that forms speak, by Accept-Language
    assert parts <= set(PACKAGES_OPEN)


@pytest.mark.parametrize("module", HANDLERS, ids=_ids(HANDLERS))
def test_handlers_import_no_sibling_and_no_storage(module: Module) -> None:
    own = module.path.relative_to(FUNCTIONS).parts[0]
    siblings = [p.name for p in FUNCTIONS.iterdir() if p.is_dir() and p.name != own]
    assert _offends(module.imports(), "functions", *siblings) == []
    assert _offends(module.imports(), "boto3", "botocore", "pynamodb") == []
    assert not any(name.endswith(".dynamo") for name in module.imports())


@pytest.mark.parametrize("module", PROVIDER_MODULES, ids=_ids(PROVIDER_MODULES))
def test_a_clouds_sdk_stays_in_its_folder_and_is_imported_late(module: Module) -> None:
    sdks = {
        "aws": ("boto3", "botocore"),
        "kubernetes": ("kubernetes",),
        "openstack": ("openstack",),
        "azure": ("azure",),
        "qingcloud": ("qingcloud",),
        "vmware": ("pyVmomi", "pyVim"),
    }
    # A token for EKS is a question that botocore signs; Lambda has it preinstalled, and no layer carries it.
    lent = {"kubernetes": {"botocore"}}
    cloud = module.path.parent.name
    for owner, names in sdks.items():
        if owner != cloud:
            assert _offends(module.imports(), *(set(names) - lent.get(cloud, set()))) == []
    assert _offends(module.imports(at_import_time=True), *(n for names in sdks.values() for n in names)) == []


def _imported_by(statement: str, *paths: Path) -> dict[str, object]:
    """Run a statement in a fresh interpreter without network or settings; return what it loaded."""
    code = f"""
import json, socket, sys
def refuse(*a, **k): raise RuntimeError("the network is touched at import")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
sys.path[:0] = {[str(p) for p in paths]!r}
{statement}
print(json.dumps(sorted({{name.split(".")[0] for name in sys.modules}})))
"""
    command, env = [sys.executable, "-c", code], {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    return {"code": done.returncode, "stderr": done.stderr, "loaded": json.loads(done.stdout or "[]")}


def test_every_handler_imports_cheaply_without_settings_or_network(
    functions: dict[str, dict[str, object]],
) -> None:
    offenders: dict[str, object] = {}
    for name, properties in functions.items():
        module = str(properties["Handler"]).rsplit(".", 1)[0]
        code = ROOT / str(properties["CodeUri"])
        found = _imported_by(f"import {module}", code, CORE.parent, ROOT)
        heavy = sorted(set(HEAVY) & set(found["loaded"]))  # type: ignore[call-overload]
        if found["code"] or heavy:
            offenders[name] = heavy or found["stderr"]
    assert offenders == {}


def test_importing_providers_loads_no_driver_and_no_sdk() -> None:
    found = _imported_by("import providers", CORE.parent, ROOT)
    assert found["code"] == 0, found["stderr"]
    assert not {"boto3", "botocore", "kubernetes", "openstack", "azure"} & set(found["loaded"])  # type: ignore[call-overload]
    drivers = _imported_by(
        "import providers; assert not [m for m in sys.modules if m.endswith('.driver')]", CORE.parent, ROOT
    )
    assert drivers["code"] == 0, drivers["stderr"]
