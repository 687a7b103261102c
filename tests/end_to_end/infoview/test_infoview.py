"""The tactic in VS Code's infoview: the messages, and the effects of clicks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.infoview.editor import move, serve_editor
from tests.end_to_end.lean.fake_daemon import FakeDaemon
from tests.support.chromium import open_page
from tests.support.leanwasm import Lean

pytestmark = [pytest.mark.lean, pytest.mark.timeout(300, func_only=True)]

FILE = """import LlmSuggest

example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  llmsuggest
"""
# The message's lines, and the links in it.
MESSAGE = "document.querySelector('#infoview pre')"
LINKS = f"{MESSAGE}.querySelectorAll('[title=\"Apply suggestion\"]')"
TOOLTIP = "document.querySelector('.tooltip')"
MARKS = f"{MESSAGE}.querySelectorAll('.information, .o-60')"


async def test_a_click_changes_the_document(
    lean: Lean, infoview: Path, browser: str, fake: FakeDaemon, tmp_path: Path
) -> None:
    fake.answer("constructor", "exact hq", "constructor\n· exact hp\n· exact hq")
    async with (
        serve_editor(lean, infoview, tmp_path / "Some.lean", FILE, fake.env) as url,
        open_page(browser, url) as page,
    ):
        await page.wait_for("globalThis.editor")
        await move(page, 3, 5)

        # The infoview lists the suggestions, each with its mark and a link.
        await page.wait_for(f"{MESSAGE} && {LINKS}.length === 2", 120)
        assert (await page.evaluate(f"{MESSAGE}.innerText")).splitlines() == [
            "Try these:",
            "  [apply] constructor",
            "    · exact hp",
            "    · exact hq  -- closes the goal",
            "  [apply] constructor  -- leaves 2 goals",
        ]

        # A tooltip over a mark shows the goals that the step leaves.
        await page.hover(f"{MARKS}[1]")
        await page.wait_for(TOOLTIP)
        goals = await page.evaluate(f"{TOOLTIP}.innerText")
        box = await page.evaluate(f"({TOOLTIP}.getBoundingClientRect()).toJSON()")
        assert box["top"] >= 0
        assert box["bottom"] <= await page.evaluate("window.innerHeight"), "below the window"
        hypotheses = "p q : Prop\nhp : p\nhq : q\n"
        assert goals == f"case left\n{hypotheses}⊢ p\n\ncase right\n{hypotheses}⊢ q"
        await page.hover("document.querySelector('#numbers')")
        await page.wait_for(f"!{TOOLTIP}")

        # A double click replaces the call once, and Lean reports no error.
        await page.click(f"{LINKS}[0]", times=2)
        await page.wait_for("!editor.text().includes('llmsuggest\\n')")
        inserted = "constructor\n  · exact hp\n  · exact hq"
        assert await page.evaluate("editor.text()") == FILE.replace("llmsuggest\n", inserted + "\n")
        assert await page.evaluate("editor.diagnostics()") == []
        assert await page.evaluate("editor.cursor()") == {"line": 5, "character": 12}
        # Until the cursor moves, the infoview may show a message of before.
        await move(page, 4, 4)
        await page.wait_for(f"!{MESSAGE}")

        # After a suggestion that leaves goals, the infoview shows these.
        await page.evaluate(f"editor.replace({FILE!r})")
        await page.evaluate("editor.moveTo(3, 5)")
        await page.click(f"{MESSAGE} && {LINKS}[1]")
        await page.wait_for("document.querySelector('#infoview').innerText.includes('2 goals')")
        assert await page.evaluate("editor.text()") == FILE.replace("llmsuggest\n", "constructor\n")
        assert page.console == []
