"""The tactic and its panel in VS Code's editor: what one sees there, and what one does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.conftest import Home
from tests.end_to_end.editor.conftest import OpenEditor
from tests.end_to_end.editor.driver import INFOVIEW, SECONDS, Editor
from tests.end_to_end.lean.fake_daemon import FakeDaemon

pytestmark = [pytest.mark.lean, pytest.mark.timeout(600, func_only=True)]

# The limit of time is for people; here it would be one on the machine.
HEAD = "import LlmSuggest\nset_option llmsuggest.checkTime 100000\n\n"
EXAMPLE = "example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by\n"
STEPS = ("constructor", "exact hq", "constructor\n· exact hp\n· exact hq")
CLOSING = "constructor\n  · exact hp\n  · exact hq\n"
LISTED = [
    "Try these:",
    "  [apply] constructor",
    "    · exact hp",
    "    · exact hq  -- closes the goal",
    "  [apply] constructor  -- leaves 2 goals",
]
# In the infoview: Lean's message, the links in it, and what stands over a mark.
MESSAGE = "pre"
LINKS = "[title='Apply suggestion']"
AGAIN = "[title='Ask the model again']"
TOOLTIP = ".tooltip"


async def test_typed_and_clicked(open_editor: OpenEditor, fake: FakeDaemon) -> None:
    fake.answer(*STEPS)
    async with open_editor(f"{HEAD}{EXAMPLE}  ‸\n", fake.env) as editor:
        await editor.wait_for_lean()
        await editor.page.type("llmsuggest")
        await editor.wait_for(LINKS, 2)
        assert len(await editor.messages()) == 1  # from here on, nothing is shown again
        assert await editor.lines(MESSAGE) == LISTED
        assert [request["goal"] for request in fake.requests] == [
            "p q : Prop\nhp : p\nhq : q\n⊢ p ∧ q"
        ]
        await look_at_goals(editor)

        # A click writes it in the place of the call, and Lean finds nothing wrong.
        await editor.click(LINKS)
        await editor.wait_for_text(f"{HEAD}{EXAMPLE}  {CLOSING}")
        assert await editor.messages() == []
        assert await editor.cursor() == (6, 12)
        await editor.wait_for(MESSAGE, 0)

        # Undone, it can be asked again.
        await editor.page.press("z", 90, control=True)
        await editor.wait_for_text(f"{HEAD}{EXAMPLE}  llmsuggest\n")
        await editor.wait_for(LINKS, 2)
        assert editor.page.exceptions == []


async def look_at_goals(editor: Editor) -> None:
    """Over a mark there are the goals that the step leaves."""
    await editor.page.hover(f"{INFOVIEW}.querySelector('{MESSAGE} .o-60')")
    await editor.wait_for(TOOLTIP)
    hypotheses = ["p q : Prop", "hp : p", "hq : q"]
    goals = ["case left", *hypotheses, "⊢ p", "", "case right", *hypotheses, "⊢ q"]
    assert await editor.lines(TOOLTIP) == goals
    box = f"{INFOVIEW}.querySelector('{TOOLTIP}').getBoundingClientRect()"
    assert await editor.page.evaluate(f"{box}.top >= 0 && {box}.bottom <= innerHeight")
    await editor.page.hover("document.querySelector('#code')")
    await editor.wait_for(TOOLTIP, 0)


async def test_light_bulb(open_editor: OpenEditor, fake: FakeDaemon) -> None:
    fake.answer(*STEPS)
    async with open_editor(f"{HEAD}{EXAMPLE}  ‸llmsuggest\n", fake.env) as editor:
        await editor.wait_for(LINKS, 2)
        assert len(await editor.messages()) == 1
        bulb = "document.querySelector('.lightBulbWidget')"
        await editor.page.wait_for(f"{bulb}?.offsetHeight")
        await editor.page.click(bulb)
        titles = "[...document.querySelectorAll('.action-widget .action')].map(e => e.ariaLabel)"
        await editor.page.wait_for(f"{titles}.length === 2")
        assert await editor.page.evaluate(titles) == [
            "Try this: constructor ⏎ · exact hp ⏎ · exact hq  -- closes the goal",
            "Try this: constructor  -- leaves 2 goals",
        ]
        await editor.page.click("document.querySelector('.action-widget .action')")
        await editor.wait_for_text(f"{HEAD}{EXAMPLE}  {CLOSING}")
        assert await editor.messages() == []
        assert editor.page.exceptions == []


async def test_daemon_stopped_and_started(open_editor: OpenEditor, home: Home) -> None:
    home.install_starter()
    home.serve()
    env = home.lean_env
    file = f"{HEAD}{EXAMPLE}  llmsuggest\n"
    async with open_editor(file.replace("llmsuggest\n", "llmsuggest‸\n"), env) as editor:
        await editor.wait_for_words("-- closes the goal")

        # Without a daemon, a line says what to do, and a link asks again.
        await asyncio.to_thread(home.run, "stop")
        await editor.page.press("Backspace", 8)
        await editor.page.type("t")
        await editor.wait_for(AGAIN)
        assert await editor.lines(MESSAGE) == [
            "llmsuggest: no daemon is running. Start it with `llmsuggestd start`.",
            "[ask again]",
        ]
        await editor.click(AGAIN)
        said = f"{INFOVIEW}.querySelector('{MESSAGE}').innerText"
        await editor.page.wait_for(f"{said}.split('no daemon is running').length === 3")

        # With one, it lists the suggestions, without a change of the file.
        await asyncio.to_thread(home.serve)
        await editor.click(AGAIN)
        await editor.wait_for_words("-- closes the goal")
        assert await editor.text() == file
        await editor.click(LINKS)
        await editor.page.wait_for("!editor.text().includes('llmsuggest\\n')")
        assert await editor.messages() == []
        assert editor.page.exceptions == []


async def test_edit_during_a_request(open_editor: OpenEditor, fake: FakeDaemon) -> None:
    fake.answer_nothing()
    async with open_editor(f'{HEAD}{EXAMPLE}  llmsuggest "exac‸"\n', fake.env) as editor:
        await wait_until(fake, lambda: len(fake.requests) == 1)

        # What the user types ends the request, and the next one has the longer prefix.
        fake.answer("exact ⟨hp, hq⟩")
        await editor.page.type("t")
        await editor.wait_for(LINKS, 1)
        assert await editor.text() == f'{HEAD}{EXAMPLE}  llmsuggest "exact"\n'
        assert [request["prefix"] for request in fake.requests] == ["exac", "exact"]
        assert fake.abandoned == 1
        assert await editor.lines(MESSAGE) == [
            "Try this:",
            "  [apply] exact ⟨hp, hq⟩  -- closes the goal",
        ]
        await editor.click(LINKS)
        await editor.wait_for_text(f"{HEAD}{EXAMPLE}  exact ⟨hp, hq⟩\n")
        assert await editor.messages() == []
        assert editor.page.exceptions == []


async def wait_until(fake: FakeDaemon, condition: Callable[[], bool]) -> None:
    """Wait until a condition of the daemon holds."""
    await asyncio.to_thread(fake.wait_until, condition, SECONDS)


# The panel: suggestions for the goal at the cursor, without a word typed.
PANEL_HEAD = HEAD.replace("LlmSuggest", "LlmSuggest.Panel", 1) + (
    "show_panel_widgets [local llmSuggestPanel]\n\n"
)
PANEL = "#llmsuggest-panel"
PANEL_LINKS = f"{PANEL} a"


async def test_panel(open_editor: OpenEditor, fake: FakeDaemon) -> None:
    fake.answer(*STEPS)
    below = f"\n{EXAMPLE}  sorry\n"
    async with open_editor(f"{PANEL_HEAD}{EXAMPLE}  skip\n  ‸\n{below}", fake.env) as editor:
        # Where the cursor rests, the panel lists what works there, marked.
        await editor.wait_for(PANEL_LINKS, 2)
        shown = [line.removeprefix("  ") for line in LISTED[2:4]]
        assert await editor.lines(PANEL) == [*LISTED[:2], *shown, LISTED[4]]
        assert fake.requests[-1]["goal"] == "p q : Prop\nhp : p\nhq : q\n⊢ p ∧ q"
        assert fake.requests[-1]["client"].startswith("panel ")

        # A double click writes it there once, indented as the block is.
        await editor.click(PANEL_LINKS, times=2)
        await editor.wait_for_text(f"{PANEL_HEAD}{EXAMPLE}  skip\n  {CLOSING}{below}")
        (warning,) = await editor.messages()
        assert warning.startswith("declaration uses")

        # The cursor is behind it; where there is no goal, there is no panel, and nothing is asked.
        assert await editor.cursor() == (9, 12)
        await editor.wait_for(PANEL, 0)
        asked = len(fake.requests)

        # A cursor that moves on ends the request; what the model says then is for the new place.
        fake.answer_nothing()
        await editor.move_to(12, 2)
        await wait_until(fake, lambda: len(fake.requests) == asked + 1)
        await editor.wait_for_words("Asking the model …")
        await editor.move_to(0, 0)
        await wait_until(fake, lambda: fake.abandoned == 1)
        await editor.wait_for(PANEL, 0)

        # A closed panel asks nothing, either.
        fake.answer("exact ⟨hp, hq⟩")
        await editor.move_to(12, 2)
        await editor.wait_for(PANEL_LINKS, 1)
        assert len(fake.requests) == asked + 2
        summaries = f"[...{INFOVIEW}.querySelectorAll('summary')]"
        summary = f"{summaries}.find(summary => summary.innerText === 'Suggestions')"
        await editor.page.click(summary)
        await editor.page.wait_for(f"!{summary}.parentElement.open")
        await editor.move_to(0, 0)
        await editor.move_to(12, 2)
        await asyncio.sleep(1)
        assert len(fake.requests) == asked + 2
        await editor.page.click(summary)
        await editor.wait_for(PANEL_LINKS, 1)

        # Without a daemon there is one calm line with the remedy.
        (fake.directory / "socket").rename(fake.directory / "gone")
        await editor.move_to(7, 2)
        await editor.wait_for_words("no daemon answers.")
        assert "llmsuggestd start" in "".join(await editor.lines(PANEL))
        await editor.wait_for(PANEL_LINKS, 0)

        # One that is started is found by itself.
        (fake.directory / "gone").rename(fake.directory / "socket")
        await editor.wait_for(PANEL_LINKS, 1)
        assert editor.page.exceptions == []
