"""Switches models 200 times while 8 clients ask without a pause. No request may fail.

python tests/benchmarks/daemon_switches.py [--switches 200] [--clients 8]
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from llmsuggestd.models import store
from tests.benchmarks.daemon_load import memory, open_files
from tests.conftest import make_home
from tests.integration.daemon.test_switching import Clients, use


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--switches", type=int, default=200)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    good = False
    for home in make_home():
        home.install_starter()
        shutil.copy(store.SHIPPED, home.paths.models / "other.gguf")
        home.run("start")  # logs to a file, since no process reads a pipe here
        pid = home.client.request("GET", "/v1/status")["pid"]
        times, refused = [], 0
        before, files = memory(pid), open_files(pid)
        with Clients(home, options.clients) as clients:
            for number in range(options.switches):
                began = time.monotonic()
                refused += use(home, ("other", "starter")[number % 2])[0] != 200
                times.append(time.monotonic() - began)
        codes = Counter(code for code, _ in clients.answers)
        models = Counter(answer.get("model") for _, answer in clients.answers)
        print(f"{options.switches} switches, {refused} refused, median "
              f"{statistics.median(times):.2f} s, longest {max(times):.2f} s")  # fmt: skip
        print(f"{len(clients.answers)} requests of {options.clients} clients: {dict(codes)}, "
              f"answered by {dict(models)}")  # fmt: skip
        print(f"daemon {before} KiB -> {memory(pid)} KiB, open files {files} -> {open_files(pid)}")
        good = set(codes) == {200} and not refused
    sys.exit(not good)


if __name__ == "__main__":
    main()
