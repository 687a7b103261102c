"""Following the daemon, and starting and stopping it: the tray's two kinds of thread.

One asks the daemon for its status again and again; each Start or Stop is another, since both take
seconds. What goes wrong in either is something to show, never the end of the tray.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

from llmsuggestd import service
from llmsuggestd.client import Client
from llmsuggestd.daemon import control
from llmsuggestd.errors import LlmsuggestdError, NotRunningError
from llmsuggestd.paths import Paths
from llmsuggestd.tray.view import START, Problem, Task, View, describe

log = logging.getLogger(__name__)

INTERVAL: Final = 1.0
"""Seconds between two questions."""

TIMEOUT: Final = 5.0
"""Seconds after which a daemon that says nothing is called hung."""


class Follower:
    """Keeps `view` up to date, and calls `changed` with each new one (from any thread)."""

    def __init__(self, paths: Paths, changed: Callable[[View], None]) -> None:
        self._paths = paths
        self._client = Client(paths)
        self._changed = changed
        self._lock = threading.Lock()  # of what follows; never held while asking or telling
        self._status: dict[str, Any] | None = None
        self._task: Task | None = None
        self._problem: Problem | None = None
        self._pid: int | None = None
        self._end = threading.Event()
        self.view = describe(None, None, None)

    def run(self) -> None:
        """Ask until `close` is called."""
        while not self._end.is_set():
            self.look()
            self._end.wait(INTERVAL)

    def close(self) -> None:
        """Ask no more, and say nothing more."""
        self._end.set()

    def look(self) -> None:
        """Ask once."""
        status = self._ask()
        self._reap(status)
        with self._lock:
            self._status = status
            if self._problem is not None and self._problem.task.running == (status is not None):
                self._problem = None
        self._show()

    def do(self, task: Task) -> None:
        """Begin a task. A newer one takes the place of the older, whose end is then ignored."""
        with self._lock:
            self._task, self._problem = task, None
        log.info("%s the daemon", task.verb)
        self._show()
        threading.Thread(target=self._carry_out, args=(task,), daemon=True).start()

    def _carry_out(self, task: Task) -> None:
        problem = None
        try:
            act = control.start if task is START else control.stop
            act(self._paths, service.registered())
        except Exception as error:
            problem = Problem(task, *_explain(error))
        with self._lock:
            if self._task is not task:
                return
            self._task, self._problem = None, problem
        if problem is not None:
            log.error("could not %s the daemon: %s", task.verb, problem.message)
        self.look()

    def _ask(self) -> dict[str, Any] | None:
        """The daemon's status; None if there is no daemon, a failed one if it makes no sense."""
        try:
            status = self._client.request("GET", "/v1/status", timeout=TIMEOUT)
            describe(status, None, None)  # a status without words makes no sense
            return status
        except NotRunningError as error:
            if not isinstance(error.__cause__, TimeoutError):
                return None
            message, hint = error.message, error.hint
        except Exception as error:
            message, hint = _explain(error)
        return {"state": "failed", "reason": message, "hint": hint, "model": {"id": "unknown"}}

    def _reap(self, status: dict[str, Any] | None) -> None:
        """Take leave of a daemon that was our child.

        Until its parent waits for it, an ended process looks alive: `llmsuggestd stop` would wait
        for it in vain.
        """
        if status is not None and "pid" in status:
            self._pid = status["pid"]
        if self._pid is None or sys.platform == "win32":
            return
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, os.WNOHANG)

    def _show(self) -> None:
        with self._lock:
            view = describe(self._status, self._task, self._problem)
            if view == self.view or self._end.is_set():
                return
            old, self.view = self.view, view
        if view.line != old.line:
            log.info("%s", view.line)
        self._changed(view)


def _explain(error: Exception) -> tuple[str, str]:
    """Message and hint of an error, expected or not."""
    if isinstance(error, LlmsuggestdError):
        return error.message, error.hint
    log.debug("unexpected", exc_info=error)
    return f"{type(error).__name__}: {error}", "please report this as a bug"
