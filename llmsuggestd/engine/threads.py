"""How many threads an engine decodes with, and how they wait for each other.

llama.cpp's threads meet after each operation, some thousand times per answer. On a free core,
spinning is the fastest way to wait. On a contended core it is the slowest: it burns the time slice
that the awaited thread needs. So there are as many threads as free cores, and they spin; without a
free core they sleep (`AdaptiveThreads`). A thread that sleeps gets its core back at once if it has
asked the kernel for short time slices (`ask_for_short_slices`).
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import platform
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from llmsuggestd.engine import cgroup

SLICE: Final = 100_000
"""Nanoseconds of a time slice, the shortest that Linux allows. About as long as an operation."""

SCHED_SETATTR: Final = {"x86_64": 314, "aarch64": 274, "riscv64": 274}
"""Numbers of the system call, for which older C libraries have no function."""


def usable_cores() -> int:
    """The physical cores that this process may run on, and has processor time for; at least 1."""
    return max(1, min(physical_cores(), granted_processors()))


def granted_processors() -> int:
    """The processors that this process may run on, or its control group's quota of their time.

    Of a quota such as Docker's `--cpus 1.5` the part is left out: with a thread for it, all threads
    would wait for that one while the group is stopped. So this may be 0.
    """
    quota = cgroup.cpu_quota()
    allowed = allowed_processors()
    return allowed if quota is None else min(allowed, math.floor(quota))


def allowed_processors() -> int:
    """The processors that this process may run on (cpusets, `taskset`)."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


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


class Threads(NamedTuple):
    """Threads to decode with."""

    llama: int
    """For llama.cpp, which has hundreds of short operations a step."""
    kernels: int
    """For our own kernels, where they are used: nearly all of the work in a few long operations."""


def threads_when_contended(threads: int, parameters: int, *, own_kernels: bool) -> Threads:
    """Threads for a model where no core is free, of the number it has otherwise.

    To sleep and be woken takes about 0.1 ms, so only what computes for longer than that between two
    meetings gains by a second thread. One thread meets nobody. Our kernels leave so little to
    llama.cpp that it needs no second one; and two threads of theirs wait for each other's turns on
    two processors, which a model has to be large for.
    """
    if own_kernels:
        return Threads(1, min(threads, 2) if parameters >= 1_000_000_000 else 1)
    enough = min(threads, 1 + parameters // 100_000_000)
    return Threads(enough, enough)


def runnable_elsewhere() -> int:
    """How many threads of other processes run or want to; 0 where nobody tells."""
    try:
        fields = Path("/proc/loadavg").read_text().split()
        all_ = int(fields[3].partition("/")[0])
        ours = sum(_runs(file.read_bytes()) for file in Path("/proc/self/task").glob("*/stat"))
    except (OSError, ValueError, IndexError):
        return 0
    return max(0, all_ - ours)


def _runs(stat: bytes) -> bool:
    """Whether this line of a thread (proc(5), `stat`) is that of one that runs or wants to."""
    return stat.rpartition(b") ")[2].startswith(b"R")


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
"""Seconds between two looks at what else wants to run; a look takes 0.2 ms."""

PASSING: Final = 0.001
"""Seconds after which what only wanted to run for a moment is gone, as the daemon is that has just
handed us a request."""


class AdaptiveThreads:
    """Takes as many threads as there are free cores, and has them spin only there."""

    def __init__(
        self, threads: int, use_threads: Callable[[Threads], None], *, contended: Threads | None
    ) -> None:
        """`threads` are the most to use, and `contended` those to use where no core is free.

        With None there are always as many.
        """
        self._threads = threads
        self._contended = contended
        self._use_threads = use_threads
        self._spinning = Spinning()
        self._looked = 0.0
        self._others = 0

    def before_request(self) -> None:
        """Look around."""
        self._others = runnable_elsewhere()
        if self._others:
            time.sleep(PASSING)
        self._look()

    def before_decode(self) -> None:
        """Look now and then whether something has changed."""
        if time.monotonic() - self._looked >= LOOK_EVERY:
            self._look()

    def _look(self) -> None:
        others = runnable_elsewhere()
        # twice in a row, or it is only passing
        free = free_cores(min(others, self._others))
        self._others, self._looked = others, time.monotonic()
        count = self._threads if self._contended is None else min(self._threads, free)
        threads = Threads(count, count)
        if self._contended is not None and free <= 1:
            threads = self._contended
        self._spinning.set(max(threads) <= free)
        self._use_threads(threads)


def free_cores(others: int) -> int:
    """The processors granted to this process, less those that others want."""
    processors, allowed = os.cpu_count() or 1, allowed_processors()
    # of those that want to run somewhere, about so many want to run where we may
    unwanted = allowed - math.ceil(others * allowed / processors)
    return max(0, min(granted_processors(), unwanted))
