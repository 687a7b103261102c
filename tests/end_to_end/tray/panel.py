"""A panel for tests, which accepts tray icons over D-Bus like a desktop, and commands on stdin.

It runs as a separate process, since it needs PyGObject, which the tests' Python may lack. Each line
of stdin is a command, and each line of stdout its answer in JSON:

    item          {"title", "icon", "status"} of the tray icon; null if there is none
    menu          [{"id", "label", "enabled", "checked", "menu"}, ...] with null for a separator;
                  "checked" is null for an item that cannot be checked, "menu" without a submenu
    notices       ["title: text", ...] of the notifications since the first `notices` command;
                  before it, the desktop shows none
    click LABEL   clicks that item of the menu, or of a submenu (`Model/starter`), and answers {}

The icon is a StatusNotifierItem, and its menu uses com.canonical.dbusmenu.
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
NOTICES = "org.freedesktop.Notifications"
NOTICES_XML = f"""
<node>
  <interface name="{NOTICES}">
    <method name="Notify">
      <arg type="s" direction="in"/><arg type="u" direction="in"/><arg type="s" direction="in"/>
      <arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="as" direction="in"/>
      <arg type="a{{sv}}" direction="in"/><arg type="i" direction="in"/>
      <arg type="u" direction="out"/>
    </method>
    <method name="CloseNotification"><arg type="u" direction="in"/></method>
  </interface>
</node>
"""
ITEM = "org.kde.StatusNotifierItem"
MENU = "com.canonical.dbusmenu"

import_gi()
Gio: Any = importlib.import_module("gi.repository.Gio")
GLib: Any = importlib.import_module("gi.repository.GLib")


class Panel:
    """A StatusNotifierWatcher, and a panel's actions on the registered item."""

    def __init__(self) -> None:
        self._bus = Gio.bus_get_sync(Gio.BusType.SESSION, None)
        self._item: tuple[str, str] | None = None  # the bus name and object path of the icon
        self._notices: list[str] | None = None
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

    def notices(self) -> list[str]:
        """The notifications so far."""
        if self._notices is None:
            self._notices = []
            interface = Gio.DBusNodeInfo.new_for_xml(NOTICES_XML).interfaces[0]
            path = "/org/freedesktop/Notifications"
            self._bus.register_object(path, interface, self._notified, None, None)
            flags = GLib.Variant("(su)", (NOTICES, 0))
            bus = "org.freedesktop.DBus"
            self._call(bus, "/org/freedesktop/DBus", bus, "RequestName", flags)
        return self._notices

    def _notified(self, *call: Any) -> None:
        *_, method, parameters, invocation = call
        if method == "Notify" and self._notices is not None:
            _, _, _, title, text, *_ = parameters.unpack()
            self._notices.append(f"{title}: {text}")
            invocation.return_value(GLib.Variant("(u)", (1,)))
        else:
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
        what = GLib.Variant("(iias)", (0, -1, []))
        _, root = self._call(self._name, self._get("Menu"), MENU, "GetLayout", what)
        return _items(root)

    def click(self, path: str) -> dict[str, str]:
        """Click an item of the menu."""
        items, number = self.menu(), None
        for label in path.split("/"):
            item = next(item for item in items if item is not None and item["label"] == label)
            items, number = item["menu"], item["id"]
        event = GLib.Variant("(isvu)", (number, "clicked", GLib.Variant("i", 0), 0))
        self._call(self._name, self._get("Menu"), MENU, "Event", event)
        return {}

    @property
    def _name(self) -> str:
        assert self._item is not None, "no tray icon has come"
        return self._item[0]

    def _get(self, name: str) -> Any:
        assert self._item is not None, "no tray icon has come"
        what = GLib.Variant("(ss)", (ITEM, name))
        return self._call(*self._item, "org.freedesktop.DBus.Properties", "Get", what)[0]

    def _call(self, name: str, path: str, interface: str, method: str, what: Any) -> Any:
        flags = Gio.DBusCallFlags.NONE
        answer = self._bus.call_sync(name, path, interface, method, what, None, flags, 5000, None)
        return answer.unpack()


def _items(node: Any) -> list[dict[str, Any] | None]:
    """A menu of `GetLayout`, in the form of `menu`."""
    return [
        None
        if properties.get("type") == "separator"
        else {
            "id": number,
            "label": properties["label"].replace("__", "_"),  # a single underscore marks a shortcut
            "enabled": properties.get("enabled", True),
            "checked": properties["toggle-state"] == 1 if "toggle-type" in properties else None,
            "menu": _items((number, properties, children)) if children else None,
        }
        for number, properties, children in node[2]
    ]


def say(value: object) -> None:
    """Print an answer."""
    print(json.dumps(value), flush=True)


def main() -> None:
    """Serve until stdin ends."""
    panel = Panel()
    threading.Thread(target=GLib.MainLoop().run, daemon=True).start()
    for line in sys.stdin:
        command, _, argument = line.rstrip("\n").partition(" ")
        act = {
            "item": panel.item,
            "menu": panel.menu,
            "notices": panel.notices,
            "click": panel.click,
        }[command]
        try:
            say(act(argument) if argument else act())  # type: ignore[operator]
        except (GLib.Error, StopIteration) as error:  # the tray has just ended, or changed its menu
            say({"error": str(error)})


if __name__ == "__main__":
    main()
