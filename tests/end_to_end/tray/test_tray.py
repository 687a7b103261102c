"""The tray on a desktop, seen over D-Bus by its panel, with a real icon and menu."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from llmsuggestd.errors import ExitCode
from llmsuggestd.tray import icon
from tests.conftest import Home
from tests.end_to_end.tray.conftest import PanelClient, RunTray, python
from tests.end_to_end.tray.desktop import Desktop
from tests.end_to_end.tray.scripted import ScriptedDaemon
from tests.support import programs


def labels(menu: list[Any]) -> dict[str, bool]:
    """The labels of a menu's items, and whether each can be clicked."""
    return {item["label"]: item["enabled"] for item in menu if item is not None}


def submenu(menu: list[Any], label: str) -> list[Any]:
    """The items below an item of a menu, without separators."""
    above = next(item for item in menu if item is not None and item["label"] == label)
    return [item for item in above["menu"] if item is not None]


def models(menu: list[Any]) -> dict[str, bool]:
    """The models in the menu, and whether each is checked."""
    return {
        item["label"].split(" (")[0]: item["checked"]
        for item in submenu(menu, "Model")
        if item["checked"] is not None
    }


def words_of(process: subprocess.Popen[str]) -> str:
    """The message of a tray that ends by itself."""
    return process.communicate(timeout=30)[1]


def test_starts_and_stops_the_daemon(home: Home, panel: PanelClient, run_tray: RunTray) -> None:
    run_tray(LLMSUGGESTD_MODEL="absent")  # a daemon without its model runs, and says so
    menu = panel.wait_for_line("Stopped")
    assert labels(menu) == {
        "Stopped": False,
        "Start": True,
        "Stop": False,
        "Model": True,
        "Copy Lean setup": True,
        "Logs": True,
        "Start at login": False,  # $LLMSUGGESTD_HOME is set
        "Quit": True,
    }
    assert models(menu) == {}

    panel.click("Start")
    menu = panel.wait_for_line("Failed: the model 'absent' is not installed")
    assert labels(menu)["Start"] is False
    assert labels(menu)["Stop"] is True
    assert menu[1]["label"].startswith("`llmsuggestd")
    pid = home.client.request("GET", "/v1/status")["pid"]

    panel.click("Stop")
    panel.wait_for_line("Stopped")
    assert home.run("status").returncode == ExitCode.NOT_RUNNING
    assert not Path(f"/proc/{pid}").exists()


def test_a_failed_start_is_shown_in_the_menu(
    home: Home, panel: PanelClient, run_tray: RunTray
) -> None:
    home.paths.config.mkdir(parents=True)
    home.paths.config_file.write_text("port = 'seven'\n")
    tray = run_tray()
    panel.wait_for_line("Stopped")
    panel.click("Start")
    menu = panel.wait_for_line("Could not start: ")
    assert labels(menu)["Start"] is True
    panel.click("Quit")
    log = words_of(tray)
    assert tray.returncode == 0
    assert log.count("Could not start: ") == 1
    assert "Traceback" not in log


def test_a_daemon_started_by_the_tray_can_be_stopped_elsewhere(
    home: Home, panel: PanelClient, run_tray: RunTray
) -> None:
    run_tray(LLMSUGGESTD_MODEL="absent")
    panel.wait_for_line("Stopped")
    panel.click("Start")
    panel.wait_for_line("Failed")
    assert home.run("stop").returncode == 0  # it waits for a process that is the tray's child
    panel.wait_for_line("Stopped")


def test_the_daemon_outlives_the_tray(home: Home, panel: PanelClient, run_tray: RunTray) -> None:
    tray = run_tray(LLMSUGGESTD_MODEL="absent")
    panel.wait_for_line("Stopped")
    panel.click("Start")
    panel.wait_for_line("Failed")
    panel.click("Quit")
    assert tray.wait(15) == 0
    assert home.client.request("GET", "/v1/status")["state"] == "failed"


@pytest.fixture
def scripted(home: Home) -> Iterator[ScriptedDaemon]:
    """A stand-in daemon whose state the test sets."""
    daemon = ScriptedDaemon(home.root / "s")
    yield daemon
    daemon.close()


def test_shows_every_state_in_its_icon_and_in_words(
    home: Home, scripted: ScriptedDaemon, panel: PanelClient, run_tray: RunTray
) -> None:
    def show(state: str, **more: object) -> None:
        scripted.status = {"state": state, "model": {"id": "m_1"}, "device": "CPU", **more}

    def shown(state: str, words: str) -> None:
        panel.wait_for_line(words)
        item = panel.wait_for("item", lambda item: words in item["title"])
        assert item["status"] == "Active"
        with Image.open(item["icon"]) as image:
            assert image.tobytes() == icon.draw(state).tobytes()  # type: ignore[arg-type]

    show("loading")
    run_tray(LLMSUGGESTD_SOCKET=str(home.root / "s"))
    shown("loading", "Loading m_1…")
    show("ready")
    shown("ready", "Ready: m_1 on CPU")
    show("busy", queue=3)
    shown("busy", "Busy: m_1 on CPU, 2 waiting")
    show("failed", reason="out of memory", hint="close a program")
    shown("failed", "Failed: out of memory")
    assert labels(panel.ask("menu"))["close a program"] is False
    show("idle")
    shown("idle", "Idle: m_1 is loaded with the next request")
    show("something new")  # of a later version
    shown("idle", "something new: m_1 on CPU")
    show("ready", switching_to="n")
    shown("loading", "Loading n…")
    show("ready")
    shown("ready", "Ready")
    scripted.close()
    shown("stopped", "Stopped")


def test_an_open_menu_keeps_its_items_while_the_daemon_works(
    home: Home, scripted: ScriptedDaemon, panel: PanelClient, run_tray: RunTray
) -> None:
    scripted.models = [{"id": name, "bytes": 1_000_000} for name in ("a", "b")]
    scripted.status = {"state": "ready", "model": {"id": "a"}}
    run_tray(LLMSUGGESTD_SOCKET=str(home.root / "s"))
    before = panel.wait_for_line("Ready: a")
    scripted.status = {"state": "busy", "queue": 1, "model": {"id": "a"}}
    during = panel.wait_for_line("Busy: a")
    assert during[1:] == before[1:]  # with the same ids: no item was replaced
    scripted.status = {"state": "ready", "model": {"id": "a"}, "switching_to": "b"}
    loading = panel.wait_for_line("Loading b…")
    assert labels(loading)["Until then, a answers"] is False
    assert loading[2:] == [
        None,
        *before[2:4],
        before[4] | {"menu": loading[5]["menu"]},
        *before[5:],
    ]
    assert models(loading) == {"a": True, "b": False}
    scripted.status = {"state": "ready", "model": {"id": "b"}}
    after = panel.wait_for_line("Ready: b")
    assert models(after) == {"a": False, "b": True}
    assert [item and item["id"] for item in after] == [item and item["id"] for item in before]


def test_switches_the_model(two_models: Home, panel: PanelClient, run_tray: RunTray) -> None:
    home = two_models
    home.serve()
    run_tray()
    menu = panel.wait_for_line("Ready: starter")
    assert models(menu) == {"starter": True, "wide": False}
    wide = next(item["label"] for item in submenu(menu, "Model") if "wide" in item["label"])
    bytes_ = (home.paths.models / "wide.gguf").stat().st_size
    assert wide == f"wide ({bytes_ / 1e6:.1f} MB, F16)"
    panel.click(f"Model/{wide}")
    menu = panel.wait_for_line("Ready: wide")
    assert models(menu) == {"starter": False, "wide": True}
    assert home.client.request("POST", "/v1/suggest", {"goal": "⊢ 2 = 2"})["model"] == "wide"
    assert 'model = "wide"' in home.paths.config_file.read_text()  # for every later start


def test_a_missing_model_is_replaced(home: Home, panel: PanelClient, run_tray: RunTray) -> None:
    home.install_starter()
    home.serve(LLMSUGGESTD_MODEL="absent")
    run_tray()
    menu = panel.wait_for_line("Failed: the model 'absent' is not installed")
    (starter, _) = submenu(menu, "Model")
    panel.click(f"Model/{starter['label']}")
    panel.wait_for_line("Ready: starter")


def test_an_idle_daemon_is_shown_as_idle(home: Home, panel: PanelClient, run_tray: RunTray) -> None:
    home.install_starter()
    home.serve(LLMSUGGESTD_IDLE_UNLOAD="1")
    run_tray()
    panel.wait_for_line("Idle: starter is loaded with the next request")
    home.client.request("POST", "/v1/suggest", {"goal": "⊢ 2 = 2"}, timeout=60)
    panel.wait_for_line("Ready: starter")
    panel.wait_for_line("Idle")


def test_a_failed_switch_says_why(home: Home, panel: PanelClient, run_tray: RunTray) -> None:
    home.install_starter()
    (home.paths.models / "broken.gguf").write_bytes(b"GGUF and no more")
    home.serve()
    panel.ask("notices")
    run_tray()
    menu = panel.wait_for_line("Ready: starter")
    broken = next(item["label"] for item in submenu(menu, "Model") if "broken" in item["label"])
    panel.click(f"Model/{broken}")
    menu = panel.wait_for(
        "menu", lambda menu: any("Could not switch to broken" in text for text in labels(menu))
    )
    assert menu[0]["label"].startswith("Ready: starter")
    assert models(menu) == {"broken": False, "starter": True}
    (notice,) = panel.wait_for("notices", bool)
    assert notice.startswith("Could not switch to broken")


def test_a_killed_daemon_and_its_return_are_shown(
    home: Home, panel: PanelClient, run_tray: RunTray
) -> None:
    def icon_is(mark: Any) -> None:
        def shows(item: Any) -> bool:
            with Image.open(item["icon"]) as image:
                return image.tobytes() == icon.draw(mark).tobytes()

        panel.wait_for("item", shows)

    home.install_starter()
    first = home.serve()
    run_tray()
    panel.wait_for_line("Ready: starter")
    time.sleep(1)  # until the tray follows the daemon's events
    first.kill()
    first.wait()
    menu = panel.wait_for_line("The daemon ended unexpectedly")
    icon_is("failed")
    assert labels(menu)["Start"] is True
    panel.click("Start")
    panel.wait_for_line("Ready: starter")
    icon_is("ready")
    assert home.client.request("GET", "/v1/status")["pid"] != first.pid
    assert home.run("restart").returncode == 0
    panel.wait_for_line("Ready: starter")
    assert home.run("stop").returncode == 0
    panel.wait_for_line("Stopped")
    icon_is("stopped")
    home.serve()
    panel.wait_for_line("Ready: starter")


def test_copies_the_lean_setup(
    desktop: Desktop, home: Home, panel: PanelClient, run_tray: RunTray
) -> None:
    assert panel.ask("notices") == []
    tray = run_tray()
    panel.wait_for_line("Stopped")
    panel.click("Copy Lean setup")
    command, env = python()
    deadline = time.monotonic() + 20
    while "[[require]]" not in (text := paste(desktop, command, os.environ | env)):
        assert time.monotonic() < deadline, text
    (entry,) = tomllib.loads(text)["require"]
    assert entry["name"] == "llmsuggest"
    assert (Path(entry["path"]) / "LlmSuggest.lean").is_file()
    panel.wait_for("notices", lambda notices: "Copied: " in str(notices))
    panel.click("Quit")
    assert tray.wait(15) == 0


def paste(desktop: Desktop, command: str, env: dict[str, str]) -> str:
    """The clipboard's text, as another program gets it."""
    script = (
        "from llmsuggestd.tray.backend import import_gi; gi = import_gi()\n"
        "gi.require_version('Gtk', '3.0'); from gi.repository import Gdk, Gtk\n"
        "print(Gtk.Clipboard.get(Gdk.SELECTION_CLIPBOARD).wait_for_text())"
    )
    process = desktop.spawn(command, "-c", script, env=env, stdout=subprocess.PIPE)
    return process.communicate(timeout=20)[0]


def put_program(folder: Path, name: str, script: str) -> None:
    """Add a shell script to a folder on the PATH."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o700)


def test_shows_the_log_and_the_catalogue(
    home: Home, panel: PanelClient, run_tray: RunTray, tmp_path: Path
) -> None:
    programs, shown = tmp_path / "bin", tmp_path / "shown"
    put_program(programs, "xdg-open", f'cat "$1" > {shown}')
    put_program(programs, "xdg-terminal-exec", f'"$@" > {shown}')
    path = f"{programs}:{os.environ['PATH']}"
    run_tray(PATH=path, SHELL="/bin/true", LLMSUGGESTD_MODEL="absent")
    panel.wait_for_line("Stopped")

    panel.click("Logs")
    panel.wait_for("menu", lambda menu: "it begins with Start" in labels(menu))
    panel.click("Start")
    panel.wait_for_line("Failed")
    panel.click("Logs")
    wait_for_words(shown, "absent")
    panel.click("Model/Get more models…")
    wait_for_words(shown, "llmstep")
    wait_for_words(shown, "llmsuggestd models pull")


def wait_for_words(file: Path, words: str) -> None:
    """Wait until a file has these words."""
    deadline = time.monotonic() + 20
    while not file.exists() or words not in file.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@programs.needs("gio")
def test_starts_at_login(
    desktop: Desktop, home: Home, panel: PanelClient, run_tray: RunTray, tmp_path: Path
) -> None:
    python_env = python()[1]
    of_the_user = {
        "LLMSUGGESTD_HOME": "",
        "XDG_RUNTIME_DIR": str(home.root / "run"),
        "XDG_DATA_HOME": str(home.root / "data"),
        "XDG_STATE_HOME": str(home.root / "state"),
    }
    (home.root / "run").mkdir(mode=0o700)
    tray = run_tray(**of_the_user)
    panel.wait_for_line("Stopped")

    def at_login() -> Any:
        menu = panel.wait_for("menu", bool)
        return next(i["checked"] for i in menu if i is not None and i["label"] == "Start at login")

    assert at_login() is False
    panel.click("Start at login")
    panel.wait_for("menu", lambda _: at_login())
    panel.click("Quit")
    assert tray.wait(15) == 0
    panel.wait_for("item", lambda item: item is None)

    (entry,) = (tmp_path / "config" / "autostart").iterdir()
    desktop.spawn("gio", "launch", str(entry), env=home.env | python_env | of_the_user).wait(15)
    panel.wait_for_line("Stopped")
    panel.click("Start at login")
    panel.wait_for("menu", lambda _: not at_login())
    assert not entry.exists()
    panel.click("Quit")
    panel.wait_for("item", lambda item: item is None)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, ExitCode.INTERRUPTED)]
)
def test_leaves_nothing_behind(
    home: Home, panel: PanelClient, run_tray: RunTray, number: int, code: int
) -> None:
    tray = run_tray()
    panel.wait_for_line("Stopped")
    icon_file = Path(panel.ask("item")["icon"])
    assert icon_file.is_relative_to(home.paths.runtime)  # not in /tmp, which other users share
    while not catches(tray.pid, signal.SIGTERM):  # the handlers are set when the icon appears
        time.sleep(0.02)
    tray.send_signal(number)
    assert tray.wait(15) == code
    assert [file.name for file in home.paths.runtime.iterdir()] == ["tray.lock"]
    panel.wait_for("item", lambda item: item is None)


def catches(pid: int, number: int) -> bool:
    """Whether a process has set a handler for a signal."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = next(line.split()[1] for line in lines if line.startswith("SigCgt"))
    return bool(int(mask, 16) >> (number - 1) & 1)


def test_there_is_one_tray(home: Home, panel: PanelClient, run_tray: RunTray) -> None:
    first = run_tray()
    panel.wait_for_line("Stopped")
    second = run_tray()
    assert words_of(second).startswith(f"llmsuggestd: the tray runs already (pid {first.pid})\n")
    assert second.returncode == ExitCode.ALREADY_RUNNING
    first.kill()
    first.wait()
    run_tray()  # a tray that ended does not prevent another
    panel.wait_for_line("Stopped")


def test_waits_for_a_panel_that_comes_late(
    desktop: Desktop, run_tray: RunTray, request: pytest.FixtureRequest
) -> None:
    run_tray("--wait", "20")
    time.sleep(1)
    panel: PanelClient = request.getfixturevalue("panel")
    panel.wait_for_line("Stopped")


@pytest.mark.parametrize(
    ("env", "message", "remedy"),
    [
        ({}, "this desktop shows no tray icons", "Status Tray Plugin"),
        ({"DISPLAY": ""}, "there is no display", "desktop session"),
        ({"DISPLAY": ":4711"}, "the display :4711 cannot be opened", "desktop session"),
        (
            {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere"},
            "there is no D-Bus session bus",
            "dbus-user-session",
        ),
    ],
)
def test_says_what_is_missing(
    desktop: Desktop, run_tray: RunTray, env: dict[str, str], message: str, remedy: str
) -> None:
    desktop.env |= env | {"XDG_CURRENT_DESKTOP": "XFCE", "WAYLAND_DISPLAY": ""}
    tray = run_tray("--wait", "0")
    first, second = words_of(tray).splitlines()
    assert tray.returncode == ExitCode.ERROR
    assert message in first
    assert remedy in second
