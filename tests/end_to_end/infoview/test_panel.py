"""The panel's search for a proof, and the places where the panel offers suggestions.

`tests/end_to_end/editor` has the panel's suggestions in the editor.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.infoview.editor import move, serve_editor
from tests.end_to_end.lean.fake_daemon import FakeDaemon
from tests.support.chromium import open_page
from tests.support.leanwasm import Lean
from tests.support.leanwasm.worker import Worker

pytestmark = [pytest.mark.lean, pytest.mark.timeout(300, func_only=True)]

# The time limit suits users; on a busy test machine, checks may take longer.
HEAD = """import LlmSuggest.Panel
set_option llmsuggest.checkTime 100000
show_panel_widgets [local llmSuggestPanel]

"""
EXAMPLE = "example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by\n"
FILE = f"{HEAD}{EXAMPLE}  skip\n  \n\n{EXAMPLE}  sorry\n"
PANEL = "document.querySelector('#llmsuggest-panel')"
LINKS = f"{PANEL}.querySelectorAll('a')"


PROOF = "document.querySelector('#llmsuggest-proof')"


def targets(fake: FakeDaemon) -> set[str]:
    """The last lines of all goals that the daemon was asked about."""
    goals = (goal for request in fake.requests for goal in request.get("goals", []))
    return {goal.splitlines()[-1] for goal in goals}


async def test_proof(
    lean: Lean, infoview: Path, browser: str, fake: FakeDaemon, tmp_path: Path
) -> None:
    """A search for a proof shows how far it is, can be stopped, and its result is inserted."""
    options = 'set_option llmprove.moves false\nset_option llmsuggest.finishers ""\n'
    text = FILE.replace("\n\n", f"\n{options}\n", 1)
    async with (
        serve_editor(lean, infoview, tmp_path / "Some.lean", text, fake.env) as url,
        open_page(browser, url) as page,
    ):
        fake.answers = {"p ∧ q": ["constructor"], "p": ["exact hp"], "q": ["exact hq"]}
        await page.wait_for("globalThis.editor")
        await move(page, 8, 2)
        await page.wait_for(f"{PROOF} && {PROOF}.innerText === '[search for a proof]'", 120)
        await page.wait_for(f"{LINKS}.length === 1")

        # While it waits for the model about the goals that are left.
        fake.behaviours = {"p": "slow"}
        await page.click(f"{PROOF}.querySelector('a')")
        await page.wait_for(f"{PROOF}.innerText.includes('3 goals open, 0 proved, 1 step, ')", 60)
        assert (await page.evaluate(f"{PROOF}.innerText")).startswith("Searching for a proof for")
        # The cursor may go elsewhere meanwhile.
        await move(page, 11, 2)
        assert "3 goals open" in await page.evaluate(f"{PROOF}.innerText")

        # Stop ends it, and the request.
        await asyncio.to_thread(fake.wait_until, lambda: "⊢ p" in targets(fake))
        await page.click(f"{PROOF}.querySelector('a')")
        await page.wait_for(f"{PROOF}.innerText === '[search for a proof]'")
        await asyncio.to_thread(fake.wait_until, lambda: fake.abandoned == 1)

        # The proof is written where the search began.
        fake.behaviours = {}
        await move(page, 8, 2)
        await page.click(f"{PROOF}.querySelector('a')")
        await page.wait_for(f"{PROOF}.innerText.startsWith('For line 9:')", 60)
        await page.click(f"{PROOF}.querySelector('a')")
        done = text.replace("  \n", "  constructor\n  · exact hp\n  · exact hq\n", 1)
        await page.wait_for(f"editor.text() !== {text!r}")
        assert await page.evaluate("editor.text()") == done

        # What is left where there is no proof.
        fake.answers = {"p ∧ q": ["constructor"], "p": ["exact hp"]}
        await move(page, 13, 2)
        await page.wait_for(f"{PROOF} && {PROOF}.innerText === '[search for a proof]'")
        await page.click(f"{PROOF}.querySelector('a')")
        await page.wait_for(f"{PROOF}.innerText.includes('[search again]')", 60)
        shown = await page.evaluate(f"{PROOF}.innerText")
        assert "· sorry  -- not finished: 1 goal is left as `sorry`" in shown
        assert "No proof was found, and no step is left to try" in shown
        assert page.console == []


PAIR = "example : 1 = 1 ∧ 2 = 2 := by\n  constructor\n"
CASES = "example (n : Nat) : n = n := by\n  cases n with\n"
# Files with the cursor (‸), and their text after a suggestion was inserted there.
PLACES = {
    "placeholder": (
        "example : 1 = 1 := by ‸sorry\n",
        "example : 1 = 1 := by\n  first\n  | rfl\n  | simp\n",
    ),
    "blank line": (
        "example : 1 = 1 := by\n  skip\n‸\n\n-- the end\n",
        "example : 1 = 1 := by\n  skip\n  first\n  | rfl\n  | simp\n\n-- the end\n",
    ),
    "end of a line": (
        "example : 1 = 1 := by\n  skip‸ -- nothing\n",
        "example : 1 = 1 := by\n  skip -- nothing\n  first\n  | rfl\n  | simp\n",
    ),
    "before a step": (
        "example : 1 = 1 := by\n  skip\n  ‸all_goals skip\n  all_goals skip\n",
        "example : 1 = 1 := by\n  skip\n  first\n  | rfl\n  | simp\n"
        "  all_goals skip\n  all_goals skip\n",
    ),
    "empty block": (
        "example : 1 = 1 := by\n  ‸\n",
        "example : 1 = 1 := by\n  first\n  | rfl\n  | simp\n",
    ),
    "behind by": (
        "example : 1 = 1 := by‸\n",
        "example : 1 = 1 := by\n  first\n  | rfl\n  | simp\n",
    ),
    "behind the by of a line": (
        "example : 1 = 1 := by‸ skip\n",
        "example : 1 = 1 := by first\n                      | rfl\n                      | simp\n"
        "                      skip\n",
    ),
    "behind the by of a block": (
        "example : 1 = 1 := by‸\n    skip\n",
        "example : 1 = 1 := by\n    first\n    | rfl\n    | simp\n    skip\n",
    ),
    "nested block": (
        "example : 1 = 1 ∧ 2 = 2 := by\n  constructor\n  · skip\n    ‸\n  · rfl\n",
        "example : 1 = 1 ∧ 2 = 2 := by\n  constructor\n  · skip\n    first\n    | rfl\n    | simp\n"
        "  · rfl\n",
    ),
    "in parentheses": (
        "example : 1 = 1 := (by skip‸)\n",
        "example : 1 = 1 := (by skip\n                       first\n"
        "                       | rfl\n                       | simp)\n",
    ),
    "end of the file": (
        "example : 1 = 1 := by\n  skip\n  ‸",
        "example : 1 = 1 := by\n  skip\n  first\n  | rfl\n  | simp",
    ),
    "empty bullet": (
        f"{PAIR}  · ‸\n  · rfl\n",
        f"{PAIR}  · first\n    | rfl\n    | simp\n  · rfl\n",
    ),
    "below an empty bullet": (
        f"{PAIR}  ·\n    ‸\n  · rfl\n",
        f"{PAIR}  ·\n    first\n    | rfl\n    | simp\n  · rfl\n",
    ),
    "empty case": (
        f"{CASES}  | zero => ‸\n  | succ n => rfl\n",
        f"{CASES}  | zero =>\n    first\n    | rfl\n    | simp\n  | succ n => rfl\n",
    ),
    "below an empty case": (
        f"{CASES}  | zero =>\n    ‸\n  | succ n => rfl\n",
        f"{CASES}  | zero =>\n    first\n    | rfl\n    | simp\n  | succ n => rfl\n",
    ),
    "behind the head of a case": (
        f"{CASES}  | zero =>‸\n    skip\n  | succ n => rfl\n",
        f"{CASES}  | zero =>\n    first\n    | rfl\n    | simp\n    skip\n  | succ n => rfl\n",
    ),
}
# Places where Lean would misread an inserted step, or the text after it.
NO_PLACES = [
    "example : 1 = 1 := by\n  skip; skip‸; skip\n  rfl\n",
    "example : 1 = 1 := by\n  skip <;> skip‸\n  rfl\n",
    "example : 1 = 1 := by\n  conv => lhs‸\n  rfl\n",
    "example : 1 = 1 := by\n  conv =>\n    lhs‸\n  rfl\n",
]


# Steps that close the goal with and without lemmas of their own, that leave goals, and that fail.
STEPS = ["grind", "have : 2 + 2 = 4 := by decide\ngrind", "exact ⟨hp, hq⟩", "constructor", "omega"]


def test_places(lean: Lean, fake: FakeDaemon, tmp_path: Path) -> None:
    fake.answer("first\n| rfl\n| simp")
    wrong = {}
    # The npm Lean has 32-bit addresses, and runs out of memory after about 25 edits.
    for names in (list(PLACES)[:8], list(PLACES)[8:]):
        with lean.worker(tmp_path / "Some.lean", HEAD, fake.env) as worker:
            for name in names:
                text, expected = PLACES[name]
                marked = HEAD + text
                (entry,) = _entries(worker, marked)
                found = _edited(marked.replace("‸", ""), entry["edit"])
                worker.change(found)
                if found != HEAD + expected or worker.diagnostics() != []:
                    wrong[name] = found.removeprefix(HEAD), worker.diagnostics()
    assert wrong == {}


def test_marks_and_no_places(lean: Lean, fake: FakeDaemon, tmp_path: Path) -> None:
    with lean.worker(tmp_path / "Some.lean", HEAD, fake.env) as worker:
        fake.answer("first\n| rfl\n| simp", "skip; simp", "simp")
        nothing = "None of the model's suggestions works here."
        for text in NO_PLACES:
            assert _entries(worker, HEAD + text, nothing) == []

        # The panel has the tactic's marks and order.
        fake.answer(*STEPS)
        theorem = HEAD + EXAMPLE.replace("example", "theorem both")
        entries = _entries(worker, theorem + "  skip‸\n")
        assert len(entries) == len(STEPS) - 1
        assert [entry["closes"] for entry in entries] == [True, True, True, False]
        lines = [f"  [apply] {entry['text']}  {entry['mark']}" for entry in entries]
        worker.change(theorem + "  llmsuggest\n")
        (message,) = worker.diagnostics()
        shown = message["message"].replace("\n    ", "\n")
        assert shown == "\n".join(["Try these:", *lines])


def _entries(worker: Worker, marked: str, message: str = "") -> list[dict[str, Any]]:
    """The panel's entries at the cursor (‸). Its message must be `message`."""
    worker.change(marked.replace("‸", ""))
    worker.diagnostics()
    before = marked.partition("‸")[0]
    cursor = {"line": before.count("\n"), "character": len(before) - before.rfind("\n") - 1}
    call = {
        "textDocument": {"uri": worker.uri},
        "position": cursor,
        "sessionId": worker.request("$/lean/rpc/connect", {"uri": worker.uri})["sessionId"],
        "method": "LlmSuggest.Panel.suggest",
        "params": {"pos": cursor, "client": "test"},
    }
    reply = worker.request("$/lean/rpc/call", call)
    assert reply["message"] == message, marked
    return list(reply["entries"])


def _edited(text: str, edit: dict[str, Any]) -> str:
    """The text after an edit that the language server proposes."""
    lines = text.split("\n")

    def offset(position: dict[str, int]) -> int:
        return sum(len(x) + 1 for x in lines[: position["line"]]) + position["character"]

    start, end = (offset(edit["range"][key]) for key in ("start", "end"))
    return text[:start] + str(edit["newText"]) + text[end:]
