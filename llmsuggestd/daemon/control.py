"""Starting and stopping the daemon from outside: through the service manager, or as a process."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from llmsuggestd.client import Client
from llmsuggestd.config import write_model
from llmsuggestd.errors import AlreadyRunningError, ExitCode, LlmsuggestdError, NotRunningError
from llmsuggestd.models import store
from llmsuggestd.paths import Paths, make_private
from llmsuggestd.service import Service

START_TIMEOUT: Final = 20.0
"""Seconds until a started daemon must answer."""

LOAD_TIMEOUT: Final = 120.0
"""Seconds that `start` waits for the model to be loaded."""

STOP_TIMEOUT: Final = 10.0
"""Seconds until a stopped daemon must be gone: what it grants its requests, and a margin."""


class StartFailed(LlmsuggestdError):
    """The daemon ended before it answered; carries its own last words and exit code."""

    code = "start_failed"


def start(paths: Paths, service: Service | None) -> dict[str, Any]:
    """Start the daemon and wait until its model is loaded; the status it then has.

    With a registered service its manager does it, otherwise a background process is made that
    logs to `paths.log_file`. Raises AlreadyRunningError, StartFailed.
    """
    client = Client(paths)
    if status := running(client):
        raise AlreadyRunningError(
            f"the daemon runs already (pid {status['pid']})", "`llmsuggestd restart` starts it anew"
        )
    if service is not None:
        service.start()
        process, offset = None, 0
    else:
        make_private(paths.state)
        offset = paths.log_file.stat().st_size if paths.log_file.exists() else 0
        process = _spawn(paths.log_file)
    _wait_until_up(client, process, paths.log_file, offset)
    return _wait_until_loaded(client)


def stop(paths: Paths, service: Service | None) -> bool:
    """Stop the daemon and wait until it is gone; False if none was running."""
    client = Client(paths)
    status = running(client)
    if status is None:
        return False
    if service is not None:
        service.stop()
    if running(client):
        client.request("POST", "/v1/shutdown")
    deadline = time.monotonic() + STOP_TIMEOUT
    while _alive(status["pid"]):
        if time.monotonic() > deadline:
            raise LlmsuggestdError(
                f"the daemon (pid {status['pid']}) does not stop", f"kill {status['pid']}"
            )
        time.sleep(0.05)
    return True


def use_model(paths: Paths, model_id: str) -> bool:
    """Have a model served from now on: by the running daemon, and by every later one.

    Whether a daemon runs. Raises ModelError or Refused if it is not installed or cannot be loaded,
    and then changes nothing; ConfigError if `config.toml` cannot be written.
    """
    store.find(paths, model_id)
    client = Client(paths)
    runs = running(client) is not None
    if runs:
        client.request("PUT", "/v1/model", {"id": model_id}, timeout=LOAD_TIMEOUT)
    write_model(paths, model_id)
    return runs


def running(client: Client) -> dict[str, Any] | None:
    """The daemon's status, or None if none answers."""
    try:
        return client.request("GET", "/v1/status")
    except NotRunningError:
        return None


def _spawn(log_file: Path) -> subprocess.Popen[bytes]:
    with os.fdopen(os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "llmsuggestd", "serve"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=Path.home() if Path.home().is_dir() else "/",
            start_new_session=True,
        )


def _wait_until_up(
    client: Client, process: subprocess.Popen[bytes] | None, log_file: Path, offset: int
) -> None:
    """Wait until the daemon that we have started answers, and not one that somebody else has."""
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        status = running(client)
        if process is None or sys.platform == "win32":  # there, the pid is that of a launcher
            if status is not None:
                return
        elif status is not None and status["pid"] == process.pid:
            return
        if process is not None and (code := process.poll()) is not None:
            message, hint = _last_words(log_file, offset)
            if code == ExitCode.ALREADY_RUNNING:
                raise AlreadyRunningError(message, hint)
            error = StartFailed(message, hint)
            error.exit_code = ExitCode(code) if code in list(ExitCode) else ExitCode.ERROR
            raise error
        if time.monotonic() > deadline:
            raise StartFailed(
                f"the daemon does not answer after {START_TIMEOUT:.0f} s", "see `llmsuggestd logs`"
            )
        time.sleep(0.05)


def _wait_until_loaded(client: Client) -> dict[str, Any]:
    deadline = time.monotonic() + LOAD_TIMEOUT
    while True:
        status = client.request("GET", "/v1/status")
        if status["state"] not in ("loading", "stopped") or time.monotonic() > deadline:
            return status
        time.sleep(0.05)


def _last_words(log_file: Path, offset: int) -> tuple[str, str]:
    """The message and hint with which a daemon ended, from its log."""
    with log_file.open("rb") as log:
        log.seek(offset)
        lines = log.read().decode(errors="replace").splitlines()
    hints = [line.removeprefix("  → ") for line in lines if line.startswith("  → ")]
    for line in lines:
        if line.startswith("llmsuggestd: "):
            return line.removeprefix("llmsuggestd: "), hints[0] if hints else ""
    return "the daemon ended at once", "see `llmsuggestd logs`"


def _alive(pid: int) -> bool:
    if sys.platform == "win32":
        listed = subprocess.run(
            ["tasklist", "/FI", f"PID eq {pid}", "/NH"], capture_output=True, text=True, check=False
        )
        return str(pid) in listed.stdout
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # our own child stays a zombie until it is waited for
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with contextlib.suppress(OSError, IndexError):
        # ended, but its parent has not waited for it (yet, or never, as in many containers)
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return stat.rpartition(")")[2].split()[0] != "Z"
    return True
