"""Passing texts, files and commands to the desktop, or naming the missing program."""

from __future__ import annotations

import os
import stat
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llmsuggestd.tray import desktop
from llmsuggestd.tray.backend import TrayError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the programs are shell scripts")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole $PATH. A program added to it records its input."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    return folder


def put(folder: Path, name: str, script: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o700)


def content(file: Path) -> str:
    deadline = time.monotonic() + 10
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return file.read_text()


def keeps_arguments(file: Path) -> str:
    return f"printf '%s|' \"$@\" > '{file}.part'; /bin/mv '{file}.part' '{file}'"


def test_copies_on_wayland(programs: Path, tmp_path: Path) -> None:
    put(programs, "wl-copy", f"/bin/cat > '{tmp_path}/text'")
    desktop.copy("a « b »\n")
    assert (tmp_path / "text").read_text() == "a « b »\n"


def test_says_what_to_install_to_copy_on_wayland(programs: Path) -> None:
    with pytest.raises(TrayError, match="wl-copy is missing") as caught:
        desktop.copy("a")
    assert "wl-clipboard" in caught.value.hint


def test_copies_on_x(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []
    clipboard = SimpleNamespace(
        set_text=lambda text, length: copied.append(text), store=lambda: None
    )
    gtk: Any = SimpleNamespace(Clipboard=SimpleNamespace(get=lambda selection: clipboard))
    gdk: Any = SimpleNamespace(SELECTION_CLIPBOARD=1)
    monkeypatch.delenv("WAYLAND_DISPLAY")
    monkeypatch.setattr(desktop, "on_main_thread", lambda act: act())
    monkeypatch.setitem(sys.modules, "gi.repository.Gtk", gtk)
    monkeypatch.setitem(sys.modules, "gi.repository.Gdk", gdk)
    desktop.copy("a")
    assert copied == ["a"]


def test_opens_a_file(programs: Path, tmp_path: Path) -> None:
    put(programs, "xdg-open", keeps_arguments(tmp_path / "seen"))
    desktop.open_file(tmp_path / "a b.log")
    assert content(tmp_path / "seen") == f"{tmp_path}/a b.log|"


def test_a_program_that_fails_is_named(programs: Path, tmp_path: Path) -> None:
    put(programs, "xdg-open", "exit 3")
    with pytest.raises(TrayError, match=r"xdg-open .*/log failed \(exit code 3\)"):
        desktop.open_file(tmp_path / "log")


def test_a_program_that_keeps_running_is_a_success(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desktop, "TIMEOUT", 0.1)
    put(programs, "xdg-open", f"echo $$ > '{tmp_path}/pid'; exec /bin/sleep 60")
    desktop.open_file(tmp_path / "log")
    pid = int(content(tmp_path / "pid"))
    os.kill(pid, 9)  # it was running


def test_says_where_the_file_is_when_nothing_opens_it(programs: Path, tmp_path: Path) -> None:
    with pytest.raises(TrayError, match="xdg-open is missing") as caught:
        desktop.open_file(tmp_path / "log")
    assert str(tmp_path / "log") in caught.value.hint


@pytest.mark.parametrize("terminal", desktop.TERMINALS)
def test_runs_a_command_in_each_terminal(terminal: str, programs: Path, tmp_path: Path) -> None:
    put(programs, terminal, keeps_arguments(tmp_path / "seen"))
    desktop.run_in_terminal(["a b", "c"], tmp_path)
    option = "".join(f"{word}|" for word in desktop.TERMINALS[terminal])
    script = "'a b' c\necho\nexec \"${SHELL:-/bin/sh}\""
    assert content(tmp_path / "seen") == f"{option}/bin/sh|-c|{script}|"


def test_says_what_to_type_where_there_is_no_terminal(programs: Path, tmp_path: Path) -> None:
    with pytest.raises(TrayError, match="no terminal program") as caught:
        desktop.run_in_terminal(["llmsuggestd", "models"], tmp_path)
    assert caught.value.hint == "run in one: llmsuggestd models"


def test_on_macos(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    put(programs, "open", keeps_arguments(tmp_path / "seen"))
    put(programs, "pbcopy", f"/bin/cat > '{tmp_path}/text'")
    desktop.run_in_terminal(["a b", "c"], tmp_path)
    script = tmp_path / "llmsuggestd.command"
    assert content(tmp_path / "seen") == f"{script}|"
    assert script.read_text().startswith("#!/bin/sh\n'a b' c\n")
    assert stat.S_IMODE(script.stat().st_mode) == 0o700
    desktop.copy("text")
    assert (tmp_path / "text").read_text() == "text"
