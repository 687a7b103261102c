"""Addresses of servers, and whether goals may be sent there.

A server on this machine is always allowed. Another machine needs the user's permission and https.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from typing import NamedTuple
from urllib.parse import urlsplit

from llmsuggestd.errors import ConfigError, UsageError

_PLAIN = re.compile(r"[!-~]+")
"""The characters allowed in a URL: ASCII without white space and control characters."""


class NotAllowed(ConfigError):
    """The settings do not allow sending goals to this server."""

    code = "remote_not_allowed"


class Address(NamedTuple):
    """A server's address."""

    origin: str
    """Scheme, host and port, as messages show them."""
    base: str
    """The URL to which `/completions` is appended."""
    host: str
    encrypted: bool

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine. It may still be a tunnel's end."""
        if self.host == "localhost":
            return True
        with contextlib.suppress(ValueError):
            return ipaddress.ip_address(self.host).is_loopback
        return False

    def __str__(self) -> str:
        return self.origin


def parse(url: str) -> Address:
    """Parse a URL such as `http://127.0.0.1:8000/v1`, with or without `/v1`.

    Raises UsageError. Its message never repeats a password in the URL.
    """
    hint = "write it as http://127.0.0.1:8000/v1"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise UsageError("the URL is not valid", hint) from None
    if parts.username is not None or parts.password is not None:
        raise UsageError("a URL must not contain a key or a password", "use --key")
    if not _PLAIN.fullmatch(url) or parts.scheme not in ("http", "https") or not host:
        raise UsageError(f"{url!r} is not the URL of a server", hint)
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise UsageError(f"{url!r} must not have a query or a fragment", hint)
    try:
        host.encode("idna")
    except UnicodeError:
        raise UsageError(f"{url!r} has no valid host name", hint) from None
    path = parts.path.rstrip("/").removesuffix("/completions")
    if not path.endswith("/v1"):
        path += "/v1"
    shown = f"[{host}]" if ":" in host else host
    origin = f"{parts.scheme}://{shown}" + (f":{port}" if port is not None else "")
    return Address(origin, origin + path, host, parts.scheme == "https")


def check_allowed(address: Address, *, allow_remote: bool) -> None:
    """Raise NotAllowed unless goals may be sent to an address.

    This machine is always allowed. Any other host needs `allow_remote`, and encryption.
    """
    if address.is_loopback:
        return
    tunnel = f"`ssh -N -L 8000:localhost:8000 {address.host}` makes it http://127.0.0.1:8000"
    if not address.encrypted:
        raise NotAllowed(
            f"goals would be sent to {address} over the network without encryption",
            f"use https, or a tunnel: {tunnel}",
        )
    if not allow_remote:
        raise NotAllowed(
            f"{address} is another machine, and the settings do not allow sending goals there",
            "to allow it, write `allow_remote = true` under `[remote]` in config.toml",
        )
