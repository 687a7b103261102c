"""The user's service manager: systemd, launchd or Windows' Task Scheduler, if we may use one.

A `Service` is a file that the manager reads and the commands that make it act. There is none in a
container without a user manager, on a system we know none for, and in a portable installation
(`$LLMSUGGESTD_HOME`), which must not write outside its root; `start` then makes a plain
background process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final, Protocol

from llmsuggestd import environment
from llmsuggestd.errors import LlmsuggestdError
from llmsuggestd.paths import home_override

TIMEOUT: Final = 30.0
"""Seconds that a service manager may take for a command."""


class ServiceError(LlmsuggestdError):
    """The service manager refused; `status` is the daemon's exit code, where it says so."""

    code = "service"

    def __init__(self, message: str, hint: str = "", status: int | None = None) -> None:
        super().__init__(message, hint)
        self.status = status


class Service(Protocol):
    """The daemon as a service of this user."""

    manager: str
    """The manager's name for people."""
    file: Path
    """The file that describes the service."""

    def content(self) -> bytes:
        """What `file` must contain for this installation."""

    def is_registered(self) -> bool:
        """Whether `register` has been called, by this or an older installation."""

    def is_current(self) -> bool:
        """Whether what is registered runs this installation, as this version would have it."""

    def files(self) -> list[Path]:
        """Every file that `register` makes."""

    def register(self, before: Collection[Path] = ()) -> None:
        """Make `files` and have the manager start the service at login from now on.

        `before` are the files that an earlier `register` has made: a start at login that is among
        them, but there no longer, was turned off by the user, and stays so. Raises ServiceError.
        """

    def unregister(self) -> None:
        """Stop the service, remove `files`, and have the manager forget it."""

    def start(self) -> None:
        """Start the daemon now."""

    def stop(self) -> None:
        """Stop the daemon now, and wait; nothing happens if it does not run."""


def detect() -> tuple[Service | None, str]:
    """The service manager to use, and the reason where there is none."""
    if home_override() is not None:
        return None, "LLMSUGGESTD_HOME is set: a portable installation registers no service"
    if sys.platform == "linux":
        from llmsuggestd.service.systemd import SystemdService

        return SystemdService.detect()
    if sys.platform == "darwin":
        from llmsuggestd.service.launchd import LaunchdService

        return LaunchdService(), ""
    if sys.platform == "win32":
        from llmsuggestd.service.windows import WindowsService

        return WindowsService(), ""
    return None, "no service manager is supported on this system yet"


def registered() -> Service | None:
    """The service, if `install` has registered it and its manager answers."""
    service, _ = detect()
    return service if service is not None and service.is_registered() else None


def command_line() -> list[str]:
    """What a service manager runs."""
    return [*environment.python_of_service(), "-m", "llmsuggestd", "serve", "--log-file"]


def run(*command: str, env: Mapping[str, str] | None = None) -> str:
    """Run a service manager's command and return what it prints.

    Raises ServiceError with its last words if it fails.
    """
    try:
        result = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
            check=False,
            env=os.environ | (env or {}),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServiceError(f"{command[0]}: {error}") from error
    if result.returncode != 0:
        words = (result.stderr or result.stdout).strip().splitlines()
        raise ServiceError(f"{' '.join(command)}: {words[0] if words else 'failed'}")
    return result.stdout
