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
from collections.abc import Callable, Iterator
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Final

from llmsuggestd import lake, lean_package
from llmsuggestd.commands import runnable
from llmsuggestd.errors import AlreadyRunningError, LlmsuggestdError
from llmsuggestd.files import make_private
from llmsuggestd.identity import Process
from llmsuggestd.lock import only_one
from llmsuggestd.paths import Paths
from llmsuggestd.tray import autostart, backend, desktop, icon
from llmsuggestd.tray.follow import Follower
from llmsuggestd.tray.view import ModelItem, Problem, View

log = logging.getLogger(__name__)

WIDTH: Final = 60
"""Characters per menu line; longer messages are wrapped."""

LOG_FORMAT: Final = "%(asctime)s %(levelname)s %(message)s"
LOG_TIME: Final = "%F %T"
LOG_SIZE: Final = 256 * 1024
"""Size in bytes at which the tray's log is rotated."""


class Brief(logging.Formatter):
    """Formats a record for standard error, without the traceback, which goes to the log file."""

    def format(self, record: logging.LogRecord) -> str:
        short = logging.makeLogRecord({**record.__dict__, "exc_info": None, "exc_text": None})
        return super().format(short)


def run(paths: Paths, wait: float) -> None:
    """Show the tray icon until the user quits. Must be called on the main thread.

    Raises AlreadyRunningError if a tray runs for this home, TrayError if no icon can be shown.
    """
    make_private(paths.runtime)
    with (
        only_one(paths.tray_lock_file, _runs_already),
        _logging_to(paths.tray_log_file),
        _private_tempdir(paths.runtime / "tray"),
    ):
        pystray = backend.load(wait)
        Tray(paths, pystray).run()


class Tray:
    """The icon and its threads."""

    def __init__(self, paths: Paths, pystray: Any) -> None:
        self._paths = paths
        self._pystray = pystray
        self._interrupted = False
        self._quitting = False
        self._fault: Exception | None = None
        self._follower = Follower(paths, self._changed, self._failed)
        self._mark = self._follower.view.mark
        self._icon = pystray.Icon(
            "llmsuggestd",
            icon=icon.draw(self._mark),
            title=_title(self._follower.view),
            menu=pystray.Menu(self._items),
        )

    def run(self) -> None:
        """Show the icon and serve its menu. Raises KeyboardInterrupt after Ctrl-C."""
        try:
            self._icon.run(setup=lambda _: self._set_up())
        except Exception:
            # pystray withdraws its notifications at the end: an error without a notification server
            if not self._quitting:
                raise
            log.debug("at the end", exc_info=True)
        finally:
            self._follower.close()
        if self._fault is not None:
            raise self._fault
        if self._interrupted:
            raise KeyboardInterrupt

    def _items(self) -> Iterator[Any]:
        """The menu's items for the present view. `update_menu` makes pystray ask for them again."""
        item, menu = self._pystray.MenuItem, self._pystray.Menu
        view = self._follower.view
        for words in (view.line, *view.notes):
            for line in textwrap.wrap(runnable(words), WIDTH, max_lines=4, placeholder=" …"):
                yield item(line, None, enabled=False)
        yield menu.SEPARATOR
        yield item("Start", lambda: self._follower.start(), enabled=view.can_start)
        yield item("Stop", lambda: self._follower.stop(), enabled=view.can_stop)
        yield item("Model", menu(*self._models(view)))
        yield menu.SEPARATOR
        yield item("Copy Lean setup", self._act("copy the Lean setup", self._copy_lean_setup))
        yield item("Logs", self._act("show the log", self._show_log))
        yield item(
            "Start at login",
            self._act("change what starts at login", _toggle_autostart),
            checked=lambda _: autostart.enabled(),
            enabled=autostart.supported(),
        )
        yield menu.SEPARATOR
        yield item("Quit", self._quit)

    def _models(self, view: View) -> Iterator[Any]:
        """The items of the menu of models."""
        item, menu = self._pystray.MenuItem, self._pystray.Menu
        for model in view.models:
            yield item(
                model.label,
                self._use(model),
                checked=lambda _, served=model.served: served,
                radio=True,
            )
        yield menu.SEPARATOR
        yield item("Get more models…", self._act("open a terminal", self._show_catalogue))

    def _use(self, model: ModelItem) -> Callable[[], None]:
        return lambda: None if model.served else self._follower.use(model.id)

    def _act(self, what: str, act: Callable[[], None]) -> Callable[[], None]:
        """A menu item's action. It may be slow, and may fail."""
        return lambda: self._follower.attempt(what, act)

    def _copy_lean_setup(self) -> None:
        desktop.copy(f"{lake.toml_entry(lean_package.place(self._paths))}\n")
        self._notify("Copied", "Put it into the lakefile.toml of your Lean project")

    def _show_log(self) -> None:
        if not self._paths.log_file.exists():
            raise backend.TrayError("there is no log yet", "it begins with Start")
        desktop.open_file(self._paths.log_file)

    def _show_catalogue(self) -> None:
        desktop.run_in_terminal(
            [sys.executable, "-P", "-m", "llmsuggestd", "models", "catalogue"],
            self._paths.runtime / "tray",
        )

    def _set_up(self) -> None:
        """Start following the daemon once the loop runs. pystray calls this in its own thread."""
        try:
            self._follower.look()  # before the icon appears, so that it is right at once
            backend.on_main_thread(self._appear)
            threading.Thread(target=self._follower.run, daemon=True).start()
        except Exception as error:  # the loop would go on without an icon
            self._fault = error
            self._quit()

    def _appear(self) -> None:
        self._icon.visible = True
        if sys.platform == "linux":
            # only now: at its start, pystray's loop lets Ctrl-C kill us and leave the icon's file
            signal.signal(signal.SIGINT, self._interrupt)
            signal.signal(signal.SIGTERM, lambda *_: self._quit())

    def _changed(self, view: View) -> None:
        """Show a new view. The follower calls this from its threads."""

        def show() -> None:
            if view.mark != self._mark:
                self._icon.icon = icon.draw(view.mark)
                self._mark = view.mark
            self._icon.title = _title(view)
            backend.update_menu(self._icon)

        backend.on_main_thread(show)

    def _failed(self, problem: Problem) -> None:
        """Notify the user of a problem. The menu shows it too, but has closed after the click."""
        self._notify(problem.message, problem.hint)

    def _notify(self, title: str, message: str) -> None:
        """Show a desktop notification, if the desktop supports them."""
        if self._icon.HAS_NOTIFICATION:
            message = runnable(message)
            title, message = textwrap.shorten(title, 60), textwrap.shorten(message, 200)  # Windows
            backend.on_main_thread(lambda: self._icon.notify(message or " ", title))

    def _quit(self) -> None:
        self._quitting = True
        self._follower.close()
        self._icon.stop()

    def _interrupt(self, *_: object) -> None:
        self._interrupted = True
        self._quit()


def _toggle_autostart() -> None:
    if autostart.enabled():
        autostart.disable()
    else:
        autostart.enable()


def _title(view: View) -> str:
    return textwrap.shorten(f"llmsuggestd: {view.line}", 120, placeholder=" …")  # Windows: 127


def _runs_already(process: Process) -> AlreadyRunningError:
    return AlreadyRunningError(
        f"the tray runs already ({process})",
        "its icon is in the desktop's panel; Quit in its menu ends it",
    )


@contextlib.contextmanager
def _logging_to(file: Path) -> Iterator[None]:
    """Log to a file, since the standard error of a tray started at login is not visible."""

    def of_a_thread(fault: threading.ExceptHookArgs) -> None:
        log.error("a fault in llmsuggestd", exc_info=fault.exc_value)

    make_private(file.parent)
    handler = RotatingFileHandler(file, maxBytes=LOG_SIZE, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter(LOG_FORMAT, LOG_TIME))
    logging.getLogger().addHandler(handler)
    before, threading.excepthook = threading.excepthook, of_a_thread
    try:
        yield
    except LlmsuggestdError as error:  # shown on standard error by the command line
        record = {"levelname": "ERROR", "msg": f"{error.message} ({error.hint})"}
        handler.handle(logging.makeLogRecord(record))
        raise
    finally:
        threading.excepthook = before
        logging.getLogger().removeHandler(handler)
        handler.close()


@contextlib.contextmanager
def _private_tempdir(folder: Path) -> Iterator[None]:
    """Put this process's temporary files into a private folder, and remove it at the end.

    pystray writes each icon to a file in the temporary folder. The file's name is guessable, and
    the file remains if the process is killed. Only the tray may call this, with its lock held,
    since it removes the files that a killed tray left in the folder.
    """
    shutil.rmtree(folder, ignore_errors=True)
    make_private(folder)
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)
