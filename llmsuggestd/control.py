"""Starts and stops the daemon from outside, through the service manager or as a process.

A daemon that no longer answers can be stopped too: its lock identifies its process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from llmsuggestd import discovery, environment
from llmsuggestd.client import Client
from llmsuggestd.config import DEFAULT_PORT, Config, load_config
from llmsuggestd.engine.postmortem import out_of_memory
from llmsuggestd.errors import (
    AlreadyRunningError,
    ConfigError,
    ExitCode,
    LlmsuggestdError,
    NotRunningError,
)
from llmsuggestd.file_errors import failed
from llmsuggestd.files import make_private
from llmsuggestd.identity import Process
from llmsuggestd.lock import UNKNOWN, holder, is_held
from llmsuggestd.paths import Paths, resolved_variables, socket_override
from llmsuggestd.service import Service, ServiceError

START_TIMEOUT: Final = 20.0
"""Timeout for a started daemon's first answer, in seconds."""

LOAD_TIMEOUT: Final = 120.0
"""Timeout for loading the model in `start`, in seconds."""

STOP_TIMEOUT: Final = 10.0
"""Timeout for a daemon to end after it was asked, in seconds. It grants its requests some time."""

ASK_TIMEOUT: Final = 3.0
"""Timeout for the daemon's agreement to stop, in seconds. It agrees at once, even when busy."""

TERM_TIMEOUT: Final = 5.0
"""Timeout for a daemon to end after SIGTERM, and then after SIGKILL, in seconds."""


class StartFailed(LlmsuggestdError):
    """The daemon ended before it answered. Has the daemon's own message and exit code."""

    code = "start_failed"


class Stopped(NamedTuple):
    """The result of a stop."""

    pid: int | None
    """The process id of the daemon that was stopped; None if no daemon ran."""
    forced: bool
    """Whether the daemon did not respond, and was ended by force."""


def start(paths: Paths, service: Service | None) -> dict[str, Any]:
    """Start the daemon, and wait until its model is loaded. Returns its status.

    A registered service is started by its manager. Otherwise, a background process is started. Both
    log to `paths.log_file`. Raises AlreadyRunningError, ConfigError, StartFailed.
    """
    client = Client(paths)
    if status := client.status():
        ours = _daemon(paths)
        setting = "LLMSUGGESTD_SOCKET" if socket_override() else "`socket` in config.toml"
        chosen = load_config(paths).socket
        if chosen and (ours is None or status["pid"] not in (ours.pid, UNKNOWN.pid)):
            raise ConfigError(
                f"{setting} names the socket of another daemon (pid {status['pid']})",
                "remove the setting, or give it a path of its own",
            )
        raise AlreadyRunningError(
            f"the daemon runs already (pid {status['pid']})",
            "`llmsuggestd restart` starts it again",
        )
    make_private(paths.state)
    log = _Log(paths.log_file)
    if service is not None:
        try:
            service.start()
        except ServiceError as error:
            raise log.start_failed(error.status, fallback=error) from error
        process = None
    else:
        process = _spawn(paths.log_file)
    _wait_until_up(client, process, log)
    try:
        return _wait_until_loaded(client)
    except NotRunningError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            if process is not None:
                raise log.start_failed(process.wait(timeout=1)) from None
        raise


def stop(paths: Paths, service: Service | None) -> Stopped:
    """Stop the daemon, hung or not, and wait until it is gone.

    The daemon is asked first, and finishes its requests. If it does not answer or end, it gets
    SIGTERM and then SIGKILL, from its service manager if it has one. Raises LlmsuggestdError if
    that does not help, or if no process is proven to be the daemon.
    """
    process = _daemon(paths)
    asked = process is not None and _ask_to_stop(paths, process)
    if service is not None:
        service.stop()  # also if the manager is about to restart it
    if process is None or asked:
        return Stopped(process.pid if process else None, forced=False)
    if _runs(paths, process):
        _end(paths, process)
    discovery.forget(paths, process)  # a killed daemon cannot do that itself
    return Stopped(process.pid, forced=True)


def restart(paths: Paths, service: Service | None) -> dict[str, Any]:
    """Stop the daemon if it runs, and start it. Returns its status.

    If the settings are wrong, raises ConfigError and does not stop the running daemon, which could
    not be started again. Also raises the errors of `stop` and `start`.
    """
    _check_doors(paths, load_config(paths))
    stop(paths, service)
    return start(paths, service)


def _check_doors(paths: Paths, config: Config) -> None:
    """Raise ConfigError if a daemon with these settings could not open its socket and ports."""
    # aiohttp is slow to import
    from llmsuggestd.daemon.listeners import check_place, is_dead_socket, port_listener

    path = config.socket_path(paths)
    if config.socket:
        check_place(path, chosen=True)
    taken: set[str] = set()
    if _daemon(paths) is not None:
        try:
            client = Client(paths, overridable=False)
            status = client.request("GET", "/v1/status", timeout=ASK_TIMEOUT)
        except LlmsuggestdError:
            return  # it hangs, and may have the ports itself
        urls = (status["url"], *status.get("listeners", {}).values())
        taken = {url.rpartition(":")[2] for url in urls} | {str(status["socket"])}
    if str(path) not in taken and hasattr(socket, "AF_UNIX"):
        is_dead_socket(path)
    wanted = {f"`compat`, as {name}:PORT": port for name, port in config.compat_ports().items()}
    if config.port != DEFAULT_PORT:  # instead of the default, the daemon takes a free one
        wanted["`port` in config.toml"] = config.port
    for setting, port in wanted.items():
        if str(port) not in taken:
            port_listener(port, setting).close()


def _daemon(paths: Paths) -> Process | None:
    """The daemon of this home: the holder of the lock, else the process in `client.json`.

    The daemon of a session with another $XDG_RUNTIME_DIR has another lock.
    """
    if is_held(paths.lock_file):
        return holder(paths.lock_file) or UNKNOWN  # its record was lost, perhaps on a full disk
    with contextlib.suppress(OSError, msgspec.DecodeError):
        record = discovery.read(paths)
        return record if record.runs else None
    return None


def _ask_to_stop(paths: Paths, process: Process) -> bool:
    """Ask the daemon to stop, and wait. Returns whether it has ended.

    The daemon of another home, which may answer at `$LLMSUGGESTD_SOCKET`, is not asked.
    """
    client = Client(paths, overridable=False)
    with contextlib.suppress(LlmsuggestdError):
        pid = client.request("GET", "/v1/status", timeout=ASK_TIMEOUT)["pid"]
        if process.pid in (pid, UNKNOWN.pid):
            client.request("POST", "/v1/shutdown", timeout=ASK_TIMEOUT)
            return _gone(paths, process, STOP_TIMEOUT)
    return False


def _end(paths: Paths, process: Process) -> None:
    """End the daemon by force. Raises LlmsuggestdError if that fails or would be a guess."""
    for name in ("SIGTERM", "SIGKILL"):
        if not process.send(getattr(signal, name, signal.SIGTERM)):
            break
        if _gone(paths, process, TERM_TIMEOUT):
            return
    if process.is_elsewhere:
        raise LlmsuggestdError(
            f"the daemon of this home runs elsewhere ({process}), and does not answer from here",
            "stop it there",
        )
    if not process.runs:
        raise LlmsuggestdError(
            f"a process ({process}) holds the daemon's lock and does not answer; nothing"
            " proves that it is a daemon",
            f"find it with `fuser {paths.lock_file}`, and end it",
        )
    raise LlmsuggestdError(
        f"the daemon ({process}) cannot be stopped, not even by SIGKILL",
        "it waits for a disk or a driver; see `dmesg`",
    )


def _gone(paths: Paths, process: Process, timeout: float) -> bool:
    """Whether the daemon ends within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while _runs(paths, process):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _runs(paths: Paths, process: Process) -> bool:
    """Whether the daemon still holds its lock, or is proven to run."""
    return is_held(paths.lock_file) or process.runs


def _spawn(log_file: Path) -> subprocess.Popen[bytes]:
    try:
        descriptor = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise failed(ConfigError, "cannot write the log", log_file, error) from error
    with os.fdopen(descriptor, "ab") as log:
        return subprocess.Popen(
            [sys.executable, *environment.PYTHON_OPTIONS, "-m", "llmsuggestd", "serve"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=log_file.parent,  # this folder stays while it runs
            env=environment.for_daemon() | resolved_variables(),
            start_new_session=True,
        )


class _Log:
    """The log of a daemon that is being started, from its first new line."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._offset = file.stat().st_size if file.exists() else 0

    def last_words(self) -> tuple[str, str] | None:
        """The message and hint that the daemon logged before it ended, if any."""
        try:
            with self._file.open("rb") as log:
                log.seek(self._offset)
                lines = log.read().decode(errors="replace").splitlines()
        except FileNotFoundError:
            return None
        hints = [line.removeprefix("  → ") for line in lines if line.startswith("  → ")]
        for line in lines:
            if line.startswith("llmsuggestd: "):
                return line.removeprefix("llmsuggestd: "), hints[0] if hints else ""
        return None

    def start_failed(
        self, code: int | None, fallback: LlmsuggestdError | None = None
    ) -> LlmsuggestdError:
        """The error of a daemon that ended during its start, with exit code `code`."""
        if (words := self.last_words()) is None and fallback is not None:
            return fallback
        message, hint = words or ("the daemon ended at once", "see `llmsuggestd logs`")
        if words is None and code == -9:  # killed
            message, hint = out_of_memory("the daemon was killed (SIGKILL), probably out of memory")
        if code == ExitCode.ALREADY_RUNNING:
            return AlreadyRunningError(message, hint)
        error = StartFailed(message, hint)
        error.exit_code = ExitCode(code) if code in list(ExitCode) else ExitCode.ERROR
        return error


def _wait_until_up(client: Client, process: subprocess.Popen[bytes] | None, log: _Log) -> None:
    """Wait until the daemon that we have started answers, not any other daemon."""
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        status = client.status()
        if process is None or sys.platform == "win32":  # on Windows, the pid is a launcher's
            if status is not None:
                return
        elif status is not None and status["pid"] == process.pid:
            return
        if process is not None and (code := process.poll()) is not None:
            raise log.start_failed(code)
        if process is None and log.last_words() is not None:
            raise log.start_failed(None)  # its manager does not wait for the daemon
        if time.monotonic() > deadline:
            if process is not None:
                process.terminate()
            raise StartFailed(
                f"the daemon does not answer after {START_TIMEOUT:.0f} s", "see `llmsuggestd logs`"
            )
        time.sleep(0.05)


def _wait_until_loaded(client: Client) -> dict[str, Any]:
    deadline = time.monotonic() + LOAD_TIMEOUT
    while True:
        status = client.request("GET", "/v1/status")
        if status["state"] not in ("loading", "idle") or time.monotonic() > deadline:
            return status
        time.sleep(0.05)
