"""The daemon's process, from start to end: lock, listeners, discovery file, model, signals.

The order matters. The lock comes first: its holder may replace a dead socket, and no process can
steal a live one. The discovery file comes last, once all of it is true.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web

from llmsuggestd import discovery
from llmsuggestd.config import DEFAULT_PORT, Config
from llmsuggestd.daemon import access, compat, notify, upgrade
from llmsuggestd.daemon.access import PORT, SOCKET, Door
from llmsuggestd.daemon.app import make_app
from llmsuggestd.daemon.daemon import Daemon
from llmsuggestd.daemon.listeners import (
    Site,
    check_inherited,
    is_too_long,
    port_listener,
    socket_listener,
)
from llmsuggestd.errors import AlreadyRunningError, ConfigError, LlmsuggestdError, ModelError
from llmsuggestd.files import write_atomically
from llmsuggestd.identity import Process
from llmsuggestd.lock import only_one
from llmsuggestd.models import store
from llmsuggestd.ownership import make_directory
from llmsuggestd.paths import Paths

log = logging.getLogger(__name__)

GRACE: Final = 2.5
"""Seconds that requests in flight have to finish when the daemon stops. With SHUTDOWN_TIMEOUT and
the engine's own end, the daemon ends within 5 s."""

SHUTDOWN_TIMEOUT: Final = 0.5
"""Seconds that connections then have to receive their answers."""

ReadConfig = Callable[[], Config]


def serve(paths: Paths, read_config: ReadConfig) -> None:
    """Run the daemon until a signal or `POST /v1/shutdown` ends it.

    Raises AlreadyRunningError if another runs for this home, ConfigError if a setting is wrong or
    it cannot listen.
    """
    os.umask(0o077)  # our files are private
    config = read_config()
    for directory in paths.directories():
        make_directory(paths, directory)
    if (
        store.STARTER in (config.model, config.remote.fallback)
        and not store.starter_path(paths).exists()
    ):
        with contextlib.suppress(ModelError):  # loading the model will report the error
            store.place_starter(paths)  # `install` has not been run yet
    with only_one(paths.lock_file, partial(_runs_already, paths)):
        upgrade.finish(paths)
        is_replaced = asyncio.run(_serve(paths, config, read_config))
    if is_replaced:
        upgrade.start_again()


async def _serve(paths: Paths, config: Config, read_config: ReadConfig) -> bool:
    """Serve until the end. Returns whether it ended because another version was installed."""
    stop = asyncio.Event()
    keeps_sockets = not notify.is_activated()
    loop = asyncio.get_running_loop()
    for name in ("SIGTERM", "SIGINT"):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C ends asyncio.run
            loop.add_signal_handler(getattr(signal, name), stop.set)
    with contextlib.ExitStack() as stack:
        doors = _open_doors(stack, paths, config)
        daemon = Daemon(
            paths, config, _token(paths.token_file), metadata.version("llama-cpp-python"), stop.set
        )
        runners = []
        for door, listener in doors:
            runner = web.AppRunner(
                make_app(daemon, door),
                handler_cancellation=True,  # a client that disconnects no longer wants the answer
                shutdown_timeout=SHUTDOWN_TIMEOUT,
            )
            runners.append(runner)
            await runner.setup()
            await Site(runner, listener).start()
            _announce(daemon, door, listener)
        if sys.platform != "win32":
            loop.add_signal_handler(signal.SIGHUP, _reload, daemon, read_config)
        with _announced(paths, daemon):
            log.info("serving on %s", " and ".join(filter(None, (daemon.socket, daemon.url))))
            notify.notify("READY=1", f"STATUS=serving {config.model}")
            loading = asyncio.create_task(daemon.load())
            is_replaced = await _wait_for_end(stop, watch=keeps_sockets)
            log.info("stopping")
            if is_replaced:
                notify.reloading()  # to the service manager, it is the same process
            else:
                notify.notify("STOPPING=1")
        for runner in runners:
            for site in list(runner.sites):
                await site.stop()
        await daemon.close(GRACE)
        await asyncio.gather(*(runner.cleanup() for runner in runners))
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)
        await daemon.suggester.model.close()
    return is_replaced and not stop.is_set()


async def _wait_for_end(stop: asyncio.Event, *, watch: bool) -> bool:
    """Wait until the daemon must end. Returns whether that is because of another version.

    Without `watch`, an upgrade is ignored, since the new version would not get systemd's sockets.
    """
    stopping = asyncio.ensure_future(stop.wait())
    tasks: list[asyncio.Future[Any]] = [stopping]
    if watch and sys.platform != "win32":  # Windows cannot replace the program of a process
        tasks.append(asyncio.create_task(upgrade.wait_until_replaced()))
    done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    return stopping not in done


def _open_doors(
    stack: contextlib.ExitStack, paths: Paths, config: Config
) -> list[tuple[Door, socket.socket]]:
    """All listening sockets with their rules: those from systemd, otherwise our own."""
    doors: list[tuple[Door, socket.socket]] = []
    unix = getattr(socket, "AF_UNIX", None)
    for listener in notify.inherited_sockets():
        stack.enter_context(listener)
        check_inherited(listener)
        doors.append((SOCKET if listener.family == unix else PORT, listener))
    open_already = {door for door, _ in doors}
    path = None if SOCKET in open_already else _own_socket(paths, config)
    if PORT not in open_already:
        has_socket = path is not None or SOCKET in open_already
        if (own := own_port(config.port, needed=not has_socket)) is not None:
            doors.append((PORT, stack.enter_context(own)))
    if path is not None:
        own_socket = socket_listener(path, chosen=bool(config.socket))
        doors.append((SOCKET, stack.enter_context(own_socket)))
    for name, port in config.compat_ports().items():
        listener = stack.enter_context(port_listener(port, f"`compat`, as {name}:PORT"))
        doors.append((access.compat_door(name, compat.GROUPS[name]), listener))
    return doors


def _own_socket(paths: Paths, config: Config) -> Path | None:
    """The path of our Unix socket; None if there can be none, and clients use the port."""
    path = config.socket_path(paths)
    if not hasattr(socket, "AF_UNIX"):
        return None
    if is_too_long(path) and not config.socket:  # a deep home is no mistake in the settings
        log.warning("no socket, since its path is too long: %s; clients use the port", path)
        return None
    return path


def own_port(port: int, *, needed: bool = True) -> socket.socket | None:
    """The daemon's port, or a free one if the default cannot be used.

    For example, another user's daemon has the default. A sandbox may allow no port at all: the
    result is None then, unless one is `needed`. Raises ConfigError.
    """
    try:
        return port_listener(port, "--port or `port` in config.toml")
    except ConfigError as error:
        if port != DEFAULT_PORT:
            raise
        reason = error.message
    try:
        listener = port_listener(0, "--port")
    except ConfigError:
        if needed:
            raise
        log.warning("%s, nor can another; clients use the socket", reason)
        return None
    log.warning("%s: taking port %d", reason, listener.getsockname()[1])
    return listener


def _announce(daemon: Daemon, door: Door, listener: socket.socket) -> None:
    """Record a listener's address for the status and the discovery file."""
    address = listener.getsockname()
    if door == SOCKET:
        daemon.socket = os.fsdecode(address)
        return
    url = f"http://127.0.0.1:{address[1]}"
    if door == PORT:
        daemon.url = url
        return
    daemon.listeners[door.name] = url
    who = "that you run" if sys.platform == "linux" else "of ANY USER of this machine"
    log.warning(
        "compatibility listener %s on %s: any program %s can ask for suggestions there without "
        "the token",
        door.name, url, who,
    )  # fmt: skip


def _reload(daemon: Daemon, read_config: ReadConfig) -> None:
    """Read the settings again. Wrong settings are logged and change nothing."""
    notify.reloading()
    try:
        daemon.reload(read_config())
    except LlmsuggestdError as error:
        log.error("the settings stay unchanged: %s", error.message)
    notify.notify("READY=1")


def _runs_already(paths: Paths, process: Process) -> AlreadyRunningError:
    if process.is_elsewhere:
        hint = f"stop it there; if it is gone, remove {paths.lock_file}"
    else:
        hint = "`llmsuggestd status` shows it, `llmsuggestd restart` ends it and starts another"
    return AlreadyRunningError(f"a daemon runs already ({process})", hint)


def _token(file: Path) -> str:
    """The bearer token, made on the first start, and again if others could have read it."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        token = file.read_text(encoding="ascii").strip()
        info = file.stat()
        private = sys.platform == "win32" or (
            info.st_uid == os.getuid() and not info.st_mode & 0o077
        )
        if len(token) >= 32 and private:
            return token
        log.warning("making a new token: %s was open to other users, or broken", file)
    token = secrets.token_urlsafe(32)
    try:
        write_atomically(file, token.encode(), mode=0o600)
    except OSError as error:
        log.warning("cannot write %s, so no client can use the port: %s", file, error)
    return token


@contextlib.contextmanager
def _announced(paths: Paths, daemon: Daemon) -> Iterator[None]:
    """Tell clients where the daemon is while it serves, as far as the disk has room for that."""
    record = discovery.Record(
        **msgspec.structs.asdict(Process.current()),
        socket=daemon.socket,
        url=daemon.url,
        token_file=str(paths.token_file),
    )
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(discovery.announced(paths, record))
        except OSError as error:
            log.warning(
                "cannot write %s, so clients look for the socket only in its usual place: %s",
                paths.client_file, error,
            )  # fmt: skip
        yield
