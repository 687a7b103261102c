"""What the tray shows, in words: from the daemon's status and what we are doing to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from llmsuggestd.units import size_text

Status = dict[str, Any]
"""The daemon's status as the API gives it."""

Mark = Literal["stopped", "loading", "ready", "busy", "idle", "failed"]
"""Which icon."""


@dataclass(frozen=True)
class ModelItem:
    """One line of the menu of models."""

    id: str
    label: str
    served: bool


@dataclass(frozen=True)
class View:
    """One moment of the tray. Equal views look the same, so nothing needs to be drawn anew."""

    mark: Mark
    line: str
    """The menu's first line, and the icon's tooltip: what the daemon does."""
    notes: tuple[str, ...] = ()
    """Lines below it: what went wrong, and what to do about it."""
    can_start: bool = False
    can_stop: bool = False
    models: tuple[ModelItem, ...] = ()


@dataclass(frozen=True)
class Task:
    """Something we do to the daemon, which takes a while."""

    what: str
    """In the imperative, for the sentence `Could not …`."""
    line: str
    """What to say while it is under way."""
    done: Callable[[Status | None], bool]
    """Whether the daemon is as the task wants it."""


START: Final = Task("start", "Starting…", lambda status: status is not None)
STOP: Final = Task("stop", "Stopping…", lambda status: status is None)


def use(model_id: str) -> Task:
    """Having another model served; over, too, when the daemon that should serve it is gone."""
    return Task(
        f"switch to {model_id}",
        f"Loading {model_id}…",
        lambda status: status is None or status["model"]["id"] == model_id,
    )


@dataclass(frozen=True)
class Problem:
    """Something that went wrong, worth showing until it is over or the user does something else."""

    message: str
    hint: str
    over: Callable[[Status | None], bool] = lambda _: False
    fatal: bool = False
    """Whether it is why no daemon runs."""


def describe(
    status: Status | None,
    task: Task | None = None,
    problem: Problem | None = None,
    models: Sequence[dict[str, Any]] = (),
) -> View:
    """The view of a daemon that gave `status` (None: it does not run), while we do `task`.

    `models` are the installed ones, as `GET /v1/models` gives them.
    """
    notes = tuple(filter(None, (problem.message, problem.hint))) if problem else ()
    if status is None:
        if task is START or task is STOP:
            return View("loading" if task is START else "stopped", task.line)
        if problem is not None and problem.fatal:
            return View("failed", notes[0], notes[1:], can_start=True)
        return View("stopped", "Stopped", notes, can_start=True)
    mark, line, reasons = _activity(status)
    if task is not None and task is not START:
        mark, line = mark if task is STOP else "loading", task.line
    return View(
        mark,
        line,
        reasons + notes,
        can_stop=task is not STOP,
        models=tuple(_item(model, status) for model in sorted(models, key=lambda m: m["id"])),
    )


def _activity(status: Status) -> tuple[Mark, str, tuple[str, ...]]:
    """Icon, words and further words for what a daemon says of itself."""
    model = status["model"]["id"]
    device = status.get("device")
    where = f"{model} on {device}" if device else model
    if new := status.get("switching_to"):
        return "loading", f"Loading {new}…", (f"Until then, {model} answers",)
    match status["state"]:
        case "loading":
            return "loading", f"Loading {model}…", ()
        case "ready":
            return "ready", f"Ready: {where}", ()
        case "busy":
            waiting = status.get("queue", 1) - 1
            return "busy", f"Busy: {where}" + (f", {waiting} waiting" if waiting > 0 else ""), ()
        case "idle":
            return "idle", f"Resting: {model} is loaded with the next request", ()
        case "failed":
            reason = status.get("reason") or "the model cannot be used"
            return "failed", f"Failed: {reason}", tuple(filter(None, [status.get("hint")]))
        case other:  # of a later version
            return "idle", f"{other}: {where}", ()


def _item(model: dict[str, Any], status: Status) -> ModelItem:
    """A model of the menu; checked is the one that answers, also while another is loaded."""
    words = [size_text(model["bytes"]), model.get("quantisation")]
    if model["id"] == status.get("switching_to"):
        words.append("loading")
    return ModelItem(
        model["id"],
        f"{model['id']} ({', '.join(filter(None, words))})",
        model["id"] == status["model"]["id"],
    )
