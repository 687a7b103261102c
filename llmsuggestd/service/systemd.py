"""systemd's user manager: a unit in `~/.config/systemd/user`, or a package's unit.

The Debian package contains the unit. `install` then only enables it.
"""

from __future__ import annotations

import contextlib
import shlex
import shutil
import string
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from llmsuggestd import service
from llmsuggestd.files import write_atomically
from llmsuggestd.paths import base_directory, home, session_directory
from llmsuggestd.resources import resource
from llmsuggestd.service import Service, ServiceError, run

UNIT: Final = "llmsuggestd.service"
PACKAGED: Final = Path("/usr/lib/systemd/user") / UNIT
"""The packaged unit's path (packaging/linux/build-deb)."""
NOT_LOADED: Final = 5
"""The exit code of `systemctl stop` for an unknown unit, which needs no stop."""


class SystemdService:
    """The daemon as a systemd user unit."""

    manager = "systemd --user"

    def __init__(
        self, directory: Path | None = None, variables: Mapping[str, str] | None = None
    ) -> None:
        """The unit in `directory`, which the manager searches, with `variables` for the daemon.

        The defaults are those for a manager with this process's variables.
        """
        directory = directory or base_directory("XDG_CONFIG_HOME") / "systemd" / "user"
        self._variables = service.variables() if variables is None else variables
        self._own = directory / UNIT
        self._link = directory / "default.target.wants" / UNIT
        self._packaged = PACKAGED.is_file() and PACKAGED.read_bytes() == self.content()
        self.file = PACKAGED if self._packaged else self._own

    @classmethod
    def detect(cls) -> tuple[Service | None, str]:
        """The service, if a user manager answers and is this home's; otherwise the reason."""
        if shutil.which("systemctl") is None:
            return None, "no systemd here"
        try:
            known = _managers_variables()
        except ServiceError as error:
            if error.returned is None:
                return None, "systemd does not answer"
            return None, "systemd runs no user manager here"
        managers_home = Path(known.get("HOME") or home())
        if not _is_same(managers_home, home()):
            return None, f"systemd's user manager has another home, {managers_home}"
        return cls(_unit_directory(known), service.variables(known)), ""

    def content(self) -> bytes:
        """The unit, from `packaging/linux/llmsuggestd.service`."""
        template = (resource("packaging") / "linux" / UNIT).read_text(encoding="utf-8")
        command = " ".join(_quoted(word.replace("$", "$$")) for word in service.command_line())
        if self._variables:
            given = " ".join(_quoted(f"{name}={value}") for name, value in self._variables.items())
            command += "\n# What the shell had in which `llmsuggestd install` ran."
            command += f"\nEnvironment={given}"
        return template.replace("@COMMAND@", command).encode()

    def carried(self) -> dict[str, str]:
        """The variables in the unit that systemd uses."""
        with contextlib.suppress(OSError, ValueError):
            lines = self.file.read_text(encoding="utf-8").splitlines()
            given = (line.partition("=")[2] for line in lines if line.startswith("Environment="))
            words = (word.replace("%%", "%") for line in given for word in shlex.split(line))
            return {name: value for name, _, value in (word.partition("=") for word in words)}
        return {}

    def is_registered(self) -> bool:
        """Whether there is a unit, our own or the package's."""
        return self.file.exists()

    def is_current(self) -> bool:
        """Whether the unit that systemd uses belongs to this installation."""
        if self._packaged and self._own.exists():
            return False  # the user's unit hides the package's
        return self.file.exists() and self.file.read_bytes() == self.content()

    def files(self) -> list[Path]:
        """The unit, unless it is the package's, and the link that enables it."""
        return [self._link] if self._packaged else [self._own, self._link]

    def register(self, before: Collection[Path] = ()) -> None:
        """Write the unit, and enable it unless the user has disabled it."""
        if self._packaged:
            self._own.unlink(missing_ok=True)
        else:
            self._own.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._own, self.content())
        _systemctl("daemon-reload")
        if self._link not in before:
            _systemctl("enable", UNIT)

    def unregister(self) -> None:
        """Stop the unit, disable it and remove it."""
        with contextlib.suppress(ServiceError):  # its file was removed
            _systemctl("disable", "--now", UNIT)
        self._own.unlink(missing_ok=True)
        _systemctl("daemon-reload")
        _forget_failures()

    def start(self) -> None:
        """Start the unit, even if systemd has given up restarting it."""
        _forget_failures()
        try:
            _systemctl("start", UNIT)
        except ServiceError as error:
            error.hint = f"`llmsuggestd logs`, or `systemctl --user status {UNIT}`"
            status = _systemctl("show", "--value", "--property=ExecMainStatus", UNIT).strip()
            error.status = int(status) if status.isdigit() else None
            raise

    def stop(self) -> None:
        """Stop the unit. After 10 s, systemd kills the remaining processes."""
        try:
            _systemctl("stop", UNIT)
        except ServiceError as error:
            if error.returned != NOT_LOADED:
                raise


def _systemctl(*arguments: str) -> str:
    return run("systemctl", "--user", *arguments, env=_environment())


def _forget_failures() -> None:
    with contextlib.suppress(ServiceError):  # systemd does not know the unit
        _systemctl("reset-failed", UNIT)


def _environment() -> dict[str, str]:
    """The variables that locate the user's manager, which `su` and `cron` do not set correctly."""
    directory = session_directory()
    return {} if directory is None else {"XDG_RUNTIME_DIR": str(directory)}


def _managers_variables() -> dict[str, str]:
    """The variables that the manager gives to its services. Raises ServiceError."""
    lines = run("systemctl", "--user", "show-environment", env=_environment(), timeout=5)
    assignments = (line.partition("=") for line in lines.splitlines())
    return {name: _unescaped(value) for name, _, value in assignments}


def _unescaped(value: str) -> str:
    """The value of a variable, which systemd may have quoted as `$'…'`, as for a shell."""
    if not value.startswith("$'"):
        return value
    return value[2:-1].encode().decode("unicode_escape").encode("latin-1").decode(errors="replace")


def _unit_directory(known: Mapping[str, str]) -> Path:
    """The folder in which the manager searches the user's own units.

    The manager's own answer is preferred to its variables, since these may have changed after its
    start, and it still uses the old ones.
    """
    with contextlib.suppress(ServiceError, ValueError):
        path = shlex.split(_systemctl("show", "--value", "--property=UnitPath"))
        if own := [folder for folder in path if folder.endswith("/systemd/user")]:
            return Path(own[0])
    config = known.get("XDG_CONFIG_HOME") or Path(known.get("HOME") or home()) / ".config"
    return Path(config) / "systemd" / "user"


def _is_same(one: Path, other: Path) -> bool:
    """Whether both are the same folder, perhaps through a link."""
    return one == other or one.resolve() == other.resolve()


def _quoted(word: str) -> str:
    """A word, quoted for a unit file."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return word if set(word) <= _PLAIN else f'"{escaped}"'


_PLAIN: Final = frozenset(f"{string.ascii_letters}{string.digits}/_-.+,:@=")
