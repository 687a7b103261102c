"""Fixtures for the tests of the tray: a desktop, a controllable panel, and trays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Home
from tests.end_to_end.tray.desktop import ROOT, Desktop, make_desktop
from tests.support import programs

PROBE = """
import click
from llmsuggestd.tray import app, backend
gi = backend.import_gi()
gi.require_version("Gtk", "3.0")
assert backend._has_indicator(gi)
"""


@cache
def python() -> tuple[str, dict[str, str]]:
    """A Python that can show a tray, and the variables that it needs.

    It is ours, if it has PyGObject or can use the system's, else the system's with our packages.
    Skips the test if neither works.
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
    pytest.skip(programs.missing("a Python that can show a tray"))


@pytest.fixture
def desktop(tmp_path: Path) -> Iterator[Desktop]:
    """A desktop without a panel, with separate settings."""
    with make_desktop(tmp_path) as desktop:
        yield desktop


class PanelClient:
    """The test's end of `panel.py`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._to, self._from = process.stdin, process.stdout
        assert json.loads(self._from.readline()) == "owned"

    def ask(self, command: str) -> Any:
        """Send a command. Returns the answer."""
        self._to.write(f"{command}\n")
        self._to.flush()
        return json.loads(self._from.readline())

    def wait_for(self, what: str, condition: Callable[[Any], bool], timeout: float = 30) -> Any:
        """Ask for `what` until the answer meets a condition. Returns that answer."""
        deadline = time.monotonic() + timeout
        while True:
            answer = self.ask(what)
            if not (isinstance(answer, dict) and "error" in answer) and condition(answer):
                return answer
            assert time.monotonic() < deadline, f"the condition was not met: {answer}"
            time.sleep(0.05)

    def click(self, path: str) -> None:
        """Click an item of the menu once it exists."""
        self.wait_for(f"click {path}", lambda _: True)

    def wait_for_line(self, words: str) -> list[Any]:
        """Wait until the menu's first line has these words. Returns the menu."""
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
    """Run `llmsuggestd tray` on the desktop, for a temporary home."""
    command, python_env = python()

    def run(*arguments: str, **env: str) -> subprocess.Popen[str]:
        return desktop.spawn(
            command, "-m", "llmsuggestd", "tray", *arguments,
            env=home.env | python_env | env, stderr=subprocess.PIPE,
        )  # fmt: skip

    return run


@pytest.fixture
def two_models(home: Home) -> Home:
    """A home with the starter model, and the same model as F16 under another name."""
    home.install_starter()
    made = home.run(
        "convert", str(ROOT / "convert" / "starter" / "checkpoint"), "--quant", "F16",
        "--output", str(home.paths.models / "wide.gguf"),
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return home
