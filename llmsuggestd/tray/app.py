"""The tray icon and its menu."""

from __future__ import annotations

import contextlib
import logging
import shutil
import signal
import sys
import tempfile
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from llmsuggestd.errors import AlreadyRunningError
from llmsuggestd.lock import only_one
from llmsuggestd.paths import Paths, make_private
from llmsuggestd.tray import backend, icon
from llmsuggestd.tray.follow import Follower
from llmsuggestd.tray.view import START, STOP, View

log = logging.getLogger(__name__)

WIDTH: Final = 60
"""Characters of a menu line; messages are broken into lines of this length."""


def run(paths: Paths, wait: float) -> None:
    """Show the tray icon until the user quits. Must be called on the main thread.

    Raises AlreadyRunningError if there is one for this home, TrayError if none can be shown.
    """
    make_private(paths.runtime)
    with only_one(paths.tray_lock_file, _runs_already), _private_tempdir(paths.runtime / "tray"):
        pystray = backend.load(wait)
        Tray(paths, pystray).run()


class Tray:
    """The icon, and the threads behind it."""

    def __init__(self, paths: Paths, pystray: Any) -> None:
        self._pystray = pystray
        self._interrupted = False
        self._quitting = False
        self._follower = Follower(paths, self._changed)
        self._icon = pystray.Icon(
            "llmsuggestd",
            icon=icon.draw(self._follower.view.state),
            title=_title(self._follower.view),
            menu=pystray.Menu(self._items),
        )

    def run(self) -> None:
        """Show the icon and serve its menu. Raises KeyboardInterrupt if a Ctrl-C ended it."""
        try:
            self._icon.run(setup=lambda _: self._set_up())
        except Exception as error:
            # At its end pystray takes back its notifications, which fails where nobody shows any.
            if not self._quitting:
                raise backend.TrayError(
                    f"the tray icon failed: {error}", "please report this as a bug"
                ) from error
            log.debug("at the end", exc_info=True)
        finally:
            self._follower.close()
        if self._interrupted:
            raise KeyboardInterrupt

    def _items(self) -> Iterator[Any]:
        """The menu's items for the present view; `update_menu` has pystray ask for them again."""
        item, menu = self._pystray.MenuItem, self._pystray.Menu
        view = self._follower.view
        for words in (view.line, view.hint):
            for line in textwrap.wrap(words, WIDTH, max_lines=4, placeholder=" …"):
                yield item(line, None, enabled=False)
        yield menu.SEPARATOR
        yield item("Start", lambda: self._follower.do(START), enabled=view.can_start)
        yield item("Stop", lambda: self._follower.do(STOP), enabled=view.can_stop)
        yield menu.SEPARATOR
        yield item("Quit", self._quit)

    def _set_up(self) -> None:
        """Begin, as soon as the loop runs. pystray calls this in a thread of its own."""
        self._follower.look()  # so that the first icon shown is the right one
        backend.on_main_thread(self._appear)
        threading.Thread(target=self._follower.run, daemon=True).start()

    def _appear(self) -> None:
        self._icon.visible = True
        if sys.platform == "linux":
            # Only now: as its loop began, pystray had Ctrl-C kill us and leave the icon's file.
            signal.signal(signal.SIGINT, self._interrupt)
            signal.signal(signal.SIGTERM, lambda *_: self._quit())

    def _changed(self, view: View) -> None:
        """Show a new view; the follower calls this from its threads."""

        def show() -> None:
            self._icon.icon = icon.draw(view.state)
            self._icon.title = _title(view)
            self._icon.update_menu()

        backend.on_main_thread(show)

    def _quit(self) -> None:
        self._quitting = True
        self._follower.close()
        self._icon.stop()

    def _interrupt(self, *_: object) -> None:
        self._interrupted = True
        self._quit()


def _title(view: View) -> str:
    return textwrap.shorten(f"llmsuggestd: {view.line}", 120, placeholder=" …")  # Windows: 127


def _runs_already(pid: str) -> AlreadyRunningError:
    return AlreadyRunningError(
        f"the tray runs already (pid {pid})",
        "its icon is in the desktop's panel; Quit in its menu ends it",
    )


@contextlib.contextmanager
def _private_tempdir(folder: Path) -> Iterator[None]:
    """Have this process's temporary files in a folder of ours, and remove them with it.

    pystray gives the panel each icon as a file in the temporary folder, under a name that is
    guessable and that nothing removes when the process is killed. Only the tray may call this, and
    only with its lock held: what is found in the folder is a dead tray's.
    """
    shutil.rmtree(folder, ignore_errors=True)
    make_private(folder)
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)
