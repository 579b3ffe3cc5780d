"""Run the QingCloud under test by hand: ``python -m tests.clouds.qingcloud``; it ends with Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import threading

from tests.clouds.qingcloud.cloud import Account
from tests.clouds.qingcloud.server import serve


def main() -> None:
    parser = argparse.ArgumentParser(description="A QingCloud on the loopback, for tests.")
    parser.add_argument("--port", type=int, default=0, help="where it listens; 0 for any free port")
    parser.add_argument("--settle-s", type=float, default=0.2, help="seconds that a transition takes")
    options = parser.parse_args()
    account = Account(access_key_id="AKID", secret_access_key="SECRET", user_id="usr-account0")
    ended = threading.Event()
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda *_: ended.set())
    with serve([account], settle_s=options.settle_s, port=options.port) as cloud:
        print(f"qingcloud: {cloud.url}", flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
