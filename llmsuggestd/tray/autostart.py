"""Starts the tray at login, with an entry in the desktop's autostart that is made only on request.

The entry is a file of the XDG Autostart specification on Linux, a launchd agent on macOS, and a
value of the user's Run key on Windows. It starts only the tray; a service starts the daemon
(`install`). A portable installation (`$LLMSUGGESTD_HOME`) has no entry, since it writes nothing
outside its root.
"""

from __future__ import annotations

import os
import plistlib
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from llmsuggestd.files import write_atomically
from llmsuggestd.paths import base_directory, home, home_override
from llmsuggestd.resources import resource

DESKTOP_FILE: Final = "llmsuggestd-tray.desktop"
AGENT: Final = "org.llmsuggestd.tray"
RUN_KEY: Final = r"Software\Microsoft\Windows\CurrentVersion\Run"
APPROVED_KEY: Final = (
    r"Software\Microsoft\Windows\CurrentVersion\Explorer\StartupApproved\Run"  # Task Manager's
)
RUN_VALUE: Final = "llmsuggestd tray"

WAIT: Final = 60
"""Seconds to wait for the panel of a starting desktop."""


def supported() -> bool:
    """Whether this installation may start at login."""
    return home_override() is None


def file() -> Path | None:
    """The file that `enable` writes; None on Windows, which has a registry value instead."""
    if sys.platform == "win32":
        return None
    if sys.platform == "darwin":
        return home() / "Library" / "LaunchAgents" / f"{AGENT}.plist"
    return base_directory("XDG_CONFIG_HOME") / "autostart" / DESKTOP_FILE


def enabled() -> bool:
    """Whether the tray starts at login."""
    if not supported():
        return False
    path = file()
    if path is None:
        return _registry_enabled()
    if sys.platform == "darwin":
        return path.exists()
    # the first file of that name counts, and the user's comes before the system's
    for entry in (path, *_system_files()):
        if entry.exists():
            return _starts(entry)
    return False


def is_outdated() -> bool:
    """Whether our entry is active, but starts another installation, perhaps one that has moved."""
    if not enabled():
        return False
    path = file()
    if path is None:
        return bool(_value(_winreg(), RUN_KEY) != subprocess.list2cmdline(command_line()))
    if not path.exists():  # the system's entry is active
        return False
    if sys.platform == "darwin":
        return path.read_bytes() != _agent()
    # the user or a desktop may have changed other lines
    return _exec_line() not in path.read_text(encoding="utf-8").splitlines()


def enable() -> None:
    """Start the tray at later logins. Raises OSError."""
    path = file()
    if path is None:
        _registry_enable()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    content = _agent() if sys.platform == "darwin" else _desktop_entry().encode()
    write_atomically(path, content)


def disable() -> None:
    """Stop starting the tray at login, and remove our entry. Raises OSError."""
    path = file()
    if path is None:
        _registry_disable()
    elif sys.platform != "darwin" and any(_starts(entry) for entry in _system_files()):
        # only a user's entry with Hidden=true disables the system's
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, f"{_desktop_entry()}Hidden=true\n".encode())
    else:
        path.unlink(missing_ok=True)


def command_line() -> list[str]:
    """The command to run at login."""
    return [_python(), "-P", "-m", "llmsuggestd", "tray", "--wait", str(WAIT)]


def _python() -> str:
    """This Python; on Windows, the variant without a console."""
    windowless = Path(sys.executable).with_name("pythonw.exe")
    if sys.platform == "win32" and windowless.exists():
        return str(windowless)
    return sys.executable


def _desktop_entry() -> str:
    return "\n".join(
        [
            "[Desktop Entry]",
            "Type=Application",
            "Name=llmsuggestd",
            "Comment=Next-tactic suggestions for Lean: the icon in the panel",
            _exec_line(),
            # without its program the entry is ignored silently
            f"TryExec={_escaped(_python())}",
            f"Icon={_escaped(str(resource('packaging') / 'icons' / 'llmsuggestd.svg'))}",
            "Terminal=false",
            "",
        ]
    )


def _exec_line() -> str:
    return f"Exec={' '.join(_exec_quoted(word) for word in command_line())}"


def _exec_quoted(word: str) -> str:
    """A word, quoted for `Exec` as the Desktop Entry Specification says.

    In quotes, a backslash precedes each character that is special to a shell. The result is a
    string of the file, in which each backslash is doubled. `%` begins a field code, and `%%` is a
    percent sign.
    """
    if not word or not set(word) <= _PLAIN:
        for special in '\\"`$':
            word = word.replace(special, f"\\{special}")
        word = f'"{word}"'
    return _escaped(word.replace("%", "%%"))


_PLAIN: Final = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_-.+,:@=%"
)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\")


def _starts(entry: Path) -> bool:
    """Whether an autostart file is active."""
    try:
        lines = entry.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    values = dict(line.replace(" ", "").split("=", 1) for line in lines if "=" in line)
    return (
        values.get("Hidden") != "true"
        and values.get("X-GNOME-Autostart-enabled") != "false"  # GNOME's own switch
    )


def _system_files() -> list[Path]:
    folders = os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    files = [Path(folder) / "autostart" / DESKTOP_FILE for folder in folders.split(":")]
    return [entry for entry in files if entry.exists()]


def _agent() -> bytes:
    """A launchd agent. It is read at the next login; a running tray is unaffected."""
    return plistlib.dumps(
        {
            "Label": AGENT,
            "ProgramArguments": command_line(),
            "RunAtLoad": True,
            "LimitLoadToSessionType": "Aqua",
            "ProcessType": "Interactive",
        }
    )


def _winreg() -> Any:
    import winreg

    return winreg


def _registry_enabled() -> bool:
    winreg = _winreg()
    if _value(winreg, RUN_KEY) is None:
        return False
    approved = _value(winreg, APPROVED_KEY)
    return not (isinstance(approved, bytes) and approved[:1] and approved[0] & 1)  # 3: turned off


def _registry_enable() -> None:
    winreg = _winreg()
    command = subprocess.list2cmdline(command_line())
    with winreg.CreateKey(winreg.HKEY_CURRENT_USER, RUN_KEY) as key:
        winreg.SetValueEx(key, RUN_VALUE, 0, winreg.REG_SZ, command)
    _delete(winreg, APPROVED_KEY)


def _registry_disable() -> None:
    winreg = _winreg()
    _delete(winreg, RUN_KEY)
    _delete(winreg, APPROVED_KEY)


def _value(winreg: Any, path: str) -> Any:
    try:
        with winreg.OpenKey(winreg.HKEY_CURRENT_USER, path) as key:
            return winreg.QueryValueEx(key, RUN_VALUE)[0]
    except FileNotFoundError:
        return None


def _delete(winreg: Any, path: str) -> None:
    try:
        with winreg.OpenKey(winreg.HKEY_CURRENT_USER, path, 0, winreg.KEY_SET_VALUE) as key:
            winreg.DeleteValue(key, RUN_VALUE)
    except FileNotFoundError:
        pass
