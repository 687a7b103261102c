"""The tactic in an editor, through Lean's language server."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.lean.fake_daemon import FakeDaemon
from tests.support.leanwasm import Lean
from tests.support.leanwasm.worker import Worker

pytestmark = [pytest.mark.lean, pytest.mark.timeout(300, func_only=True)]

FILE = """import LlmSuggest

set_option llmsuggest.checkTime 100000 in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  llmsuggest
"""
CALL = (4, 2)


def test_code_actions_and_edits(lean: Lean, fake: FakeDaemon, tmp_path: Path) -> None:
    # The last step works, and makes a code action of its own, which must not remain.
    steps = ["constructor\n· exact hp\n· exact hq", "constructor", "exact hq", "simp? [hp, hq]"]
    fake.answer(*steps)
    with lean.worker(tmp_path / "Some.lean", FILE, fake.env) as worker:
        # In an editor, the model is asked without an option.
        (suggested,) = worker.diagnostics()
        assert suggested["message"].startswith("Try these:")

        # The code actions have marks, and applying one gives a file without errors.
        actions = worker.code_actions(*CALL)
        assert [action["title"] for action in actions] == [
            "Try this: constructor ⏎ · exact hp ⏎ · exact hq  -- closes the goal",
            "Try this: simp only [hp, hq, and_self]  -- closes the goal",
            "Try this: constructor  -- leaves 2 goals",
        ]
        taken = edited(FILE, actions[0])
        assert taken == FILE.replace("llmsuggest\n", "constructor\n  · exact hp\n  · exact hq\n")
        worker.change(taken)
        assert worker.diagnostics() == []

        # An edit immediately ends a request that the daemon has not answered. The margin is for the
        # npm Lean, which sometimes needs a second to make a thread, and for busy machines.
        plain = [edit(worker, i) for i in range(5)]
        (fake.directory / "script.json").write_text('{"behaviour": "slow"}')
        during = [edit_during_request(worker, fake) for _ in range(5)]
        assert sorted(during)[2] < sorted(plain)[2] + 1, "diagnostics waited for the daemon"


def test_code_action_to_ask_again(lean: Lean, fake: FakeDaemon, tmp_path: Path) -> None:
    fake.answer("exact ⟨hp, hq⟩")
    socket, gone = fake.directory / "socket", fake.directory / "gone"
    socket.rename(gone)
    with lean.worker(tmp_path / "Some.lean", FILE, fake.env) as worker:
        messages = [diagnostic["message"] for diagnostic in worker.diagnostics()]
        assert messages[0] == "llmsuggest: no daemon answers. Start it with `llmsuggestd start`."
        text = FILE
        for space in (" ", ""):
            gone.rename(socket)
            # The action adds or removes a space after the call, so Lean elaborates it again.
            (action,) = worker.code_actions(*CALL)
            assert action["title"] == "Ask the model again"
            text = edited(text, action)
            assert text.endswith(f"  llmsuggest{space}\n")
            worker.change(text)
            (suggested,) = worker.diagnostics()
            assert suggested["message"].startswith("Try this:")
            # In the second round, the space is removed.
            socket.rename(gone)
            text = text.replace("checkTime 100000", "checkTime 10000")
            worker.change(text)
            worker.diagnostics()


# Calls in the middle of a line, and the text after a suggestion was applied.
BLOCKS = {
    "theorem some {p q : Prop} (hp : p)\n    (hq : q) : p ∧ q := by llmsuggest\n": (
        "theorem some {p q : Prop} (hp : p)\n    (hq : q) : p ∧ q := by\n"
        "  constructor\n  · exact hp\n  · exact hq\n"
    ),
    "example {p q : Prop} (hp : p) (hq : q) : True ∧ p ∧ q :=\n  ⟨trivial, by llmsuggest⟩\n": (
        "example {p q : Prop} (hp : p) (hq : q) : True ∧ p ∧ q :=\n  ⟨trivial, by\n"
        "    constructor\n    · exact hp\n    · exact hq⟩\n"
    ),
}


def test_a_block_stands_below_its_by(lean: Lean, fake: FakeDaemon, tmp_path: Path) -> None:
    fake.answer("constructor\n· exact hp\n· exact hq")
    head = "import LlmSuggest\n"
    with lean.worker(tmp_path / "Some.lean", head, fake.env) as worker:
        for text, expected in BLOCKS.items():
            worker.change(head + text)
            worker.diagnostics()
            before = (head + text).partition("llmsuggest")[0].splitlines()
            (action,) = worker.code_actions(len(before) - 1, len(before[-1]))
            assert edited(head + text, action) == head + expected
            worker.change(head + expected)
            assert worker.diagnostics() == []


# In an editor, Lean shows the messages of an alternative before it runs the next.
SHARED = """import LlmSuggest

set_option llmsuggest.finishers ""

theorem some (p q : Prop) (h : p ∨ q) : q ∨ p := by
  cases h with
  | inl h | inr h => {}
"""
EARLY = "This call runs on 2 goals. For 1 of them:"


def test_alternatives_that_share_a_call(lean: Lean, fake: FakeDaemon, tmp_path: Path) -> None:
    fake.answer("exact Or.inr h", "exact Or.inl h", "simp [h]")
    with lean.worker(tmp_path / "Some.lean", SHARED.format("llmsuggest"), fake.env) as worker:
        said = [message["message"] for message in worker.diagnostics()]
        assert said == [
            f"{EARLY}\n  exact Or.inr h  -- closes the goal\n  simp [h]  -- closes the goal",
            "Try this:\n  [apply] simp [h]  -- closes the goal",
        ]
        worker.change(SHARED.format("llmprove"))
        said = [message["message"] for message in worker.diagnostics()]
        assert [message.partition("\n")[0] for message in said] == [EARLY, "Try this:"]
        assert "[apply]" not in said[0]


# Declarations with a call, and whether Lean elaborates the text below while the model is asked.
KINDS = {
    "theorem some : True := by\n  llmsuggest\n": True,
    "theorem some : True :=\n  id (by llmsuggest)\n": True,
    "example : True := by\n  llmsuggest\n": False,
    "def some : Fin 3 := by\n  llmsuggest\n": False,
    "instance some : Nonempty Nat := by\n  llmsuggest\n": False,
    "mutual\ntheorem some : True := by llmsuggest\ntheorem any : True := trivial\nend\n": False,
}


def test_what_waits_for_the_model(lean: Lean, fake: FakeDaemon, tmp_path: Path) -> None:
    head = "import LlmSuggest\nset_option llmsuggest.timeout {}\n"
    (fake.directory / "script.json").write_text('{"behaviour": "slow"}')
    with lean.worker(tmp_path / "Some.lean", head.format(1), fake.env) as worker:
        worker.diagnostics()
        for declaration, goes_on in KINDS.items():
            asked, abandoned = len(fake.requests), fake.abandoned
            worker.change(head.format(60 if goes_on else 2) + declaration + "#check Nat\n")
            fake.wait_until(partial(_is_asked, fake, asked + 1))
            start = time.monotonic()
            worker.wait_for("Nat : Type")
            if goes_on:
                assert fake.abandoned == abandoned, declaration
            else:
                assert time.monotonic() - start > 1.5, declaration


def _is_asked(fake: FakeDaemon, times: int) -> bool:
    return len(fake.requests) == times


def test_completion(lean: Lean, fake: FakeDaemon, tmp_path: Path) -> None:
    text = "import LlmSuggest\n\ntheorem some : True := by\n  skip\n  \n"
    with lean.worker(tmp_path / "Some.lean", text, fake.env) as worker:
        worker.diagnostics()
        assert any(name.endswith("llmsuggest") for name in worker.completions(4, 2))
        worker.change(text.replace("  \n", "  llm\n"))
        worker.diagnostics()
        # The npm Lean lacks values that a module does not export, and lists the parser's full name.
        assert any(name.endswith("llmsuggest") for name in worker.completions(4, 5))


def edited(text: str, action: dict[str, Any]) -> str:
    """The text after a code action."""
    (change,) = action["edit"]["documentChanges"]
    (edit,) = change["edits"]
    lines = text.split("\n")

    def offset(position: dict[str, int]) -> int:
        return sum(len(x) + 1 for x in lines[: position["line"]]) + position["character"]

    start, end = (offset(edit["range"][key]) for key in ("start", "end"))
    return text[:start] + str(edit["newText"]) + text[end:]


def edit(worker: Worker, number: int) -> float:
    """Seconds from an edit to its diagnostics."""
    start = time.monotonic()
    worker.change(FILE.replace("  llmsuggest", "  exact ⟨hp, hq⟩" + " " * number))
    assert worker.diagnostics() == []
    return time.monotonic() - start


def edit_during_request(worker: Worker, fake: FakeDaemon) -> float:
    """Seconds from an edit to its diagnostics and to the end of the daemon's request."""
    seen, abandoned = len(fake.requests), fake.abandoned
    worker.change(f"{FILE}-- {seen}\n")
    fake.wait_until(lambda: len(fake.requests) == seen + 1)
    start = time.monotonic()
    edit(worker, 0)
    fake.wait_until(lambda: fake.abandoned == abandoned + 1)
    return time.monotonic() - start
