"""Access control: which callers each listener of the daemon lets in.

| listener | lets in |
|---|---|
| the Unix socket | the user's own processes: by its file's mode, and by the peer's uid |
| the port | holders of the bearer token, with a Host header that names this machine |
| a compatibility listener | the user's own processes where the system names the peer's owner \
(Linux), with a Host header that names this machine; it has only its client's calls |

No listener accepts a request from a browser. A web page can reach localhost, under its own name or
a rebound one (CVE-2024-28224), and browsers send some requests without an Origin.
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
"""Paths that the port answers without the token. They reveal only that a daemon runs."""

LOCAL_HOST: Final = re.compile(r"(localhost|127\.0\.0\.1)\.?(:\d{1,5})?", re.IGNORECASE)
"""The values of Host that can only mean this machine."""

BROWSER_HEADERS: Final = ("Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest")
"""Headers that browsers add to a page's requests, and that our clients never send."""


class Forbidden(LlmsuggestdError):
    """This caller may not use the listener, whatever it asks."""

    code = "forbidden"


class Unauthorized(LlmsuggestdError):
    """The token is missing or wrong."""

    code = "unauthorized"


@dataclass(frozen=True)
class Door:
    """One way into the daemon: a listener with its access rules."""

    name: str
    needs_token: bool = False
    """Whether a request needs the bearer token."""
    checks_host: bool = False
    """Whether the Host header must name this machine (it means nothing on a Unix socket)."""
    checks_owner: bool = False
    """Whether the process at the other end must be the user's own."""
    group: str | None = None
    """The group of calls that it offers; None for all calls."""


SOCKET: Final = Door("socket", checks_owner=True)
PORT: Final = Door("port", needs_token=True, checks_host=True)


def compat_door(name: str, group: str) -> Door:
    """The rules of a compatibility listener, whose clients cannot send a token."""
    return Door(name, checks_host=True, checks_owner=True, group=group)


def check(request: web.Request, door: Door, token: str) -> None:
    """Raise Forbidden or Unauthorized unless the rules allow a request."""
    if any(name in request.headers for name in BROWSER_HEADERS):
        raise Forbidden("web pages may not use this daemon", "")
    if door.checks_owner and not _from_owner(request.transport):
        raise Forbidden("this daemon belongs to another user", "start one of your own")
    if door.checks_host:
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1 or not LOCAL_HOST.fullmatch(hosts[0]):
            named = ", ".join(hosts)[:100]
            raise Forbidden(f"Host {named!r} is not this machine", "use http://127.0.0.1")
    if door.needs_token and request.path not in OPEN_PATHS and not _has_token(request, token):
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
    """Whether the peer's process belongs to us or to root, as far as the system can tell."""
    sock = transport.get_extra_info("socket") if transport is not None else None
    if sock is None:
        return False  # the connection is closed
    if sys.platform == "win32":
        return True  # no Unix sockets here, and the system does not name a TCP peer's owner
    if sock.family == socket.AF_UNIX:
        uid = unix_peer(sock)
    elif sys.platform == "linux":
        uid = tcp_peer(sock.getpeername(), sock.getsockname())
        if uid is None:
            return False  # closed already, or on another machine
    else:
        uid = None
    return uid is None or uid in (os.getuid(), 0)


def unix_peer(sock: socket.socket) -> int | None:
    """The uid of a Unix socket's peer; None where the system does not tell."""
    if sys.platform == "linux":
        _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(uid)
    if sys.platform == "darwin":
        # struct xucred: version, uid, groups; SOL_LOCAL and LOCAL_PEERCRED are 0 and 1
        return int(struct.unpack_from("2I", sock.getsockopt(0, 1, 76))[1])
    return None


def tcp_peer(peer: tuple[str, int], here: tuple[str, int]) -> int | None:
    """The uid of the peer of a TCP connection within this machine (Linux).

    The kernel's table has a line for the peer's end. Lines without an inode belong to sockets that
    no process holds any more, and show uid 0.
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
    """An IPv4 address as /proc/net/tcp6 writes it, for a dual-stack socket."""
    (marker,) = struct.unpack("=I", b"\0\0\xff\xff")
    return f"{0:016X}{marker:08X}{_little_endian(address)}"
