"""The configuration files of OpenStack's services for one run. Writes files and starts nothing.

Every service listens on a socket file in the run's folder; ``inside/gateway.py`` has the only port and
sends a request to the service that its path begins with, as DevStack does."""

from __future__ import annotations

import configparser
import shutil
from collections.abc import Mapping
from pathlib import Path

HASH_ROUNDS = "4"
"""bcrypt's least: signing in is not what is tested."""

SERVICES = {
    "identity": "keystone",
    "image": "glance",
    "placement": "placement",
    "network": "neutron",
    "compute": "nova",
    "volume": "cinder",
}
"""First part of the path, as in the catalog, to the project that answers there."""

DATABASES = ("keystone", "glance", "placement", "neutron", "nova_api", "nova_cell0", "nova_cell1", "cinder")

#: What a service adds to its path in the catalog, by the type under which the catalog has it.
CATALOG = {
    ("glance", "image"): "/image",
    ("placement", "placement"): "/placement",
    ("neutron", "network"): "/network",
    ("nova", "compute"): "/compute/v2.1",
    ("cinder", "block-storage"): "/volume/v3/$(project_id)s",
}

ADMIN_PASSWORD = "admin-secret"  # of a cloud that lives as long as a test
SERVICE_PASSWORD = "service-secret"


def database(folder: Path, name: str) -> str:
    """The URL of a database, by the socket file of its server."""
    return f"mysql+pymysql://root@localhost/{name}?unix_socket={folder}/run/mysql.sock&charset=utf8"


def write(folder: Path, environment: Path, url: str) -> None:
    """Write every service's configuration.

    Args:
        folder: Of the run: configuration, sockets, logs and state lie in it.
        environment: The virtual environment that OpenStack is installed in.
        url: Where the gateway listens.
    """
    for name in ("run", "log", "state/lock", "state/images", "state/staging", "state/tasks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, sections in _settings(folder, url).items():
        place = folder / "etc" / name
        place.mkdir(parents=True, exist_ok=True)
        if (environment / "etc" / name).exists():
            shutil.copytree(environment / "etc" / name, place, dirs_exist_ok=True)
        file = configparser.RawConfigParser(default_section="no such section")
        file.read_dict(sections)
        with (place / f"{name}.conf").open("w") as out:
            file.write(out)
    shutil.copy(folder / "etc/glance/glance.conf", folder / "etc/glance/glance-api.conf")


def _settings(folder: Path, url: str) -> dict[str, Mapping[str, Mapping[str, str]]]:
    state = f"{folder}/state"
    identity = f"{url}/identity/v3"
    account = {
        "auth_type": "password",
        "auth_url": identity,
        "username": "service",
        "password": SERVICE_PASSWORD,
        "project_name": "service",
        "user_domain_name": "Default",
        "project_domain_name": "Default",
    }
    client = account | {"region_name": "RegionOne"}
    tokens = account | {"www_authenticate_uri": identity, "service_token_roles_required": "true"}
    common = {
        "oslo_concurrency": {"lock_path": f"{state}/lock"},
        "oslo_messaging_notifications": {"driver": "noop"},
        "keystone_authtoken": tokens,
    }

    def default(name: str, **more: str) -> dict[str, str]:
        return {"log_file": f"{folder}/log/{name}.log"} | more

    return {
        "keystone": {
            "DEFAULT": default("keystone"),
            "database": {"connection": database(folder, "keystone")},
            "cache": {"enabled": "true", "backend": "dogpile.cache.memory"},
            "identity": {"password_hash_rounds": HASH_ROUNDS},
            "fernet_tokens": {"key_repository": f"{state}/fernet"},
            "credential": {"key_repository": f"{state}/credential"},
        },
        "glance": common
        | {
            "DEFAULT": default(
                "glance", enabled_backends="file:file", worker_self_reference_url=f"{url}/image"
            ),
            "database": {"connection": database(folder, "glance")},
            "glance_store": {"default_backend": "file"},
            "file": {"filesystem_store_datadir": f"{state}/images"},
            "os_glance_staging_store": {"filesystem_store_datadir": f"{state}/staging"},
            "os_glance_tasks_store": {"filesystem_store_datadir": f"{state}/tasks"},
            "paste_deploy": {
                "flavor": "keystone",
                "config_file": f"{folder}/etc/glance/glance-api-paste.ini",
            },
        },
        "placement": common
        | {
            "DEFAULT": default("placement"),
            "placement_database": {"connection": database(folder, "placement")},
            "api": {"auth_strategy": "keystone"},
        },
        "neutron": common
        | {
            "DEFAULT": default(
                "neutron",
                core_plugin="ml2",
                service_plugins="router",
                transport_url="fake://",
                state_path=f"{state}/neutron",
                api_paste_config=f"{folder}/etc/neutron/api-paste.ini",
                dhcp_agent_notification="false",
                notify_nova_on_port_status_changes="false",
                notify_nova_on_port_data_changes="true",
                send_events_interval="1",
            ),
            "database": {"connection": database(folder, "neutron")},
            "nova": client,
            "ml2": {
                "type_drivers": "local,flat",
                "tenant_network_types": "local",
                "mechanism_drivers": "bindall",
                "extension_drivers": "port_security",
            },
            "ml2_type_flat": {"flat_networks": "*"},
            "quotas": {
                "quota_network": "500",
                "quota_subnet": "500",
                "quota_router": "500",
                "quota_port": "5000",
                "quota_security_group": "500",
                "quota_security_group_rule": "5000",
                "quota_floatingip": "200",
            },
        },
        "nova": common
        | {
            "DEFAULT": default(
                "nova",
                compute_driver="fake.FakeDriver",
                transport_url="fake://",
                host="compute-1",
                my_ip="127.0.0.1",
                state_path=f"{state}/nova",
                report_interval="5",
                service_down_time="86400",
                vif_plugging_timeout="0",
                vif_plugging_is_fatal="false",
                allow_resize_to_same_host="true",
                concurrency_backend="threading",
                sync_power_state_interval="-1",
            ),
            "api_database": {"connection": database(folder, "nova_api")},
            "database": {"connection": database(folder, "nova_cell1")},
            "glance": {"endpoint_override": f"{url}/image"},
            "cinder": client | {"catalog_info": "block-storage::publicURL"},
            "placement": client,
            "neutron": client,
            "service_user": account | {"send_service_user_token": "true"},
            "quota": {"instances": "500", "cores": "2000", "ram": "2000000"},
            "scheduler": {"discover_hosts_in_cells_interval": "-1"},
            "conductor": {"workers": "1"},
            "vnc": {"enabled": "false"},
        },
        "cinder": common
        | {
            "DEFAULT": default(
                "cinder",
                transport_url="fake://",
                auth_strategy="keystone",
                host="volumes-1",
                my_ip="127.0.0.1",
                state_path=f"{state}/cinder",
                enabled_backends="memory",
                api_paste_config=f"{folder}/etc/cinder/api-paste.ini",
                resource_query_filters_file=f"{folder}/etc/cinder/resource_filters.json",
                report_interval="5",
                service_down_time="86400",
                scheduler_driver_init_wait_time="1",
                quota_volumes="500",
                quota_snapshots="500",
                quota_gigabytes="50000",
            ),
            "memory": {"volume_driver": "pitrix_volumes.MemoryDriver", "volume_backend_name": "memory"},
            "database": {"connection": database(folder, "cinder")},
            "coordination": {"backend_url": f"file://{state}/cinder"},
            "service_user": account | {"send_service_user_token": "true"},
        },
    }
