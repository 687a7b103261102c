"""Makes docs/pictures/tray-*.png: real pictures of the tray in Xfce's panel.

python -m tests.end_to_end.tray.pictures
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageDraw, ImageFont

from llmsuggestd.tray import icon
from llmsuggestd.tray.view import Mark
from tests.end_to_end.tray.desktop import PANEL_HEIGHT, ROOT, Desktop, make_desktop
from tests.end_to_end.tray.scripted import ScriptedDaemon

PICTURES: Final = ROOT / "docs" / "pictures"
ENLARGED: Final = 3
MODELS: Final = [
    {"id": "starter", "bytes": 3_908_896, "quantisation": "Q4_K_M"},
    {"id": "llmstep-2.8b", "bytes": 1_790_000_000, "quantisation": "Q4_K_M"},
]
STATES: Final[dict[Mark, dict[str, Any]]] = {
    "loading": {"state": "loading"},
    "ready": {"state": "ready"},
    "busy": {"state": "busy", "queue": 3},
    "idle": {"state": "idle"},
    "failed": {"state": "failed", "reason": "the model needs 3 GB of memory", "hint": "free some"},
}


def main() -> None:
    """Write the pictures."""
    rows = [_states(dark=dark) for dark in (False, True)]
    sheet = Image.new("RGB", (rows[0].width, rows[0].height * 2 + 20), "white")
    for number, row in enumerate(rows):
        sheet.paste(row, (0, number * row.height))
    pen = ImageDraw.Draw(sheet)
    width = sheet.width // (len(STATES) + 1)
    for number, state in enumerate(["stopped", *STATES]):
        place = (width * number + width // 2, sheet.height - 10)
        pen.text(place, state, "#303030", ImageFont.load_default(13), "mm")
    sheet.save(PICTURES / "tray-states.png", optimize=True)
    _on_a_desktop(_menu, dark=True)


def _states(*, dark: bool) -> Image.Image:
    """The icon in each state, cut out of the panel and enlarged."""
    cuts: list[Image.Image] = []

    def cut_out(desktop: Desktop, state: Mark) -> None:
        desktop.find(icon.LOOKS[state].colour)
        cuts.append(desktop.settle().crop((0, 0, PANEL_HEIGHT, PANEL_HEIGHT)))

    def show(desktop: Desktop, socket: Path) -> None:
        cut_out(desktop, "stopped")
        with closing(ScriptedDaemon(socket)) as daemon:
            for state in STATES:
                _say(daemon, state)
                cut_out(desktop, state)

    _on_a_desktop(show, dark=dark)
    edge = PANEL_HEIGHT * ENLARGED
    row = Image.new("RGB", (edge * len(cuts), edge))
    for number, cut in enumerate(cuts):
        row.paste(cut.resize((edge, edge), Image.Resampling.NEAREST), (edge * number, 0))
    return row


def _menu(desktop: Desktop, socket: Path) -> None:
    """The menu with its menu of models."""
    with closing(ScriptedDaemon(socket)) as daemon:
        _say(daemon, "ready")
        x, y = desktop.find(icon.LOOKS["ready"].colour)
        before = desktop.settle()
        desktop.point("mousemove", str(x), str(y), "click", "1")
        opened = desktop.settle(since=before)
        desktop.point("key", "--delay", "150", "Down", "Down", "Right", "Down")
        menu = desktop.settle(since=opened)
    below = menu.crop((0, PANEL_HEIGHT + 1, *menu.size)).getbbox()
    assert below is not None
    menu.crop((0, 0, below[2] + 8, below[3] + PANEL_HEIGHT + 8)).save(
        PICTURES / "tray-menu.png", optimize=True
    )


def _say(daemon: ScriptedDaemon, state: Mark) -> None:
    daemon.models = MODELS
    daemon.status = {"model": {"id": "starter"}, "device": "CPU"} | STATES[state]


def _on_a_desktop(act: Callable[[Desktop, Path], None], *, dark: bool) -> None:
    """Run an action with a tray in a panel, and perhaps a daemon on a socket."""
    with tempfile.TemporaryDirectory(prefix="llms-") as name, make_desktop(Path(name)) as desktop:
        desktop.run_panel(dark=dark)
        socket = Path(name, "s")
        directories = ("XDG_RUNTIME_DIR", "XDG_DATA_HOME", "XDG_STATE_HOME")
        env = os.environ | dict.fromkeys(directories, name)
        env |= {"LLMSUGGESTD_HOME": "", "LLMSUGGESTD_SOCKET": str(socket)}
        desktop.spawn(sys.executable, "-m", "llmsuggestd", "tray", "--wait", "30", env=env)
        act(desktop, socket)


if __name__ == "__main__":
    main()
