"""How the engine's threads share the machine."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from llmsuggestd.engine import cgroup, threads
from llmsuggestd.engine.threads import (
    AdaptiveThreads,
    Threads,
    free_cores,
    threads_to_use,
    threads_when_contended,
)


@pytest.mark.parametrize(
    ("cores", "parameters", "threads"),
    [(4, 5_700_000, 2), (1, 5_700_000, 1), (4, 70_000_000, 4), (16, 2_800_000_000, 16)],
)
def test_small_models_get_few_threads(cores: int, parameters: int, threads: int) -> None:
    assert threads_to_use(cores, parameters) == threads


@pytest.mark.parametrize(
    ("threads", "parameters", "own", "theirs"),
    [
        (2, 5_700_000, Threads(1, 1), Threads(1, 1)),
        (4, 410_000_000, Threads(1, 1), Threads(4, 4)),
        (2, 10**10, Threads(1, 2), Threads(2, 2)),
        (1, 10**10, Threads(1, 1), Threads(1, 1)),
    ],
)
def test_few_threads_when_contended(
    threads: int, parameters: int, own: Threads, theirs: Threads
) -> None:
    assert threads_when_contended(threads, parameters, own_kernels=True) == own
    assert threads_when_contended(threads, parameters, own_kernels=False) == theirs


class Machine:
    """A machine with four processors; `others` are the numbers of runnable threads found next."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.others = [0]
        self.now = 0.0
        self.spinning = True
        self.threads: int | Threads = 0
        monkeypatch.setattr(os, "cpu_count", lambda: 4)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(4), raising=False)
        monkeypatch.setattr(cgroup, "cpu_quota", lambda: None)
        monkeypatch.setattr(threads, "runnable_elsewhere", self._others)
        monkeypatch.setattr("llmsuggestd.engine.threads.time.monotonic", lambda: self.now)
        monkeypatch.setattr("llmsuggestd.engine.threads.time.sleep", lambda _: None)
        monkeypatch.setattr(threads.Spinning, "set", self._set)

    def _others(self) -> int:
        return self.others.pop(0) if len(self.others) > 1 else self.others[0]

    def _set(self, on: bool) -> None:
        self.spinning = on

    def _use(self, threads: Threads) -> None:
        """Record the numbers of threads, as one number if they are equal."""
        self.threads = threads.llama if threads.llama == threads.kernels else threads

    def adaptive(self, threads: int, contended: int | Threads | None) -> AdaptiveThreads:
        if isinstance(contended, int):
            contended = Threads(contended, contended)
        return AdaptiveThreads(threads, self._use, contended=contended)

    @property
    def state(self) -> tuple[int | Threads, bool]:
        """The threads in use, and whether they spin."""
        return self.threads, self.spinning


@pytest.mark.parametrize(
    ("others", "large", "small"),
    [
        (0, (4, True), (2, True)),
        (1, (3, True), (2, True)),
        (2, (2, True), (2, True)),
        (3, (4, False), (1, True)),
        (9, (4, False), (1, False)),
    ],
)
def test_as_many_threads_as_free_cores(
    monkeypatch: pytest.MonkeyPatch,
    others: int,
    large: tuple[int, bool],
    small: tuple[int, bool],
) -> None:
    machine = Machine(monkeypatch)
    machine.others = [others]
    for (most, contended), state in (((4, 4), large), ((2, 1), small)):
        machine.adaptive(most, contended).before_request()
        assert machine.state == state
    ours = machine.adaptive(4, Threads(1, 2))
    ours.before_request()
    assert machine.state == (large if others < 3 else (Threads(1, 2), False))


@pytest.mark.parametrize(("others", "spinning"), [(0, True), (1, False), (9, False)])
def test_a_number_that_the_user_sets_stays(
    monkeypatch: pytest.MonkeyPatch, others: int, spinning: bool
) -> None:
    machine = Machine(monkeypatch)
    machine.others = [others]
    machine.adaptive(4, None).before_request()
    assert machine.state == (4, spinning)


def test_a_short_load_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    machine.others = [3, 0]
    machine.adaptive(4, 4).before_request()
    assert machine.state == (4, True)


def test_a_change_during_an_answer_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    threads = machine.adaptive(4, 4)
    threads.before_request()
    machine.others = [2]
    seen = []
    # the first is too early for a check, and the second may be a short load
    for seconds in (0.001, 0.1, 0.1):
        machine.now += seconds
        threads.before_decode()
        seen.append(machine.threads)
    assert seen == [4, 4, 2]
    machine.others = [0]
    machine.now += 0.1
    threads.before_decode()
    assert machine.state == (4, True)


def test_a_process_pinned_to_some_processors_counts_in_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cgroup, "cpu_quota", lambda: None)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(4), raising=False)
    assert [free_cores(others) for others in (0, 1, 4, 20)] == [4, 3, 2, 0]


@pytest.mark.parametrize(
    ("quota", "usable", "free"),
    [(None, 4, 4), (0.5, 1, 0), (1.0, 1, 1), (1.5, 1, 1), (2.0, 2, 2), (3.99, 3, 3), (64.0, 4, 4)],
)
def test_no_more_threads_than_processors_granted(
    quota: float | None, usable: int, free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    Machine(monkeypatch)
    monkeypatch.setattr(cgroup, "cpu_quota", lambda: quota)
    monkeypatch.setattr(threads, "physical_cores", lambda: 4)
    assert threads.usable_cores() == usable
    assert free_cores(0) == free
    assert free_cores(3) == min(free, 1)  # a quota frees no core


def test_threads_of_half_a_processor_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spinning would use up the quota."""
    machine = Machine(monkeypatch)
    monkeypatch.setattr(cgroup, "cpu_quota", lambda: 0.5)
    machine.adaptive(1, 1).before_request()
    assert machine.state == (1, False)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_our_own_threads_are_not_counted() -> None:
    """Two busy threads of this process are not counted. Other processes may have some."""
    stop = threading.Event()

    def compute() -> None:
        while not stop.is_set():
            hashlib.sha256(bytes(2**20))  # releases the interpreter's lock

    ours = [threading.Thread(target=compute) for _ in range(8)]
    quiet = min(threads.runnable_elsewhere() for _ in range(20))
    for thread in ours:
        thread.start()
    try:
        deadline = time.monotonic() + 20  # others come and go
        while threads.runnable_elsewhere() >= quiet + 4:
            assert time.monotonic() < deadline, "our own threads were taken for others"
    finally:
        stop.set()
        for thread in ours:
            thread.join()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_busy_process_is_seen() -> None:
    if Path("/proc/loadavg").read_text().split()[3].startswith("0/"):
        pytest.skip("this kernel does not say what runs, or who reads this would")
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
    try:
        deadline = time.monotonic() + 20
        while threads.runnable_elsewhere() < len(busy):
            assert time.monotonic() < deadline, "three busy processes were not seen"
            time.sleep(0.05)
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_counting_threads_works_on_this_machine() -> None:
    assert threads.runnable_elsewhere() >= 0
    assert 1 <= threads.physical_cores() <= (os.cpu_count() or 1)
    assert threads.free_cores(0) >= 1
    threads.ask_for_short_slices()  # must not raise, whether it works or not
