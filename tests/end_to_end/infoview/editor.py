"""An editor for one Lean file in a web page: the text, and the infoview beside it (`page/`)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.support.chromium import Page
from tests.support.leanwasm import Lean, watchdog

PAGE = Path(__file__).with_name("page")


def serve_editor(
    lean: Lean, infoview: Path, file: Path, text: str, env: Mapping[str, str]
) -> AbstractAsyncContextManager[str]:
    """Serve an editor in which the file is open with this text. Yields its address."""
    folders = {"/page": PAGE, "/infoview": infoview}
    return watchdog.serve_editor(
        lean, file, text, env, PAGE / "index.html", folders, one_by_one=False
    )


async def move(page: Page, line: int, column: int) -> None:
    """Move the cursor. Returns when the infoview has followed."""
    await page.evaluate(f"editor.moveTo({line}, {column})")
    shown = "document.querySelector('#infoview summary').innerText"
    await page.wait_for(f"{shown}.includes(':{line + 1}:{column}')")
