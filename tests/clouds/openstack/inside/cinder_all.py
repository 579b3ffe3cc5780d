"""``cinder_all.py CONFIG SOCKET PREFIX``: cinder's API, scheduler and volume service in one process."""

# ruff: noqa: E402 (each service reads its options while it is imported)

import os
import sys
import traceback

config, place, prefix = sys.argv[1:4]
sys.argv = ["cinder-all", "--config-file", config]
os.environ["OS_CINDER_DISABLE_EVENTLET_PATCHING"] = "1"

from cinder import monkey_patch

monkey_patch.patch()

import os_brick
import waitress
from cinder import service
from cinder.wsgi import api
from oslo_config import cfg
from oslo_privsep import priv_context

CONF = cfg.CONF
CONF.register_opt(cfg.StrOpt("backend_host"), group="memory")
CONF.register_opt(cfg.StrOpt("cluster"))
priv_context.init(root_helper=["true"])
os_brick.setup(CONF)


def main():
    running = []  # the scheduler comes last: it asks the volume service what it has, and waits for the answer
    for options in (
        {
            "binary": "cinder-volume",
            "host": f"{CONF.host}@memory",
            "service_name": "memory",
            "coordination": True,
        },
        {"binary": "cinder-scheduler"},
    ):
        running.append(service.Service.create(**options))
        running[-1].start()
    waitress.serve(api.application, unix_socket=place, url_prefix=prefix, threads=8, ident=None)


try:
    main()
except BaseException:
    traceback.print_exc()
    os._exit(1)  # the services that did start have threads that would keep a broken cloud alive
