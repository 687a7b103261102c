"""The tactic in an editor: over Lean's language server."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.end_to_end.lean.fake_daemon import FakeDaemon
from tests.support.leanwasm import Lean
from tests.support.leanwasm.worker import Worker

pytestmark = [pytest.mark.lean, pytest.mark.timeout(300)]

FILE = """import LlmSuggest

set_option llmsuggest.checkTime 100000 in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  llmsuggest
"""
CALL = (4, 2)


def test_code_actions_and_edits(lean: Lean, fake: FakeDaemon, tmp_path: Path) -> None:
    # The last one works, and has a code action of its own, of which nothing may be left.
    steps = ["constructor\n· exact hp\n· exact hq", "constructor", "exact hq", "simp? [hp, hq]"]
    fake.answer(*steps)
    with lean.worker(tmp_path / "Some.lean", FILE, fake.env) as worker:
        # In an editor the model is asked without further ado.
        (suggested,) = worker.diagnostics()
        assert suggested["message"].startswith("Try these:")

        # The code actions arrive, marked, and applying one gives a file without errors.
        actions = worker.code_actions(*CALL)
        assert [action["title"] for action in actions] == [
            "Try this: constructor\n  · exact hp\n  · exact hq  -- closes the goal",
            "Try this: simp? [hp, hq]  -- closes the goal",
            "Try this: constructor  -- leaves 2 goals",
        ]
        (change,) = actions[0]["edit"]["documentChanges"]
        (inserted,) = change["edits"]
        assert inserted["range"] == {
            "start": {"line": 4, "character": 2},
            "end": {"line": 4, "character": 12},
        }
        worker.change(FILE.replace("  llmsuggest", "  " + inserted["newText"]))
        assert worker.diagnostics() == []

        # An edit ends a request that the daemon has not answered, at once. The npm Lean takes a
        # second to make a thread, which it does now and then, and a busy machine takes longer.
        plain = [edit(worker, i) for i in range(5)]
        (fake.directory / "script.json").write_text('{"behaviour": "slow"}')
        during = [edit_during_request(worker, fake) for _ in range(5)]
        assert sorted(during)[2] < sorted(plain)[2] + 1, "diagnostics do not wait for the daemon"


def edit(worker: Worker, number: int) -> float:
    """How many seconds after an edit its diagnostics are there."""
    start = time.monotonic()
    worker.change(FILE.replace("  llmsuggest", "  exact ⟨hp, hq⟩" + " " * number))
    assert worker.diagnostics() == []
    return time.monotonic() - start


def edit_during_request(worker: Worker, fake: FakeDaemon) -> float:
    """How many seconds after an edit its diagnostics are there and the daemon is left alone."""
    seen, abandoned = len(fake.requests), fake.abandoned
    worker.change(f"{FILE}-- {seen}\n")
    fake.wait_until(lambda: len(fake.requests) == seen + 1)
    start = time.monotonic()
    edit(worker, 0)
    fake.wait_until(lambda: fake.abandoned == abandoned + 1)
    return time.monotonic() - start
