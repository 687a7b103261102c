"""A panel for tests: takes tray icons over D-Bus as a desktop does, and obeys on stdin.

Run as a process of its own, since it needs PyGObject, which the tests' Python may lack. Each line
of stdin is a command, each line of stdout its answer in JSON:

    item          {"title", "icon", "status"} of the tray icon, null as long as there is none
    menu          [{"label", "enabled"}, ...] with null for a separator
    click LABEL   clicks that item of the menu, and answers {}

The icon is a StatusNotifierItem, its menu speaks com.canonical.dbusmenu.
"""

from __future__ import annotations

import importlib
import json
import sys
import threading
from typing import Any

from llmsuggestd.tray.backend import WATCHER, import_gi

WATCHER_XML = f"""
<node>
  <interface name="{WATCHER}">
    <method name="RegisterStatusNotifierItem"><arg type="s" direction="in"/></method>
    <method name="RegisterStatusNotifierHost"><arg type="s" direction="in"/></method>
    <property name="RegisteredStatusNotifierItems" type="as" access="read"/>
    <property name="IsStatusNotifierHostRegistered" type="b" access="read"/>
    <property name="ProtocolVersion" type="i" access="read"/>
  </interface>
</node>
"""
ITEM = "org.kde.StatusNotifierItem"
MENU = "com.canonical.dbusmenu"

import_gi()
Gio: Any = importlib.import_module("gi.repository.Gio")
GLib: Any = importlib.import_module("gi.repository.GLib")


class Panel:
    """A StatusNotifierWatcher, and what a panel does with the item that registers there."""

    def __init__(self) -> None:
        self._bus = Gio.bus_get_sync(Gio.BusType.SESSION, None)
        self._item: tuple[str, str] | None = None  # the bus name and object path of the icon
        interface = Gio.DBusNodeInfo.new_for_xml(WATCHER_XML).interfaces[0]
        self._bus.register_object(
            "/StatusNotifierWatcher", interface, self._called, self._property, None
        )
        Gio.bus_own_name_on_connection(
            self._bus, WATCHER, Gio.BusNameOwnerFlags.NONE, lambda *_: say("owned"), None
        )

    def _called(self, _: Any, sender: str, *call: Any) -> None:
        _, _, method, parameters, invocation = call
        if method == "RegisterStatusNotifierItem":
            self._item = (sender, parameters.unpack()[0])
        invocation.return_value(None)

    def _property(self, *call: Any) -> Any:
        return {
            "RegisteredStatusNotifierItems": GLib.Variant("as", []),
            "IsStatusNotifierHostRegistered": GLib.Variant("b", True),
            "ProtocolVersion": GLib.Variant("i", 0),
        }[call[-1]]

    def item(self) -> dict[str, str] | None:
        """The tray icon, if there is one."""
        if self._item is None or not self._call(
            "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
            "NameHasOwner", GLib.Variant("(s)", (self._item[0],)),
        )[0]:  # fmt: skip
            return None
        return {
            "title": self._get("Title"),
            "icon": self._get("IconName"),
            "status": self._get("Status"),
        }

    def menu(self) -> list[dict[str, Any] | None]:
        """The items of the icon's menu."""
        return [
            None
            if properties.get("type") == "separator"
            else {"label": _plain(properties["label"]), "enabled": properties.get("enabled", True)}
            for _, properties in self._layout()
        ]

    def click(self, label: str) -> dict[str, str]:
        """Click an item of the menu."""
        number = next(n for n, properties in self._layout() if properties.get("label") == label)
        event = GLib.Variant("(isvu)", (number, "clicked", GLib.Variant("i", 0), 0))
        self._call(self._name, self._get("Menu"), MENU, "Event", event)
        return {}

    @property
    def _name(self) -> str:
        assert self._item is not None, "no tray icon has come"
        return self._item[0]

    def _layout(self) -> list[tuple[int, dict[str, Any]]]:
        what = GLib.Variant("(iias)", (0, -1, []))
        _, (_, _, children) = self._call(self._name, self._get("Menu"), MENU, "GetLayout", what)
        return [(number, properties) for number, properties, _ in children]

    def _get(self, name: str) -> Any:
        assert self._item is not None, "no tray icon has come"
        what = GLib.Variant("(ss)", (ITEM, name))
        return self._call(*self._item, "org.freedesktop.DBus.Properties", "Get", what)[0]

    def _call(self, name: str, path: str, interface: str, method: str, what: Any) -> Any:
        flags = Gio.DBusCallFlags.NONE
        answer = self._bus.call_sync(name, path, interface, method, what, None, flags, 5000, None)
        return answer.unpack()


def _plain(label: str) -> str:
    return label.replace("__", "_")  # a single one would mark a shortcut


def say(value: object) -> None:
    """Answer."""
    print(json.dumps(value), flush=True)


def main() -> None:
    """Serve until stdin ends."""
    panel = Panel()
    threading.Thread(target=GLib.MainLoop().run, daemon=True).start()
    for line in sys.stdin:
        command, _, argument = line.rstrip("\n").partition(" ")
        act = {"item": panel.item, "menu": panel.menu, "click": panel.click}[command]
        try:
            say(act(argument) if argument else act())  # type: ignore[operator]
        except GLib.Error as error:  # the tray has just gone, or made its menu anew
            say({"error": str(error)})


if __name__ == "__main__":
    main()
