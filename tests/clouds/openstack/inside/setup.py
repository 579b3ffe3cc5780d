"""``setup.py URL``: what an operator does once with a new OpenStack; its users come as JSON on stdin.

Two steps, by the option: ``--catalog`` with nothing but keystone running (projects, users, where the services
are), then, with all services running, sizes, an image, a network with public addresses, and small quotas.
"""

import io
import json
import struct
import sys

import openstack

wanted = json.load(sys.stdin)
cloud = openstack.connect(
    auth={
        "auth_url": f"{sys.argv[1]}/identity/v3",
        "username": "admin",
        "password": wanted["admin_password"],
        "project_name": "admin",
        "user_domain_name": "Default",
        "project_domain_name": "Default",
    },
    region_name="RegionOne",
)


def catalog():
    identity = cloud.identity
    roles = {role.name: role for role in identity.roles()}
    for name, user in wanted["users"].items():
        project = identity.create_project(name=user["project"], domain_id="default")
        made = identity.create_user(name=name, password=user["password"], domain_id="default")
        for role in user["roles"]:
            identity.assign_project_role_to_user(project, made, roles[role])
    identity.create_user(name="nobody", password=wanted["users"]["demo"]["password"], domain_id="default")
    for name, kind, path in wanted["catalog"]:
        service = identity.create_service(name=name, type=kind)
        url = sys.argv[1] + path
        for interface in ("public", "internal", "admin"):
            identity.create_endpoint(
                service_id=service.id, interface=interface, url=url, region_id="RegionOne"
            )


def everything_else():
    for cpu, memory in (
        (1, 512),
        (1, 1024),
        (2, 1024),
        (2, 2048),
        (2, 4096),
        (4, 8192),
        (8, 16384),
        (16, 32768),
    ):
        cloud.compute.create_flavor(name=f"c{cpu}.m{memory}", vcpus=cpu, ram=memory, disk=1)
    header = struct.pack(
        ">IQIIQIIQQIIQQQQII", 3, 0, 0, 16, 1 << 20, 0, 1, 0x30000, 0x10000, 1, *[0] * 5, 4, 104
    )
    disk = (b"QFI\xfb" + header).ljust(262144, b"\0")
    cloud.image.create_image(
        name="debian-12",
        container_format="bare",
        disk_format="qcow2",
        visibility="public",
        data=io.BytesIO(disk),
        validate_checksum=False,
        use_import=False,
    )
    outside = cloud.network.create_network(
        name="public",
        is_router_external=True,
        provider_network_type="flat",
        provider_physical_network="outside",
    )
    cloud.network.create_subnet(
        network_id=outside.id, ip_version=4, cidr="198.18.0.0/16", name="public", is_dhcp_enabled=False
    )
    small = cloud.identity.find_project("small").id
    cloud.set_compute_quotas(small, instances=1, ram=1024)
    cloud.set_volume_quotas(small, gigabytes=10)


catalog() if "--catalog" in sys.argv else everything_else()
