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
"""The time slice to ask for, in nanoseconds: Linux's minimum, and about one operation."""

SCHED_SETATTR: Final = {"x86_64": 314, "aarch64": 274, "riscv64": 274}
"""The system call's number per machine; older C libraries have no function for it."""


def usable_cores() -> int:
    """The physical cores that this process may use, within its CPU quota; at least 1."""
    return max(1, min(physical_cores(), granted_processors()))


def granted_processors() -> int:
    """The processors that this process may run on, or its control group's CPU quota if lower.

    A quota such as Docker's `--cpus 1.5` is rounded down. A thread for the fraction would make all
    threads wait while the group is throttled. So the result may be 0.
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
    """Threads for a model: one per physical core, fewer for a small model.

    In a model of a few million weights, an operation takes less time than the meeting after it.
    With more threads, it is also likelier that one shares its core with Lean, and all wait for it.
    """
    return min(cores, 2 + parameters // 20_000_000)


class Threads(NamedTuple):
    """Threads to decode with."""

    llama: int
    """For llama.cpp: hundreds of short operations per step."""
    kernels: int
    """For our own kernels, if used: nearly all of the work, in a few long operations."""


def threads_when_contended(threads: int, parameters: int, *, own_kernels: bool) -> Threads:
    """Threads for a model when no core is free; `threads` is their number otherwise.

    Sleeping and waking take about 0.1 ms, so a second thread only helps if it computes for longer
    than that between two meetings. Our kernels leave llama.cpp too little work for a second thread.
    Two threads of the kernels wait for each other's time slices, which pays off for large models.
    """
    if own_kernels:
        return Threads(1, min(threads, 2) if parameters >= 1_000_000_000 else 1)
    enough = min(threads, 1 + parameters // 100_000_000)
    return Threads(enough, enough)


def runnable_elsewhere() -> int:
    """The number of other processes' runnable threads; 0 where the system does not tell."""
    try:
        fields = Path("/proc/loadavg").read_text().split()
        all_ = int(fields[3].partition("/")[0])
        ours = sum(_runs(file.read_bytes()) for file in Path("/proc/self/task").glob("*/stat"))
    except (OSError, ValueError, IndexError):
        return 0
    return max(0, all_ - ours)


def _runs(stat: bytes) -> bool:
    """Whether a thread is runnable, by its `stat` line (proc(5))."""
    return stat.rpartition(b") ")[2].startswith(b"R")


def ask_for_short_slices() -> bool:
    """Ask the kernel for short time slices, for this thread and those it starts; whether it agrees.

    The share of the processor stays the same, but each slice comes sooner. No privilege is needed
    (Linux 6.12, "custom slices" of the EEVDF scheduler). On other systems this does nothing.
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
    """A switch for whether libgomp's threads spin while they wait for each other.

    libgomp reads `GOMP_SPINCOUNT` once. But while a process has more OpenMP threads than there are
    processors, its threads spin for a few turns only (its manual, at GOMP_SPINCOUNT). So a second
    pool of threads that only sleep turns spinning off, and ending the pool turns it on again.
    Without libgomp (macOS, Windows) this does nothing.
    """

    def __init__(self) -> None:
        self._gomp: ctypes.CDLL | None = None
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                self._gomp = ctypes.CDLL("libgomp.so.1", mode=os.RTLD_NOLOAD)
        self._sleepers: threading.Thread | None = None
        self._over = threading.Event()

    def set(self, on: bool) -> None:
        """Turn spinning on or off. A process begins with it on."""
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
        """Open a pool of one thread per processor, which lasts as long as this thread."""
        # the pool runs strlen on an empty string: a C function of one pointer, without effect
        nothing = ctypes.cast(ctypes.CDLL(None).strlen, ctypes.c_void_p)
        assert self._gomp is not None
        self._gomp.GOMP_parallel(nothing, ctypes.c_char_p(b""), os.cpu_count() or 1, 0)
        started.set()
        over.wait()


CHECK_INTERVAL: Final = 0.02
"""Interval of counting runnable threads, in seconds. Counting takes 0.2 ms."""

SETTLING: Final = 0.001
"""Seconds after which threads that ran only briefly have stopped, such as the daemon's after it has
passed a request."""


class AdaptiveThreads:
    """Keeps the number of threads to the number of free cores, and lets them spin only there."""

    def __init__(
        self, threads: int, use_threads: Callable[[Threads], None], *, contended: Threads | None
    ) -> None:
        """`threads` is the maximum, and `contended` the threads when no core is free.

        With `contended` None the number never changes.
        """
        self._threads = threads
        self._contended = contended
        self._use_threads = use_threads
        self._spinning = Spinning()
        self._checked = 0.0
        self._others = 0

    def before_request(self) -> None:
        """Adapt to the machine's load before a request."""
        self._others = runnable_elsewhere()
        if self._others:
            time.sleep(SETTLING)
        self._adapt()

    def before_decode(self) -> None:
        """Adapt again, at most once per interval."""
        if time.monotonic() - self._checked >= CHECK_INTERVAL:
            self._adapt()

    def _adapt(self) -> None:
        others = runnable_elsewhere()
        # only threads that were runnable twice in a row count
        free = free_cores(min(others, self._others))
        self._others, self._checked = others, time.monotonic()
        count = self._threads if self._contended is None else min(self._threads, free)
        threads = Threads(count, count)
        if self._contended is not None and free <= 1:
            threads = self._contended
        self._spinning.set(max(threads) <= free)
        self._use_threads(threads)


def free_cores(others: int) -> int:
    """The processors granted to this process, minus those that other processes want."""
    processors, allowed = os.cpu_count() or 1, allowed_processors()
    # the other threads are spread over all processors, so only a part of them competes with us
    unwanted = allowed - math.ceil(others * allowed / processors)
    return max(0, min(granted_processors(), unwanted))
