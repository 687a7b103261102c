"""Measures how soon an edit during a slow request gets diagnostics and ends the request.

`python -m tests.benchmarks.lean_edits [--edits 10] [--limit SECONDS]` edits a file in Lean's worker
while a daemon that never answers holds a request. It prints the time until the new diagnostics have
arrived and the daemon has seen the old request end, and for comparison the time of edits without a
request. The exit code is 1 if the median is above the limit. The npm Lean has 32-bit addresses, and
runs out of memory after about 25 edits.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from tests.end_to_end.lean.fake_daemon import fake_daemon
from tests.end_to_end.lean.test_editor import FILE, edit, edit_during_request
from tests.support.leanwasm import find_lean


def main() -> int:
    """Measure and print. Returns 1 if an edit takes too long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=10)
    parser.add_argument("--limit", type=float, default=1.0, help="seconds")
    options = parser.parse_args()
    with fake_daemon() as fake, tempfile.TemporaryDirectory() as folder:
        fake.answer("exact ⟨hp, hq⟩")
        with find_lean().worker(Path(folder) / "Some.lean", FILE, fake.env) as worker:
            worker.diagnostics()
            plain = [edit(worker, i) for i in range(options.edits)]
            (fake.directory / "script.json").write_text('{"behaviour": "slow"}')
            during = [edit_during_request(worker, fake) for _ in range(options.edits)]
    for name, times in (("nothing under way", plain), ("a slow request", during)):
        print(f"{name:18} median {statistics.median(times):.2f} s, longest {max(times):.2f} s")
    return 0 if statistics.median(during) <= options.limit else 1


if __name__ == "__main__":
    sys.exit(main())
