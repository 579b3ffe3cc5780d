"""Installs OpenStack into the cache and sets one up, so that a run of the tests only copies and starts it.

Takes a minute or two and 1 GiB. Needs MariaDB (Debian: ``apt-get install mariadb-server``) and PyPI.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.clouds.openstack import cloud, configuration

HERE = Path(__file__).parent
RECIPE = (
    *(HERE / name for name in ("build.py", "cloud.py", "configuration.py", "requirements.txt")),
    *(HERE / "inside" / name for name in ("bindall.py", "pitrix_volumes.py", "setup.py")),
)
"""What decides about the result; see ``tests/clouds/cache.py``."""

_ENTRY_POINT = "[neutron.ml2.mechanism_drivers]\nbindall = bindall:BindAll\n"

_FORGET_HOSTS = "; ".join(
    f"delete from {table}"
    for table in (
        "nova_cell1.services",
        "nova_cell1.compute_nodes",
        "nova_api.host_mappings",
        "placement.inventories",
        "placement.resource_provider_traits",
        "placement.resource_providers",
        "cinder.services",
    )
)
"""Nova takes no hypervisor back that lost its state, and cinder takes for dead what reported long ago."""


def build(into: Path) -> None:
    """Make the virtual environment and the template of a run in ``into``.

    Raises:
        FileNotFoundError: There is no MariaDB; says what to install.
        subprocess.CalledProcessError: A step failed; its log is below ``into/template/log``.
    """
    cloud.require_database()
    environment, template = into / "environment", into / "template"
    _install(environment)
    template.mkdir()
    cloud.make_database(template)
    with cloud.database(template):
        for name in configuration.DATABASES:
            cloud.sql(template, f"create database {name}")
        _set_up(template, environment)
        cloud.sql(template, f"set foreign_key_checks = 0; {_FORGET_HOSTS}")
    for name in ("run", "log", "etc"):
        shutil.rmtree(template / name)


def _install(environment: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    pip = [environment / "bin" / "pip", "install", "--quiet", "--no-deps", "-r", HERE / "requirements.txt"]
    subprocess.run(pip, check=True)
    [packages] = (environment / "lib").glob("python3*/site-packages")
    for name in ("bindall.py", "pitrix_volumes.py"):
        shutil.copy(HERE / "inside" / name, packages)
    described = packages / "bindall-1.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: bindall\nVersion: 1\n")
    (described / "entry_points.txt").write_text(_ENTRY_POINT)


def _set_up(template: Path, environment: Path) -> None:
    """Make tables, users and what an operator offers, with the services running at the end."""
    with cloud.gateway(template, environment) as url:
        configuration.write(template, environment, url)
        etc = template / "etc"
        keystone = ["keystone-manage", "--config-file", f"{etc}/keystone/keystone.conf"]
        nova = ["nova-manage", "--config-file", f"{etc}/nova/nova.conf"]
        for name in ("fernet", "credential"):
            (template / "state" / name).mkdir(mode=0o700)
        owner = ["--keystone-user", template.owner(), "--keystone-group", template.group()]
        admin = ["--bootstrap-password", configuration.ADMIN_PASSWORD, "--bootstrap-region-id", "RegionOne"]
        for interface in ("public", "admin", "internal"):
            admin += [f"--bootstrap-{interface}-url", f"{url}/identity/v3"]
        cell0 = configuration.database(template, "nova_cell0")
        steps = {
            "keystone": [
                [*keystone, "db_sync"],
                [*keystone, "fernet_setup", *owner],
                [*keystone, "credential_setup", *owner],
                [*keystone, "bootstrap", *admin],
                ["glance-manage", "--config-file", f"{etc}/glance/glance-api.conf", "db_sync"],
                ["placement-manage", "--config-file", f"{etc}/placement/placement.conf", "db", "sync"],
            ],
            "neutron": [
                ["neutron-db-manage", "--config-file", f"{etc}/neutron/neutron.conf", "upgrade", "heads"],
                ["cinder-manage", "--config-file", f"{etc}/cinder/cinder.conf", "db", "sync"],
            ],
            "nova": [
                [*nova, "api_db", "sync"],
                [*nova, "cell_v2", "map_cell0", "--database_connection", cell0],
                [*nova, "db", "sync"],
                [*nova, "cell_v2", "create_cell", "--name", "cell1"],
            ],
        }
        cloud.in_parallel(template, environment, steps)
        with cloud.service(template, environment, "identity") as keystone_process:
            cloud.wait_for(template, "identity", keystone_process)
            cloud.set_up(template, environment, url, "--catalog")
        with cloud.services(template, environment):
            cloud.set_up(template, environment, url)
