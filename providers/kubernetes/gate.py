"""The only way out for Helm: a proxy on the loopback that connects to one address and to no other.

Owns the tunnels of one run of the program. Without it a server could send Helm elsewhere: to a metadata
service, or into the platform's network. Never reads what goes through (that is TLS from end to end).
"""

from __future__ import annotations

import contextlib
import secrets
import selectors
import socket
import socketserver
import threading
from base64 import b64encode
from collections.abc import Iterator

_CONNECT_S = 5
_IDLE_S = 900
"""A tunnel in which nothing is said for so long is closed: the longest that a function runs."""

_LINE = 8192


@contextlib.contextmanager
def gate(host: str, port: int, pinned: tuple[str, int]) -> Iterator[str]:
    """Let tunnels to ``host:port`` through, to the address in ``pinned``, while inside; the proxy's URL.

    The URL holds a password of its own, so that nobody else on this machine goes this way.
    """
    password = secrets.token_hex(16)
    expected = b"Basic " + b64encode(f"helm:{password}".encode())

    class Handler(socketserver.StreamRequestHandler):
        timeout = 30

        def handle(self) -> None:
            asked = self.rfile.readline(_LINE).split()
            signed = False
            while (line := self.rfile.readline(_LINE)).strip():
                name, _, value = line.partition(b":")
                if name.lower() == b"proxy-authorization":
                    signed = secrets.compare_digest(value.strip(), expected)
            if not signed or len(asked) < 2 or asked[0] != b"CONNECT" or asked[1].lower() != wanted:
                self.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                return
            try:
                upstream = socket.create_connection(pinned, _CONNECT_S)
            except OSError:
                self.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                return
            with upstream:
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                _pass_on(self.connection, upstream)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, *_: object) -> None:
            """Helm's connections end when it does."""

    wanted = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").lower().encode()
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"http://helm:{password}@127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def _pass_on(first: socket.socket, second: socket.socket) -> None:
    """Hand on what either says to the other, until one of them is done."""
    others = {first: second, second: first}
    for each in others:
        each.settimeout(_IDLE_S)
    with contextlib.suppress(OSError), selectors.DefaultSelector() as selector:
        for each in others:
            selector.register(each, selectors.EVENT_READ)
        while ready := selector.select(_IDLE_S):
            for key, _ in ready:
                source: socket.socket = key.fileobj  # type: ignore[assignment]
                data = source.recv(65536)
                if not data:
                    return
                others[source].sendall(data)
