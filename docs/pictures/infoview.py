"""Make proof.png, panel.png and search.png: what VS Code's infoview shows of `llmprove`, of the
panel, and of the panel's search for a proof.

python docs/pictures/infoview.py

Lean, the daemon and the model that ships are real. It needs what the tests in
tests/end_to_end/infoview need: Chromium, and a Lean or npm.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.conftest import make_home  # noqa: E402
from tests.end_to_end.infoview import packages  # noqa: E402
from tests.end_to_end.infoview.editor import serve_editor  # noqa: E402
from tests.support import chromium  # noqa: E402
from tests.support.leanwasm import find_lean  # noqa: E402


class Shot(NamedTuple):
    """A picture: a file with the cursor (‸), and when to take it."""

    marked: str
    shown: str
    """A condition in JavaScript that holds once the picture can be taken."""
    clicked: str = ""
    """The element to click first, if any."""


APPLY = "document.querySelector(\"#infoview pre [title='Apply suggestion']\")"
SEARCH = "document.querySelector('#llmsuggest-proof')"
SHOTS = {
    "proof.png": Shot(
        """import LlmSuggest

inductive Tree where
  | leaf
  | node (l : Tree) (x : Nat) (r : Tree)

def Tree.mirror : Tree → Tree
  | leaf => leaf
  | node l x r => node r.mirror x l.mirror

theorem mirror_mirror (t : Tree) :
    t.mirror.mirror = t := by
  ‸llmprove
""",
        APPLY,
    ),
    "panel.png": Shot(
        """import LlmSuggest.Panel

show_panel_widgets [local llmSuggestPanel]

theorem exists_left (P Q : Nat → Prop) :
    (∃ x, P x ∧ Q x) → ∃ x, P x := by
  ‸
""",
        "document.querySelector('#llmsuggest-panel a')",
    ),
    "search.png": Shot(
        """import LlmSuggest.Panel

show_panel_widgets [local llmSuggestPanel]

theorem odd_cubes (n : Nat) (h : n % 2 = 1) :
    24 ∣ n ^ 3 - n ∧ 8 ∣ n ^ 2 - 1 := by
  ‸
""",
        f"{SEARCH}.innerText.includes(' proved, ') && !{SEARCH}.innerText.includes(' 1 step,')",
        "document.querySelector('#llmsuggest-proof a')",
    ),
}
# In CSS pixels.
SIZE = (980, 470)


async def picture(shot: Shot, env: dict[str, str]) -> bytes:
    """The editor with the cursor in its place, as soon as the picture can be taken."""
    program = chromium.find()
    if program is None:
        raise SystemExit("infoview.py: Chromium is not installed")
    text, before = shot.marked.replace("‸", ""), shot.marked.partition("‸")[0]
    line, column = before.count("\n"), len(before) - before.rfind("\n") - 1
    async with (
        serve_editor(find_lean(), packages.infoview(), Path("Example.lean"), text, env) as url,
        chromium.open_page(program, url) as page,
    ):
        await page.wait_for("globalThis.editor")
        await page.evaluate(f"editor.moveTo({line}, {column})")
        if shot.clicked:
            await page.wait_for(shot.clicked, 180)
            await page.click(shot.clicked)
        await page.wait_for(shot.shown, 180)
        await page.evaluate("editor.diagnostics()")
        await page.resize(*SIZE)
        return await page.screenshot()


def main() -> None:
    """Serve the starter model in a home of its own and take the pictures."""
    for home in make_home():
        home.install_starter()
        home.serve()
        env = home.lean_env
        for name, shot in SHOTS.items():
            file = Path(__file__).with_name(name)
            file.write_bytes(asyncio.run(picture(shot, env)))
            print(f"wrote {file}")


if __name__ == "__main__":
    main()
