"""The tray in a real panel, Xfce's, used with mouse and keyboard."""

from __future__ import annotations

from llmsuggestd.tray import icon
from tests.conftest import Home
from tests.end_to_end.tray.conftest import RunTray
from tests.end_to_end.tray.desktop import PANEL_HEIGHT, Desktop


def test_a_model_is_switched_with_the_mouse(
    desktop: Desktop, two_models: Home, run_tray: RunTray
) -> None:
    home = two_models
    home.serve()
    desktop.run_panel()
    run_tray("--wait", "30")
    x, y = desktop.find(icon.LOOKS["ready"].colour)
    before = desktop.settle()

    desktop.point("mousemove", str(x), str(y), "click", "1")
    opened = desktop.settle(since=before)
    assert opened.crop((0, PANEL_HEIGHT, *opened.size)).getbbox() is not None
    # disabled items are skipped: the keys reach Stop, Model, and in it starter, wide
    desktop.point("key", "--delay", "150", "Down", "Down", "Right", "Down")
    desktop.settle(since=opened)
    desktop.point("key", "Return")
    status = home.wait_until(lambda status: status["model"]["id"] == "wide")
    assert status["state"] in ("ready", "busy")
    assert home.client.request("POST", "/v1/suggest", {"goal": "⊢ 2 = 2"})["model"] == "wide"
    desktop.find(icon.LOOKS["ready"].colour)
    assert home.client.request("POST", "/v1/shutdown")
    desktop.find(icon.LOOKS["stopped"].colour)
