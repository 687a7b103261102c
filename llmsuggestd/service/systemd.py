"""systemd, the user's own manager: a unit in `~/.config/systemd/user`, or that of a package.

A Debian package brings the unit along; then `install` only has it started at login.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import string
import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import Final

from llmsuggestd.files import write_atomically
from llmsuggestd.resources import resource
from llmsuggestd.service import Service, ServiceError, command_line, run

UNIT: Final = "llmsuggestd.service"
PACKAGED: Final = Path("/usr/lib/systemd/user") / UNIT
"""Where a package puts the unit (packaging/linux/build-deb)."""


class SystemdService:
    """The daemon as a systemd user unit."""

    manager = "systemd --user"

    def __init__(self) -> None:
        config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        self._own = config / "systemd" / "user" / UNIT
        self._link = self._own.parent / "default.target.wants" / UNIT
        self._packaged = PACKAGED.is_file() and PACKAGED.read_bytes() == self.content()
        self.file = PACKAGED if self._packaged else self._own

    @classmethod
    def detect(cls) -> tuple[Service | None, str]:
        """The service, if a user manager answers; otherwise why not."""
        if shutil.which("systemctl") is None:
            return None, "no systemd here"
        try:
            answer = subprocess.run(
                ["systemctl", "--user", "show-environment"],
                capture_output=True,
                timeout=5,
                check=False,
                env=os.environ | _environment(),
            )
        except (OSError, subprocess.TimeoutExpired):
            return None, "systemd does not answer"
        if answer.returncode != 0:
            return None, "systemd runs no user manager here"
        return cls(), ""

    def content(self) -> bytes:
        """The unit, from `packaging/linux/llmsuggestd.service`."""
        template = (resource("packaging") / "linux" / UNIT).read_text(encoding="utf-8")
        return template.replace(
            "@COMMAND@", " ".join(_quoted(word) for word in command_line())
        ).encode()

    def is_registered(self) -> bool:
        """Whether there is a unit, ours or one that the package brought."""
        return self.file.exists()

    def is_current(self) -> bool:
        """Whether the unit that systemd sees is this installation's."""
        if self._packaged and self._own.exists():
            return False  # which hides the package's
        return self.file.exists() and self.file.read_bytes() == self.content()

    def files(self) -> list[Path]:
        """The unit, unless a package brought it, and the link that has it started at login."""
        return [self._link] if self._packaged else [self._own, self._link]

    def register(self, before: Collection[Path] = ()) -> None:
        """Write the unit and start it at login from now on, unless the user has disabled it."""
        if self._packaged:
            self._own.unlink(missing_ok=True)
        else:
            self._own.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._own, self.content())
        _systemctl("daemon-reload")
        if self._link not in before:
            _systemctl("enable", UNIT)

    def unregister(self) -> None:
        """Stop the unit, remove it and start it no more."""
        _systemctl("disable", "--now", UNIT)
        self._own.unlink(missing_ok=True)
        _systemctl("daemon-reload")
        _forget_failures()

    def start(self) -> None:
        """Start the unit, also one that has failed too often to be started by itself."""
        _forget_failures()
        try:
            _systemctl("start", UNIT)
        except ServiceError as error:
            error.hint = f"`llmsuggestd logs`, or `systemctl --user status {UNIT}`"
            status = _systemctl("show", "--value", "--property=ExecMainStatus", UNIT).strip()
            error.status = int(status) if status.isdigit() else None
            raise

    def stop(self) -> None:
        """Stop the unit; systemd kills what has not ended after 10 s."""
        _systemctl("stop", UNIT)


def _systemctl(*arguments: str) -> str:
    return run("systemctl", "--user", *arguments, env=_environment())


def _forget_failures() -> None:
    with contextlib.suppress(ServiceError):  # systemd has not even heard of the unit
        _systemctl("reset-failed", UNIT)


def _environment() -> dict[str, str]:
    """What `su` and `cron` do not set, but the user's manager is to be found by."""
    folder = f"/run/user/{os.getuid()}"
    if "XDG_RUNTIME_DIR" in os.environ or not os.access(folder, os.W_OK):
        return {}
    return {"XDG_RUNTIME_DIR": folder}


def _quoted(word: str) -> str:
    """A word as a unit file quotes it."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return word if set(word) <= _PLAIN else f'"{escaped}"'


_PLAIN: Final = frozenset(f"{string.ascii_letters}{string.digits}/_-.+,:@=")
