"""The threads that quantise: in parallel, in order, and not too far ahead."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
import pytest

from llmsuggestd.convert import conversion
from llmsuggestd.engine import cgroup
from llmsuggestd.errors import InputError


def numbers(count: int) -> Iterator[Any]:
    """Stand-ins for runs of weights."""
    return ((n,) for n in range(count))


def test_threads_work_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    barrier = threading.Barrier(3)

    def meet(number: int) -> Any:
        barrier.wait(timeout=30)  # fails unless three runs are under way
        return np.array([number])

    monkeypatch.setattr(conversion, "encode_rows", meet)
    with conversion._Workers(3) as workers:
        found = [int(part[0]) for part in workers.encode(numbers(9))]
    assert found == list(range(9))


def test_memory_does_not_grow_with_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "encode_rows", lambda number: np.array([number]))
    begun = 0

    def runs() -> Iterator[Any]:
        nonlocal begun
        for number in range(1000):
            begun += 1
            yield (number,)

    with conversion._Workers(4) as workers:
        for written, _ in enumerate(workers.encode(runs()), 1):
            assert begun - written <= 2 * 4


def test_after_a_failure_no_other_run_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []
    failed = threading.Event()

    def fail(number: int) -> Any:
        begun.append(number)
        if number == 0:
            raise InputError("damaged")
        failed.wait(timeout=30)
        return np.array([number])

    def convert() -> None:
        with conversion._Workers(2) as workers:
            try:
                list(workers.encode(numbers(100)))
            finally:
                threading.Timer(0.2, failed.set).start()

    monkeypatch.setattr(conversion, "encode_rows", fail)
    with pytest.raises(InputError, match="damaged"):
        convert()
    assert len(begun) <= 3  # the one that failed, and those that were under way


class Stop(Exception):
    """What a signal raises."""


@pytest.mark.timeout(60)
def test_the_threads_end_wherever_a_signal_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """It can come between any two instructions, also where the main thread holds a lock."""

    def convert(steps: int) -> None:
        def trace(*_: object) -> Any:
            nonlocal steps
            steps -= 1
            if steps < 0:
                raise Stop
            return trace

        with conversion._Workers(2) as workers:
            sys.settrace(trace)
            try:
                list(workers.encode(numbers(10)))
            finally:
                sys.settrace(None)

    monkeypatch.setattr(conversion, "encode_rows", lambda number: np.array([number]))
    for steps in count():
        try:
            convert(steps)
        except Stop:
            continue
        break
    assert steps > 100


def test_a_quota_of_the_control_group_holds_for_the_converter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cgroup, "cpu_quota", lambda: 0.5)
    assert conversion.default_threads() == 1
