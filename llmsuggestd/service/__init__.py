"""The user's service manager, if there is one: systemd, launchd or Windows' Task Scheduler.

A `Service` is a file that the manager reads, and the commands that control it. There is none in a
container without a user manager, on an unsupported system, and in a portable installation
(`$LLMSUGGESTD_HOME`), which must not write outside its root. `start` then starts a background
process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

from llmsuggestd import environment
from llmsuggestd.errors import LlmsuggestdError
from llmsuggestd.paths import (
    BASE_DIRECTORIES,
    PATH_VARIABLES,
    base_directory,
    home,
    home_override,
    resolved_variables,
)

TIMEOUT: Final = 30.0
"""Timeout for a service manager's command, in seconds."""


class ServiceError(LlmsuggestdError):
    """The service manager refused a command.

    `status` is the daemon's exit code, if known, `returned` that of the manager's own command.
    """

    code = "service"

    def __init__(
        self,
        message: str,
        hint: str = "",
        status: int | None = None,
        returned: int | None = None,
    ) -> None:
        super().__init__(message, hint)
        self.status = status
        self.returned = returned


class Service(Protocol):
    """The daemon as a service of this user."""

    manager: str
    """The manager's name, for messages."""
    file: Path
    """The file that describes the service."""

    def content(self) -> bytes:
        """The content of `file` for this installation."""

    def carried(self) -> dict[str, str]:
        """The variables for file locations that the registered service gives to the daemon."""

    def is_registered(self) -> bool:
        """Whether this or an older installation has called `register`."""

    def is_current(self) -> bool:
        """Whether the registered service is the one that `register` would make now."""

    def files(self) -> list[Path]:
        """Every file that `register` makes."""

    def register(self, before: Collection[Path] = ()) -> None:
        """Make `files`, and let the manager start the service at login.

        `before` are the files that an earlier `register` made. If the file for the start at
        login is among them but no longer exists, the user has disabled it, and it stays disabled.
        Raises ServiceError.
        """

    def unregister(self) -> None:
        """Stop the service, remove `files`, and reload the manager."""

    def start(self) -> None:
        """Start the daemon now."""

    def stop(self) -> None:
        """Stop the daemon now, and wait until it has ended. Does nothing if it does not run."""


def detect() -> tuple[Service | None, str]:
    """The service manager to use, or None, and the reason if there is none."""
    if home_override() is not None:
        return None, "LLMSUGGESTD_HOME is set: a portable installation registers no service"
    if sys.platform == "linux":
        from llmsuggestd.service.systemd import SystemdService

        return SystemdService.detect()
    if sys.platform == "darwin":
        from llmsuggestd.service.launchd import LaunchdService

        return LaunchdService.detect()
    if sys.platform == "win32":
        from llmsuggestd.service.windows import WindowsService

        return WindowsService(), ""
    return None, "no service manager is supported on this system yet"


def registered() -> Service | None:
    """The service, if `install` has registered it and its manager is available."""
    service, _ = detect()
    return service if service is not None and service.is_registered() else None


def command_line() -> list[str]:
    """The command that a service manager runs."""
    return [*environment.python_of_service(), "-m", "llmsuggestd", "serve", "--log-file"]


def variables(managers: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """The variables that give the service's daemon the same folders as this shell's commands.

    These are the shell's own, with absolute paths, and those of our folders that the manager's
    variables (`managers`) would change. Raises ConfigError.
    """
    shell = {
        name: value
        for name, value in environment.for_service().items()
        if name not in PATH_VARIABLES
    }
    places = {name: str(base_directory(name)) for name in BASE_DIRECTORIES if name in managers}
    return dict(sorted((shell | places | resolved_variables()).items()))


def other_places(service: Service) -> dict[str, str]:
    """The variables for which the service's daemon has other folders than this shell's commands."""
    carried = service.carried()
    theirs = {
        name: carried.get(name) or str(home() / default)
        for name, default in BASE_DIRECTORIES.items()
    }
    return {name: value for name, value in theirs.items() if value != str(base_directory(name))}


def adopt_places() -> None:
    """Use the folders of the registered service, unless this process's own variables name others.

    A process that the desktop starts at login does not see the variables of the user's shell.
    """
    if (service := registered()) is not None:
        for name, value in service.carried().items():
            if name in PATH_VARIABLES:
                os.environ.setdefault(name, value)


def run(*command: str, env: Mapping[str, str] | None = None, timeout: float = TIMEOUT) -> str:
    """Run a service manager's command. Returns its output.

    Raises ServiceError, with the last line of its output, if it fails.
    """
    try:
        result = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
            env=os.environ | (env or {}),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServiceError(f"{command[0]}: {error}") from error
    if result.returncode != 0:
        words = (result.stderr or result.stdout).strip().splitlines()
        raise ServiceError(
            f"{' '.join(command)}: {words[0] if words else 'failed'}", returned=result.returncode
        )
    return result.stdout
