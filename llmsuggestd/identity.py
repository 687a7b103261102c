"""The identity of a process, for which its number is not enough.

Several machines and containers may share a home, and each has its own process numbers. A system
also reuses the number of a process that has ended. So a process that writes its number into a file
adds its start time and its machine, and we send a signal only to a process that matches all three.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import subprocess
import sys
from pathlib import Path

import msgspec


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A process, as it describes itself in a lock file or in `client.json`."""

    pid: int = 0
    """The process number on its own machine; 0 if unknown."""
    started: str = ""
    """The start time, in its own system's units; empty if unknown."""
    machine: str = ""
    """The `machine()` that it runs on; empty if unknown."""
    host: str = ""
    """The name of that machine, for messages."""

    @classmethod
    def current(cls) -> Process:
        """This process."""
        pid = os.getpid()
        return cls(pid=pid, started=start_of(pid) or "", machine=machine(), host=platform.node())

    @property
    def is_elsewhere(self) -> bool:
        """Whether it runs on another machine or in another container, as far as is known."""
        return self.machine not in ("", machine())

    @property
    def runs(self) -> bool:
        """Whether this process, and no other, is proven to run here now."""
        known = self.machine == machine() and self.started != ""
        return known and start_of(self.pid) == self.started

    def send(self, signal_number: int) -> bool:
        """Send a signal if the process is proven to run here. Returns whether it was sent."""
        if not self.runs:
            return False
        with contextlib.suppress(ProcessLookupError):  # it ended just now
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
    """An id of the scope of our process numbers: this boot of this machine, or this container.

    Linux: the boot id and the PID namespace. macOS: the boot session. Elsewhere: the host name.
    """
    if sys.platform == "darwin":  # its host name changes with the network
        return _boot_session() or platform.node()
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return platform.node()


def _boot_session() -> str:
    command = ("sysctl", "-n", "kern.bootsessionuuid")
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.strip()


def mark() -> str:
    """The part of a temporary file's name that identifies the process that made it."""
    return f"{os.getpid()}-{_machine_mark()}"


def is_left_over(file_mark: str) -> bool:
    """Whether the process with this `mark` has ended. False if it may run on another machine."""
    number, _, where = file_mark.partition("-")
    if where != _machine_mark() or sys.platform == "win32":  # on Windows, os.kill would end it
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
    """The start time of a process on this machine; None if it has ended or is hidden from us."""
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        fields = stat.rpartition(")")[2].split()  # the program's name may contain anything
        # A zombie (Z, X) has ended, but its parent has not waited for it. In a container, that may
        # never happen.
        return None if fields[0] in "ZX" else fields[19]
    import psutil

    try:
        return repr(psutil.Process(pid).create_time())
    except psutil.Error:
        return None
