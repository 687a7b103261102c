"""Measures the daemon's own overhead: a cached answer over the Unix socket, with and without curl.

python tests/benchmarks/daemon_overhead.py [--count 500]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.conftest import Home, make_home, runtime_cases
from tests.support import raw


def milliseconds(act: Callable[[], object], count: int) -> tuple[float, float]:
    """The median and the 95th percentile of an action's time."""
    times = []
    for _ in range(count):
        began = time.perf_counter()
        act()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times), statistics.quantiles(times, n=20)[-1]


def measure(home: Home, count: int) -> dict[str, tuple[float, float]]:
    """The times of each way to ask."""
    body = {"goal": runtime_cases()[0]["tactic_state"]}
    request = raw.post("/v1/suggest", body)
    path = str(home.paths.socket)

    def socket() -> None:
        status, _, answer = raw.ask(home, request, "socket")
        assert status == 200
        assert answer["cached"]

    # like the tactic
    options = ["-q", "--silent", "--show-error", "--noproxy", "*", "--max-time", "60"]
    options += ["--write-out", "\n%{http_code}", "--header", "Content-Type: application/json"]
    options += ["--unix-socket", path, "--data-binary", "@-"]
    command = ["curl", *options, "http://localhost/v1/suggest"]
    data = json.dumps(body).encode()

    def curl() -> None:
        result = subprocess.run(command, input=data, capture_output=True, check=True)
        assert result.stdout.endswith(b"\n200")

    raw.ask(home, request, "socket")
    socket()
    return {
        "Unix socket": milliseconds(socket, count),
        "Unix socket, with the start of curl": milliseconds(curl, count),
        "the start of curl alone": milliseconds(
            lambda: subprocess.run(["curl", "-q", "--version"], capture_output=True, check=True),
            count,
        ),
    }


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    options = parser.parse_args()
    for home in make_home():
        home.install_starter()
        home.serve()
        for name, (median, high) in measure(home, options.count).items():
            print(f"{name}: median {median:.2f} ms, 95 % within {high:.2f} ms")


if __name__ == "__main__":
    main()
