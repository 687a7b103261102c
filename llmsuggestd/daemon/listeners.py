"""The daemon's listening sockets: its own, or those that systemd passes."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import stat
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from aiohttp import web

from llmsuggestd.daemon.calls import refusal
from llmsuggestd.errors import ConfigError
from llmsuggestd.file_errors import explained
from llmsuggestd.files import check_private, make_private

log = logging.getLogger(__name__)

MAX_SOCKET_PATH: Final = 107 if sys.platform == "linux" else 103
"""Bytes of a Unix socket's path: the size of `sun_path` without its final NUL."""

MAX_CONNECTIONS: Final = 128
"""Connections per listener, so that a client with many connections leaves the other listeners
open."""

ANOTHER_PATH: Final = "set `socket` in config.toml to another path"
"""The remedy for a socket's path that cannot be used."""

IDLE_TIMEOUT: Final = 15.0
"""Timeout for a request's head, in seconds."""

LINGERING: Final = 2.0
"""Seconds for which the rest of a refused body is read, so that its sender sees the answer."""

FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
    b"Retry-After: 1\r\nConnection: close\r\nContent-Length: 91\r\n\r\n"
    b'{"error":{"code":"busy","message":"too many connections","hint":"try again in a moment"}}\r\n'
)


class Site(web.BaseSite):
    """A listening socket with a limit on connections."""

    def __init__(self, runner: web.BaseRunner, listener: socket.socket) -> None:
        super().__init__(runner)
        self._listener = listener

    @property
    def name(self) -> str:
        """The socket's address."""
        return str(self._listener.getsockname())

    async def start(self) -> None:
        """Accept connections."""
        await super().start()
        server = self._runner.server
        assert server is not None

        loop = asyncio.get_running_loop()
        # asyncio accepts a hundred connections before aiohttp counts the first of them.
        accepted: weakref.WeakSet[_Connection] = weakref.WeakSet()

        def protocol() -> asyncio.BaseProtocol:
            if len(server.connections) + len(accepted) >= MAX_CONNECTIONS:
                return _OverLimit()
            connection = _Connection(server, loop=loop, made=accepted.discard)
            accepted.add(connection)
            return connection

        self._server = await loop.create_server(protocol, sock=self._listener)


class _Connection(web.RequestHandler):
    """A connection with our limits, and our error for a message that is not HTTP."""

    __slots__ = ("__weakref__", "_made")

    def __init__(
        self,
        server: web.Server,
        *,
        loop: asyncio.AbstractEventLoop,
        made: Callable[[_Connection], None],
    ) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # working hours are private
            keepalive_timeout=IDLE_TIMEOUT,
            lingering_time=LINGERING,
            auto_decompress=False,  # a small body must not expand into a large one
        )
        self._made = made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._made(self)  # from now on, aiohttp counts it

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        """Answer a message that is not HTTP. aiohttp's own words would quote it, perhaps a goal."""
        if status >= 500:
            log.error("a connection failed", exc_info=exc)
            response = refusal(status, "internal", "a fault in llmsuggestd", "")
        else:
            response = refusal(status, "invalid_request", "the message is not valid HTTP", "")
        response.force_close()
        return response


class _OverLimit(asyncio.Protocol):
    """A connection over the limit, which gets an error and is closed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(FULL)
        transport.close()


def port_listener(port: int, setting: str) -> socket.socket:
    """A socket that listens on 127.0.0.1 only; `setting` is the name of its port's setting.

    Raises ConfigError if the port cannot be used.
    """
    listener = None
    try:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if sys.platform != "win32":  # on Windows, two programs could then share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(MAX_CONNECTIONS)
    except (OSError, OverflowError) as error:
        if listener is not None:
            listener.close()
        if isinstance(error, OverflowError):
            what, remedy = "does not exist", "give one below 65536"
        elif error.errno == errno.EADDRINUSE:
            what, remedy = "is used by another program", "give another"
        else:
            what, remedy = f"cannot be used: {error.strerror}", "give one above 1023"
        hint = f"{remedy} with {setting}; 0 takes a free one"
        raise ConfigError(f"port {port} {what}", hint) from error
    return listener


def is_too_long(path: Path) -> bool:
    """Whether a path is too long for a Unix socket."""
    return len(os.fsencode(path)) > MAX_SOCKET_PATH


def check_place(path: Path, *, chosen: bool) -> None:
    """Raise ConfigError if there can be no socket at `path` that is private.

    `chosen` says whether a setting names the path.
    """
    if is_too_long(path):
        raise ConfigError(
            f"the socket's path is too long ({len(os.fsencode(path))} bytes, at most "
            f"{MAX_SOCKET_PATH}): {path}",
            "give a shorter one as `socket` in config.toml, or as LLMSUGGESTD_SOCKET",
        )
    try:
        if path.parent.is_dir():
            check_private(path.parent)
    except ConfigError as error:
        if not chosen:
            raise
        raise ConfigError(
            f"the socket cannot be {path}: {error.message}",
            "give one in a folder that only you can enter, as `socket` in config.toml or as"
            " LLMSUGGESTD_SOCKET",
        ) from None


@contextlib.contextmanager
def socket_listener(path: Path, *, chosen: bool = False) -> Iterator[socket.socket]:
    """A Unix socket that listens at `path`, for its owner only; removed at the end.

    Raises ConfigError as `check_place` does, and if another program uses the path.
    """
    check_place(path, chosen=chosen)
    if not path.parent.is_dir():
        make_private(path.parent)
    if is_dead_socket(path):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with listener:
        try:
            listener.bind(str(path))
            path.chmod(0o600)
        except OSError as error:
            reason, hint = explained(path, error, ANOTHER_PATH)
            raise ConfigError(f"cannot make the socket {path}: {reason}", hint) from error
        listener.listen(MAX_CONNECTIONS)
        made = path.lstat()
        try:
            yield listener
        finally:
            with contextlib.suppress(OSError):
                if os.path.samestat(made, path.lstat()):  # not a later daemon's
                    path.unlink()


def check_inherited(listener: socket.socket) -> None:
    """Raise ConfigError unless a socket from systemd is as private as our own would be."""
    if listener.family == socket.AF_UNIX:
        path = Path(os.fsdecode(listener.getsockname()))
        if not path.is_absolute():
            raise ConfigError(
                "the socket that systemd passes has no path", "give it a ListenStream path"
            )
        check_private(path.parent)
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"the socket {path} is open to other users", "set SocketMode=0600")
    elif listener.getsockname()[0] != "127.0.0.1":
        raise ConfigError(
            f"the socket that systemd passes listens on {listener.getsockname()[0]}",
            "set ListenStream=127.0.0.1:PORT",
        )


def is_dead_socket(path: Path) -> bool:
    """Whether a socket without a listener has the path. Raises ConfigError if anything else has."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"{path} exists and is not a socket", f"move it away, or {ANOTHER_PATH}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
        except OSError as error:
            raise ConfigError(f"cannot use the socket {path}: {error}", ANOTHER_PATH) from error
        raise ConfigError(f"another program listens on {path}", f"end it, or {ANOTHER_PATH}")
