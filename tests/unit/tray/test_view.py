"""The tray's view of every state of the daemon."""

from __future__ import annotations

from typing import Any

import pytest

from llmsuggestd.tray.view import START, STOP, ModelItem, Problem, View, describe, use

MODELS = [
    {"id": "starter", "bytes": 3_708_096, "current": True, "quantisation": "Q4_K_M"},
    {"id": "pythia", "bytes": 1_780_000_000, "current": False},
]


def status(state: str, **more: object) -> dict[str, Any]:
    return {"state": state, "model": {"id": "starter"}, "device": "CPU", "queue": 0, **more}


def remote(fallback: str | None, reason: str | None) -> dict[str, Any]:
    return {"url": "https://x.org", "leaves": True, "fallback": fallback, "reason": reason}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (None, View("stopped", "Stopped", can_start=True)),
        (status("loading"), View("loading", "Loading starter…", can_stop=True)),
        (status("ready"), View("ready", "Ready: starter on CPU", can_stop=True)),
        (status("ready", device=None), View("ready", "Ready: starter", can_stop=True)),
        (status("busy", queue=1), View("busy", "Busy: starter on CPU", can_stop=True)),
        (status("busy", queue=3), View("busy", "Busy: starter on CPU, 2 waiting", can_stop=True)),
        (
            status("failed", reason="out of memory", hint="close a program"),
            View("failed", "Failed: out of memory", ("close a program",), can_stop=True),
        ),
        (
            status("ready", device="https://x.org", remote=remote(None, None)),
            View(
                "ready",
                "Ready: starter on https://x.org",
                ("Goals are sent to https://x.org",),
                can_stop=True,
            ),
        ),
        (
            status("ready", remote=remote("small", "there is no connection")),
            View(
                "ready",
                "Ready: starter on CPU",
                ("small answers: there is no connection",),
                can_stop=True,
            ),
        ),
        (
            status("busy", queue=1, switching_to="pythia"),
            View("loading", "Loading pythia…", ("Until then, starter answers",), can_stop=True),
        ),
    ],
)
def test_the_daemons_state_without_a_task(given: dict[str, Any] | None, shown: View) -> None:
    assert describe(given) == shown


def test_a_daemon_without_a_model_in_memory_is_idle() -> None:
    view = describe(status("idle"))
    assert view.mark == "idle"
    assert view.line == "Idle: starter is loaded with the next request"


def test_a_state_of_a_later_version_is_shown_by_its_name() -> None:
    view = describe(status("hibernating"))
    assert (view.mark, view.line, view.can_stop) == ("idle", "hibernating: starter on CPU", True)


def test_a_task_under_way_is_shown() -> None:
    assert describe(None, START) == View("loading", "Starting…")
    assert describe(status("ready"), STOP) == View("ready", "Stopping…")
    assert describe(None, STOP) == View("stopped", "Stopping…")
    assert describe(status("ready"), use("b")) == View("loading", "Loading b…", can_stop=True)


def test_a_daemon_that_loads_can_be_stopped_before_start_is_done() -> None:
    view = describe(status("loading"), START)
    assert view.line == "Loading starter…"
    assert view.can_stop


def test_a_failed_start_is_shown_while_no_daemon_runs() -> None:
    problem = Problem("Could not start: port 8377 is used", "give another", START.done, fatal=True)
    assert describe(None, None, problem) == View(
        "failed", "Could not start: port 8377 is used", ("give another",), can_start=True
    )


def test_other_problems_are_shown_beside_the_daemons_state() -> None:
    problem = Problem("Could not stop: it does not stop", "kill 7")
    assert describe(status("ready"), None, problem) == View(
        "ready",
        "Ready: starter on CPU",
        ("Could not stop: it does not stop", "kill 7"),
        can_stop=True,
    )
    assert describe(None, None, Problem("Could not show the log: none", "")) == View(
        "stopped", "Stopped", ("Could not show the log: none",), can_start=True
    )


def test_models_come_with_their_sizes_and_the_one_that_answers_is_marked() -> None:
    assert describe(status("ready"), models=MODELS).models == (
        ModelItem("pythia", "pythia (1.78 GB)", served=False),
        ModelItem("starter", "starter (3.7 MB, Q4_K_M)", served=True),
    )
    switching = describe(status("ready", switching_to="pythia"), models=MODELS)
    assert switching.models == (
        ModelItem("pythia", "pythia (1.78 GB, loading)", served=False),
        ModelItem("starter", "starter (3.7 MB, Q4_K_M)", served=True),
    )


def test_without_a_daemon_there_is_no_model_to_choose() -> None:
    assert describe(None, models=MODELS).models == ()
