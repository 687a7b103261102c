"""What systemd wants to be told and what it hands over (sd_notify(3), sd_listen_fds(3))."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from typing import Final

FIRST_DESCRIPTOR: Final = 3
"""The first of the descriptors that systemd hands over."""


def notify(*lines: str) -> None:
    """Tell the service manager something, such as `READY=1`, if one listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
        return
    path = "\0" + address[1:] if address.startswith("@") else address
    with (
        contextlib.suppress(OSError),  # a manager that does not listen is no reason to fail
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock,
    ):
        sock.sendto("\n".join(lines).encode(), path)


def reloading() -> None:
    """Tell the service manager that settings are read again; `READY=1` ends that."""
    microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notify("RELOADING=1", f"MONOTONIC_USEC={microseconds}")


def inherited_sockets() -> list[socket.socket]:
    """The listening sockets that systemd has opened for us; each is handed out once."""
    count, pid = os.environ.pop("LISTEN_FDS", ""), os.environ.pop("LISTEN_PID", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if sys.platform == "win32" or pid != str(os.getpid()) or not count.isdigit():
        return []
    sockets = []
    for descriptor in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count)):
        os.set_inheritable(descriptor, False)  # not for the engine
        sockets.append(socket.socket(fileno=descriptor))
    return sockets
