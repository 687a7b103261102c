"""The editor with one Lean file open, used as a person does: with a keyboard and a mouse."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.chromium import Page, open_page
from tests.support.leanwasm import Lean
from tests.support.leanwasm.watchdog import serve_editor

# The longest wait for Lean: it goes through the imports before it shows anything.
SECONDS = 300
INFOVIEW = "document.querySelector('iframe')?.contentDocument"


class Editor:
    """The editor, and the infoview beside it."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def text(self) -> str:
        """The text of the file, as it is in the editor."""
        return str(await self.page.evaluate("editor.text()"))

    async def messages(self) -> list[str]:
        """Lean's messages, once it has gone through the present text."""
        messages: list[str] = await self.page.evaluate("editor.messages()")
        return messages

    async def wait_for_lean(self) -> None:
        """Wait until Lean has gone through the file that was opened."""
        await self.wait_for_words("All Messages")  # the infoview speaks with Lean
        await self.messages()

    async def cursor(self) -> tuple[int, int]:
        """The line and the character of the cursor, from 0."""
        cursor = await self.page.evaluate("editor.cursor()")
        return cursor["line"], cursor["character"]

    async def move_to(self, line: int, character: int) -> None:
        """Put the cursor there, both from 0."""
        await self.page.evaluate(f"editor.moveTo({line}, {character})")

    async def wait_for_text(self, text: str) -> None:
        """Wait until the file has exactly this text."""
        await self.page.wait_for(f"editor.text() === {json.dumps(text)}")

    async def wait_for(self, selector: str, count: int = 1, seconds: float = SECONDS) -> None:
        """Wait until the infoview has this many elements that match a selector."""
        await self.page.wait_for(f"{_all(selector)}?.length === {count}", seconds)

    async def wait_for_words(self, words: str, seconds: float = SECONDS) -> None:
        """Wait until the infoview shows these words."""
        shown = f"{INFOVIEW}?.body?.innerText"
        await self.page.wait_for(f"{shown}?.includes({json.dumps(words)})", seconds)

    async def lines(self, selector: str) -> list[str]:
        """The lines of the infoview's first element that matches a selector."""
        text: str = await self.page.evaluate(f"{_all(selector)}[0].innerText")
        return text.splitlines()

    async def click(self, selector: str, times: int = 1) -> None:
        """Click on the infoview's first element that matches a selector."""
        await self.page.click(f"{_all(selector)}?.[0]", times)


def _all(selector: str) -> str:
    """The elements of the infoview that match a selector, in JavaScript; undefined without one."""
    return f"{INFOVIEW}?.querySelectorAll({json.dumps(selector)})"


@asynccontextmanager
async def open_file(
    lean: Lean, page: Path, browser: str, file: Path, marked: str, env: Mapping[str, str]
) -> AsyncIterator[Editor]:
    """Open a file with this text, and put the cursor where a ‸ stands in it."""
    before, _, after = marked.partition("‸")
    lines = before.split("\n")
    async with (
        serve_editor(
            lean, file, before + after, env, page / "index.html", {"/": page}, one_by_one=True
        ) as url,
        open_page(browser, url) as shown,
    ):
        editor = Editor(shown)
        await shown.wait_for("globalThis.editor")
        await editor.move_to(len(lines) - 1, len(lines[-1]))
        yield editor
