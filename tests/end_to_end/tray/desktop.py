"""A virtual desktop: an X server, a session bus, and optionally Xfce's panel."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from PIL import Image, ImageColor, ImageGrab

from tests.support import programs

ROOT: Final = Path(__file__).parents[3]
PANEL_HEIGHT: Final = 28

PANEL: Final = f"""<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array">
    <value type="int" value="1"/>
    @DARK@
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=6;x=0;y=0"/>
      <property name="position-locked" type="bool" value="true"/>
      <property name="length" type="double" value="100"/>
      <property name="size" type="uint" value="{PANEL_HEIGHT}"/>
      <property name="icon-size" type="uint" value="22"/>
      <property name="plugin-ids" type="array">
        <value type="int" value="1"/>
      </property>
    </property>
  </property>
  <property name="plugins" type="empty">
    <property name="plugin-1" type="string" value="systray"/>
  </property>
</channel>
"""
"""The settings of a panel at the upper edge with only tray icons."""


@dataclass
class Desktop:
    """The variables for programs on a desktop, and the programs that run there."""

    env: dict[str, str]
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def spawn(self, *command: str, env: dict[str, str], **pipes: Any) -> subprocess.Popen[str]:
        """Run a program on this desktop. It ends with the desktop."""
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

    def run_panel(self, *, dark: bool = False) -> None:
        """Run Xfce's panel. Skips the test if it is missing."""
        programs.need("xfce4-panel", "xdotool")
        file = Path(self.env["XDG_CONFIG_HOME"], "xfce4/xfconf/xfce-perchannel-xml/xfce4-panel.xml")
        file.parent.mkdir(parents=True)
        mode = '<property name="dark-mode" type="bool" value="true"/>' if dark else ""
        file.write_text(PANEL.replace("@DARK@", mode))
        self.spawn(
            "xfce4-panel", "--disable-wm-check",
            env=dict(os.environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def picture(self) -> Image.Image:
        """A screenshot."""
        return ImageGrab.grab(xdisplay=self.env["DISPLAY"]).convert("RGB")

    def find(self, colour: str, timeout: float = 20) -> tuple[int, int]:
        """Wait until a pixel of the panel has this colour. Returns its position."""
        wanted = bytes(ImageColor.getrgb(colour))
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            panel = self.picture().crop((0, 0, 400, PANEL_HEIGHT))
            pixels = panel.tobytes()
            for at in range(len(pixels) // 3):
                if pixels[3 * at : 3 * at + 3] == wanted:
                    return at % panel.width + 2, at // panel.width + 2
            time.sleep(0.1)
        raise AssertionError(f"nothing in the panel is {colour}")

    def point(self, *arguments: str) -> None:
        """Use mouse and keyboard, through xdotool."""
        subprocess.run(["xdotool", *arguments], env=os.environ | self.env, check=True, timeout=20)

    def settle(self, since: Image.Image | None = None, timeout: float = 20) -> Image.Image:
        """Wait until the screen differs from `since` and is stable. Returns the screenshot."""
        deadline = time.monotonic() + timeout
        while True:
            before = self.picture()
            time.sleep(0.3)
            now = self.picture()
            changed = since is None or now.tobytes() != since.tobytes()
            if changed and now.tobytes() == before.tobytes():
                return now
            assert time.monotonic() < deadline, "the screen does not change, or does not settle"


@contextlib.contextmanager
def make_desktop(folder: Path) -> Iterator[Desktop]:
    """A desktop without a panel, with its settings in a folder. At the end, its programs are ended.

    Skips the test if a program is missing.
    """
    if sys.platform != "linux":
        pytest.skip("D-Bus and X are Linux's")
    programs.need("Xvfb", "dbus-daemon")
    desktop = Desktop({})
    quiet: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    settings = {
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "XDG_CURRENT_DESKTOP": "",
    }
    env = os.environ | settings
    try:
        bus = desktop.spawn(
            "dbus-daemon", "--session", "--nofork", "--print-address=1", env=env, **quiet
        )
        screen = desktop.spawn(
            "Xvfb", "-displayfd", "1", "-nolisten", "tcp", "-screen", "0", "640x400x24",
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
