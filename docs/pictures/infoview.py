"""Make infoview.png and panel.png: what VS Code's infoview shows of `llmsuggest` and of the panel.

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
from tests.end_to_end.infoview import packages  # noqa: E402
from tests.end_to_end.infoview.editor import serve_editor  # noqa: E402
from tests.support import chromium  # noqa: E402
from tests.support.leanwasm import find_lean  # noqa: E402

# For each picture its file, where the cursor stands in it (‸), and a link that has to be there.
SHOWN = {
    "infoview.png": (
        """import LlmSuggest

theorem exists_left (P Q : Nat → Prop) :
    (∃ x, P x ∧ Q x) → ∃ x, P x := by
  ‸llmsuggest
""",
        "#infoview pre [title='Apply suggestion']",
    ),
    "panel.png": (
        """import LlmSuggest.Panel

show_panel_widgets [local llmSuggestPanel]

theorem exists_left (P Q : Nat → Prop) :
    (∃ x, P x ∧ Q x) → ∃ x, P x := by
  ‸
""",
        "#llmsuggest-panel a",
    ),
}
# In CSS pixels.
SIZE = (980, 470)


async def picture(marked: str, link: str, env: dict[str, str]) -> bytes:
    """The editor with the cursor in its place, as soon as the suggestions are there."""
    program = chromium.find()
    if program is None:
        raise SystemExit("infoview.py: Chromium is not installed")
    text, before = marked.replace("‸", ""), marked.partition("‸")[0]
    line, column = before.count("\n"), len(before) - before.rfind("\n") - 1
    async with (
        serve_editor(find_lean(), packages.infoview(), Path("Example.lean"), text, env) as url,
        chromium.open_page(program, url) as page,
    ):
        await page.wait_for("globalThis.editor")
        await page.evaluate(f"editor.moveTo({line}, {column})")
        await page.wait_for(f'document.querySelector("{link}")', 180)
        await page.evaluate("editor.diagnostics()")
        return await page.screenshot(*SIZE)


def main() -> None:
    """Serve the starter model in a home of its own and take the pictures."""
    for home in make_home():
        home.install_starter()
        home.serve()
        env = {"LLMSUGGESTD_HOME": str(home.root), "LLMSUGGESTD_SOCKET": ""}
        for name, (marked, link) in SHOWN.items():
            file = Path(__file__).with_name(name)
            file.write_bytes(asyncio.run(picture(marked, link, env)))
            print(f"wrote {file}")


if __name__ == "__main__":
    main()
