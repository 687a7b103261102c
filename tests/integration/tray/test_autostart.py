"""The autostart entry, started by GLib, as GNOME does.

A program with `%` in its path is not tested, since GLib 2.74 finds it under no spelling.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llmsuggestd.tray import autostart
from tests.support import programs


@programs.needs("gio")
@pytest.mark.parametrize("folder", ["plain", "a b", "$HOME", 'q"`\\', "ü=;&'"])
def test_glib_runs_the_entry(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / folder / "python"
    python.parent.mkdir()
    seen = tmp_path / "seen"
    python.write_text(
        f"#!/bin/sh\nprintf '%s\\n' \"$@\" > '{seen}.part'\nmv '{seen}.part' '{seen}'\n"
    )
    python.chmod(0o755)
    monkeypatch.delenv("LLMSUGGESTD_HOME", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(sys, "executable", str(python))
    autostart.enable()
    subprocess.run(
        ["gio", "launch", str(autostart.file())],
        env={**os.environ, "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere"},
        check=True, timeout=30, capture_output=True,
    )  # fmt: skip
    deadline = time.monotonic() + 10
    while not seen.exists():
        assert time.monotonic() < deadline, autostart.file().read_text()  # type: ignore[union-attr]
        time.sleep(0.02)
    assert seen.read_text().split() == ["-P", "-m", "llmsuggestd", "tray", "--wait", "60"]
