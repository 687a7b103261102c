"""`llmprove` against a daemon that does as told."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from tests.end_to_end.lean.fake_daemon import FakeDaemon
from tests.end_to_end.lean.offers import messages, mismatches, offers
from tests.support.leanwasm import Lean

HERE = Path(__file__).resolve().parent

#: What the model answers, by the target of the goal.
ANSWERS = {
    "p ∧ q": ["constructor"],
    "p": ["exact hp", "assumption"],
    "q": ["exact hq"],
    "r": ["exact hr"],
    "n + 0 = n": ["rw [Nat.add_comm]", "simp"],
    "∃ n, n = 3 ∧ p": ["refine ⟨?_, ?_⟩"],
    "Nat": ["exact 4", "exact 3"],
    "?w = 3 ∧ p": ["constructor"],
    "?w = 3": ["rfl"],
    "3 = 3 ∧ p": ["constructor"],
    "3 = 3": ["rfl"],
    "r ∧ (p ∨ q)": ["refine ⟨?_, ?_⟩"],
    "p ∨ q": ["left", "right", "exact Or.inr hq"],
    "t.mirror.mirror = t": ["induction t with\n| leaf => rfl\n| node l x r ihl ihr => ?_"],
    "Tree.leaf.mirror.mirror = Tree.leaf": ["rfl"],
    "(l.node x r).mirror.mirror = l.node x r": ["rw [Tree.mirror, Tree.mirror]"],
    "l.mirror.mirror.node x r.mirror.mirror = l.node x r": ["rw [ihl, ihr]"],
    "id p": ["show p"],
    "0 < n": ["exact h"],
    "Nonempty (Fin 3)": ["constructor"],
    "Fin 3": ["exact 0"],
}

pytestmark = [pytest.mark.lean, pytest.mark.timeout(600, func_only=True)]


def test_messages(lean: Lean, fake: FakeDaemon) -> None:
    result = lean.run(HERE / "Prove.lean", env=fake.env, timeout=500)
    assert (result.output, result.exit_code) == ("", 0)


def test_a_proof_holds_in_the_place_of_the_call(
    lean: Lean, fake: FakeDaemon, tmp_path: Path
) -> None:
    """In every kind of place, with no axioms but Lean's own three."""
    fake.answers = ANSWERS
    file = HERE / "ProvePlaces.lean"
    output = lean.run(file, env=fake.env, options=["--json"], timeout=500).output
    said = messages(output)
    assert [m["data"] for m in said if m["severity"] == "error"] == []
    # One of them is the macro's, which stands for the call that `alias` is.
    calls = file.read_text().split("-/", 1)[1].count("llmprove")
    made = offers(output)
    assert len(made) == calls
    assert all(offer.closes for offer in made)
    assert [offer.text for offer in made if "show p" in offer.text] == [], "a step too many"
    shutil.copy(HERE / "FakeDaemon.lean", tmp_path)
    assert mismatches(lean, file, made, tmp_path) == []
    several = [request for request in fake.requests if "goals" in request]
    assert several, "several goals share a request"


def test_hostile_answers(lean: Lean, fake: FakeDaemon, tmp_path: Path) -> None:
    """Nothing hangs, and a proof is offered where there is one and nowhere else."""
    file = HERE / "ProveHostile.lean"
    output = lean.run(file, env=fake.env, options=["--json"], timeout=500).output
    made = [offer for offer in offers(output) if offer.closes]
    lines = file.read_text().splitlines()
    names = {}
    for number, line in enumerate(lines, 1):
        if line.startswith("theorem "):
            name = line.split()[1]
        elif "llmprove" in line.split(" ") or line == "  llmprove, trivial⟩":
            names[number] = name
    proved = [names[offer.start[0]] for offer in made]
    assert proved == [name for name in names.values() if name.startswith("proved")]
    shutil.copy(HERE / "FakeDaemon.lean", tmp_path)
    assert mismatches(lean, file, made, tmp_path, fake.env) == []


FILE = """import LlmSuggest

set_option llmprove.moves false
set_option llmsuggest.finishers ""
set_option llmsuggest.heartbeats 100000000
theorem some (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  llmprove
"""


# In each theorem the daemon fails once two steps are found.
FAILING = """import LlmSuggest

set_option Elab.async false
set_option llmsuggest.inBuild true
set_option llmprove.moves false
set_option llmsuggest.finishers ""
set_option llmprove.seconds 5
theorem a (p q : Prop) (hp : p) : p ∧ q ∧ p := by
  llmprove
theorem b (p r : Prop) (hp : p) : p ∧ r ∧ p := by
  llmprove
theorem c (p s : Prop) (hp : p) : p ∧ s ∧ p := by
  llmprove
"""
PART = """Try this:
  [apply] constructor
    · exact hp
    · constructor
      · sorry
      · exact hp  -- not finished: 1 goal is left as `sorry`"""
FAILURES = {
    "q": ("hang up", "the request to the daemon failed"),
    "r": ("html", "another program or version answers"),
    "s": ("slow", "no proof was found in 5 s"),
}


def test_a_daemon_that_fails_in_the_middle(lean: Lean, fake: FakeDaemon, tmp_path: Path) -> None:
    """What was found until then is offered."""
    fake.answers = {f"{target} ∧ p": ["constructor"] for target in FAILURES}
    fake.answers |= {f"p ∧ {target} ∧ p": ["constructor"] for target in FAILURES}
    fake.answers["p"] = ["exact hp"]
    fake.behaviours = {target: behaviour for target, (behaviour, _) in FAILURES.items()}
    file = tmp_path / "Some.lean"
    file.write_text(FAILING)
    said = messages(lean.run(file, env=fake.env, options=["--json"], timeout=100).output)
    assert [m["data"] for m in said if m["severity"] == "information"] == [PART] * 3
    errors = [m["data"] for m in said if m["severity"] == "error"]
    for error, (_, reason) in zip(errors, FAILURES.values(), strict=True):
        assert error.startswith(f"llmprove: {reason}")


@pytest.mark.parametrize("half", [0, 1])
def test_an_edit_ends_a_search(lean: Lean, fake: FakeDaemon, tmp_path: Path, half: int) -> None:
    """At twenty moments, while the model is asked and while one of its steps runs."""
    done = FILE.replace("llmprove\n", "exact ⟨hp, hq⟩\n")
    # The npm Lean, which has 32-bit addresses, is out of memory after some 25 edits.
    with lean.worker(tmp_path / "Some.lean", done, fake.env) as worker:
        assert worker.diagnostics() == []
        for number in range(10 * half, 10 * half + 10):
            if number % 2:
                fake.answer("iterate 1000000000 skip", "repeat (have := 1; clear this)")
            else:
                (fake.directory / "script.json").write_text('{"behaviour": "slow"}')
            seen = len(fake.requests)
            worker.change(f"{FILE}-- {number}\n")
            fake.wait_until(lambda seen=seen: len(fake.requests) > seen)  # type: ignore[misc]
            time.sleep(0.05 * number)
            start = time.monotonic()
            worker.change(f"{done}-- {number}\n")
            assert worker.diagnostics() == []
            # The npm Lean takes a second to make a thread; a step alone would take a minute.
            assert time.monotonic() - start < 20
        fake.wait_until(lambda: fake.abandoned == 5)
