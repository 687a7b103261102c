"""Many concurrent clients on both transports, good, bad, slow and dropped, get no wrong answer.

    python tests/benchmarks/daemon_load.py [--requests 20000] [--clients 64] [--rounds 3]

A separate engine answers each question alone. Then the daemon is warmed up, and the clients ask it
at random. The run fails on an answer to another question, on a wrong status, if the daemon's memory
grows by 5 % or more, if it has more open files at the end, or if its engine was replaced. With our
kernels, it also fails on an answer that differs in a digit from the one given alone. With
llama.cpp's kernels, whose rounding varies, these are only counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).parents[2]))

from llmsuggestd.engine import protocol
from llmsuggestd.engine.host import EngineProcess
from llmsuggestd.models import store
from tests.conftest import Home, make_home
from tests.support import raw


def prefix(number: int) -> str:
    """The prefix of each suggestion for a question, different for each question."""
    return f"exact h{10_000_000 + number}"


def question(number: int) -> dict[str, object]:
    """One of the questions. Every fifth is sampled, with a seed."""
    sample = {"mode": "sample", "seed": number} if number % 5 == 0 else {}
    return {"goal": f"n : Nat\n⊢ n + {number} = {number} + n", "prefix": prefix(number),
            "n": 2, "max_tokens": 4} | sample  # fmt: skip


async def answers_alone(questions: int, context: int) -> list[Any]:
    """The suggestions of an engine that is asked one question after another."""
    load = protocol.Load(str(store.SHIPPED), "auto", 0, context)
    engine = await EngineProcess.spawn(load)
    common = {"mode": "beam", "temperature": 0.5, "seed": None}
    found = []
    for number in range(questions):
        fields = common | question(number)
        goals = [fields.pop("goal")]
        asked = msgspec.convert(fields | {"id": number, "goals": goals}, protocol.Suggest)
        found.append(msgspec.to_builtins((await engine.ask(asked)).found[0].suggestions))
    await engine.close()
    return found


class Load:
    """The clients, their questions and their results."""

    def __init__(self, home: Home, expected: list[Any]) -> None:
        """`expected` has the suggestions for each question."""
        self._questions = len(expected)
        self._expected = expected
        status = home.client.request("GET", "/v1/status")
        self.pid, self.engine_pid = status["pid"], status["engine_pid"]
        self._socket = status["socket"]
        self._port = int(status["url"].rpartition(":")[2])
        self._authorization = f"Authorization: Bearer {raw.token(home)}"
        self.results: Counter[str] = Counter()
        self.wrong: list[str] = []
        """Answers and statuses that are wrong with any kernels."""
        self.inexact: list[str] = []
        """Answers to the right question that differ from those given alone."""

    def compare(self, number: int, found: Any) -> None:
        """Record the difference between an answer and the one given alone."""
        expected = self._expected[number]
        if found == expected:
            return
        texts = [suggestion["text"] for suggestion in found]
        if all(text.startswith(prefix(number)) for text in texts):
            self.inexact.append(f"{number}: {found}, not {expected}")
        else:
            self.wrong.append(f"another's answer to {number}: {texts}")

    async def ask(self, door: str, *pieces: bytes, pause: float = 0.0) -> tuple[int, bytes]:
        """Send a request in pieces. Returns the status and the body of the answer."""
        if door == "socket":
            reader, writer = await asyncio.open_unix_connection(self._socket)
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            return int(head.split()[1]), await reader.readexactly(length)
        finally:
            writer.close()

    def request(self, number: int) -> bytes:
        """A good request."""
        return raw.post("/v1/suggest", question(number), self._authorization)

    async def good(self, door: str, number: int, pause: float = 0.0) -> None:
        """Ask a question, again after a refusal, and compare the answer."""
        data = self.request(number)
        step = len(data) // 4 + 1 if pause else len(data)
        pieces = [data[at : at + step] for at in range(0, len(data), step)]
        while True:
            status, body = await self.ask(door, *pieces, pause=pause)
            self.results[f"{'slow' if pause else 'good'} {status}"] += 1
            if status != 503:
                break
            await asyncio.sleep(0.05)
        if status == 200:
            self.compare(number, json.loads(body)["suggestions"])
        else:
            self.wrong.append(f"{number}: {status} {body[:200]!r}")

    async def bad(self, door: str, rng: random.Random) -> None:
        """Send a bad request, which must be refused with the right status."""
        allowed = [self._authorization]
        cases = [
            (raw.post("/v1/suggest", b"{", *allowed), 400),
            (raw.post("/v1/suggest", {"goal": "p", "n": 99}, *allowed), 400),
            (raw.head("GET", "/nothing", *allowed), 404),
            (raw.head("DELETE", "/v1/suggest", *allowed), 405),
            (raw.post("/v1/suggest", b"x" * (2**20 + 1), *allowed), 413),
            (raw.head("GET", "/v1/status", "Origin: http://evil.example", *allowed), 403),
            (b"nonsense\r\n\r\n", 400),
        ]
        if door == "port":
            cases += [
                (raw.head("GET", "/v1/status"), 401),
                (raw.head("GET", "/health", host="evil.example"), 403),
            ]
        data, wanted = rng.choice(cases)
        try:
            status, _ = await self.ask(door, data)
        except ConnectionError:
            self.results["bad, cut off"] += 1  # it still sends a request that is already refused
            return
        self.results[f"bad {status}"] += 1
        if status != wanted:
            self.wrong.append(f"{status}, not {wanted}, to {data[:80]!r}")

    async def dropped(self, door: str, number: int, rng: random.Random) -> None:
        """Disconnect in the middle of the request, or before the answer."""
        data = (
            self.request(number) if rng.random() < 0.5 else self.request(self._questions + number)
        )
        if door == "socket":
            _, writer = await asyncio.open_unix_connection(self._socket)
        else:
            _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(data[: rng.randrange(len(data) + 1)] if rng.random() < 0.5 else data)
        await asyncio.sleep(rng.random() * 0.02)
        writer.transport.abort() if rng.random() < 0.5 else writer.close()
        self.results["dropped"] += 1

    async def client(self, seed: int, count: int) -> None:
        """One client's requests."""
        rng = random.Random(seed)
        for _ in range(count):
            door = rng.choice(("socket", "port"))
            number = rng.randrange(self._questions)
            kind = rng.random()
            if kind < 0.7:
                await self.good(door, number)
            elif kind < 0.8:
                await self.bad(door, rng)
            elif kind < 0.9:
                await self.good(door, number, pause=0.02 + rng.random() * 0.1)
            else:
                await self.dropped(door, number, rng)

    async def run(self, clients: int, requests: int, seed: int) -> None:
        """Run all clients concurrently."""
        share = -(-requests // clients)
        await asyncio.gather(*(self.client(seed + n, share) for n in range(clients)))


def memory(pid: int) -> int:
    """A process's memory in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


def open_files(pid: int) -> int:
    """The number of open files and sockets of a process."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def run(home: Home, requests: int, clients: int, questions: int, growth_limit: float) -> bool:
    """Run it in a home. Returns whether it succeeded."""
    status = home.client.request("GET", "/v1/status")
    load = Load(home, asyncio.run(answers_alone(questions, status["model"]["context"])))
    time.sleep(0.5)  # in which the daemon closes the connection of the last call
    files = open_files(load.pid)
    asyncio.run(load.run(clients, max(requests // 5, 4 * clients), seed=1_000_000))
    load.results.clear()
    before, engine = memory(load.pid), memory(load.engine_pid)
    began = time.monotonic()
    asyncio.run(load.run(clients, requests, seed=0))
    took = time.monotonic() - began
    deadline = time.monotonic() + 20
    while (left_open := open_files(load.pid)) > files and time.monotonic() < deadline:
        time.sleep(0.2)
    after = memory(load.pid)
    growth = after / before - 1
    engine_pid = home.client.request("GET", "/v1/status")["engine_pid"]
    print(f"{sum(load.results.values())} requests of {clients} clients in {took:.0f} s")
    print(json.dumps(dict(sorted(load.results.items()))))
    print(f"daemon {before} KiB -> {after} KiB ({growth:+.1%})")
    print(f"engine {engine} KiB -> {memory(engine_pid) if engine_pid else 0} KiB")
    print(f"process id of the engine {load.engine_pid} -> {engine_pid}")
    print(f"open files of the daemon {files} -> {left_open}")
    print(f"{len(load.wrong)} wrong answers", *load.wrong[:10], sep="\n  ")
    print(f"{len(load.inexact)} inexact answers", *load.inexact[:10], sep="\n  ")
    return (
        not load.wrong
        and not (load.inexact and status["kernels"] == "own")
        and growth < growth_limit
        and left_open <= files
        and engine_pid == load.engine_pid
    )


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--questions", type=int, default=700, help="more than the cache holds")
    parser.add_argument("--rounds", type=int, default=1, help="each with a new daemon")
    parser.add_argument("--log", type=Path, help="append the daemons' logs to this file")
    options = parser.parse_args()
    good = True
    for _ in range(options.rounds):
        for home in make_home():
            home.install_starter()
            home.run("start")  # logs to a file, since no process reads a pipe here
            good &= run(home, options.requests, options.clients, options.questions, 0.05)
            if options.log is not None:
                with options.log.open("a") as log:
                    log.write(home.paths.log_file.read_text())
    sys.exit(not good)


if __name__ == "__main__":
    main()
