"""A SOCKS 5 proxy on this machine (RFC 1928, CONNECT without authentication)."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Socks:
    """The proxy's address, and a record of the requested connections."""

    address: str
    asked: list[tuple[str, int]] = field(default_factory=list)


@contextlib.contextmanager
def proxying(refuse: int = 0) -> Iterator[Socks]:
    """Run a proxy during the block. With `refuse`, it answers with that code instead of connecting.

    Every name resolves to this machine.
    """
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        socks = Socks(f"127.0.0.1:{server.server_address[1]}")
        server.socks, server.refuse = socks, refuse  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield socks
        finally:
            server.shutdown()
            thread.join()


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        _, methods = self.rfile.read(2)
        self.rfile.read(methods)
        self.wfile.write(b"\x05\x00")
        _, _, _, kind = self.rfile.read(4)
        if kind == 3:
            host = self.rfile.read(self.rfile.read(1)[0]).decode()
        else:
            host = socket.inet_ntoa(self.rfile.read(4))
        (port,) = struct.unpack(">H", self.rfile.read(2))
        self.server.socks.asked.append((host, port))  # type: ignore[attr-defined]
        refuse: int = self.server.refuse  # type: ignore[attr-defined]
        self.wfile.write(bytes([5, refuse, 0, 1, 0, 0, 0, 0, 0, 0]))
        if not refuse:
            with socket.create_connection(("127.0.0.1", port)) as target:
                thread = threading.Thread(target=_copy, args=(target, self.connection))
                thread.start()
                _copy(self.connection, target)
                thread.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(2**16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
