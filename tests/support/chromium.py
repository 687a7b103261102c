"""A page in headless Chromium, used with a mouse and a keyboard."""

from __future__ import annotations

import asyncio
import base64
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage",
    "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--hide-scrollbars", "--remote-debugging-port=0",
)  # fmt: skip

# The centre of an element, which may be in a frame.
CENTRE = """element => {
  const box = element.getBoundingClientRect()
  const frame = element.ownerDocument.defaultView.frameElement?.getBoundingClientRect()
  return [box.x + box.width / 2 + (frame?.x ?? 0), box.y + box.height / 2 + (frame?.y ?? 0)]
}"""
# The text of the page and its frames.
TEXT = """[document, ...Array.from(document.querySelectorAll('iframe'), f => f.contentDocument)]
  .map(each => each?.body?.innerText).join('\\n')"""
CONTROL = 2


def find() -> str | None:
    """A Chromium on the PATH, or None."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


class Page:
    """A page, controlled through Chromium's DevTools protocol."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        #: The page's console output and its uncaught exceptions.
        self.console: list[str] = []
        #: The exceptions alone.
        self.exceptions: list[str] = []

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command of the protocol. Returns its result."""
        key = next(self._ids)
        answer = self._answers[key] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": key, "method": method, "params": params})
        return await asyncio.wait_for(answer, 300)

    async def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression; promises are awaited."""
        result = await self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    async def wait_for(self, script: str, seconds: float = 120) -> None:
        """Wait until an expression is truthy."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not await self.evaluate(f"!!({script})"):
            if asyncio.get_running_loop().time() > deadline:
                text = await self.evaluate(TEXT)
                raise AssertionError(f"{script} is not so; {self.console}\n{text}")
            await asyncio.sleep(0.05)

    async def click(self, script: str, times: int = 1) -> None:
        """Click on an expression's element, once it exists and no longer moves."""
        place = await self.place(script)
        await self._mouse("mouseMoved", place)
        for count in range(1, times + 1):
            for event, buttons in (("mousePressed", 1), ("mouseReleased", 0)):
                await self._mouse(event, place, button="left", buttons=buttons, clickCount=count)

    async def hover(self, script: str) -> None:
        """Move the mouse over an expression's element."""
        await self._mouse("mouseMoved", await self.place(script))

    async def place(self, script: str) -> tuple[float, float]:
        """The centre of an expression's element, once it exists and no longer moves."""
        await self.wait_for(script)
        centre = f"({CENTRE})({script})"
        place, before = await self.evaluate(centre), None
        while place != before:
            await asyncio.sleep(0.1)
            place, before = await self.evaluate(centre), place
        return place[0], place[1]

    async def _mouse(self, event: str, place: tuple[float, float], **more: Any) -> None:
        await self.send("Input.dispatchMouseEvent", type=event, x=place[0], y=place[1], **more)

    async def type(self, text: str, pause: float = 0.05) -> None:
        """Type text into the focused element, key by key, with a pause in seconds after each."""
        for character in text:
            await self._key(character, 0, text=character)
            await asyncio.sleep(pause)

    async def press(self, key: str, code: int, *, control: bool = False) -> None:
        """Press a key by its name and its key code, which writes no text."""
        await self._key(key, code, modifiers=CONTROL if control else 0)

    async def _key(self, key: str, code: int, **more: Any) -> None:
        for event in ("keyDown", "keyUp"):
            pressed = {"key": key, "windowsVirtualKeyCode": code, **more}
            await self.send("Input.dispatchKeyEvent", type=event, **pressed)

    async def resize(self, width: int, height: int, scale: int = 2) -> None:
        """Give the page this many CSS pixels, each of `scale` by `scale` pixels."""
        await self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=scale, mobile=False,
        )  # fmt: skip
        await asyncio.sleep(0.5)

    async def screenshot(self) -> bytes:
        """A screenshot (PNG)."""
        picture = await self.send("Page.captureScreenshot", format="png")
        return base64.b64decode(picture["data"])

    async def read(self) -> None:
        """Receive Chromium's messages until it ends."""
        async for message in self._socket:
            event = message.json()
            if "id" in event:
                answer = self._answers.pop(event["id"])
                if answer.done():  # nobody waits for it any more
                    continue
                if "error" in event:
                    answer.set_exception(AssertionError(event["error"]))
                else:
                    answer.set_result(event["result"])
            elif event["method"] == "Runtime.exceptionThrown":
                self.exceptions.append(str(event["params"]["exceptionDetails"]))
                self.console.append(self.exceptions[-1])
            elif event["method"] == "Runtime.consoleAPICalled":
                arguments = event["params"]["args"]
                self.console.append(" ".join(str(a.get("value", a)) for a in arguments))


@asynccontextmanager
async def open_page(program: str, url: str) -> AsyncIterator[Page]:
    """Run Chromium with a new profile, and open a page in it."""
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        quiet = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            program, *FLAGS, f"--user-data-dir={profile}", "about:blank", stdout=quiet, stderr=quiet
        )
        try:
            port = await _debugging_port(Path(profile) / "DevToolsActivePort")
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                    tabs = [tab for tab in await answer.json() if tab["type"] == "page"]
                address = tabs[0]["webSocketDebuggerUrl"]
                async with session.ws_connect(address, max_msg_size=1 << 28) as socket:
                    page = Page(socket)
                    reading = asyncio.create_task(page.read())
                    await page.send("Runtime.enable")
                    await page.send("Page.enable")
                    await page.send("Page.navigate", url=url)
                    yield page
                    reading.cancel()
        finally:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 10)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _debugging_port(file: Path) -> int:
    """The port that Chromium writes into its profile once it listens."""

    def written() -> list[str]:
        return file.read_text().splitlines() if file.exists() else []

    for _ in range(600):
        if lines := written():
            return int(lines[0])
        await asyncio.sleep(0.05)
    raise AssertionError("Chromium did not start within 30 s")
