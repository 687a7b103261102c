"""The menu, the log and the files of the tray, with a pystray that only records calls."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llmsuggestd.paths import Paths
from llmsuggestd.tray import app, autostart, backend, desktop
from llmsuggestd.tray.view import ModelItem, Problem, View


class Item:
    """A menu item that records its arguments."""

    def __init__(
        self, text: str, action: Any, *, enabled: bool = True, checked: Any = None, radio: Any = 0
    ) -> None:
        self.text, self.action, self.enabled = text, action, enabled
        self.checked = checked(self) if checked else None


class Icon:
    """An icon that records its menu."""

    HAS_NOTIFICATION = True

    def __init__(self, name: str, icon: Any, title: str, menu: Any) -> None:
        self.name, self.icon, self.title, self.menu = name, icon, title, menu
        self.stopped = False
        self.notified: list[tuple[str, str]] = []

    def notify(self, message: str, title: str) -> None:
        self.notified.append((title, message))

    def update_menu(self) -> None:
        pass

    def stop(self) -> None:
        self.stopped = True


class Menu:
    """A menu that is built again at each access."""

    SEPARATOR = Item("-", None)

    def __init__(self, *items: Any) -> None:
        self._items = items

    def items(self) -> list[Any]:
        return list(self._items[0]() if callable(self._items[0]) else self._items)


@pytest.fixture
def tray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[app.Tray]:
    monkeypatch.setenv("LLMSUGGESTD_HOME", str(tmp_path))
    monkeypatch.setattr(backend, "on_main_thread", lambda act: act())
    pystray = SimpleNamespace(Icon=Icon, Menu=Menu, MenuItem=Item)
    before = set(threading.enumerate())
    yield app.Tray(Paths(*[tmp_path] * 5), pystray)
    for action in set(threading.enumerate()) - before:
        action.join(10)  # while the stand-ins above are in place


def items(menu: Any) -> dict[str, Item]:
    return {item.text: item for item in menu.items()}


def enabled(tray: app.Tray) -> list[tuple[str, bool]]:
    menu = tray._icon.menu
    return [(item.text, item.enabled) for item in menu.items() if item.text != "-"]


REST = [
    ("Model", True),
    ("Copy Lean setup", True),
    ("Logs", True),
    ("Start at login", False),  # $LLMSUGGESTD_HOME is set
    ("Quit", True),
]


def test_the_menu_shows_the_state_and_the_possible_actions(tray: app.Tray) -> None:
    assert enabled(tray) == [("Stopped", False), ("Start", True), ("Stop", False), *REST]
    tray._follower.view = View("ready", "Ready: starter on CPU", ("a note",), can_stop=True)
    assert enabled(tray) == [
        ("Ready: starter on CPU", False),
        ("a note", False),
        ("Start", False),
        ("Stop", True),
        *REST,
    ]


def test_models_are_chosen_in_a_submenu(tray: app.Tray, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []
    monkeypatch.setattr(tray._follower, "use", used.append)
    models = (ModelItem("a", "a (1 MB)", served=True), ModelItem("b", "b (2 MB)", served=False))
    tray._follower.view = View("ready", "Ready", models=models)
    choice = items(items(tray._icon.menu)["Model"].action)
    assert [(text, item.checked) for text, item in choice.items()] == [
        ("a (1 MB)", True),
        ("b (2 MB)", False),
        ("-", None),
        ("Get more models…", None),
    ]
    choice["b (2 MB)"].action()
    assert used == ["b"]


def click(tray: app.Tray, label: str, until: Callable[[], bool]) -> None:
    items(tray._icon.menu)[label].action()
    deadline = time.monotonic() + 5
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_copies_what_a_lakefile_needs(tray: app.Tray, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []
    monkeypatch.setattr(desktop, "copy", copied.append)
    click(tray, "Copy Lean setup", lambda: bool(tray._icon.notified))
    (text,) = copied
    assert tomllib.loads(text)["require"][0]["name"] == "llmsuggest"
    assert tray._icon.notified[0][0] == "Copied"


def test_shows_the_log(tray: app.Tray, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    monkeypatch.setattr(desktop, "open_file", opened.append)
    click(tray, "Logs", lambda: bool(tray._icon.notified))
    assert "there is no log yet" in tray._icon.notified[0][0]
    assert opened == []
    tray._paths.log_file.touch()
    click(tray, "Logs", lambda: bool(opened))
    assert opened == [tray._paths.log_file]


def test_problems_are_shown(tray: app.Tray) -> None:
    tray._failed(Problem("Could not stop: no", ""))
    assert tray._icon.notified == [("Could not stop: no", " ")]


def test_start_at_login_is_turned_on_and_off(
    tray: app.Tray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.platform != "linux":
        pytest.skip("of the file of XDG Autostart")
    monkeypatch.delenv("LLMSUGGESTD_HOME")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert items(tray._icon.menu)["Start at login"].enabled
    assert items(tray._icon.menu)["Start at login"].checked is False
    click(tray, "Start at login", autostart.enabled)
    assert items(tray._icon.menu)["Start at login"].checked is True
    click(tray, "Start at login", lambda: not autostart.enabled())


def test_long_words_are_broken_and_cut(tray: app.Tray) -> None:
    tray._follower.view = View("failed", "why " * 300, ("try this",))
    texts = [item.text for item in tray._icon.menu.items()]
    lines = texts[: texts.index("-")]
    assert len(lines) == 5
    assert lines[-1] == "try this"
    assert all(len(line) <= app.WIDTH for line in lines)
    assert len(app._title(tray._follower.view)) <= 127


def test_the_log_has_the_error_that_ended_the_tray(tmp_path: Path) -> None:
    file = tmp_path / "state" / "tray.log"
    before = list(logging.getLogger().handlers)

    def fail() -> None:
        with app._logging_to(file):
            logging.getLogger("llmsuggestd.tray").warning("a word")
            raise backend.TrayError("no tray here", "get one")

    with pytest.raises(backend.TrayError):
        fail()
    first, last = file.read_text().splitlines()
    assert first.endswith("WARNING a word")
    assert last.endswith("ERROR no tray here (get one)")
    assert logging.getLogger().handlers == before


def test_a_fault_in_a_thread_is_in_the_log_and_no_traceback_on_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "state" / "tray.log"
    root = logging.getLogger()
    terminal = logging.StreamHandler()
    terminal.setFormatter(app.Brief(app.LOG_FORMAT, app.LOG_TIME))
    root.addHandler(terminal)
    try:
        with app._logging_to(file):
            thread = threading.Thread(target=lambda: 1 / 0)
            thread.start()
            thread.join()
    finally:
        root.removeHandler(terminal)
    assert "ZeroDivisionError" in file.read_text()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("ERROR a fault in llmsuggestd")


def test_a_fault_while_the_icon_is_made_ends_the_tray(
    tray: app.Tray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tray._follower, "look", lambda: 1 / 0)
    monkeypatch.setattr(tray._icon, "run", lambda setup: setup(tray._icon), raising=False)
    with pytest.raises(ZeroDivisionError):
        tray.run()
    assert tray._icon.stopped


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


def test_importing_the_tray_loads_no_engine_no_server_and_no_pystray() -> None:
    script = (
        "import llmsuggestd.cli.tray, llmsuggestd.tray.app, json, sys;"
        "print(json.dumps([m.split('.')[0] for m in sys.modules]))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert {"llama_cpp", "numpy", "aiohttp", "pystray", "gi"}.isdisjoint(json.loads(result.stdout))
