"""The time that a call of `llmsuggest` takes besides the model's and the checks'.

`python -m tests.benchmarks.lean_overhead [--limit MS]` runs the tactic in Lean (a native one, or
the npm one) against a daemon that answers at once, and prints the median of each part over 20
calls, the first five left out. It exits with 1 if the rest is above the limit.

`starting curl` is a run of `curl --version` in the same way: spawning a process and loading curl.
In the npm Lean it goes through a shell, which a native Lean does without.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.end_to_end.lean.fake_daemon import fake_daemon
from tests.support.leanwasm import find_lean

FILE = Path(__file__).with_name("LeanOverhead.lean")
WARM_UP = 5


def bare_curl() -> float:
    """How many milliseconds a `curl --version` takes, started by Python."""
    taken = []
    for _ in range(20):
        start = time.monotonic()
        subprocess.run(["curl", "-q", "--version"], capture_output=True, check=True)
        taken.append(time.monotonic() - start)
    return 1000 * statistics.median(taken)


def main() -> int:
    """Measure and print; 1 if it takes too long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=60, help="milliseconds")
    limit = parser.parse_args().limit
    lean = find_lean()
    with fake_daemon() as fake:
        fake.answer("constructor\n· exact hp\n· exact hq", "constructor", "exact hq", "simp")
        output = lean.run(FILE, env=fake.env, options=["--json"]).output
    messages = [json.loads(line)["data"] for line in output.splitlines()]
    runs = [dict(json.loads(text)) for text in messages if text.startswith("[")][WARM_UP:]
    if not runs:
        sys.exit(output)
    for part in runs[0]:
        milliseconds = [run[part] / 1000 for run in runs]
        print(
            f"{part:15} {statistics.median(milliseconds):7.1f} ms (least {min(milliseconds):.1f})"
        )
    rest = statistics.median((run["total"] - run["checks"]) / 1000 for run in runs)
    print(f"{'a bare curl':15} {bare_curl():7.1f} ms")
    print(f"besides the checks: {rest:.1f} ms, of at most {limit:.0f}")
    return 0 if rest <= limit else 1


if __name__ == "__main__":
    sys.exit(main())
