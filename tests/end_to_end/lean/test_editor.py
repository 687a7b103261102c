"""The tactic in an editor: over Lean's language server."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.end_to_end.lean.fake_daemon import FakeDaemon
from tests.support.leanwasm import Lean

pytestmark = [pytest.mark.lean, pytest.mark.timeout(300)]

FILE = """import LlmSuggest

example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  llmsuggest
"""
CALL = (3, 2)


def test_code_actions_and_edits(lean: Lean, fake: FakeDaemon, tmp_path: Path) -> None:
    fake.answer("constructor\n· exact hp\n· exact hq", "constructor", "exact hq")
    with lean.worker(tmp_path / "Some.lean", FILE, fake.env) as worker:
        # In an editor the model is asked without further ado.
        (suggested,) = worker.diagnostics()
        assert suggested["message"].startswith("Try these:")

        # The code actions arrive, marked, and applying one gives a file without errors.
        actions = worker.code_actions(*CALL)
        assert [action["title"] for action in actions] == [
            "Try this: constructor\n  · exact hp\n  · exact hq  -- closes the goal",
            "Try this: constructor  -- leaves 2 goals",
        ]
        (change,) = actions[0]["edit"]["documentChanges"]
        (edit,) = change["edits"]
        assert edit["range"] == {
            "start": {"line": 3, "character": 2},
            "end": {"line": 3, "character": 12},
        }
        worker.change(FILE.replace("llmsuggest", edit["newText"]))
        assert worker.diagnostics() == []

        # An edit ends a request that the daemon has not answered, at once.
        (fake.directory / "script.json").write_text('{"behaviour": "slow"}')
        seen = len(fake.requests)
        worker.change(FILE)
        fake.wait_until(lambda: len(fake.requests) == seen + 1)
        start = time.monotonic()
        worker.change(FILE.replace("llmsuggest", "exact ⟨hp, hq⟩"))
        assert worker.diagnostics(10) == []
        assert time.monotonic() - start < 3, "fresh diagnostics do not wait for the daemon"
        fake.wait_until(lambda: fake.abandoned == 1)
