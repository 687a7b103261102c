"""Following a daemon that starts, stops, fails and sends invalid answers, with stand-ins."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmsuggestd import control, service
from llmsuggestd.errors import LlmsuggestdError, NotRunningError
from llmsuggestd.models import manage
from llmsuggestd.paths import Paths
from llmsuggestd.tray import follow
from llmsuggestd.tray.follow import Follower
from llmsuggestd.tray.view import View

READY = {"state": "ready", "model": {"id": "starter"}, "device": "CPU", "queue": 0}


class Desk:
    """A follower, its daemon's answers, and the views that it has shown."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answer: Any = NotRunningError("the daemon does not run")
        self.shown: list[View] = []
        self.start: Callable[[], object] = lambda: None
        self.stop: Callable[[], object] = lambda: None
        self.use: Callable[[str], object] = lambda model: None
        self.models: list[dict[str, Any]] = []
        self.told: list[str] = []
        self.asked: list[str] = []
        self.stream: Callable[[], Iterator[Any]] = lambda: iter(())
        monkeypatch.setattr("llmsuggestd.client.Client.request", self._request)
        monkeypatch.setattr("llmsuggestd.client.Client.events", lambda *_, **__: self.stream())
        monkeypatch.setattr(manage, "use", lambda paths, model: self.use(model))
        monkeypatch.setattr(service, "registered", lambda: None)
        monkeypatch.setattr(control, "start", lambda paths, manager: self.start())
        monkeypatch.setattr(control, "stop", lambda paths, manager: self.stop())
        self.follower = Follower(
            Paths(*[tmp_path] * 5),
            self.shown.append,
            lambda problem: self.told.append(problem.message),
        )

    def _request(self, method: str, path: str, **_: object) -> Any:
        self.asked.append(path)
        if path == "/v1/models":
            return {"models": self.models}
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def wait_for(self, words: str) -> None:
        deadline = time.monotonic() + 5
        while words not in self.follower.view.line or self.follower._task is not None:
            assert time.monotonic() < deadline, self.follower.view
            time.sleep(0.01)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    desk = Desk(tmp_path, monkeypatch)
    yield desk
    desk.follower.close()


def fail(message: str) -> Callable[[], None]:
    def act() -> None:
        raise LlmsuggestdError(message, "do this")

    return act


def test_shows_changes_only(desk: Desk) -> None:
    desk.follower.look()
    assert desk.shown == []  # it began as stopped
    desk.answer = READY
    desk.follower.look()
    desk.follower.look()
    assert [view.line for view in desk.shown] == ["Ready: starter on CPU"]
    desk.answer = NotRunningError("gone")
    desk.follower.look()
    assert desk.shown[-1].line == "Stopped"


def test_a_hanging_daemon_does_not_count_as_stopped(desk: Desk) -> None:
    error = NotRunningError("the daemon did not answer within 5 s", "try restart")
    error.__cause__ = TimeoutError()
    desk.answer = error
    desk.follower.look()
    view = desk.follower.view
    assert (view.mark, view.notes, view.can_start, view.can_stop) == (
        "failed",
        ("try restart",),
        False,
        True,
    )
    assert "did not answer within 5 s" in view.line


@pytest.mark.parametrize("nonsense", [KeyError("socket"), {"state": "ready", "model": "m"}, {}])
def test_invalid_answers_are_shown_and_survived(desk: Desk, nonsense: Any) -> None:
    desk.answer = nonsense
    desk.follower.look()
    desk.answer = READY
    desk.follower.look()
    assert [view.mark for view in desk.shown] == ["failed", "ready"]


def test_starts_in_the_background(desk: Desk) -> None:
    go = threading.Event()

    def start() -> None:
        go.wait(5)
        desk.answer = READY

    desk.start = start
    desk.follower.start()
    assert desk.shown[-1].line == "Starting…"
    go.set()
    desk.wait_for("Ready")


def test_a_failed_start_is_shown_until_the_daemon_runs(desk: Desk) -> None:
    desk.start = fail("port 8377 is used by another program")
    desk.follower.start()
    desk.wait_for("Could not start: port 8377")
    assert desk.follower.view.mark == "failed"
    assert desk.follower.view.can_start
    desk.follower.look()
    assert desk.follower.view.mark == "failed"
    desk.answer = READY
    desk.follower.look()
    assert desk.follower.view.line == "Ready: starter on CPU"


def test_a_failed_stop_is_shown_until_the_daemon_is_gone(desk: Desk) -> None:
    desk.answer = READY
    desk.follower.look()
    desk.stop = fail("the daemon (pid 7) does not stop")
    desk.follower.stop()
    desk.wait_for("Ready")
    assert desk.follower.view.notes == (
        "Could not stop: the daemon (pid 7) does not stop",
        "do this",
    )
    desk.answer = NotRunningError("gone")
    desk.follower.look()
    assert desk.follower.view.line == "Stopped"


def test_an_unexpected_error_is_shown_as_text(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.start = lambda: 1 / 0
    desk.follower.start()
    desk.wait_for("Could not start: ZeroDivisionError")
    assert "Traceback" in caplog.text, "the traceback goes to the log file, not to the terminal"


def test_the_end_of_a_start_that_stop_has_overtaken_is_ignored(desk: Desk) -> None:
    go = threading.Event()
    before = threading.enumerate()

    def start() -> None:
        go.wait(5)
        raise LlmsuggestdError("the daemon ended at once")

    desk.start = start
    desk.follower.start()
    (starting,) = set(threading.enumerate()) - set(before)
    desk.follower.stop()
    desk.wait_for("Stopped")
    go.set()
    starting.join(5)
    assert desk.follower.view.line == "Stopped"


def test_says_nothing_after_close(desk: Desk) -> None:
    desk.follower.close()
    desk.answer = READY
    desk.follower.look()
    assert desk.shown == []
    desk.follower.run()  # returns at once


READY_B = {**READY, "model": {"id": "b"}}
MODELS = [{"id": "b", "bytes": 2_000_000}, {"id": "starter", "bytes": 1_000_000}]


def test_another_model_is_loaded_and_then_served(desk: Desk) -> None:
    desk.answer, desk.models = READY, MODELS
    desk.follower.look()
    go = threading.Event()

    def use(model: str) -> None:
        assert model == "b"
        go.wait(5)
        desk.answer = READY_B

    desk.use = use
    desk.follower.use("b")
    assert (desk.shown[-1].mark, desk.shown[-1].line) == ("loading", "Loading b…")
    go.set()
    desk.wait_for("Ready: b")
    assert [model.id for model in desk.follower.view.models if model.served] == ["b"]
    assert desk.told == []


def test_a_model_that_is_served_is_not_loaded_again(desk: Desk) -> None:
    desk.answer = READY
    desk.use = lambda _: fail("never asked for")()
    desk.follower.look()
    before = threading.enumerate()
    desk.follower.use("starter")
    assert threading.enumerate() == before  # nothing runs in the background
    assert [view.line for view in desk.shown] == ["Ready: starter on CPU"]
    assert desk.told == []


def test_a_failed_switch_says_why_and_the_old_model_is_ready(desk: Desk) -> None:
    desk.answer = READY
    desk.follower.look()
    desk.use = lambda model: fail(f"{model} is damaged")()
    desk.follower.use("b")
    desk.wait_for("Ready: starter")
    assert desk.follower.view.mark == "ready"
    assert desk.follower.view.notes == ("Could not switch to b: b is damaged", "do this")
    assert desk.told == ["Could not switch to b: b is damaged"]
    desk.answer = READY_B  # another client has switched
    desk.follower.look()
    assert not desk.follower.view.notes


def test_models_are_asked_for_when_the_list_is_old(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.answer, desk.models = READY, MODELS
    for _ in range(3):
        desk.follower.look()
    assert desk.asked.count("/v1/models") == 1
    assert [model.id for model in desk.follower.view.models] == ["b", "starter"]
    desk.answer = READY_B
    desk.follower.look()
    assert desk.asked.count("/v1/models") == 2
    monkeypatch.setattr(follow, "MODELS_AGE", 0)
    desk.models = MODELS[:1]
    desk.follower.look()
    assert [model.id for model in desk.follower.view.models] == ["b"]


def test_a_model_that_is_served_is_in_the_menu_at_once(desk: Desk) -> None:
    desk.answer = {**READY, "state": "failed", "reason": "'starter' is not installed"}
    desk.follower.look()
    assert [model.id for model in desk.follower.view.models] == []
    desk.answer, desk.models = READY, MODELS  # `llmsuggestd install`
    desk.follower.look()
    assert [model.id for model in desk.follower.view.models if model.served] == ["starter"]


def test_a_failure_on_the_desktop_is_shown_until_the_next_action(desk: Desk) -> None:
    desk.follower.attempt("copy the Lean setup", fail("wl-copy is missing"))
    deadline = time.monotonic() + 5
    while not desk.told:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert desk.told == ["Could not copy the Lean setup: wl-copy is missing"]
    view = desk.follower.view
    assert (view.mark, view.line, view.notes[1:]) == ("stopped", "Stopped", ("do this",))
    desk.follower.attempt("show the log", lambda: None)
    assert desk.follower.view.notes == ()


def stream(*statuses: Any, end: Exception | None = None) -> Callable[[], Iterator[Any]]:
    def events() -> Iterator[Any]:
        yield from statuses
        if end is not None:
            raise end

    return events


def cut_off(cause: Exception) -> NotRunningError:
    error = NotRunningError("the daemon does not answer")
    error.__cause__ = cause
    return error


def test_follows_the_event_stream(desk: Desk) -> None:
    busy = {**READY, "state": "busy"}
    desk.stream = stream(READY, busy, READY)
    assert desk.follower._listen()
    assert [view.line.split(":")[0] for view in desk.shown] == ["Ready", "Busy", "Ready", "Stopped"]
    assert desk.told == []


def test_a_daemon_that_is_killed_has_failed_until_it_runs_again(desk: Desk) -> None:
    desk.stream = stream(READY, end=cut_off(http.client.IncompleteRead(b"")))
    assert desk.follower._listen()
    view = desk.follower.view
    assert (view.mark, view.line) == ("failed", "The daemon ended unexpectedly")
    assert view.can_start
    assert desk.told == ["The daemon ended unexpectedly"]
    desk.answer = READY
    desk.follower.look()
    assert desk.follower.view.line == "Ready: starter on CPU"


def test_a_silent_stream_is_no_crash(desk: Desk) -> None:
    desk.stream = stream(READY, end=cut_off(TimeoutError()))
    desk.follower._listen()
    assert desk.told == []


@pytest.mark.parametrize("nonsense", [LlmsuggestdError("16 clients listen already"), {"x": 1}])
def test_without_a_stream_it_polls(
    desk: Desk, nonsense: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "INTERVAL", 0.01)
    ended = isinstance(nonsense, Exception)
    desk.stream = stream(end=nonsense) if ended else stream(nonsense)
    desk.answer = READY
    threading.Thread(target=desk.follower.run, daemon=True).start()
    desk.wait_for("Ready")
    desk.answer = {**READY, "state": "busy"}
    desk.wait_for("Busy")
    desk.answer = NotRunningError("gone")
    desk.wait_for("Stopped")


def test_an_old_answer_is_not_shown_after_a_newer_one(desk: Desk) -> None:
    desk.follower._take(READY, asked_at=2.0)
    desk.follower._take(None, asked_at=1.0)
    assert desk.follower.view.line == "Ready: starter on CPU"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no zombies on Windows")
def test_a_daemon_that_was_our_child_is_reaped(desk: Desk) -> None:
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
