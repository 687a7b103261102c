"""The desktop's services for the menu: clipboard, viewer for a file, terminal."""

from __future__ import annotations

import contextlib
import importlib
import os
import shlex
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

from llmsuggestd.tray.backend import TrayError, on_main_thread

TIMEOUT: Final = 5.0
"""Seconds to wait for a program's failure. One that still runs then has started properly."""

# program -> the arguments between its name and the command to run in it
TERMINALS: Final = {
    "xdg-terminal-exec": [],
    "x-terminal-emulator": ["-e"],  # Debian's choice of the user
    "gnome-terminal": ["--"],
    "kgx": ["--"],
    "ptyxis": ["--"],
    "konsole": ["-e"],
    "xfce4-terminal": ["-x"],
    "mate-terminal": ["-x"],
    "qterminal": ["-e"],
    "kitty": [],
    "foot": [],
    "alacritty": ["-e"],
    "wezterm": ["start", "--"],
    "xterm": ["-e"],
}


def copy(text: str) -> None:
    """Put a text on the clipboard. Raises TrayError, which names the missing program."""
    if sys.platform == "darwin":
        _run("pbcopy", text=text.encode())
    elif sys.platform == "win32":
        _run("clip", text=text.encode("utf-16"))
    elif not os.environ.get("WAYLAND_DISPLAY"):
        _copy_with_gtk(text)
    elif shutil.which("wl-copy"):
        _run("wl-copy", text=text.encode())
    else:
        # Wayland gives the clipboard only to focused windows, and we have none
        raise TrayError(
            "wl-copy is missing, which reaches Wayland's clipboard",
            "install the package wl-clipboard",
        )


def open_file(path: Path) -> None:
    """Open a file in the desktop's program for it. Raises TrayError."""
    if sys.platform == "win32":
        os.startfile(path)  # type: ignore[attr-defined, unused-ignore]  # noqa: S606
    elif sys.platform == "darwin":
        _run("open", "-t", str(path))
    elif shutil.which("xdg-open"):
        _run("xdg-open", str(path))
    else:
        raise TrayError("xdg-open is missing", f"install xdg-utils; the file is {path}")


def run_in_terminal(command: list[str], folder: Path) -> None:
    """Run a command in a terminal window, and leave its user a shell.

    `folder` is one of our folders, for a script if the system needs one. Raises TrayError.
    """
    if sys.platform == "win32":
        subprocess.Popen(
            f'cmd /k "{subprocess.list2cmdline(command)}"',
            creationflags=subprocess.CREATE_NEW_CONSOLE,  # type: ignore[attr-defined, unused-ignore]
        )
        return
    script = f'{shlex.join(command)}\necho\nexec "${{SHELL:-/bin/sh}}"'
    if sys.platform == "darwin":
        file = folder / "llmsuggestd.command"
        file.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        file.chmod(0o700)
        _run("open", str(file))
        return
    for program, option in TERMINALS.items():
        if shutil.which(program):
            _spawn(program, *option, "/bin/sh", "-c", script)
            return
    raise TrayError("no terminal program was found", f"run in one: {shlex.join(command)}")


def _copy_with_gtk(text: str) -> None:
    """Own the X selection with a text, and pass it to the clipboard manager if there is one."""

    def offer() -> None:
        gtk = importlib.import_module("gi.repository.Gtk")
        gdk = importlib.import_module("gi.repository.Gdk")
        clipboard = gtk.Clipboard.get(gdk.SELECTION_CLIPBOARD)
        clipboard.set_text(text, -1)
        clipboard.store()

    on_main_thread(offer)


def _run(*command: str, text: bytes | None = None) -> None:
    """Run a program with a text as its input. It may keep running, like a viewer.

    Raises TrayError if it fails soon.
    """
    process = _spawn(*command, reads=text is not None)
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
            pipe.write(text or b"")
    with contextlib.suppress(subprocess.TimeoutExpired):
        if process.wait(TIMEOUT) != 0:
            raise TrayError(f"{shlex.join(command)} failed (exit code {process.returncode})")


def _spawn(*command: str, reads: bool = False) -> subprocess.Popen[bytes]:
    """Start a program, and reap it when it ends."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if reads else subprocess.DEVNULL,
            # not a pipe: a background child of the program would keep it open
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise TrayError(f"{command[0]}: {error.strerror}") from error
    threading.Thread(target=process.wait, daemon=True).start()
    return process
