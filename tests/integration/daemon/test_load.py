"""The small versions of tests/benchmarks/daemon_load.py and daemon_overhead.py."""

from __future__ import annotations

from tests.benchmarks import daemon_load, daemon_overhead
from tests.conftest import Home


def test_good_bad_slow_and_dropped_clients(served: Home) -> None:
    # the memory of so few requests is that of a daemon that is warming up
    assert daemon_load.run(served, requests=1200, clients=32, questions=60, growth_limit=0.3)


def test_a_cached_answer_takes_no_time(served: Home) -> None:
    """Nothing beside the start of the program that asks, however busy the machine is."""
    measured = daemon_overhead.measure(served, 50)
    (median, _), (start, _) = measured["Unix socket"], measured["the start of curl alone"]
    assert median < start
