"""What the tray shows, in words: from the daemon's status and what we are doing to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from llmsuggestd.daemon.schema import State


@dataclass(frozen=True)
class View:
    """One moment of the tray. Equal views look the same, so nothing needs to be drawn anew."""

    state: State
    """Which icon."""
    line: str
    """The menu's first line, and the icon's tooltip."""
    hint: str = ""
    """What to do about it, if anything; the next line."""
    can_start: bool = False
    can_stop: bool = False


@dataclass(frozen=True)
class Task:
    """Something we do to the daemon: start it, or stop it."""

    verb: str
    line: str
    """What to say while it is under way."""
    running: bool
    """Whether the daemon runs when the task is done."""


START: Final = Task("start", "Starting…", running=True)
STOP: Final = Task("stop", "Stopping…", running=False)


@dataclass(frozen=True)
class Problem:
    """A task that failed. It is worth showing until the daemon is as the task wanted it."""

    task: Task
    message: str
    hint: str


def describe(status: dict[str, Any] | None, task: Task | None, problem: Problem | None) -> View:
    """The view of a daemon that gave `status` (None: it does not run), while we do `task`."""
    can_start = status is None and task is None
    can_stop = status is not None and task is not STOP
    if status is None:
        if task is not None:
            state: State = "loading" if task is START else "stopped"
            return View(state, task.line)
        if problem is not None:
            return View("failed", *_words(problem), can_start=can_start)
        return View("stopped", "Stopped", can_start=can_start)
    state = status["state"]
    if task is STOP:
        return View(state, task.line)
    if problem is not None:
        return View(state, *_words(problem), can_stop=can_stop)
    if state == "failed":
        reason = status.get("reason") or "the model cannot be used"
        return View(state, f"Failed: {reason}", status.get("hint") or "", can_stop=can_stop)
    return View(state, _activity(status), can_stop=can_stop)


def _activity(status: dict[str, Any]) -> str:
    model = status["model"]["id"]
    device = status.get("device")
    where = f"{model} on {device}" if device else model
    match status["state"]:
        case "loading":
            return f"Loading {model}…"
        case "ready":
            return f"Ready: {where}"
        case "busy":
            waiting = status.get("queue", 1) - 1
            return f"Busy: {where}" + (f", {waiting} waiting" if waiting > 0 else "")
        case "stopped":  # the engine, not the daemon: the next request loads the model
            return f"No model in memory: {model}"
        case other:
            raise ValueError(f"unknown state {other!r}")


def _words(problem: Problem) -> tuple[str, str]:
    return f"Could not {problem.task.verb}: {problem.message}", problem.hint
