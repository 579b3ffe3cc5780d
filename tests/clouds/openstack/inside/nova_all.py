"""``nova_all.py CONFIG SOCKET PREFIX``: nova's API, conductor, scheduler and compute in one process.

They talk through ``fake://``, which reaches only this process; that saves a message broker.
"""

# ruff: noqa: E402 (each service reads its options while it is imported)

import os
import sys
import traceback

config, place, prefix = sys.argv[1:4]
sys.argv = ["nova-all", "--config-file", config]
os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "1"
os.environ["OS_NOVA_CONFIG_DIR"] = os.path.dirname(config)

from nova import monkey_patch

monkey_patch.patch(backend="threading")

import io
import struct

import nova.cmd.compute
import nova.cmd.conductor
import nova.cmd.scheduler
import nova.conf
import os_brick
import os_vif
import waitress
from nova import context, service
from nova.compute import rpcapi as compute
from nova.conductor import rpcapi as conductor
from nova.image import glance
from nova.objects import host_mapping
from nova.scheduler import rpcapi as scheduler
from nova.virt import fake
from nova.wsgi import osapi_compute


def snapshot(self, context, instance, image_id, update_task_state, _noted=fake.FakeDriver.snapshot):
    """The fake hypervisor leaves the image empty; a real one uploads content, and it becomes active."""
    _noted(self, context, instance, image_id, update_task_state)
    header = struct.pack(
        ">IQIIQIIQQIIQQQQII", 3, 0, 0, 16, 1 << 20, 0, 1, 0x30000, 0x10000, 1, *[0] * 5, 4, 104
    )
    image = {"status": "active", "disk_format": "qcow2", "container_format": "bare", "properties": {}}
    image["name"] = glance.API().get(context, image_id)["name"]
    content = io.BytesIO((b"QFI\xfb" + header).ljust(262144, b"\0"))
    glance.API().update(context, image_id, image, data=content, purge_props=False)


fake.FakeDriver.snapshot = snapshot


def main():
    os_vif.initialize()
    os_brick.setup(nova.conf.CONF)
    running = []
    for binary, topic, more in (
        ("nova-conductor", conductor.RPC_TOPIC, {}),
        ("nova-scheduler", scheduler.RPC_TOPIC, {}),
        ("nova-compute", compute.RPC_TOPIC, {"topic_alt": compute.RPC_TOPIC_ALT}),
    ):
        running.append(service.Service.create(binary=binary, topic=topic, **more))
        running[-1].start()
    host_mapping.discover_hosts(context.get_admin_context())
    waitress.serve(osapi_compute.application, unix_socket=place, url_prefix=prefix, threads=8, ident=None)


try:
    main()
except BaseException:
    traceback.print_exc()
    os._exit(1)  # the services that did start have threads that would keep a broken cloud alive
