"""launchd, on macOS: an agent in `~/Library/LaunchAgents`."""

from __future__ import annotations

import contextlib
import os
import plistlib
from pathlib import Path

from llmsuggestd.paths import get_paths, write_atomically
from llmsuggestd.resources import resource
from llmsuggestd.service import ServiceError, command_line, run

LABEL = "org.llmsuggestd.daemon"


class LaunchdService:
    """The daemon as a launchd agent of this user."""

    manager = "launchd"

    def __init__(self) -> None:
        self.file = Path.home() / "Library" / "LaunchAgents" / f"{LABEL}.plist"

    @property
    def _domain(self) -> str:
        return f"gui/{os.getuid()}" if hasattr(os, "getuid") else "gui"

    def content(self) -> str:
        """The agent, from `packaging/macos/org.llmsuggestd.daemon.plist`."""
        agent = plistlib.loads((resource("packaging") / "macos" / f"{LABEL}.plist").read_bytes())
        log = str(get_paths().log_file)
        agent |= {
            "ProgramArguments": command_line(),
            "StandardOutPath": log,
            "StandardErrorPath": log,
        }
        return plistlib.dumps(agent).decode()

    def register(self) -> None:
        """Write the agent; launchd reads it at login, and `start` loads it now."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.file, self.content().encode())

    def unregister(self) -> None:
        """Unload the agent and remove it."""
        with contextlib.suppress(ServiceError):  # it is not loaded
            self.stop()
        self.file.unlink(missing_ok=True)

    def start(self) -> None:
        """Load the agent, which runs at load."""
        run("launchctl", "bootstrap", self._domain, str(self.file))

    def stop(self) -> None:
        """Unload the agent; launchd would start a stopped one again."""
        run("launchctl", "bootout", f"{self._domain}/{LABEL}")
