"""The daemon's life: lock, listeners, discovery file, model, signals, end.

The order matters. The lock comes first, so that whoever holds it may replace a dead socket and
nobody steals a live one; the discovery file comes last, when what it says is true.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import secrets
import signal
import socket
import stat
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

from aiohttp import web

from llmsuggestd.config import Config
from llmsuggestd.daemon.app import Daemon, make_app
from llmsuggestd.daemon.engine import Supervisor
from llmsuggestd.daemon.suggester import Suggester
from llmsuggestd.engine import protocol
from llmsuggestd.errors import AlreadyRunningError, ConfigError, LlmsuggestdError
from llmsuggestd.models import store
from llmsuggestd.paths import Paths, check_private, make_private, write_atomically
from llmsuggestd.version import __version__

log = logging.getLogger(__name__)

MAX_SOCKET_PATH: Final = 107 if sys.platform == "linux" else 103
"""Bytes of a Unix socket's path: `sun_path` less its final NUL."""

STOP_TIMEOUT: Final = 4.0
"""Seconds that requests in flight get to finish when the daemon stops."""


def serve(paths: Paths, config: Config) -> None:
    """Run the daemon until a signal or `POST /v1/shutdown` ends it.

    Raises AlreadyRunningError if another runs for this home, ConfigError if it cannot listen.
    """
    for directory in paths.directories():
        make_private(directory)
    with _locked(paths.lock_file):
        asyncio.run(_serve(paths, config))


async def _serve(paths: Paths, config: Config) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in ("SIGTERM", "SIGINT"):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C ends asyncio.run
            loop.add_signal_handler(getattr(signal, name), stop.set)
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(_port_listener(config.port))]
        port = listeners[0].getsockname()[1]
        socket_path = config.socket_path(paths) if hasattr(socket, "AF_UNIX") else None
        if socket_path is not None:
            listeners.append(stack.enter_context(_socket_listener(socket_path)))
        token = _token(paths.token_file)
        daemon = Daemon(
            suggester=Suggester(config.model, _supervisor(paths, config)),
            token=token,
            socket=str(socket_path) if socket_path else None,
            url=f"http://127.0.0.1:{port}",
            llama_cpp=metadata.version("llama-cpp-python"),
            shut_down=stop.set,
        )
        runner = web.AppRunner(
            make_app(daemon),
            access_log=None,  # goals may be private, and so is when somebody works
            handler_cancellation=True,  # who hangs up no longer wants the answer
            shutdown_timeout=STOP_TIMEOUT,
        )
        await runner.setup()
        for listener in listeners:
            await web.SockSite(runner, listener).start()
        with _discovery(paths, daemon):
            log.info("serving on %s and %s", daemon.socket, daemon.url)
            loading = asyncio.create_task(_load(daemon.suggester.supervisor))
            await stop.wait()
            log.info("stopping")
        await runner.cleanup()
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)
        await daemon.suggester.supervisor.close()


def _supervisor(paths: Paths, config: Config) -> Supervisor:
    """The engine's keeper for the configured model; without that model, one that says so."""
    load = protocol.Load(
        path="",
        gpu=config.gpu,
        threads=config.threads,
        context=config.context,
        extra_buffers=True,
    )
    supervisor = Supervisor(load, paths.engine_memory)
    try:
        load.path = str(store.find(paths, config.model).path)
    except LlmsuggestdError as error:
        log.error("%s", error.message)
        supervisor.failure = error
    return supervisor


async def _load(supervisor: Supervisor) -> None:
    """Load ahead of the first request; what goes wrong is kept for whoever asks."""
    with contextlib.suppress(LlmsuggestdError):
        await supervisor.ready()


@contextlib.contextmanager
def _locked(lock_file: Path) -> Iterator[None]:
    """Hold the lock that makes this the only daemon of its home; the file holds our pid."""
    with lock_file.open("a+") as file:
        try:
            _lock(file.fileno())
        except OSError:
            file.seek(0)
            raise AlreadyRunningError(
                f"a daemon runs already (pid {file.read().strip() or 'unknown'})",
                "`llmsuggestd status` shows it, `llmsuggestd stop` ends it",
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
        file.truncate(0)


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        # far past the end: Windows would keep others from reading the locked bytes
        os.lseek(descriptor, 2**20, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _port_listener(port: int) -> socket.socket:
    """A socket that listens on 127.0.0.1 and nowhere else."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # there, it would let two programs share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            what = "is used by another program"
            remedy = "give another with --port or `port` in config.toml"
        else:
            what = f"cannot be used: {error.strerror}"
            remedy = "give one above 1023 with --port"
        raise ConfigError(f"port {port} {what}", f"{remedy}; 0 takes a free one") from error
    return listener


@contextlib.contextmanager
def _socket_listener(path: Path) -> Iterator[socket.socket]:
    """A Unix socket that listens at `path`, for its owner only; removed at the end."""
    if len(os.fsencode(path)) > MAX_SOCKET_PATH:
        raise ConfigError(
            f"the socket's path is too long ({len(os.fsencode(path))} bytes, at most "
            f"{MAX_SOCKET_PATH}): {path}",
            "give a shorter one with --socket, `socket` in config.toml or LLMSUGGESTD_SOCKET",
        )
    if not path.parent.exists():
        make_private(path.parent)
    check_private(path.parent)
    _remove_dead_socket(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with listener:
        try:
            listener.bind(str(path))
            path.chmod(0o600)
        except OSError as error:
            raise ConfigError(
                f"cannot make the socket {path}: {error.strerror}",
                "give another path with --socket",
            ) from error
        listener.listen(128)
        try:
            yield listener
        finally:
            path.unlink(missing_ok=True)


def _remove_dead_socket(path: Path) -> None:
    """Remove a socket that nobody listens on; raise ConfigError about anything else there."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"{path} is there and is no socket", "move it away, or use --socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        except OSError as error:
            raise ConfigError(f"cannot use the socket {path}: {error}", "use --socket") from error
        else:
            raise ConfigError(f"another program listens on {path}", "use --socket")


def _token(file: Path) -> str:
    """The bearer token, made on the first start."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        token = file.read_text(encoding="ascii").strip()
        if len(token) >= 32:
            file.chmod(0o600)
            return token
    token = secrets.token_urlsafe(32)
    write_atomically(file, token.encode(), mode=0o600)
    return token


@contextlib.contextmanager
def _discovery(paths: Paths, daemon: Daemon) -> Iterator[None]:
    """Keep the file that tells clients where the daemon is while it serves."""
    record = {
        "socket": daemon.socket,
        "url": daemon.url,
        "token_file": str(paths.token_file),
        "pid": os.getpid(),
        "version": __version__,
    }
    write_atomically(paths.client_file, json.dumps(record, indent=2).encode(), mode=0o600)
    try:
        yield
    finally:
        paths.client_file.unlink(missing_ok=True)
