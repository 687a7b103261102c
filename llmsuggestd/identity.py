"""Which process, on which machine: what a number in a file may be taken for.

A home may be shared by several machines and containers, each of which counts its processes from
one; and a number is given out again when its process has ended. So a process that leaves its number
in a file leaves with it what tells it from every other, and only a process that is proven to be the
one meant is sent a signal.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import sys
from pathlib import Path

import msgspec


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A process, as it describes itself in a lock file or in `client.json`."""

    pid: int = 0
    """Its number where it runs; 0 if nobody knows."""
    started: str = ""
    """When it began, as its own system counts; empty if unknown."""
    machine: str = ""
    """The `machine()` on which it runs; empty if unknown."""
    host: str = ""
    """That machine's name, for people."""

    @classmethod
    def current(cls) -> Process:
        """This process."""
        pid = os.getpid()
        return cls(pid=pid, started=start_of(pid) or "", machine=machine(), host=platform.node())

    @property
    def is_elsewhere(self) -> bool:
        """Whether it is known to be of another machine or container: its number is nothing here."""
        return self.machine not in ("", machine())

    @property
    def runs(self) -> bool:
        """Whether it is proven to run, here."""
        known = self.machine == machine() and self.started != ""
        return known and start_of(self.pid) == self.started

    def send(self, signal_number: int) -> bool:
        """Send it a signal if it is proven to run, here; whether that was done."""
        if not self.runs:
            return False
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(self.pid, signal_number)
        return True

    def __str__(self) -> str:
        number = str(self.pid or "unknown")
        if not self.is_elsewhere:
            return f"pid {number}"
        if self.host != platform.node():
            return f"pid {number} on {self.host}"
        return f"pid {number} in another container"


@functools.cache
def machine() -> str:
    """A word for what shares its process numbers: this start of this system, or this container.

    Linux: the id of the boot, and the namespace of the numbers. Elsewhere the machine's name.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return platform.node()


def mark() -> str:
    """What names a temporary file of this process: its number, and where that number counts."""
    return f"{os.getpid()}-{_machine_mark()}"


def is_left_over(file_mark: str) -> bool:
    """Whether the process that put its mark on a temporary file has ended.

    Not where that cannot be known: it may run on another machine.
    """
    number, _, where = file_mark.partition("-")
    if where != _machine_mark() or sys.platform == "win32":  # there, os.kill would end it
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _machine_mark() -> str:
    return hashlib.sha256(machine().encode()).hexdigest()[:8]


def start_of(pid: int) -> str | None:
    """When a process of this machine began; None if it has ended, or cannot be looked at."""
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        fields = stat.rpartition(")")[2].split()  # the program's name, in brackets, may be anything
        # Ended, but its parent has not waited for it (yet, or never, as in many containers): Z, X.
        return None if fields[0] in "ZX" else fields[19]
    import psutil

    try:
        return repr(psutil.Process(pid).create_time())
    except psutil.Error:
        return None
