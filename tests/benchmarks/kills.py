"""Kills the engine repeatedly while clients ask.

    python -m tests.benchmarks.kills [--kills 50] [--clients 8]

Every request must get an answer or a clean 503. The daemon must stay the same process, with no more
open files than before. No engine may remain, and the request after the last kill must succeed.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

from llmsuggestd.client import Refused
from tests.benchmarks.daemon_load import open_files
from tests.conftest import Home, make_home


def ask(home: Home, stop: threading.Event, seed: int, seen: collections.Counter[str]) -> None:
    """One client, which asks without a pause and counts the results."""
    number = 0
    while not stop.is_set():
        number += 1
        goal = {"goal": f"n : Nat\n⊢ n + {seed} = {number} + n", "max_tokens": 24}
        try:
            answer = home.client.request("POST", "/v1/suggest", goal, timeout=60)
            seen["answered" if answer["suggestions"] else "empty"] += 1
        except Refused as error:
            seen[f"{error.status} {error.code}"] += 1
        except Exception as error:  # a client should see no exception
            seen[f"unexpected {error!r}"] += 1


def engines(daemon: int) -> list[int]:
    """The engine processes of a daemon, including zombies."""
    children = Path(f"/proc/{daemon}/task/{daemon}/children").read_text().split()
    return [int(child) for child in children]


def run(home: Home, kills: int, clients: int) -> bool:
    """Kill, count, and print. Returns whether all conditions hold."""
    daemon = home.serve().pid
    home.client.request("POST", "/v1/suggest", {"goal": "⊢ True"})
    files = open_files(daemon)
    stop = threading.Event()
    seen: collections.Counter[str] = collections.Counter()
    threads = [
        threading.Thread(target=ask, args=(home, stop, seed, seen)) for seed in range(clients)
    ]
    for thread in threads:
        thread.start()
    done = 0
    while done < kills:
        time.sleep(random.uniform(0.2, 1.0))
        engine = home.client.request("GET", "/v1/status")["engine_pid"]
        if engine is not None:
            os.kill(engine, signal.SIGKILL)
            done += 1
    stop.set()
    for thread in threads:
        thread.join()
    last = home.client.request("POST", "/v1/suggest", {"goal": "⊢ 1 + 1 = 2"}, timeout=60)
    time.sleep(0.5)
    status = home.client.request("GET", "/v1/status")
    checks = {
        "every request answered, or refused with a clean 503": all(
            outcome == "answered" or outcome.startswith("503 engine") for outcome in seen
        ),
        "the same daemon": status["pid"] == daemon,
        "the next request succeeds": len(last["suggestions"]) == 5,
        "one engine, no orphans": engines(daemon) == [status["engine_pid"]],
        "no growth in open files": open_files(daemon) <= files,
    }
    print(dict(seen))
    for what, holds in checks.items():
        print(f"{'ok    ' if holds else 'FAILED'} {what}")
    return all(checks.values())


def main() -> None:
    """Run it in a temporary home."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    for home in make_home():
        home.install_starter()
        if not run(home, options.kills, options.clients):
            sys.exit(1)


if __name__ == "__main__":
    main()
