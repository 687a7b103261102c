"""What the tray says of every situation the daemon can be in."""

from __future__ import annotations

from typing import Any

import pytest

from llmsuggestd.tray.view import START, STOP, Problem, View, describe


def status(state: str, **more: object) -> dict[str, Any]:
    return {"state": state, "model": {"id": "starter"}, "device": "CPU", "queue": 0, **more}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (None, View("stopped", "Stopped", can_start=True)),
        (status("loading"), View("loading", "Loading starter…", can_stop=True)),
        (status("ready"), View("ready", "Ready: starter on CPU", can_stop=True)),
        (status("ready", device=None), View("ready", "Ready: starter", can_stop=True)),
        (status("busy", queue=1), View("busy", "Busy: starter on CPU", can_stop=True)),
        (status("busy", queue=3), View("busy", "Busy: starter on CPU, 2 waiting", can_stop=True)),
        (status("stopped"), View("stopped", "No model in memory: starter", can_stop=True)),
        (
            status("failed", reason="out of memory", hint="close a program"),
            View("failed", "Failed: out of memory", "close a program", can_stop=True),
        ),
    ],
)
def test_a_daemon_left_alone(given: dict[str, Any] | None, shown: View) -> None:
    assert describe(given, None, None) == shown


def test_a_task_under_way_is_what_is_shown() -> None:
    assert describe(None, START, None) == View("loading", "Starting…")
    assert describe(status("ready"), STOP, None) == View("ready", "Stopping…")
    assert describe(None, STOP, None) == View("stopped", "Stopping…")


def test_a_daemon_that_loads_can_be_stopped_before_start_is_done() -> None:
    assert describe(status("loading"), START, None).can_stop


def test_a_failed_task_is_shown_with_what_to_do() -> None:
    problem = Problem(START, "port 8377 is used", "give another")
    assert describe(None, None, problem) == View(
        "failed", "Could not start: port 8377 is used", "give another", can_start=True
    )
    problem = Problem(STOP, "it does not stop", "kill 7")
    assert describe(status("ready"), None, problem) == View(
        "ready", "Could not stop: it does not stop", "kill 7", can_stop=True
    )


def test_a_state_of_a_later_version_is_refused() -> None:
    with pytest.raises(ValueError, match="hibernating"):
        describe(status("hibernating"), None, None)
