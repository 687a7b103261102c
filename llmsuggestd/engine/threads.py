"""How the engine's threads share the machine with Lean, which keeps it busy while its user waits.

llama.cpp's threads meet after each of some thousand operations of an answer. On an idle machine
the fastest way to wait there is to spin; beside a busy Lean that is the slowest, since a thread
that spins uses up its share of the core, and the one it waits for then waits for a core. So they
spin while there are cores to spare and sleep otherwise (`Manners`). One that sleeps gets its core
back at once if the kernel knows that it wants it for short times only (`ask_for_short_slices`).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Final

SLICE: Final = 100_000
"""Nanoseconds of a time slice, the shortest that Linux allows. About as long as an operation."""

SCHED_SETATTR: Final = {"x86_64": 314, "aarch64": 274, "riscv64": 274}
"""Numbers of the system call, for which older C libraries have no function."""


def physical_cores() -> int:
    """The physical cores that this process may run on; at least 1."""
    try:
        allowed = os.sched_getaffinity(0)
        siblings = {
            Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text()
            for cpu in allowed
        }
    except (AttributeError, OSError):  # not Linux, or a container that hides the topology
        return max(1, (os.cpu_count() or 2) // 2)
    return max(1, len(siblings))


def threads_to_use(cores: int, parameters: int) -> int:
    """Threads for a model: all physical cores, or fewer for one that is too small to share out.

    In a model of a few million weights an operation is over in less time than it takes to meet
    after it, and the more threads there are, the longer they wait for the one that has to share its
    core with Lean.
    """
    return min(cores, 2 + parameters // 20_000_000)


def runnable_elsewhere() -> int:
    """How many other threads of the machine run or want to; 0 where nobody tells."""
    try:
        fields = Path("/proc/loadavg").read_text().split()
        return max(0, int(fields[3].partition("/")[0]) - 1)
    except (OSError, ValueError, IndexError):
        return 0


def waited_for_cores() -> int:
    """Nanoseconds that threads of this process were ready to run and had no core to run on."""
    total = 0
    for file in Path("/proc/self/task").glob("*/schedstat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            total += int(file.read_text().split()[1])
    return total


def ask_for_short_slices() -> bool:
    """Have this thread, and those it will start, run for short times, but soon; whether they will.

    The share of the processor stays the same; Linux asks for no privilege (since 6.12, "custom
    slices" of its EEVDF scheduler). Elsewhere, and before, this does nothing.
    """
    number = SCHED_SETATTR.get(platform.machine())
    if sys.platform != "linux" or number is None:
        return False
    # struct sched_attr: size, policy (SCHED_OTHER), flags, nice, priority, runtime = the slice
    attributes = struct.pack("=IIQiIQQQII", 56, 0, 0, os.getpriority(os.PRIO_PROCESS, 0), 0,
                             SLICE, 0, 0, 0, 0)  # fmt: skip
    failed: int = ctypes.CDLL(None).syscall(number, 0, attributes, 0)
    return not failed


class Spinning:
    """Whether threads that wait for each other spin, which libgomp lets one change by a side door.

    libgomp reads `GOMP_SPINCOUNT` once. But while a process has more OpenMP threads than there are
    processors, its threads spin for a few turns only (its manual, at GOMP_SPINCOUNT). So a second
    pool, which does nothing but sleep, turns spinning off, and its end turns it on again. Without
    libgomp (macOS, Windows) this does nothing.
    """

    def __init__(self) -> None:
        self._gomp: ctypes.CDLL | None = None
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                self._gomp = ctypes.CDLL("libgomp.so.1", mode=os.RTLD_NOLOAD)
        self._sleepers: threading.Thread | None = None
        self._over = threading.Event()

    def set(self, on: bool) -> None:
        """Turn it on or off; on is how a process begins."""
        if self._gomp is None or on == (self._sleepers is None):
            return
        if on:
            assert self._sleepers is not None
            self._over.set()
            self._sleepers.join()
            self._sleepers = None
            return
        started = threading.Event()
        self._over = threading.Event()
        self._sleepers = threading.Thread(target=self._sleep, args=(started, self._over))
        self._sleepers.daemon = True
        self._sleepers.start()
        started.wait()

    def _sleep(self, started: threading.Event, over: threading.Event) -> None:
        """Open a pool of as many threads as processors; it lasts as long as this thread."""
        # what they run is a C function of a pointer that does nothing
        nothing = ctypes.cast(ctypes.CDLL(None).strlen, ctypes.c_void_p)
        assert self._gomp is not None
        self._gomp.GOMP_parallel(nothing, ctypes.c_char_p(b""), os.cpu_count() or 1, 0)
        started.set()
        over.wait()


LOOK_EVERY: Final = 0.02
"""Seconds between two looks at how long our threads had to wait; a look takes 0.1 ms."""

CROWDED: Final = 0.25
"""Of the time that passes: when our threads on average wait longer than this for cores, others want
them, too. One busy process beside us is no crowd: it slows one thread down, and the others may as
well spin on cores that nobody wants."""

FREE: Final = 0.12
"""When they wait less than this, nobody does. In between nothing changes."""


class Manners:
    """Spins while there are cores to spare, and not while others want them."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        # one of those that run just now is the daemon, which has handed us the request
        self._free = (os.cpu_count() or 1) - threads + 1 + threads // 4
        self._spinning = Spinning()
        self._looked = time.monotonic()
        self._waited = 0

    def begin(self) -> None:
        """Look around before a request, when none of our own threads runs."""
        self._spinning.set(runnable_elsewhere() <= self._free)
        self._looked, self._waited = time.monotonic(), waited_for_cores()

    def between_decodes(self) -> None:
        """Look now and then whether that has changed."""
        now = time.monotonic()
        passed = now - self._looked
        if passed < LOOK_EVERY:
            return
        total = waited_for_cores()
        share = (total - self._waited) / 1e9 / passed / self._threads
        if share > CROWDED or share < FREE:
            self._spinning.set(share < FREE)
        self._looked, self._waited = now, total
