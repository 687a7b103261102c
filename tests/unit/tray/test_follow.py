"""Following a daemon that comes, goes, fails and talks nonsense; no daemon and no display here."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmsuggestd import service
from llmsuggestd.daemon import control
from llmsuggestd.errors import LlmsuggestdError, NotRunningError
from llmsuggestd.paths import Paths
from llmsuggestd.tray.follow import Follower
from llmsuggestd.tray.view import START, STOP, View

READY = {"state": "ready", "model": {"id": "starter"}, "device": "CPU", "queue": 0}


class Desk:
    """A follower, what its daemon answers, and what it has shown."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answer: Any = NotRunningError("the daemon does not run")
        self.shown: list[View] = []
        self.start: Callable[[], object] = lambda: None
        self.stop: Callable[[], object] = lambda: None
        monkeypatch.setattr("llmsuggestd.client.Client.request", self._request)
        monkeypatch.setattr(service, "registered", lambda: None)
        monkeypatch.setattr(control, "start", lambda paths, manager: self.start())
        monkeypatch.setattr(control, "stop", lambda paths, manager: self.stop())
        self.follower = Follower(Paths(*[tmp_path] * 5), self.shown.append)

    def _request(self, *_: object, **__: object) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def wait_for(self, words: str) -> None:
        deadline = time.monotonic() + 5
        while words not in self.follower.view.line:
            assert time.monotonic() < deadline, self.follower.view
            time.sleep(0.01)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch)


def fail(message: str) -> Callable[[], None]:
    def act() -> None:
        raise LlmsuggestdError(message, "do this")

    return act


def test_tells_of_changes_and_of_nothing_else(desk: Desk) -> None:
    desk.follower.look()
    assert desk.shown == []  # it began as stopped
    desk.answer = READY
    desk.follower.look()
    desk.follower.look()
    assert [view.line for view in desk.shown] == ["Ready: starter on CPU"]
    desk.answer = NotRunningError("gone")
    desk.follower.look()
    assert desk.shown[-1].line == "Stopped"


def test_a_daemon_that_hangs_is_not_one_that_is_stopped(desk: Desk) -> None:
    error = NotRunningError("the daemon did not answer within 5 s", "try restart")
    error.__cause__ = TimeoutError()
    desk.answer = error
    desk.follower.look()
    view = desk.follower.view
    assert (view.state, view.hint, view.can_start, view.can_stop) == (
        "failed",
        "try restart",
        False,
        True,
    )
    assert "did not answer within 5 s" in view.line


@pytest.mark.parametrize(
    "nonsense", [KeyError("socket"), {"state": "odd", "model": {"id": "m"}}, {}]
)
def test_nonsense_is_shown_and_survived(desk: Desk, nonsense: Any) -> None:
    desk.answer = nonsense
    desk.follower.look()
    desk.answer = READY
    desk.follower.look()
    assert [view.state for view in desk.shown] == ["failed", "ready"]


def test_starts_in_the_background(desk: Desk) -> None:
    go = threading.Event()

    def start() -> None:
        go.wait(5)
        desk.answer = READY

    desk.start = start
    desk.follower.do(START)
    assert desk.shown[-1].line == "Starting…"
    go.set()
    desk.wait_for("Ready")


def test_a_failed_start_is_shown_until_the_daemon_runs(desk: Desk) -> None:
    desk.start = fail("port 8377 is used by another program")
    desk.follower.do(START)
    desk.wait_for("Could not start: port 8377")
    assert desk.follower.view.state == "failed"
    assert desk.follower.view.can_start
    desk.follower.look()
    assert desk.follower.view.state == "failed"
    desk.answer = READY
    desk.follower.look()
    assert desk.follower.view.line == "Ready: starter on CPU"


def test_a_failed_stop_is_shown_until_the_daemon_is_gone(desk: Desk) -> None:
    desk.answer = READY
    desk.follower.look()
    desk.stop = fail("the daemon (pid 7) does not stop")
    desk.follower.do(STOP)
    desk.wait_for("Could not stop: the daemon (pid 7)")
    desk.answer = NotRunningError("gone")
    desk.follower.look()
    assert desk.follower.view.line == "Stopped"


def test_a_bug_is_words_too(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.start = lambda: 1 / 0
    desk.follower.do(START)
    desk.wait_for("Could not start: ZeroDivisionError")
    assert "ZeroDivisionError" in caplog.text
    assert "Traceback" not in caplog.text


def test_the_end_of_a_start_that_stop_has_overtaken_is_ignored(desk: Desk) -> None:
    go, done = threading.Event(), threading.Event()

    def start() -> None:
        go.wait(5)
        done.set()
        raise LlmsuggestdError("the daemon ended at once")

    desk.start = start
    desk.follower.do(START)
    desk.follower.do(STOP)
    desk.wait_for("Stopped")
    go.set()
    done.wait(5)
    time.sleep(0.05)
    assert desk.follower.view.line == "Stopped"


def test_says_nothing_after_close(desk: Desk) -> None:
    desk.follower.close()
    desk.answer = READY
    desk.follower.look()
    assert desk.shown == []
    desk.follower.run()  # returns at once


@pytest.mark.skipif(sys.platform == "win32", reason="there are no zombies on Windows")
def test_takes_leave_of_a_daemon_that_was_our_child(desk: Desk) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    desk.answer = {**READY, "pid": child.pid}
    desk.follower.look()
    assert child.stdin is not None
    child.stdin.close()
    desk.answer = NotRunningError("gone")
    deadline = time.monotonic() + 10
    while True:
        desk.follower.look()
        try:
            os.kill(child.pid, 0)
        except ProcessLookupError:
            break
        assert time.monotonic() < deadline, "it is still a zombie"
        time.sleep(0.02)
    child.wait()
