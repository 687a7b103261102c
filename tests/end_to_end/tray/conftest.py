"""A desktop for the tray: an X server without a screen, a session bus, and a panel on it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Home

ROOT = Path(__file__).parents[3]
PACKAGES = "python3-gi gir1.2-ayatanaappindicator3-0.1 xvfb dbus"
PROBE = """
import click, PIL, platformdirs
from llmsuggestd.tray import backend
gi = backend.import_gi()
gi.require_version("Gtk", "3.0")
assert backend._has_indicator(gi)
"""


@cache
def python() -> tuple[str, dict[str, str]]:
    """A Python that can show a tray, and the variables it needs for that.

    Ours, if it has PyGObject or can use the system's; else the system's, with our packages. Skips
    the test if neither can.
    """
    with_ours = os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])
    for command, env in [
        (sys.executable, {}),
        ("/usr/bin/python3", {"PYTHONPATH": with_ours}),
    ]:
        if Path(command).exists():
            probe = subprocess.run(
                [command, "-c", PROBE], env=os.environ | env, cwd=ROOT, capture_output=True
            )
            if probe.returncode == 0:
                return command, env
    pytest.skip(f"no Python here can show a tray (Debian: apt install {PACKAGES})")


@dataclass
class Desktop:
    """What a program needs to know of the desktop it is on, and programs that run there."""

    env: dict[str, str]
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def spawn(self, *command: str, env: dict[str, str], **pipes: Any) -> subprocess.Popen[str]:
        """Run a program on this desktop; it is ended with the desktop."""
        process = subprocess.Popen(command, env=env | self.env, cwd=ROOT, text=True, **pipes)
        self.processes.append(process)
        return process

    def close(self) -> None:
        """End the programs, the last first."""
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()


@pytest.fixture
def desktop(tmp_path: Path) -> Iterator[Desktop]:
    """A desktop without a panel, and with settings of its own."""
    if sys.platform != "linux":
        pytest.skip("D-Bus and X are Linux's")
    for program in ("Xvfb", "dbus-daemon"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing (Debian: apt install {PACKAGES})")
    desktop = Desktop({})
    quiet: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    settings = {
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "XDG_CURRENT_DESKTOP": "",
    }
    env = os.environ | settings
    try:
        bus = desktop.spawn(
            "dbus-daemon", "--session", "--nofork", "--print-address=1", env=env, **quiet
        )
        screen = desktop.spawn(
            "Xvfb", "-displayfd", "1", "-nolisten", "tcp", "-screen", "0", "320x200x24",
            env=env, **quiet,
        )  # fmt: skip
        assert bus.stdout is not None
        assert screen.stdout is not None
        desktop.env = settings | {
            "WAYLAND_DISPLAY": "",
            "DBUS_SESSION_BUS_ADDRESS": bus.stdout.readline().strip(),
            "DISPLAY": f":{screen.stdout.readline().strip()}",
            "GDK_BACKEND": "x11",
            "NO_AT_BRIDGE": "1",
        }
        yield desktop
    finally:
        desktop.close()


class PanelClient:
    """The test's end of `panel.py`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._to, self._from = process.stdin, process.stdout
        assert json.loads(self._from.readline()) == "owned"

    def ask(self, command: str) -> Any:
        """Give a command; its answer."""
        self._to.write(f"{command}\n")
        self._to.flush()
        return json.loads(self._from.readline())

    def wait_for(self, what: str, condition: Callable[[Any], bool], timeout: float = 30) -> Any:
        """Ask for `what` until the answer meets a condition; that answer."""
        deadline = time.monotonic() + timeout
        while True:
            answer = self.ask(what)
            if not (isinstance(answer, dict) and "error" in answer) and condition(answer):
                return answer
            assert time.monotonic() < deadline, f"the tray did not get there: {answer}"
            time.sleep(0.05)

    def click(self, path: str) -> None:
        """Click an item of the menu, as soon as it is there."""
        self.wait_for(f"click {path}", lambda _: True)

    def wait_for_line(self, words: str) -> list[Any]:
        """Wait until the menu's first line has these words; the menu."""
        self.wait_for("item", bool)
        menu: list[Any] = self.wait_for("menu", lambda m: m and words in m[0]["label"])
        return menu


@pytest.fixture
def panel(desktop: Desktop) -> PanelClient:
    """A panel on the desktop."""
    command, env = python()
    process = desktop.spawn(
        command, "-m", "tests.end_to_end.tray.panel",
        env=os.environ | env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    return PanelClient(process)


RunTray = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def run_tray(desktop: Desktop, home: Home) -> RunTray:
    """Run `llmsuggestd tray` on the desktop, for a home of its own."""
    command, python_env = python()

    def run(*arguments: str, **env: str) -> subprocess.Popen[str]:
        return desktop.spawn(
            command, "-m", "llmsuggestd", "tray", *arguments,
            env=home.env | python_env | env, stderr=subprocess.PIPE,
        )  # fmt: skip

    return run
