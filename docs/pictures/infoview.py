"""Make infoview.png: what VS Code's infoview shows where `llmsuggest` stands.

python docs/pictures/infoview.py

Lean, the daemon and the model that ships are real. It needs what the tests in
tests/end_to_end/infoview need: Chromium, and a Lean or npm.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.conftest import make_home  # noqa: E402
from tests.end_to_end.infoview import chromium, packages  # noqa: E402
from tests.end_to_end.infoview.editor import serve_editor  # noqa: E402
from tests.support.leanwasm import find_lean  # noqa: E402

FILE = """import LlmSuggest

/-- A conjunction holds the other way round, too. -/
theorem and_swap (p q : Prop) (h : p ∧ q) :
    q ∧ p := by
  llmsuggest
"""
# The start of the call (both from 0): there the infoview shows the goal before it.
CURSOR = (5, 2)
SIZE = (980, 470)
LINK = "document.querySelector('#infoview pre [title=\"Apply suggestion\"]')"


async def picture(env: dict[str, str]) -> bytes:
    """The editor with the cursor on the call, as soon as the suggestions are there."""
    program = chromium.find()
    if program is None:
        raise SystemExit("infoview.py: Chromium is not installed")
    lean, infoview = find_lean(), packages.infoview()
    async with (
        serve_editor(lean, infoview, Path("Example.lean"), FILE, env) as url,
        chromium.open_page(program, url) as page,
    ):
        await page.wait_for("globalThis.editor")
        await page.evaluate("editor.moveTo({}, {})".format(*CURSOR))
        await page.wait_for(LINK, 120)
        return await page.screenshot(*SIZE)


def main() -> None:
    """Serve the starter model in a home of its own and take the picture."""
    for home in make_home():
        home.install_starter()
        home.serve()
        shown = asyncio.run(picture({"LLMSUGGESTD_HOME": str(home.root), "LLMSUGGESTD_SOCKET": ""}))
        file = Path(__file__).with_suffix(".png")
        file.write_bytes(shown)
        print(f"wrote {file}")


if __name__ == "__main__":
    main()
