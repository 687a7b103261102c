"""If no tray icon can be shown, one line says why, and another what to do."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llmsuggestd import distribution
from llmsuggestd.tray import backend
from llmsuggestd.tray.backend import TrayError

linux = pytest.mark.skipif(sys.platform != "linux", reason="a Linux matter")


@linux
def test_without_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delitem(sys.modules, "pystray", raising=False)
    with pytest.raises(TrayError, match="there is no display") as caught:
        backend.load(0)
    assert "desktop session" in caught.value.hint
    assert "pystray" not in sys.modules


@linux
def test_without_pygobject(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gi", None)
    monkeypatch.setattr(backend, "_system_gi", dict)
    monkeypatch.setattr(distribution, "_distributions", lambda: ["mint", "ubuntu", "debian"])
    with pytest.raises(TrayError, match=r"PyGObject \(gi\) is missing for Python 3\.") as caught:
        backend.import_gi()
    assert caught.value.hint.startswith(
        "sudo apt install python3-gi gir1.2-ayatanaappindicator3-0.1; "
    )


@linux
def test_with_a_pygobject_for_another_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gi", None)
    monkeypatch.setattr(backend, "_system_gi", lambda: {(3, 2): Path("/nowhere")})
    with pytest.raises(
        TrayError, match=r"is there for Python 3\.2, but this is Python 3"
    ) as caught:
        backend.import_gi()
    assert "pipx reinstall --python /usr/bin/python3" in caught.value.hint


@pytest.mark.parametrize(
    ("folder", "name", "version"),
    [
        ("lib/python3/dist-packages", "_gi.cpython-311-x86_64-linux-gnu.so", (3, 11)),
        ("lib64/python3.13/site-packages", "_gi.cpython-313-x86_64-linux-gnu.so", (3, 13)),
        ("lib/python3.14/site-packages", "_gi.cpython-314-aarch64-linux-gnu.so", (3, 14)),
    ],
)
def test_finds_the_systems_pygobject(
    folder: str, name: str, version: tuple[int, int], tmp_path: Path
) -> None:
    assert backend._system_gi(tmp_path) == {}
    file = tmp_path / folder / "gi" / name
    file.parent.mkdir(parents=True)
    file.touch()
    assert backend._system_gi(tmp_path) == {version: tmp_path / folder}


class Gi:
    """PyGObject with some typelibs."""

    def __init__(self, *typelibs: str) -> None:
        self._typelibs = typelibs

    def require_version(self, name: str, version: str) -> None:
        if name not in self._typelibs:
            raise ValueError(f"Namespace {name} not available")


def gtk(opens: bool) -> SimpleNamespace:
    return SimpleNamespace(init_check=lambda: (opens, []))


@pytest.mark.parametrize(
    ("gi", "opens", "message"),
    [
        (Gi(), True, "GTK 3 cannot be used"),
        (Gi("Gtk"), True, "libayatana-appindicator is missing"),
        (Gi("Gtk", "AyatanaAppIndicator3"), False, "the display :9 cannot be opened"),
    ],
)
def test_without_a_toolkit(
    gi: Gi, opens: bool, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":9")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setitem(sys.modules, "gi.repository.Gtk", gtk(opens))
    monkeypatch.setitem(sys.modules, "gi.repository", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "gi", SimpleNamespace())
    with pytest.raises(TrayError, match=message):
        backend._check_toolkit(gi)


@pytest.mark.parametrize("indicator", ["AppIndicator3", "AyatanaAppIndicator3"])
def test_either_indicator_library_will_do(indicator: str) -> None:
    assert backend._has_indicator(Gi(indicator))


def test_without_a_menu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "other")
    module: Any = SimpleNamespace(Icon=SimpleNamespace(HAS_MENU=False))
    monkeypatch.setitem(sys.modules, "pystray", module)
    with pytest.raises(TrayError, match="shows no menu"):
        backend.load(0)


def test_with_a_pystray_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "other")
    monkeypatch.setitem(sys.modules, "pystray", None)
    with pytest.raises(TrayError, match="pystray cannot be used here"):
        backend.load(0)


@pytest.mark.parametrize(
    ("desktop", "words"),
    [
        ("ubuntu:GNOME", "gnome-shell-extension-appindicator"),
        ("XFCE", "Status Tray Plugin"),
        ("KDE", "System Tray"),
        ("i3", "StatusNotifierItem"),
        ("", "StatusNotifierItem"),
    ],
)
def test_names_what_the_desktop_lacks(
    desktop: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CURRENT_DESKTOP", desktop)
    assert words in backend._host_hint()
