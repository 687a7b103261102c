"""launchd, on macOS: an agent in `~/Library/LaunchAgents`."""

from __future__ import annotations

import contextlib
import os
import plistlib
from collections.abc import Collection
from pathlib import Path
from typing import Final

from llmsuggestd.files import write_atomically
from llmsuggestd.paths import home
from llmsuggestd.resources import resource
from llmsuggestd.service import Service, ServiceError, command_line, run, variables

LABEL: Final = "org.llmsuggestd.daemon"


class LaunchdService:
    """The daemon as a launchd agent of this user."""

    manager = "launchd"

    @classmethod
    def detect(cls) -> tuple[Service | None, str]:
        """The service, unless launchd searches another home than this process's."""
        import pwd

        account = Path(pwd.getpwuid(os.getuid()).pw_dir)
        if account.resolve() != home().resolve():
            return None, f"launchd looks in another home, {account}"
        return cls(), ""

    def __init__(self) -> None:
        self.file = home() / "Library" / "LaunchAgents" / f"{LABEL}.plist"

    @property
    def _domain(self) -> str:
        return f"gui/{os.getuid()}" if hasattr(os, "getuid") else "gui"

    def content(self) -> bytes:
        """The agent, from `packaging/macos/org.llmsuggestd.daemon.plist`."""
        agent = plistlib.loads((resource("packaging") / "macos" / f"{LABEL}.plist").read_bytes())
        agent["ProgramArguments"] = command_line()
        if given := variables():
            agent["EnvironmentVariables"] = given
        return plistlib.dumps(agent)

    def carried(self) -> dict[str, str]:
        """The variables in the registered agent."""
        with contextlib.suppress(
            OSError, ValueError, KeyError
        ):  # there is no agent, or it is not ours
            given: dict[str, str] = plistlib.loads(self.file.read_bytes())["EnvironmentVariables"]
            return given
        return {}

    def is_registered(self) -> bool:
        """Whether the agent exists."""
        return self.file.exists()

    def is_current(self) -> bool:
        """Whether the agent belongs to this installation."""
        return self.file.exists() and self.file.read_bytes() == self.content()

    def files(self) -> list[Path]:
        """The agent."""
        return [self.file]

    def register(self, before: Collection[Path] = ()) -> None:  # noqa: ARG002
        """Write the agent. launchd reads it at login, and `start` loads it now.

        An older agent is unloaded first, since launchd does not read a loaded agent again.
        """
        self.stop()
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.file, self.content())

    def unregister(self) -> None:
        """Unload the agent and remove it."""
        self.stop()
        self.file.unlink(missing_ok=True)

    def start(self) -> None:
        """Load the agent, which runs at load.

        If it is loaded already, but its daemon has ended, it is loaded again.
        """
        self.stop()
        run("launchctl", "bootstrap", self._domain, str(self.file))

    def stop(self) -> None:
        """Unload the agent, since launchd would start a stopped one again.

        launchd sends SIGTERM, and SIGKILL after the agent's `ExitTimeOut`.
        """
        with contextlib.suppress(ServiceError):  # it is not loaded
            run("launchctl", "bootout", f"{self._domain}/{LABEL}")
