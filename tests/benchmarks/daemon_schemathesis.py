"""Requests generated from the OpenAPI document get no undocumented status, no 500, no wrong answer.

    python tests/benchmarks/daemon_schemathesis.py [--examples N]

It starts a daemon (or uses one with --url and --token), and runs schemathesis on each group of
calls (or on all together with --together) until it has had about N generated requests. It prints
their number by status. Left out are `POST /v1/shutdown`, which ends the daemon, and
`GET /v1/events`, which does not end; tests/integration/daemon tests these.
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

SETTINGS = """
# a body over the limit is refused before anybody looks whether it is right
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 413, 415]
# and no schema can say that a text is a goal
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 404, 409, 413, 422, 503]
"""

GROUPS = {"llmsuggestd": 2, "llmstep": 1, "leancopilot": 1, "llmlean": 3}
"""Each group of calls, with its number of calls that have a body. Others allow few requests."""


def run(
    url: str, token: str, groups: list[str], examples: int, phases: str
) -> tuple[int, str, int]:
    """The number of test cases of some groups, schemathesis' output and its exit code."""
    tags = [argument for group in groups for argument in ("--include-tag", group)]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "schemathesis.toml").write_text(SETTINGS)
        result = subprocess.run(
            [str(Path(sys.executable).with_name("schemathesis")), "run", f"{url}/openapi.json",
             "--header", f"Authorization: Bearer {token}", *tags,
             "--exclude-path", "/v1/shutdown", "--exclude-path", "/v1/events",
             "--max-examples", str(examples), "--phases", phases,
             "--checks", "all", "--mode", "all", "--workers", "2", "--no-color",
             "--request-timeout", "60", "--generation-database", "none", "--seed", "1"],
            capture_output=True, text=True, check=False, cwd=folder, env={**os.environ, "CI": "1"},
        )  # fmt: skip
    text = result.stdout + result.stderr
    numbers = re.findall(r"(\d+) generated", text)
    return (int(numbers[-1]) if numbers else 0), text, result.returncode


def requests_by_status(url: str, token: str) -> dict[str, int]:
    """The daemon's number of answers by status."""
    request = urllib.request.Request(f"{url}/metrics", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as response:
        text = response.read().decode()
    counted: dict[str, int] = {}
    for status, count in re.findall(r'requests_total\{.*status="(\d+)"\} (\S+)', text):
        counted[status] = counted.get(status, 0) + int(float(count))
    return counted


def check(url: str, token: str, groups: list[str], examples: int, phases: str) -> bool:
    """Run some groups. Returns whether they succeeded."""
    before, began = requests_by_status(url, token), time.monotonic()
    generated, text, code = run(url, token, groups, examples, phases)
    after = requests_by_status(url, token)
    statuses = {s: n - before.get(s, 0) for s, n in after.items() if n != before.get(s, 0)}
    print(
        f"{', '.join(groups)}: {generated} test cases, {sum(statuses.values())} requests "
        f"{json.dumps(statuses)} in {time.monotonic() - began:.0f} s, exit code {code}",
        flush=True,
    )
    good = code == 0 and "500" not in statuses
    if not good:
        print(text)
    return good


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=2000)
    parser.add_argument("--url")
    parser.add_argument("--token")
    parser.add_argument("--phases", default="examples,coverage,fuzzing")
    parser.add_argument("--together", action="store_true")
    options = parser.parse_args()

    def check_all(url: str, token: str) -> bool:
        if options.together:
            return check(url, token, list(GROUPS), options.examples, options.phases)
        results = [
            check(url, token, [g], options.examples // n, options.phases) for g, n in GROUPS.items()
        ]
        return all(results)

    if options.url:
        sys.exit(not check_all(options.url, options.token))
    good = False
    for home in make_home():
        home.install_starter()
        home.run("start")  # logs to a file, since no process reads a pipe here
        url = home.client.request("GET", "/v1/status")["url"]
        good = check_all(url, home.paths.token_file.read_text())
    sys.exit(not good)


if __name__ == "__main__":
    main()
