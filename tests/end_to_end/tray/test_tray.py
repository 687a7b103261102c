"""The tray on a desktop, as the desktop's panel sees it: over D-Bus, with a real icon and menu."""

from __future__ import annotations

import json
import signal
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from llmsuggestd.errors import ExitCode
from llmsuggestd.tray import icon
from tests.conftest import Home
from tests.end_to_end.tray.conftest import Desktop, PanelClient, RunTray


def labels(menu: list[Any]) -> dict[str, bool]:
    """The texts of a menu, and whether each can be clicked."""
    return {item["label"]: item["enabled"] for item in menu if item is not None}


def words_of(process: subprocess.Popen[str]) -> str:
    """What a tray that ends by itself says."""
    return process.communicate(timeout=30)[1]


def test_starts_and_stops_the_daemon(home: Home, panel: PanelClient, run_tray: RunTray) -> None:
    run_tray(LLMSUGGESTD_MODEL="absent")  # a daemon without its model runs, and says so
    menu = panel.wait_for_line("Stopped")
    assert labels(menu) == {"Stopped": False, "Start": True, "Stop": False, "Quit": True}

    panel.ask("click Start")
    menu = panel.wait_for_line("Failed: the model 'absent' is not installed")
    assert labels(menu)["Start"] is False
    assert labels(menu)["Stop"] is True
    assert menu[1]["label"].startswith("`llmsuggestd")
    pid = home.client.request("GET", "/v1/status")["pid"]

    panel.ask("click Stop")
    panel.wait_for_line("Stopped")
    assert home.run("status").returncode == ExitCode.NOT_RUNNING
    assert not Path(f"/proc/{pid}").exists()


def test_a_start_that_fails_is_words_in_the_menu(
    home: Home, panel: PanelClient, run_tray: RunTray
) -> None:
    home.paths.config.mkdir(parents=True)
    home.paths.config_file.write_text("port = 'seven'\n")
    tray = run_tray()
    panel.wait_for_line("Stopped")
    panel.ask("click Start")
    menu = panel.wait_for_line("Could not start: ")
    assert labels(menu)["Start"] is True
    panel.ask("click Quit")
    log = words_of(tray)
    assert tray.returncode == 0
    assert "could not start the daemon" in log
    assert "Traceback" not in log


def test_a_daemon_started_by_the_tray_can_be_stopped_elsewhere(
    home: Home, panel: PanelClient, run_tray: RunTray
) -> None:
    run_tray(LLMSUGGESTD_MODEL="absent")
    panel.wait_for_line("Stopped")
    panel.ask("click Start")
    panel.wait_for_line("Failed")
    assert home.run("stop").returncode == 0  # it waits for a process that is the tray's child
    panel.wait_for_line("Stopped")


def test_the_daemon_outlives_the_tray(home: Home, panel: PanelClient, run_tray: RunTray) -> None:
    tray = run_tray(LLMSUGGESTD_MODEL="absent")
    panel.wait_for_line("Stopped")
    panel.ask("click Start")
    panel.wait_for_line("Failed")
    panel.ask("click Quit")
    assert tray.wait(15) == 0
    assert home.client.request("GET", "/v1/status")["state"] == "failed"


class ScriptedDaemon:
    """Answers GET /v1/status on a Unix socket with what the test says."""

    def __init__(self, path: Path) -> None:
        self.status: dict[str, Any] = {}
        daemon = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(daemon.status).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

            def address_string(self) -> str:
                return ""

        self._server = socketserver.ThreadingUnixStreamServer(str(path), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def scripted(home: Home) -> Iterator[ScriptedDaemon]:
    """A daemon that is in any state the test wants."""
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
    assert panel.ask("menu")[1] == {"label": "close a program", "enabled": False}
    show("something new")
    shown("failed", "unknown state")
    show("ready")
    shown("ready", "Ready")
    scripted.close()
    shown("stopped", "Stopped")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, ExitCode.INTERRUPTED)]
)
def test_leaves_nothing_behind(
    home: Home, panel: PanelClient, run_tray: RunTray, number: int, code: int
) -> None:
    tray = run_tray()
    panel.wait_for_line("Stopped")
    icon_file = Path(panel.ask("item")["icon"])
    assert icon_file.is_relative_to(home.paths.runtime)  # not in /tmp, where others are
    time.sleep(0.2)  # the handlers are set as the icon appears
    tray.send_signal(number)
    assert tray.wait(15) == code
    assert [file.name for file in home.paths.runtime.iterdir()] == ["tray.lock"]
    panel.wait_for("item", lambda item: item is None)


def test_there_is_one_tray(home: Home, panel: PanelClient, run_tray: RunTray) -> None:
    first = run_tray()
    panel.wait_for_line("Stopped")
    second = run_tray()
    assert words_of(second).startswith(f"llmsuggestd: the tray runs already (pid {first.pid})\n")
    assert second.returncode == ExitCode.ALREADY_RUNNING
    first.kill()
    first.wait()
    run_tray()  # a dead one is in nobody's way
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
