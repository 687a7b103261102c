"""The tray's view: icon and words, derived from the daemon's status and the task in progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from llmsuggestd.units import size_text

Status = dict[str, Any]
"""The daemon's status, as decoded from the API's JSON."""

Mark = Literal["stopped", "loading", "ready", "busy", "idle", "failed"]
"""The icon's variant."""


@dataclass(frozen=True)
class ModelItem:
    """One line of the menu of models."""

    id: str
    label: str
    served: bool


@dataclass(frozen=True)
class View:
    """The tray's appearance. Equal views look the same and need no redrawing."""

    mark: Mark
    line: str
    """The daemon's state: the menu's first line, and the icon's tooltip."""
    notes: tuple[str, ...] = ()
    """Lines below it: an error and its remedy."""
    can_start: bool = False
    can_stop: bool = False
    models: tuple[ModelItem, ...] = ()


@dataclass(frozen=True)
class Task:
    """An action on the daemon that takes a while."""

    what: str
    """An infinitive, for the sentence `Could not …`."""
    line: str
    """The line to show while it is under way."""
    done: Callable[[Status | None], bool]
    """Whether a status shows the task's goal."""


START: Final = Task("start", "Starting…", lambda status: status is not None)
STOP: Final = Task("stop", "Stopping…", lambda status: status is None)


def use(model_id: str) -> Task:
    """The task of switching models. It also ends when the daemon has gone."""
    return Task(
        f"switch to {model_id}",
        f"Loading {model_id}…",
        lambda status: status is None or status["model"]["id"] == model_id,
    )


@dataclass(frozen=True)
class Problem:
    """An error that is shown until it is resolved or the user takes another action."""

    message: str
    hint: str
    over: Callable[[Status | None], bool] = lambda _: False
    fatal: bool = False
    """Whether it explains why no daemon runs."""


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
    reasons += _where(status.get("remote"))
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
    """The icon, first line and further lines for a status."""
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
            return "idle", f"Idle: {model} is loaded with the next request", ()
        case "failed":
            reason = status.get("reason") or "the model cannot be used"
            return "failed", f"Failed: {reason}", tuple(filter(None, [status.get("hint")]))
        case other:  # of a later version
            return "idle", f"{other}: {where}", ()


def _where(remote: dict[str, Any] | None) -> tuple[str, ...]:
    """A line with the server to which goals are sent, or the fallback and the server's error."""
    if remote is None:
        return ()
    if remote["fallback"] is not None:
        return (f"{remote['fallback']} answers: {remote['reason']}",)
    return (f"Goals are sent to {remote['url']}",)


def _item(model: dict[str, Any], status: Status) -> ModelItem:
    """A model's menu item. The checked model is the one that answers, also while another loads."""
    server = model.get("remote")
    words = [f"at {server}" if server else size_text(model["bytes"]), model.get("quantisation")]
    if model["id"] == status.get("switching_to"):
        words.append("loading")
    return ModelItem(
        model["id"],
        f"{model['id']} ({', '.join(filter(None, words))})",
        model["id"] == status["model"]["id"],
    )
