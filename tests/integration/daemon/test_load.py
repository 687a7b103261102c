"""Small versions of tests/benchmarks/daemon_load.py and daemon_overhead.py."""

from __future__ import annotations

from tests.benchmarks import daemon_load, daemon_overhead
from tests.conftest import Home


def test_good_bad_slow_and_dropped_clients(served: Home) -> None:
    """None of the questions is in the engine's cache before the clients ask."""
    # after this few requests, the daemon's memory still grows
    assert daemon_load.run(served, requests=1200, clients=32, questions=400, growth_limit=0.3)


def test_an_answer_to_another_question_is_detected(served: Home) -> None:
    ours, others = ([{"text": f"{daemon_load.prefix(n)} x", "score": -1.0}] for n in (1, 11))
    load = daemon_load.Load(served, [[], ours])
    load.compare(1, ours)
    assert not load.wrong
    assert not load.inexact
    load.compare(1, [ours[0] | {"score": -1.5}])
    assert not load.wrong
    assert len(load.inexact) == 1
    load.compare(1, others)
    assert len(load.wrong) == 1


def test_a_cached_answer_is_fast(served: Home) -> None:
    """Even on a busy machine, it takes less time than starting curl."""
    measured = daemon_overhead.measure(served, 50)
    (median, _), (start, _) = measured["Unix socket"], measured["the start of curl alone"]
    assert median < start
