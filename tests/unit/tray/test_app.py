"""The menu, and what keeps trays apart; with a pystray that only remembers."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llmsuggestd.paths import Paths
from llmsuggestd.tray import app
from llmsuggestd.tray.view import View


class Item:
    """A menu item that remembers what it was made of."""

    def __init__(self, text: str, action: Any, *, enabled: bool = True) -> None:
        self.text, self.action, self.enabled = text, action, enabled


class Icon:
    """An icon that remembers its menu."""

    def __init__(self, name: str, icon: Any, title: str, menu: Any) -> None:
        self.name, self.icon, self.title, self.menu = name, icon, title, menu
        self.stopped = False

    def stop(self) -> None:
        self.stopped = True


class Menu:
    """A menu made anew each time it is asked for."""

    SEPARATOR = Item("-", None)

    def __init__(self, items: Any) -> None:
        self.items = items


@pytest.fixture
def tray(tmp_path: Path) -> app.Tray:
    pystray = SimpleNamespace(Icon=Icon, Menu=Menu, MenuItem=Item)
    return app.Tray(Paths(*[tmp_path] * 5), pystray)


def menu(tray: app.Tray) -> list[tuple[str, bool]]:
    return [(item.text, item.enabled) for item in tray._icon.menu.items() if item.text != "-"]


def test_the_menu_says_what_is_and_offers_what_can_be_done(tray: app.Tray) -> None:
    assert menu(tray) == [("Stopped", False), ("Start", True), ("Stop", False), ("Quit", True)]
    tray._follower.view = View("ready", "Ready: starter on CPU", can_stop=True)
    assert menu(tray) == [
        ("Ready: starter on CPU", False),
        ("Start", False),
        ("Stop", True),
        ("Quit", True),
    ]


def test_long_words_are_broken_and_never_endless(tray: app.Tray) -> None:
    tray._follower.view = View("failed", "why " * 300, "try this")
    lines = [text for text, _ in menu(tray)][:-3]
    assert len(lines) == 5
    assert lines[-1] == "try this"
    assert all(len(line) <= app.WIDTH for line in lines)
    assert len(app._title(tray._follower.view)) <= 127


def test_quit_ends_the_icon(tray: app.Tray) -> None:
    tray._quit()
    assert tray._icon.stopped


def test_temporary_files_go_with_the_tray_and_with_a_dead_one(tmp_path: Path) -> None:
    folder = tmp_path / "tray"
    folder.mkdir()
    (folder / "of-a-killed-tray").touch()
    before = tempfile.gettempdir()
    with app._private_tempdir(folder):
        assert list(folder.iterdir()) == []
        assert folder.stat().st_mode & 0o077 == 0
        assert Path(tempfile.mkdtemp()).parent == folder
    assert not folder.exists()
    assert tempfile.gettempdir() == before


def test_loads_neither_engine_nor_server_nor_before_its_time_pystray() -> None:
    script = (
        "import llmsuggestd.cli.tray, llmsuggestd.tray.app, json, sys;"
        "print(json.dumps([m.split('.')[0] for m in sys.modules]))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert {"llama_cpp", "numpy", "aiohttp", "pystray", "gi"}.isdisjoint(json.loads(result.stdout))
