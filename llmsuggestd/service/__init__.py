"""The user's service manager: systemd or launchd, where there is one that we may use.

A `Service` is a file that the manager reads and the commands that make it act. There is none in a
container without a user manager, on a system we know none for, and in a portable installation
(`$LLMSUGGESTD_HOME`), which must not write outside its root; `start` then makes a plain
background process.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final, Protocol

from llmsuggestd.errors import LlmsuggestdError
from llmsuggestd.paths import home_override

TIMEOUT: Final = 30.0
"""Seconds that a service manager may take for a command."""


class ServiceError(LlmsuggestdError):
    """The service manager refused."""

    code = "service"


class Service(Protocol):
    """The daemon as a service of this user."""

    manager: str
    """The manager's name for people."""
    file: Path
    """The file that describes the service."""

    def content(self) -> str:
        """What `file` must contain for this installation."""

    def register(self) -> None:
        """Write `file` and have the manager start the service at login from now on."""

    def unregister(self) -> None:
        """Stop the service, remove `file`, and have the manager forget it."""

    def start(self) -> None:
        """Start the daemon now."""

    def stop(self) -> None:
        """Stop the daemon now."""


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
    return None, "no service manager is supported on this system yet"


def registered() -> Service | None:
    """The service, if `install` has registered it and its manager answers."""
    service, _ = detect()
    return service if service is not None and service.file.exists() else None


def command_line() -> list[str]:
    """What a service manager runs."""
    return [sys.executable, "-P", "-m", "llmsuggestd", "serve"]


def run(*command: str) -> None:
    """Run a service manager's command; raise ServiceError with its words if it fails."""
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServiceError(f"{command[0]}: {error}", "") from error
    if result.returncode != 0:
        words = (result.stderr or result.stdout).strip().splitlines()
        raise ServiceError(f"{' '.join(command)}: {words[-1] if words else 'failed'}", "")
