"""Requests made from the OpenAPI document: no undocumented status, no 500, no wrong answer.

    python tests/benchmarks/daemon_schemathesis.py [--examples N]

Starts a daemon of its own (or takes one with --url and --token) and runs schemathesis over each
group of calls until every operation has had N generated requests of each kind; prints how many
requests each group has had. Left out: `POST /v1/shutdown`, after which there would be no daemon,
and `GET /v1/events`, which does not end; tests/integration/daemon has them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.conftest import make_home

GROUPS = ("llmsuggestd", "llmstep", "leancopilot", "llmlean")


def run_group(url: str, token: str, group: str, examples: int) -> tuple[int, str, int]:
    """Requests that a group has had, how they were answered, and schemathesis' exit code."""
    with tempfile.TemporaryDirectory() as folder:
        result = subprocess.run(
            [str(Path(sys.executable).with_name("schemathesis")), "run", f"{url}/openapi.json",
             "--header", f"Authorization: Bearer {token}", "--include-tag", group,
             "--exclude-path", "/v1/shutdown", "--exclude-path", "/v1/events",
             "--max-examples", str(examples), "--phases", "examples,coverage,fuzzing",
             "--checks", "all", "--mode", "all", "--workers", "2", "--no-color",
             "--request-timeout", "60", "--generation-database", "none", "--seed", "1"],
            capture_output=True, text=True, check=False, cwd=folder, env={**os.environ, "CI": "1"},
        )  # fmt: skip
    text = result.stdout + result.stderr
    numbers = re.findall(r"(\d+) generated", text)
    return (int(numbers[-1]) if numbers else 0), text, result.returncode


def requests_by_status(url: str, token: str) -> dict[str, int]:
    """How often the daemon has answered with each status."""
    request = urllib.request.Request(f"{url}/metrics", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as response:
        text = response.read().decode()
    counted: dict[str, int] = {}
    for status, count in re.findall(r'requests_total\{.*status="(\d+)"\} (\S+)', text):
        counted[status] = counted.get(status, 0) + int(float(count))
    return counted


def check(url: str, token: str, examples: int) -> bool:
    """Run every group; whether all is well."""
    good = True
    for group in GROUPS:
        before, began = requests_by_status(url, token), time.monotonic()
        generated, text, code = run_group(url, token, group, examples)
        after = requests_by_status(url, token)
        statuses = {s: n - before.get(s, 0) for s, n in after.items() if n != before.get(s, 0)}
        print(
            f"{group}: {generated} test cases, {sum(statuses.values())} requests "
            f"{json.dumps(statuses)} in {time.monotonic() - began:.0f} s, exit code {code}"
        )
        if code != 0 or "500" in statuses:
            good = False
            print(text)
    return good


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=2000)
    parser.add_argument("--url")
    parser.add_argument("--token")
    options = parser.parse_args()
    if options.url:
        sys.exit(not check(options.url, options.token, options.examples))
    for home in make_home():
        home.install_starter()
        home.serve()
        url = home.client.request("GET", "/v1/status")["url"]
        good = check(url, home.paths.token_file.read_text(), options.examples)
    sys.exit(not good)


if __name__ == "__main__":
    main()
