"""systemd, the user's own manager: a unit in `~/.config/systemd/user`."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from llmsuggestd.paths import write_atomically
from llmsuggestd.resources import resource
from llmsuggestd.service import Service, command_line, run

UNIT = "llmsuggestd.service"


class SystemdService:
    """The daemon as a systemd user unit."""

    manager = "systemd --user"

    def __init__(self) -> None:
        config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
        self.file = Path(config) / "systemd" / "user" / UNIT

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
            )
        except (OSError, subprocess.TimeoutExpired):
            return None, "systemd does not answer"
        if answer.returncode != 0:
            return None, "systemd runs no user manager here"
        return cls(), ""

    def content(self) -> str:
        """The unit, from `packaging/linux/llmsuggestd.service`."""
        template = (resource("packaging") / "linux" / UNIT).read_text(encoding="utf-8")
        return template.replace("@COMMAND@", " ".join(_quoted(word) for word in command_line()))

    def register(self) -> None:
        """Write the unit and start it at login from now on."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.file, self.content().encode())
        run("systemctl", "--user", "daemon-reload")
        run("systemctl", "--user", "enable", UNIT)

    def unregister(self) -> None:
        """Stop the unit, remove it and start it no more."""
        run("systemctl", "--user", "disable", "--now", UNIT)
        self.file.unlink(missing_ok=True)
        run("systemctl", "--user", "daemon-reload")

    def start(self) -> None:
        """Start the unit."""
        run("systemctl", "--user", "start", UNIT)

    def stop(self) -> None:
        """Stop the unit."""
        run("systemctl", "--user", "stop", UNIT)


def _quoted(word: str) -> str:
    """A word as a unit file quotes it."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if escaped != word or " " in word else word
