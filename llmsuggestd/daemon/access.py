"""Who may use which door of the daemon.

| door | who gets in |
|---|---|
| the Unix socket | the user's own processes: by its file's mode, and by the peer's uid |
| the port | whoever holds the bearer token, at a Host that names this machine |
| a compatibility listener | the user's own processes where the system names the peer's owner \
(Linux), at a Host that names this machine; only the calls of its client |

Nothing that a browser sends gets in anywhere: a page may reach localhost, under its own name or a
rebound one (CVE-2024-28224), and on some requests browsers send no Origin.
"""

from __future__ import annotations

import hmac
import os
import re
import socket
import struct
import sys
from asyncio import BaseTransport
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from llmsuggestd.errors import LlmsuggestdError

OPEN_PATHS: Final = frozenset({"/health"})
"""Answered on the port without the token; they tell nothing but that a daemon is here."""

LOCAL_HOST: Final = re.compile(r"(localhost|127\.0\.0\.1)\.?(:\d{1,5})?", re.IGNORECASE)
"""A Host that can only mean this machine."""

BROWSER_HEADERS: Final = ("Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest")
"""What browsers put on requests of pages, and our clients never do."""


class Forbidden(LlmsuggestdError):
    """Not for this caller, whatever it asks."""

    code = "forbidden"


class Unauthorized(LlmsuggestdError):
    """The token is missing or wrong."""

    code = "unauthorized"


@dataclass(frozen=True)
class Door:
    """One way into the daemon, with its own connections."""

    name: str
    token: bool = False
    """Whether a request needs the bearer token."""
    host: bool = False
    """Whether the Host header must name this machine (it means nothing on a Unix socket)."""
    owner: bool = False
    """Whether the process at the other end must be the user's own."""
    group: str | None = None
    """The calls behind it; None for all."""


SOCKET: Final = Door("socket", owner=True)
PORT: Final = Door("port", token=True, host=True)


def compat_door(name: str, group: str) -> Door:
    """The door of a compatibility listener: its clients cannot send a token."""
    return Door(name, host=True, owner=True, group=group)


def check(request: web.Request, door: Door, token: str) -> None:
    """Raise Forbidden or Unauthorized unless a request may come in by this door."""
    if any(name in request.headers for name in BROWSER_HEADERS):
        raise Forbidden("web pages may not use this daemon", "")
    if door.owner and not _from_owner(request.transport):
        raise Forbidden("this daemon belongs to another user", "start one of your own")
    if door.host:
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1 or not LOCAL_HOST.fullmatch(hosts[0]):
            named = ", ".join(hosts)[:100]
            raise Forbidden(f"Host {named!r} is not this machine", "use http://127.0.0.1")
    if door.token and request.path not in OPEN_PATHS and not _has_token(request, token):
        raise Unauthorized(
            "the port needs the bearer token",
            "read it from the `token_file` that client.json names",
        )


def _has_token(request: web.Request, token: str) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(
        given.strip().encode(errors="surrogateescape"), token.encode()
    )


def _from_owner(transport: BaseTransport | None) -> bool:
    """Whether the process at the other end is ours or root's, as far as the system can tell."""
    sock = transport.get_extra_info("socket") if transport is not None else None
    if sock is None:
        return False  # the connection is gone
    if sys.platform == "win32":
        return True  # no Unix sockets, and no owner to be had for others
    if sock.family == socket.AF_UNIX:
        uid = unix_peer(sock)
    elif sys.platform == "linux":
        uid = tcp_peer(sock.getpeername(), sock.getsockname())
        if uid is None:
            return False  # closed already, or not of this machine
    else:
        uid = None
    return uid is None or uid in (os.getuid(), 0)


def unix_peer(sock: socket.socket) -> int | None:
    """The uid of the process at the other end of a Unix socket; None where nobody says."""
    if sys.platform == "linux":
        _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(uid)
    if sys.platform == "darwin":
        # struct xucred: version, uid, groups; SOL_LOCAL and LOCAL_PEERCRED are 0 and 1
        return int(struct.unpack_from("2I", sock.getsockopt(0, 1, 76))[1])
    return None


def tcp_peer(peer: tuple[str, int], here: tuple[str, int]) -> int | None:
    """The uid of the process at the other end of a TCP connection of this machine (Linux).

    Its end is a line of the kernel's table. Lines without an inode are of sockets that no process
    holds any more, and say uid 0.
    """
    for table, address in (("tcp", _little_endian), ("tcp6", _mapped)):
        ends = (f"{address(peer[0])}:{peer[1]:04X}", f"{address(here[0])}:{here[1]:04X}")
        try:
            lines = Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        for line in lines[1:]:
            columns = line.split()
            if (columns[1], columns[2]) == ends and columns[9] != "0":
                return int(columns[7])
    return None


def _little_endian(address: str) -> str:
    """An IPv4 address as /proc/net/tcp writes it."""
    (number,) = struct.unpack("=I", socket.inet_aton(address))
    return f"{number:08X}"


def _mapped(address: str) -> str:
    """An IPv4 address as /proc/net/tcp6 writes it, of a socket that speaks both."""
    (marker,) = struct.unpack("=I", b"\0\0\xff\xff")
    return f"{0:016X}{marker:08X}{_little_endian(address)}"
