"""Measures the time of a call of `llmsuggest` without that of the model and of the checks.

`python -m tests.benchmarks.lean_overhead [--limit MS]` runs the tactic in Lean (a native one, or
the npm one) with a daemon that answers immediately. It prints the median of each part over 20 calls
without the first five. The exit code is 1 if the remaining time is above the limit.

`starting curl` is a run of `curl --version` by Lean: spawning a process and loading curl. The npm
Lean spawns it through a shell, a native Lean does not.
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
    """Milliseconds of a `curl --version` that Python starts."""
    taken = []
    for _ in range(20):
        start = time.monotonic()
        subprocess.run(["curl", "-q", "--version"], capture_output=True, check=True)
        taken.append(time.monotonic() - start)
    return 1000 * statistics.median(taken)


def main() -> int:
    """Measure and print. Returns 1 if a call takes too long."""
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
