"""Loads pystray, and checks the desktop.

`load` returns pystray if a tray icon with a menu can be shown. Otherwise, it raises an error that
names the missing part and how to get it. Without these checks, pystray would show an icon without a
menu, show nothing, or fail with another library's error.

Linux is the difficult case. There, a tray icon is a D-Bus object that the desktop's panel draws.
pystray makes the object with PyGObject (`gi`) and libayatana-appindicator, which come from the
distribution, not from PyPI. The panel must support these objects.
"""

from __future__ import annotations

import difflib
import importlib
import logging
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from llmsuggestd.distribution import install_command
from llmsuggestd.errors import LlmsuggestdError

log = logging.getLogger(__name__)

WATCHER: Final = "org.kde.StatusNotifierWatcher"
"""The D-Bus name that a panel, or another part of the desktop, owns if it shows tray icons."""

# distribution -> the packages that pystray requires
PACKAGES: Final = {
    "debian": "python3-gi gir1.2-ayatanaappindicator3-0.1",
    "fedora": "python3-gobject gtk3 libayatana-appindicator-gtk3",
    "arch": "python-gobject gtk3 libayatana-appindicator",
    "suse": "python3-gobject typelib-1_0-AyatanaAppIndicator3-0_1",
}
SESSION_BUS: Final = {"debian": "dbus-user-session"}
INSTALL_ANYWHERE: Final = "install PyGObject, GTK 3 and libayatana-appindicator with its typelib"

# desktop (a word of XDG_CURRENT_DESKTOP) -> how to make it show tray icons
HOSTS: Final = {
    "gnome": "install the extension AppIndicator (package gnome-shell-extension-appindicator), log"
    " out and in, and turn it on in the app Extensions",
    "xfce": "add the item `Status Tray Plugin` to the panel (Panel Preferences, Items)",
    "kde": "add the widget System Tray to the panel",
    "mate": "add `Indicator Applet Complete` or the notification area to the panel"
    " (package mate-indicator-applet)",
    "lxqt": "add the widget Status Notifier to the panel",
    "x-cinnamon": "add the applet `XApp Status Applet` to the panel",
    "budgie": "add the applet System Tray to the panel",
    **dict.fromkeys(
        ["sway", "hyprland", "niri", "river", "wlroots"], "add the module `tray` to waybar"
    ),
}
HOST_ANYWHERE: Final = (
    "use a panel that shows StatusNotifierItem icons: xfce4-panel, mate-panel, lxqt-panel or waybar"
)


class TrayError(LlmsuggestdError):
    """No tray icon can be shown here."""

    code = "tray"


def load(wait: float) -> Any:
    """Import pystray, ready to show an icon with a menu on this desktop.

    Waits up to `wait` seconds for the tray of a starting desktop. Raises TrayError.
    """
    if sys.platform == "linux":
        _check_display()
        gi = import_gi()
        _check_toolkit(gi)
        _check_host(gi, wait)
        os.environ.setdefault("PYSTRAY_BACKEND", "appindicator")
    try:
        pystray = importlib.import_module("pystray")
    except Exception as error:  # on Linux without a display, it is Xlib's
        raise TrayError(
            f"pystray cannot be used here: {error or type(error).__name__}",
            "install llmsuggestd again; unset PYSTRAY_BACKEND if it is set",
        ) from error
    if not pystray.Icon.HAS_MENU:
        raise TrayError(
            "this pystray backend shows no menu", "unset PYSTRAY_BACKEND to use the default"
        )
    return pystray


def on_main_thread(act: Callable[[], None]) -> None:
    """Schedule a function on the main thread, which runs the icon's loop.

    AppKit ends the process if another thread uses an icon, and GTK must not be called from another
    thread. On Windows, pystray accepts calls from any thread.
    """

    def guarded() -> bool:
        try:
            act()
        except Exception as error:
            log.error("the icon: %s: %s", type(error).__name__, error)
            log.debug("unexpected", exc_info=True)
        return False  # for GLib: once is enough

    if sys.platform == "linux":
        importlib.import_module("gi.repository.GLib").idle_add(guarded)
    elif sys.platform == "darwin":
        importlib.import_module("PyObjCTools.AppHelper").callAfter(guarded)
    else:
        guarded()


def update_menu(icon: Any) -> None:
    """Update the icon's menu to the present items. Must run on the main thread.

    pystray replaces the whole menu, and panels then close an open menu. While the daemon works,
    that would happen often. With GTK, only the items that differ are changed.
    """
    shown = getattr(icon, "_menu_handle", None)
    if sys.platform == "linux" and shown is not None:
        _adapt_menu(icon, shown)
    else:
        icon.update_menu()


def _adapt_menu(icon: Any, menu: Any, wanted: Any = None) -> None:
    """Update a GTK menu to pystray's items."""
    items = list(icon.menu if wanted is None else wanted)
    shown = menu.get_children()
    matcher = difflib.SequenceMatcher(
        None, [_looks_of(item) for item in shown], [_looks_for(icon, item) for item in items], False
    )
    at = 0
    for change, i1, i2, j1, j2 in matcher.get_opcodes():
        olds, news = shown[i1:i2], items[j1:j2]
        while olds and news and (change == "equal" or _both_text(olds[0], news[0])):
            old, new = olds.pop(0), news.pop(0)
            if change != "equal":
                old.set_label(new.text)
            elif new.submenu:
                _adapt_menu(icon, old.get_submenu(), new.submenu)
            if old.get_sensitive() != new.enabled:
                old.set_sensitive(new.enabled)
            at += 1
        for old in olds:
            menu.remove(old)
        for new in news:
            made = icon._create_menu_item(new)
            made.show_all()
            menu.insert(made, at)
            at += 1


def _looks_of(item: Any) -> tuple[object, ...]:
    """The properties that identify an item of a GTK menu."""
    if item.get_child() is None:  # a separator; asking for its label would create one
        return None, None, False
    checked = item.get_active() if hasattr(item, "get_active") else None
    return item.get_label(), checked, item.get_submenu() is not None


def _looks_for(icon: Any, item: Any) -> tuple[object, ...]:
    """The properties that identify one of pystray's items."""
    if item is icon.menu.SEPARATOR:
        return None, None, False
    return item.text, item.checked, item.submenu is not None


def _both_text(old: Any, new: Any) -> bool:
    """Whether both items are plain text, so that at most their labels differ."""
    label, checked, submenu = _looks_of(old)
    if label is None or checked is not None or submenu or old.get_sensitive():
        return False
    return new.checked is None and not new.submenu and not new.enabled


def _check_display() -> None:
    if not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
        raise TrayError(
            "there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)",
            "run `llmsuggestd tray` in a desktop session;"
            " without one, use `llmsuggestd start`, `stop` and `status`",
        )


def import_gi() -> Any:
    """PyGObject, our own or the system's.

    A virtual environment does not see the system's packages. But the system's PyGObject works in
    any Python for which it was compiled, so it is imported from there, without other packages.
    """
    try:
        return importlib.import_module("gi")
    except ImportError:
        pass
    present = _system_gi()
    ours = sys.version_info[:2]
    if folder := present.get(ours):
        sys.path.append(str(folder))
        try:
            return importlib.import_module("gi")
        except ImportError as error:
            log.warning("the system's PyGObject cannot be used: %s", error)
        finally:
            sys.path.remove(str(folder))
    elif present:
        theirs = ", ".join(_dotted(version) for version in sorted(present))
        raise TrayError(
            f"PyGObject (gi) is there for Python {theirs}, but this is Python {_dotted(ours)}",
            "use the system's Python: pipx reinstall --python /usr/bin/python3 llmsuggestd"
            " (or uv tool install --python /usr/bin/python3 llmsuggestd)",
        )
    raise TrayError(
        f"PyGObject (gi) is missing for Python {_dotted(ours)}",
        f"{_install_command()}; it is used from a virtual environment too",
    )


def _system_gi(root: Path = Path("/usr")) -> dict[tuple[int, int], Path]:
    """The system's package folders with PyGObject, by the Python that it is compiled for."""
    found = {}
    for pattern in (
        "lib/python3/dist-packages",  # Debian and its derivatives
        "lib64/python3.*/site-packages",  # Fedora, openSUSE
        "lib/python3.*/site-packages",  # Arch
    ):
        for compiled in root.glob(f"{pattern}/gi/_gi.cpython-3*.so"):
            if version := re.match(r"_gi\.cpython-3(\d+)-", compiled.name):
                found[3, int(version[1])] = compiled.parents[1]
    return found


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _check_toolkit(gi: Any) -> None:
    try:
        gi.require_version("Gtk", "3.0")
        gtk = importlib.import_module("gi.repository.Gtk")
    except (ImportError, ValueError) as error:
        raise TrayError("GTK 3 cannot be used from Python", _install_command()) from error
    if not _has_indicator(gi):
        raise TrayError(
            "libayatana-appindicator is missing, which makes tray icons", _install_command()
        )
    if not gtk.init_check()[0]:
        display = os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY")
        raise TrayError(
            f"the display {display} cannot be opened",
            "run `llmsuggestd tray` as the user of the desktop session, from within it",
        )


def _has_indicator(gi: Any) -> bool:
    for name in ("AppIndicator3", "AyatanaAppIndicator3"):  # pystray works with either
        try:
            gi.require_version(name, "0.1")
        except ValueError:
            continue
        return True
    return False


def _check_host(gi: Any, wait: float) -> None:
    """Check that a panel shows icons. Otherwise the icon would be invisible, without an error."""
    gi.require_version("Gio", "2.0")
    gio = importlib.import_module("gi.repository.Gio")
    glib = importlib.import_module("gi.repository.GLib")
    try:
        bus = gio.bus_get_sync(gio.BusType.SESSION, None)
    except glib.Error as error:
        raise TrayError(
            "there is no D-Bus session bus, through which tray icons are shown",
            "run `llmsuggestd tray` in a desktop session; in one,"
            f" {install_command(SESSION_BUS, 'install D-Bus')}, then log in again",
        ) from error
    deadline = time.monotonic() + wait
    while not _has_owner(gio, glib, bus, WATCHER):
        if time.monotonic() >= deadline:
            raise TrayError(
                f"this desktop shows no tray icons ({WATCHER} has no owner)", _host_hint()
            )
        time.sleep(0.25)


def _has_owner(gio: Any, glib: Any, bus: Any, name: str) -> bool:
    answer = bus.call_sync(
        "org.freedesktop.DBus",
        "/org/freedesktop/DBus",
        "org.freedesktop.DBus",
        "NameHasOwner",
        glib.Variant("(s)", (name,)),
        glib.VariantType("(b)"),
        gio.DBusCallFlags.NONE,
        5000,
        None,
    )
    owned: bool = answer.unpack()[0]
    return owned


def _host_hint() -> str:
    words = os.environ.get("XDG_CURRENT_DESKTOP", "").lower().split(":")
    return next((HOSTS[word] for word in words if word in HOSTS), HOST_ANYWHERE)


def _install_command() -> str:
    return install_command(PACKAGES, INSTALL_ANYWHERE)
