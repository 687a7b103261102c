"""Windows' Task Scheduler: a task of this user that starts at logon and needs no administrator.

This follows Microsoft's documentation of `schtasks` and of the task schema. It has not run on
Windows yet.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from llmsuggestd.files import make_private, write_atomically
from llmsuggestd.paths import BASE_DIRECTORIES, get_paths
from llmsuggestd.resources import resource
from llmsuggestd.service import ServiceError, command_line, run, variables

TASK: Final = "llmsuggestd"
TEMPLATE: Final = "llmsuggestd-task.xml"


class WindowsService:
    """The daemon as a scheduled task of this user.

    The Task Scheduler keeps its own copy of `file`. The file stays in the state directory, to show
    the registered task, and whether it belongs to this installation.
    """

    manager = "Task Scheduler"

    def __init__(self) -> None:
        self.file = get_paths().state / TEMPLATE

    def content(self) -> bytes:
        """The task, from `packaging/windows/llmsuggestd-task.xml`, in UTF-16 for schtasks."""
        program, *arguments = command_line()
        for name, value in variables().items():  # a task cannot set variables
            if name not in BASE_DIRECTORIES:  # those are for other systems
                arguments += ["--env", f"{name}={value}"]
        windowless = Path(program).with_name("pythonw.exe")  # opens no console
        template = (resource("packaging") / "windows" / TEMPLATE).read_text(encoding="utf-8")
        values = {
            "@USER@": _user(),
            "@PROGRAM@": str(windowless if windowless.exists() else program),
            "@ARGUMENTS@": subprocess.list2cmdline(arguments),
        }
        for name, value in values.items():
            template = template.replace(name, escape(value))
        return template.encode("utf-16")

    def carried(self) -> dict[str, str]:
        """None, since on Windows no variable sets our folders."""
        return {}

    def is_registered(self) -> bool:
        """Whether there is a task, judged by `file`."""
        return self.file.exists()

    def is_current(self) -> bool:
        """Whether the task belongs to this installation."""
        return self.file.exists() and self.file.read_bytes() == self.content()

    def files(self) -> list[Path]:
        """The file from which the task is made."""
        return [self.file]

    def register(self, before: Collection[Path] = ()) -> None:  # noqa: ARG002
        """Make the task, or replace it."""
        make_private(self.file.parent)
        write_atomically(self.file, self.content())
        run("schtasks", "/Create", "/TN", TASK, "/XML", str(self.file), "/F")

    def unregister(self) -> None:
        """End the task and delete it."""
        self.stop()
        with contextlib.suppress(ServiceError):  # it was deleted
            run("schtasks", "/Delete", "/TN", TASK, "/F")
        self.file.unlink(missing_ok=True)

    def start(self) -> None:
        """Run the task now."""
        run("schtasks", "/Run", "/TN", TASK)

    def stop(self) -> None:
        """End the task, abruptly. Callers ask the daemon to end first."""
        with contextlib.suppress(ServiceError):  # there is no task
            run("schtasks", "/End", "/TN", TASK)


def _user() -> str:
    domain = os.environ.get("USERDOMAIN")
    return f"{domain}\\{getpass.getuser()}" if domain else getpass.getuser()
