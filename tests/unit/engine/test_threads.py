"""How the engine's threads share the machine."""

from __future__ import annotations

import os

import pytest

from llmsuggestd.engine import threads
from llmsuggestd.engine.threads import Manners, threads_to_use


@pytest.mark.parametrize(
    ("cores", "parameters", "threads"),
    [(4, 5_700_000, 2), (1, 5_700_000, 1), (4, 70_000_000, 4), (16, 2_800_000_000, 16)],
)
def test_small_models_get_few_threads(cores: int, parameters: int, threads: int) -> None:
    assert threads_to_use(cores, parameters) == threads


class Machine:
    """A machine on which so many other threads want to run, and ours have waited so long."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.others = 0
        self.now = 0.0
        self.waited = 0.0
        self.spinning = True
        monkeypatch.setattr(os, "cpu_count", lambda: 4)
        monkeypatch.setattr(threads, "runnable_elsewhere", lambda: self.others)
        monkeypatch.setattr(threads, "waited_for_cores", lambda: int(self.waited * 1e9))
        monkeypatch.setattr("llmsuggestd.engine.threads.time.monotonic", lambda: self.now)
        monkeypatch.setattr(threads.Spinning, "set", self._set)

    def _set(self, on: bool) -> None:
        self.spinning = on

    def decode(self, manners: Manners, seconds: float, waited: float) -> bool:
        """Let a decode pass, and say whether the next one spins."""
        self.now += seconds
        self.waited += waited
        manners.between_decodes()
        return self.spinning


def test_threads_spin_where_cores_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    for ours, others, spin in ((4, 2, True), (4, 3, False), (2, 3, True), (2, 4, False)):
        machine.others = others
        Manners(ours).begin()
        assert machine.spinning == spin


def test_what_changes_during_an_answer_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    manners = Manners(4)
    manners.begin()
    assert machine.decode(manners, seconds=0.1, waited=0.0)
    assert machine.decode(manners, seconds=0.001, waited=0.04)  # too soon to say
    assert not machine.decode(manners, seconds=0.1, waited=0.2)
    assert not machine.decode(manners, seconds=0.1, waited=0.07)  # neither nor
    assert machine.decode(manners, seconds=0.1, waited=0.02)


def test_looking_around_works_on_this_machine() -> None:
    assert threads.runnable_elsewhere() >= 0
    before = threads.waited_for_cores()
    assert threads.waited_for_cores() >= before >= 0
    assert 1 <= threads.physical_cores() <= (os.cpu_count() or 1)
    threads.ask_for_short_slices()  # works or not, and raises nothing
