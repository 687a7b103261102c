"""Follows the daemon's status and acts on the daemon, in the tray's threads.

One thread listens to the daemon's event stream, and polls while no daemon runs. Each Start, Stop or
switch of the model has another thread, since it takes seconds. An error in any thread is shown, and
never ends the tray.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from llmsuggestd import control, service
from llmsuggestd.client import Client
from llmsuggestd.errors import LlmsuggestdError, NotRunningError
from llmsuggestd.models import manage
from llmsuggestd.paths import Paths
from llmsuggestd.tray.view import START, STOP, Problem, Status, Task, View, describe, use

log = logging.getLogger(__name__)

INTERVAL: Final = 2.0
"""Poll interval, in seconds, for a daemon that is not running or refuses an event stream."""

SOON: Final = 0.25
"""Seconds until the next poll after a stream has ended: the daemon is stopping or restarting."""

TIMEOUT: Final = 5.0
"""Timeout for a request, in seconds. A daemon that does not answer counts as hung."""

SILENCE: Final = 20.0
"""Timeout for a line on the event stream, in seconds; the heartbeat is 15 s."""

MODELS_AGE: Final = 10.0
"""Seconds for which the list of models stays valid. A new model appears with the next heartbeat."""

CRASHED: Final = Problem(
    "The daemon ended unexpectedly",
    "Logs may say why; Start starts it again",
    over=lambda status: status is not None,
    fatal=True,
)


class Follower:
    """Keeps `view` up to date. Calls `changed` with each view and `failed` with each problem.

    Both may be called from any thread.
    """

    def __init__(
        self,
        paths: Paths,
        changed: Callable[[View], None],
        failed: Callable[[Problem], None] = lambda _: None,
    ) -> None:
        self._paths = paths
        self._client = Client(paths)
        self._changed = changed
        self._failed = failed
        self._end = threading.Event()
        self._wake = threading.Event()
        self._lock = (
            threading.Lock()
        )  # guards the fields below; never held during a request or a callback
        self._status: Status | None = None
        self._asked_at = (
            0.0  # when the shown status was requested; answers to older requests are ignored
        )
        self._models: list[dict[str, Any]] = []
        self._models_at = float("-inf")
        self._task: Task | None = None
        self._problem: Problem | None = None
        self._pid: int | None = None
        self.view = describe(None)

    def run(self) -> None:
        """Follow until `close` is called."""
        while not self._end.is_set():
            listened = self.look() and self._listen()
            self._wake.wait(SOON if listened else INTERVAL)
            self._wake.clear()

    def close(self) -> None:
        """Stop following, and report nothing more."""
        self._end.set()
        self._wake.set()

    def look(self) -> bool:
        """Poll once. Returns whether a daemon answers."""
        asked_at = time.monotonic()
        status = self._ask()
        self._take(status, asked_at)
        return status is not None

    def start(self) -> None:
        """Start the daemon, in the background."""
        self._begin(START, lambda: control.start(self._paths, service.registered()))

    def stop(self) -> None:
        """Stop the daemon, in the background."""
        self._begin(STOP, lambda: control.stop(self._paths, service.registered()))

    def use(self, model_id: str) -> None:
        """Switch to a model, in the background."""
        task = use(model_id)
        if not task.done(self._status):
            self._begin(task, lambda: manage.use(self._paths, model_id))

    def attempt(self, what: str, act: Callable[[], object]) -> None:
        """Run another action in the background. Only its failure is shown."""
        self._report(None)

        def carry_out() -> None:
            try:
                act()
            except Exception as error:
                self._report(_problem(what, error))
            else:
                self._changed(self.view)  # a check mark in the menu may have changed

        threading.Thread(target=carry_out, daemon=True).start()

    def _begin(self, task: Task, act: Callable[[], object]) -> None:
        """Begin a task. It replaces an older one, whose end is then ignored."""
        with self._lock:
            self._task, self._problem = task, None
        log.info("asked to %s", task.what)
        self._show()
        threading.Thread(target=self._carry_out, args=(task, act), daemon=True).start()

    def _carry_out(self, task: Task, act: Callable[[], object]) -> None:
        problem = None
        try:
            act()
        except Exception as error:
            problem = _problem(task.what, error, over=task.done, fatal=task is START)
        with self._lock:
            if self._task is not task:
                return
        asked_at = time.monotonic()
        status = self._ask()  # before the task ends, so that its old state is not shown again
        with self._lock:
            if self._task is not task:
                return
            self._task = None
        self._take(status, asked_at, problem)
        self._wake.set()

    def _listen(self) -> bool:
        """Follow the event stream until it ends. Returns False if the daemon refuses one."""
        cut = False
        try:
            for status in self._client.events(timeout=SILENCE):
                describe(status)
                self._take(status, time.monotonic())
                if self._end.is_set():
                    return True
        except NotRunningError as error:
            cut = not isinstance(error.__cause__, TimeoutError)
        except Exception as error:  # too many clients, or a malformed stream
            log.debug("no event stream: %s", error)
            return False
        asked_at = time.monotonic()
        left = self._ask()
        crashed = cut and left is None and self._task not in (START, STOP)
        self._take(left, asked_at, CRASHED if crashed else None)
        return True

    def _ask(self) -> Status | None:
        """The daemon's status; None without a daemon, and a failed status if it is malformed."""
        try:
            status = self._client.request("GET", "/v1/status", timeout=TIMEOUT)
            describe(status)  # raises an error for a malformed status
            return status
        except NotRunningError as error:
            if not isinstance(error.__cause__, TimeoutError):
                return None
            message, hint = error.message, error.hint
        except Exception as error:
            message, hint = _explain(error)
        return {"state": "failed", "reason": message, "hint": hint, "model": {"id": "unknown"}}

    def _take(self, status: Status | None, asked_at: float, problem: Problem | None = None) -> None:
        """Show a status and its problem, unless a newer status is shown already."""
        self._reap(status)
        self._list_models(status)
        with self._lock:
            if asked_at >= self._asked_at:
                self._status, self._asked_at = status, asked_at
            if self._problem is not None and self._problem.over(self._status):
                self._problem = None
            if problem is not None and problem.over(self._status):
                problem = None
        if problem is not None:
            self._report(problem)
        else:
            self._show()

    def _list_models(self, status: Status | None) -> None:
        """Request the installed models if the list is outdated or lacks the served model."""
        if status is None:
            return
        now, served = time.monotonic(), status["model"]["id"]
        with self._lock:
            fresh = (
                now < self._models_at + MODELS_AGE
                and self._status is not None
                and served == self._status["model"]["id"]
                and any(model["id"] == served for model in self._models)
            )
            if fresh:
                return
            self._models_at = now
        try:
            models = self._client.request("GET", "/v1/models", timeout=TIMEOUT)["models"]
            describe(status, models=models)
        except Exception as error:
            log.debug("no list of models: %s", error)
        else:
            with self._lock:
                self._models = models

    def _reap(self, status: Status | None) -> None:
        """Reap a daemon that was our child; until then, it stays in the process table."""
        if status is not None and "pid" in status:
            self._pid = status["pid"]
        if self._pid is None or sys.platform == "win32":
            return
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, os.WNOHANG)

    def _report(self, problem: Problem | None) -> None:
        """Show a problem; None removes the one shown."""
        with self._lock:
            self._problem = problem
        if problem is not None and not self._end.is_set():
            log.error("%s", problem.message)
            self._failed(problem)
        self._show()

    def _show(self) -> None:
        with self._lock:
            view = describe(self._status, self._task, self._problem, self._models)
            if view == self.view or self._end.is_set():
                return
            old, self.view = self.view, view
            known = self._problem is not None and self._problem.message == view.line
        if view.line != old.line and {view.mark, old.mark} != {"ready", "busy"} and not known:
            log.info("%s", view.line)
        self._changed(view)


def _problem(what: str, error: Exception, **more: Any) -> Problem:
    message, hint = _explain(error)
    return Problem(f"Could not {what}: {message}", hint, **more)


def _explain(error: Exception) -> tuple[str, str]:
    """Message and hint of an error, also of an unexpected one."""
    if isinstance(error, LlmsuggestdError):
        return error.message, error.hint
    log.error("a fault in llmsuggestd", exc_info=error)
    return f"{type(error).__name__}: {error}", "please report it, with the end of tray.log"
