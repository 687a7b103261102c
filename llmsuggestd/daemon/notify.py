"""systemd's notifications and socket activation (sd_notify(3), sd_listen_fds(3))."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from typing import Final

FIRST_DESCRIPTOR: Final = 3
"""The first descriptor that systemd passes."""


def notify(*lines: str) -> None:
    """Send the service manager a state, such as `READY=1`, if one listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
        return
    path = "\0" + address[1:] if address.startswith("@") else address
    with (
        contextlib.suppress(OSError),  # the manager may have gone
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock,
    ):
        sock.sendto("\n".join(lines).encode(), path)


def reloading() -> None:
    """Report that the settings are being read again; `READY=1` ends that state."""
    microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notify("RELOADING=1", f"MONOTONIC_USEC={microseconds}")


def is_activated() -> bool:
    """Whether systemd passes listening sockets that `inherited_sockets` has not taken yet."""
    return bool(os.environ.get("LISTEN_FDS")) and os.environ.get("LISTEN_PID") == str(os.getpid())


def inherited_sockets() -> list[socket.socket]:
    """The listening sockets that systemd passes. A second call returns none."""
    count, pid = os.environ.pop("LISTEN_FDS", ""), os.environ.pop("LISTEN_PID", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if sys.platform == "win32" or pid != str(os.getpid()) or not count.isdigit():
        return []
    sockets = []
    for descriptor in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count)):
        os.set_inheritable(descriptor, False)  # not for the engine
        sockets.append(socket.socket(fileno=descriptor))
    return sockets
