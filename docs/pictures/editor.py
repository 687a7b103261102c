"""Make editor.png: the suggestions of `llmsuggest`, typed in VS Code's editor.

python docs/pictures/editor.py

Lean, the daemon and the model that ships are real. It needs what the tests in
tests/end_to_end/editor need: Chromium, npm, and a Lean or the npm one.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.conftest import make_home  # noqa: E402
from tests.end_to_end.editor import bundle  # noqa: E402
from tests.end_to_end.editor.driver import INFOVIEW, SECONDS, open_file  # noqa: E402
from tests.support import chromium  # noqa: E402
from tests.support.leanwasm import find_lean  # noqa: E402

# The file, with the cursor (‸).
FILE = """import LlmSuggest

theorem exists_left (P Q : Nat → Prop) :
    (∃ x, P x ∧ Q x) → ∃ x, P x := by
  ‸
"""
LINK = "[title='Apply suggestion']"
# In CSS pixels.
SIZE = (980, 470)


async def picture(env: Mapping[str, str]) -> bytes:
    """The editor after `llmsuggest` was typed, as soon as the suggestions are there."""
    browser = chromium.find()
    if browser is None:
        raise SystemExit("editor.py: Chromium is not installed")
    file = Path("Example.lean")
    async with open_file(find_lean(), bundle.page(), browser, file, FILE, env) as editor:
        await editor.wait_for_lean()
        await editor.page.type("llmsuggest")
        await editor.page.wait_for(f'{INFOVIEW}?.querySelector("{LINK}")', SECONDS)
        await editor.messages()
        await editor.move_to(4, 2)
        await editor.wait_for_words("⊢")
        await editor.page.resize(*SIZE)
        return await editor.page.screenshot()


def main() -> None:
    """Serve the starter model in a home of its own, and take the picture."""
    for home in make_home():
        home.install_starter()
        home.serve()
        env = home.lean_env
        file = Path(__file__).with_name("editor.png")
        file.write_bytes(asyncio.run(picture(env)))
        print(f"wrote {file}")


if __name__ == "__main__":
    main()
