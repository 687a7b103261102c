"""Start at login: an entry that each system understands, and that is removed completely."""

from __future__ import annotations

import plistlib
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from llmsuggestd.tray import autostart


@pytest.fixture
def linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the autostart files, which does not exist yet."""
    monkeypatch.delenv("LLMSUGGESTD_HOME", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", f"{tmp_path / 'one'}:{tmp_path / 'two'}")
    return tmp_path / "user" / "autostart"


def keys(file: Path) -> dict[str, str]:
    first, *lines = file.read_text().splitlines()
    assert first == "[Desktop Entry]"
    return dict(line.split("=", 1) for line in lines)


def test_start_at_login_is_off_by_default(linux: Path) -> None:
    assert not autostart.enabled()
    assert not linux.exists()


def test_disabling_leaves_nothing(linux: Path) -> None:
    autostart.enable()
    autostart.enable()
    assert autostart.enabled()
    assert autostart.file() == linux / "llmsuggestd-tray.desktop"
    assert [file.name for file in linux.iterdir()] == ["llmsuggestd-tray.desktop"]
    autostart.disable()
    autostart.disable()
    assert not autostart.enabled()
    assert list(linux.iterdir()) == []


def test_the_entry_says_what_to_run(linux: Path) -> None:
    autostart.enable()
    entry = keys(linux / "llmsuggestd-tray.desktop")
    assert entry["Type"] == "Application"
    assert entry["TryExec"] == sys.executable
    assert entry["Exec"] == f"{sys.executable} -P -m llmsuggestd tray --wait 60"
    assert Path(entry["Icon"]).is_file()


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("/usr/bin/python3", "/usr/bin/python3"),
        ("/a b/python", '"/a b/python"'),
        ("100%", "100%%"),
        # quoted for Exec, and again as a string of the file
        ('a"b', r'"a\\"b"'),
        ("a$b`c", r'"a\\$b\\`c"'),
        ("a\\b", r'"a\\\\b"'),
        ("a;b", '"a;b"'),
        ("ü", '"ü"'),
        ("", '""'),
    ],
)
def test_words_are_quoted_as_the_specification_has_it(word: str, quoted: str) -> None:
    assert autostart._exec_quoted(word) == quoted


@pytest.mark.parametrize(
    ("lines", "starts"),
    [
        ("", True),
        ("Hidden=false\n", True),
        ("Hidden=true\n", False),
        ("Hidden = true\n", False),
        ("X-GNOME-Autostart-enabled=false\n", False),
    ],
)
def test_obeys_the_desktops_own_switches(linux: Path, lines: str, starts: bool) -> None:
    autostart.enable()
    file = linux / "llmsuggestd-tray.desktop"
    file.write_text(file.read_text() + lines)
    assert autostart.enabled() is starts
    autostart.enable()
    assert autostart.enabled()


def test_an_entry_of_the_system_is_overruled(linux: Path, tmp_path: Path) -> None:
    system = tmp_path / "two" / "autostart" / "llmsuggestd-tray.desktop"
    system.parent.mkdir(parents=True)
    system.write_text("[Desktop Entry]\nType=Application\nExec=x\n")
    assert autostart.enabled()
    autostart.disable()
    assert not autostart.enabled()
    assert keys(linux / "llmsuggestd-tray.desktop")["Hidden"] == "true"
    autostart.enable()
    assert autostart.enabled()


def test_a_portable_installation_writes_nothing_outside_its_root(
    linux: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    autostart.enable()
    monkeypatch.setenv("LLMSUGGESTD_HOME", "/somewhere")
    assert not autostart.supported()
    assert not autostart.enabled()


def test_on_macos_it_is_an_agent_of_the_graphical_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LLMSUGGESTD_HOME", raising=False)
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setenv("HOME", str(tmp_path))
    autostart.enable()
    file = tmp_path / "Library" / "LaunchAgents" / "org.llmsuggestd.tray.plist"
    assert autostart.file() == file
    agent = plistlib.loads(file.read_bytes())
    assert agent["ProgramArguments"] == autostart.command_line()
    assert agent["RunAtLoad"] is True
    assert agent["LimitLoadToSessionType"] == "Aqua"
    assert "KeepAlive" not in agent  # Quit must stay effective
    assert autostart.enabled()
    assert not autostart.is_outdated()
    monkeypatch.setattr(sys, "executable", "/moved/python")
    assert autostart.is_outdated()
    autostart.disable()
    assert not autostart.is_outdated()
    assert not file.exists()
    assert not autostart.enabled()


class Key:
    """An open key of the registry."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def __enter__(self) -> Key:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        pass


class Registry:
    """The used part of winreg."""

    HKEY_CURRENT_USER, REG_SZ, KEY_SET_VALUE = "HKCU", 1, 2

    def __init__(self) -> None:
        self.keys: dict[str, dict[str, Any]] = {}

    def CreateKey(  # noqa: N802
        self, root: str, path: str
    ) -> Key:
        return Key(self.keys.setdefault(path, {}))

    def OpenKey(  # noqa: N802
        self, root: str, path: str, reserved: int = 0, access: int = 0
    ) -> Key:
        if path not in self.keys:
            raise FileNotFoundError
        return Key(self.keys[path])

    def SetValueEx(  # noqa: N802
        self, key: Key, name: str, reserved: int, kind: int, value: Any
    ) -> None:
        key.values[name] = value

    def QueryValueEx(  # noqa: N802
        self, key: Key, name: str
    ) -> tuple[Any, int]:
        if name not in key.values:
            raise FileNotFoundError
        return key.values[name], 1

    def DeleteValue(  # noqa: N802
        self, key: Key, name: str
    ) -> None:
        if name not in key.values:
            raise FileNotFoundError
        del key.values[name]


def test_on_windows_it_is_a_value_of_the_run_key(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry()
    monkeypatch.delenv("LLMSUGGESTD_HOME", raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(sys, "executable", r"C:\Program Files\x\python.exe")
    monkeypatch.setitem(sys.modules, "winreg", registry)
    assert autostart.file() is None
    autostart.disable()
    assert not autostart.enabled()
    autostart.enable()
    assert autostart.enabled()
    assert not autostart.is_outdated()
    command = registry.keys[autostart.RUN_KEY]["llmsuggestd tray"]
    assert command == r'"C:\Program Files\x\python.exe" -P -m llmsuggestd tray --wait 60'
    approved = {"llmsuggestd tray": bytes([3]) + bytes(11)}  # turned off in the Task Manager
    registry.keys[autostart.APPROVED_KEY] = approved
    assert not autostart.enabled()
    autostart.enable()
    assert autostart.enabled()
    monkeypatch.setattr(sys, "executable", r"C:\moved\python.exe")
    assert autostart.is_outdated()
    autostart.disable()
    assert not autostart.enabled()
    assert registry.keys == {autostart.RUN_KEY: {}, autostart.APPROVED_KEY: {}}
