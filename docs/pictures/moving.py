"""Make editor.gif: `llmsuggest` and `llmprove` in VS Code's editor, as fast as they are.

python docs/pictures/moving.py

Lean, the daemon and the model that ships are real, and so is the time between the frames. It needs
what the tests in tests/end_to_end/editor need: Chromium, npm, and a Lean or the npm one.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.conftest import make_home  # noqa: E402
from tests.end_to_end.editor import bundle  # noqa: E402
from tests.end_to_end.editor.driver import INFOVIEW, Editor, open_file  # noqa: E402
from tests.support import chromium  # noqa: E402
from tests.support.leanwasm import find_lean  # noqa: E402

# Files, with the cursor (‸), and what is typed there. Each is opened in a new editor.
SCENES = (
    (
        """import LlmSuggest

theorem swap (h : p ∧ q) : q ∧ p := by
  ‸
""",
        "llmsuggest",
    ),
    (
        """import LlmSuggest

inductive Tree (α : Type) where
  | leaf : Tree α
  | node : Tree α → α → Tree α → Tree α

def Tree.mirror : Tree α → Tree α
  | leaf => leaf
  | node l x r => node r.mirror x l.mirror

theorem mirror_mirror (t : Tree α) :
    t.mirror.mirror = t := by
  ‸
""",
        "llmprove",
    ),
)
LINK = f"{INFOVIEW}.querySelector(\"[title='Apply suggestion']\")"
# In CSS pixels.
SIZE = (1060, 400)
KEY = 0.08  # seconds between two keys
LAST = 3000  # milliseconds that the last frame of a scene stays
COLORS = 96
SAMPLED = 8  # every eighth frame has a say in which
# A pointer that follows the mouse: a headless browser draws none.
POINTER = """(() => {
  const pointer = document.createElement('div')
  pointer.id = 'pointer'
  pointer.innerHTML =
    '<svg width="18" height="18"><path d="M1 1v13l4-3 2 5 3-1-2-5h5z" fill="#fff"/></svg>'
  Object.assign(pointer.style, {
    position: 'fixed', left: '60%', top: '90%', zIndex: 9,
    transition: 'all 0.5s', pointerEvents: 'none',
  })
  document.body.append(pointer)
})()"""


class Film:
    """Screenshots of pages, each with the time at which it was taken."""

    def __init__(self) -> None:
        self._frames: list[tuple[float, bytes]] = []

    async def record(self, page: chromium.Page) -> None:
        """Take screenshots, until it is cancelled. Keep those that differ from the one before."""
        while True:
            picture = await page.screenshot()
            if not self._frames or self._frames[-1][1] != picture:
                self._frames.append((time.monotonic(), picture))

    def write(self, file: Path) -> None:
        """Write them as a GIF that begins again at its end."""
        times = [moment for moment, _ in self._frames]
        durations = [min(round(1000 * (b - a)), LAST) for a, b in itertools.pairwise(times)]
        images = [Image.open(io.BytesIO(picture)).convert("RGB") for _, picture in self._frames]
        palette = _above_each_other(images[::SAMPLED]).quantize(COLORS, dither=Image.Dither.NONE)
        first, *others = [
            image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images
        ]
        first.save(file, save_all=True, append_images=others, duration=[*durations, LAST], loop=0)


def _above_each_other(images: Sequence[Image.Image]) -> Image.Image:
    """One image with all of these, which have the same size."""
    width, height = images[0].size
    whole = Image.new("RGB", (width, height * len(images)))
    for row, image in enumerate(images):
        whole.paste(image, (0, row * height))
    return whole


async def click(editor: Editor, script: str) -> None:
    """Move the pointer to an element, and click."""
    x, y = await editor.page.place(script)
    style = "document.querySelector('#pointer').style"
    await editor.page.evaluate(
        f"Object.assign({style}, {json.dumps({'left': f'{x}px', 'top': f'{y}px'})})"
    )
    await asyncio.sleep(1)
    await editor.page.click(script)


async def play(editor: Editor, call: str) -> None:
    """What a user does."""
    await editor.page.type(call, KEY)
    await editor.page.wait_for(f"{INFOVIEW} && {LINK}")
    await editor.messages()
    await asyncio.sleep(1)
    await click(editor, LINK)
    await editor.page.wait_for(f"!editor.text().includes('{call}')")
    await editor.messages()
    await asyncio.sleep(1.5)


async def shoot(film: Film, text: str, call: str, env: Mapping[str, str]) -> None:
    """Open the editor with a file, and film what a user does there."""
    browser = chromium.find()
    if browser is None:
        raise SystemExit("moving.py: Chromium is not installed")
    file = Path("Example.lean")
    async with open_file(find_lean(), bundle.page(), browser, file, text, env) as editor:
        await editor.page.resize(*SIZE, scale=1)
        await editor.page.evaluate(POINTER)
        await editor.wait_for_lean()
        recording = asyncio.create_task(film.record(editor.page))
        await play(editor, call)
        recording.cancel()


def main() -> None:
    """Serve the starter model in a home of its own, and make the picture."""
    for home in make_home():
        home.install_starter()
        home.serve()
        env = home.lean_env
        file = Path(__file__).with_name("editor.gif")
        film = Film()
        for text, call in SCENES:
            asyncio.run(shoot(film, text, call, env))
        film.write(file)
        print(f"wrote {file}: {file.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
