"""``python -m infra.local.hypervisor --data DIR --port N --token-file FILE``: run the cloud in front.

Prints ``hypervisor: http://127.0.0.1:PORT`` when it is ready. SIGTERM or Ctrl-C stops every machine and
remembers which ones ran; the next start boots them again. Exit codes: 0 stopped as told, 2 wrong usage,
3 the port is taken, 4 another hypervisor has the data folder.
"""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import secrets
import signal
import sys
from pathlib import Path
from threading import Event, Thread

from infra.local.tether import when_supervisor_ends

from .cloud import Cloud, Quota
from .server import Server


def main() -> int:
    options = _options()
    logging.basicConfig(level=options.log_level, format="%(asctime)s %(levelname)s %(message)s")
    options.data = options.data.resolve()
    options.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(options.data / "hypervisor.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"hypervisor: another one is using {options.data}", file=sys.stderr)
        return 4
    quota = Quota(
        machines=options.max_machines, memory_mib=options.max_memory_mib, volume_gib=options.max_volume_gib
    )
    cloud = Cloud(options.data, quota=quota, python=options.python, grace_s=options.grace_s)
    try:
        server = Server(options.port, cloud, _token(options.token_file))
    except OSError as error:
        print(f"hypervisor: cannot listen on 127.0.0.1:{options.port}: {error.strerror}", file=sys.stderr)
        return 3
    told_to_stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told_to_stop.set())
    if options.tethered:
        when_supervisor_ends(told_to_stop.set)
    cloud.open()
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
    print(f"hypervisor: http://127.0.0.1:{server.server_port}", flush=True)
    told_to_stop.wait()
    server.shutdown()
    server.server_close()
    cloud.close()
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="hypervisor", description="A cloud of one machine: this one.")
    parser.add_argument("--data", type=Path, required=True, help="folder for everything it keeps")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--token-file", type=Path, required=True, help="the API's token; made when absent")
    parser.add_argument("--python", default=sys.executable, help="the machines' PITRIX_PYTHON")
    parser.add_argument("--grace-s", type=float, default=10.0, help="seconds between TERM and KILL")
    parser.add_argument("--max-machines", type=int, default=Quota.machines)
    parser.add_argument("--max-memory-mib", type=int, default=Quota.memory_mib, help="declared, in MiB")
    parser.add_argument("--max-volume-gib", type=int, default=Quota.volume_gib, help="declared, in GiB")
    parser.add_argument("--tethered", action="store_true", help="stop when standard input ends")
    parser.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING"])
    return parser.parse_args()


def _token(path: Path) -> str:
    """The token in the file; one is made, readable by its owner alone, when there is no file."""
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
    except FileExistsError:
        pass
    token = path.read_text().strip()
    if not token:
        raise SystemExit(f"hypervisor: {path} is empty")
    return token


if __name__ == "__main__":
    sys.exit(main())
