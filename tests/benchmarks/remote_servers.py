"""A real server as the engine: the same suggestions as ours, and the waits of a class.

    python -m tests.benchmarks.remote_servers same [--server llama.cpp] [--goals 50]
    python -m tests.benchmarks.remote_servers class [--users 30] [--seconds 600]

vLLM serves the starter's checkpoint on the CPU. `--vllm` names a Python that has it. Without that,
the command makes an environment of 3.4 GB in the user's cache directory, once. That needs Linux on
x86-64 and the CPU build of torch, which `PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu`
finds.

`same` asks a daemon for five suggestions for held-out goals: from vLLM, or from llama.cpp's server
with the starter in F16, and from the local engine with the starter in F16 and as it is shipped. It
prints how many goals get the same five, and fails if these are fewer than 90 % for F16.

`class` lets this many users work at the same time, each with connections of their own. A user asks
for the goals of the editing trace of `engine.py`, one after another, and thinks in between for
some seconds: random, with a mean of `--pause`. It prints the waits and the errors.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from llmsuggestd.config import RemoteSettings
from llmsuggestd.engine import protocol
from llmsuggestd.errors import LlmsuggestdError
from llmsuggestd.formats import LLMSTEP
from llmsuggestd.remote.address import parse
from llmsuggestd.remote.model import RemoteModel, Target
from tests.benchmarks.engine import editing_trace
from tests.benchmarks.environments import VLLM
from tests.conftest import Home, make_home
from tests.support.completions import free_port
from tests.support.llama_server import llama_server

STARTER = Path(__file__).parents[2] / "convert" / "starter"
BAR = 0.9
"""The share of goals that must get the same suggestions from the server and the starter in F16."""


class Vllm(NamedTuple):
    """A running vLLM."""

    url: str
    pid: int
    log: Path

    def steps(self) -> int:
        """The number of requests for completions so far."""
        return self.log.read_text(errors="replace").count("POST /v1/completions")

    def processor_time(self) -> float:
        """Seconds of processor time so far, of all its processes."""
        total, family = 0, {self.pid}
        for file in sorted(Path("/proc").glob("[0-9]*/stat"), key=lambda file: int(file.parts[2])):
            with contextlib.suppress(OSError):
                fields = file.read_text().rpartition(")")[2].split()
                if int(file.parts[2]) in family or int(fields[1]) in family:
                    family.add(int(file.parts[2]))
                    total += int(fields[11]) + int(fields[12])
        return total / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def vllm(python: Path, folder: Path) -> Iterator[Vllm]:
    """Serve the starter's checkpoint as `starter` until the block ends."""
    port = free_port()
    command = [str(python.parent / "vllm"), "serve", str(STARTER / "checkpoint"),
               "--served-model-name", "starter", "--dtype", "float32", "--max-model-len", "1024",
               "--enforce-eager",  # starts sooner, and compiled steps of this model are no faster
               "--host", "127.0.0.1", "--port", str(port)]  # fmt: skip
    settings = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    log = folder / "vllm.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, env=os.environ | settings, stdout=output, stderr=output
        ) as server,
    ):
        try:
            url = f"http://127.0.0.1:{port}/v1"
            wait_for(server, url, log)
            yield Vllm(url, server.pid, log)
        finally:
            server.terminate()
            try:
                server.wait(timeout=60)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def wait_for(server: subprocess.Popen[bytes], url: str, log: Path, timeout: float = 600) -> None:
    """Wait until vLLM has answered twice: its first answer can take a minute.

    Raises SystemExit, with the end of its log, if it ends.
    """
    body = json.dumps({"model": "starter", "prompt": "a", "max_tokens": 8}).encode()
    request = urllib.request.Request(
        f"{url}/completions", body, {"Content-Type": "application/json"}
    )
    deadline = time.monotonic() + timeout
    missing = 2
    while missing and server.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(request, timeout=timeout).close()
            missing -= 1
        except (urllib.error.URLError, ConnectionError):
            time.sleep(1)
    if missing:
        raise SystemExit("vLLM did not start:\n" + log.read_text(errors="replace")[-2000:])


class Comparison(NamedTuple):
    """Number of goals with the same suggestions in two lists of answers."""

    sets: int
    orders: int


def held_out_goals(count: int) -> list[str]:
    """A fixed sample of the starter's held-out goals, each once."""
    lines = (STARTER / "heldout.jsonl").read_text(encoding="utf-8").splitlines()
    goals = sorted({json.loads(line)["goal"] for line in lines})
    return random.Random(1).sample(goals, count)


def run(home: Home, *arguments: str) -> None:
    """Run `llmsuggestd` in a home. Raises SystemExit, with its message, if it fails."""
    result = home.run(*arguments, timeout=300)
    if result.returncode:
        raise SystemExit(result.stderr)


def answers(home: Home, model: str, goals: list[str]) -> list[list[str]]:
    """The suggestions of a model for each goal, from the running daemon."""
    run(home, "models", "use", model)
    found = []
    for goal in goals:
        status, answer = home.curl("/v1/suggest", body={"goal": goal, "n": 5})
        if status != 200 or answer["model"] != model:
            raise SystemExit(f"{model} answers with status {status}: {answer}")
        found.append([one["text"] for one in answer["suggestions"]])
    return found


def compare(one: list[list[str]], other: list[list[str]]) -> Comparison:
    """Compare the answers of two models to the same goals."""
    pairs = list(zip(one, other, strict=True))
    return Comparison(
        sum(set(left) == set(right) for left, right in pairs),
        sum(left == right for left, right in pairs),
    )


def same(server: str, python: Path | None, folder: Path, count: int) -> bool:
    """Print how many goals get the same suggestions. Returns whether they are enough."""
    goals = held_out_goals(count)
    file = folder / "f16.gguf"
    for home in make_home():
        run(home, "convert", str(STARTER / "checkpoint"), "--quant", "f16", "--output", str(file))
        home.install_starter()
        run(home, "models", "import", str(file), "--name", "starter-f16")
        with (
            vllm(python or VLLM.python(), folder)
            if server == "vllm"
            else llama_server(file, folder / "llama.log", "starter")
        ) as running:
            run(home, "models", "add", "theirs", "--url", running.url, "--model", "starter",
                "--format", "llmstep")  # fmt: skip
            run(home, "start")
            theirs = answers(home, "theirs", goals)
        f16, shipped = (answers(home, model, goals) for model in ("starter-f16", "starter"))
    for name, ours in (("F16", f16), ("as shipped", shipped)):
        result = compare(theirs, ours)
        print(f"of {count} goals, {result.sets} get the same suggestions from {server} as from the "
              f"local starter {name}, {result.orders} in the same order")  # fmt: skip
    show_differences(goals, theirs, f16)
    return compare(theirs, f16).sets >= BAR * count


def show_differences(goals: list[str], theirs: list[list[str]], ours: list[list[str]]) -> None:
    """Print the goals with other suggestions."""
    for goal, their, our in zip(goals, theirs, ours, strict=True):
        if set(their) != set(our):
            print(f"  {goal!r}\n    only theirs: {sorted(set(their) - set(our))}\n"
                  f"    only ours: {sorted(set(our) - set(their))}")  # fmt: skip


class Class:
    """Users who work at the same time, and what they get."""

    def __init__(self, url: str, pause: float) -> None:
        self._url = url
        self._pause = pause
        self.waits: list[float] = []
        """The seconds for which each answer was waited for."""
        self.errors: Counter[str] = Counter()
        self.empty = 0
        """Number of answers without suggestions."""

    async def run(self, users: int, seconds: float) -> None:
        """Let the users work for some time."""
        until = time.monotonic() + seconds
        await asyncio.gather(*(self._user(number, until) for number in range(users)))

    async def _user(self, number: int, until: float) -> None:
        chance = random.Random(number)
        target = Target("class", parse(self._url), "starter", LLMSTEP)
        model = RemoteModel(target, RemoteSettings())
        goals = editing_trace()
        at = chance.randrange(len(goals))
        try:
            while True:
                pause = chance.expovariate(1 / self._pause)
                if time.monotonic() + pause >= until:
                    return
                await asyncio.sleep(pause)
                # the user's own number, since no two users have the same theorem
                await self._ask(model, f"n{number} : Nat\n{goals[at % len(goals)]}")
                at += 1
        finally:
            await model.close()

    async def _ask(self, model: RemoteModel, goal: str) -> None:
        question = protocol.Suggest(1, [goal], "", 5, 64, "beam", 0.5, None)
        began = time.monotonic()
        try:
            (found,) = (await model.ask(question)).result.found
        except LlmsuggestdError as error:
            self.errors[error.message] += 1
            return
        self.waits.append(time.monotonic() - began)
        self.empty += not found.suggestions


def lesson(server: Vllm, users: int, seconds: float, pause: float) -> bool:
    """Print the waits of a class. Returns whether every request was answered."""
    before, steps, processor = os.getloadavg()[0], server.steps(), server.processor_time()
    work = Class(server.url, pause)
    asyncio.run(work.run(users, seconds))
    steps, processor = server.steps() - steps, server.processor_time() - processor
    waits = sorted(work.waits)
    print(f"{users} users for {seconds:g} s, {pause:g} s between an answer and the next request")
    if len(waits) > 1:
        late = statistics.quantiles(waits, n=20)[-1]
        print(f"{len(waits)} answers, {60 * len(waits) / seconds:.0f} per minute; wait: median "
              f"{statistics.median(waits):.2f} s, 95th percentile {late:.2f} s, "
              f"longest {waits[-1]:.2f} s")  # fmt: skip
        print(f"an answer takes {steps / len(waits):.1f} requests and "
              f"{processor / len(waits):.2f} s of vLLM's processor time")  # fmt: skip
    print(f"{sum(work.errors.values())} errors, {work.empty} answers without suggestions")
    for message, count in work.errors.most_common():
        print(f"  {count} x {message}")
    print(f"load average {before:.1f} before, {os.getloadavg()[0]:.1f} after, "
          f"on {os.cpu_count()} cores")  # fmt: skip
    return bool(waits) and not work.errors


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["same", "class"])
    parser.add_argument("--server", choices=["vllm", "llama.cpp"], default="vllm")
    parser.add_argument("--vllm", type=Path, metavar="PYTHON")
    parser.add_argument("--goals", type=int, default=50)
    parser.add_argument("--users", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--pause", type=float, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="servers-") as name:
        folder = Path(name)
        if options.what == "same":
            good = same(options.server, options.vllm, folder, options.goals)
        else:
            with vllm(options.vllm or VLLM.python(), folder) as server:
                good = lesson(server, options.users, options.seconds, options.pause)
    sys.exit(not good)


if __name__ == "__main__":
    main()
