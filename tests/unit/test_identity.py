"""Identifying the process whose number a file contains."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest

from llmsuggestd.identity import Process, machine, start_of


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """An unrelated process of the same user."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


def described(process: subprocess.Popen[bytes], **fields: str) -> Process:
    return Process(
        pid=process.pid,
        started=fields.get("started", start_of(process.pid) or ""),
        machine=fields.get("machine", machine()),
        host=fields.get("host", ""),
    )


def test_a_process_is_distinguished_from_all_others(sleeper: subprocess.Popen[bytes]) -> None:
    ours = Process.current()
    assert ours.pid == os.getpid()
    assert ours.runs
    assert msgspec.json.decode(msgspec.json.encode(ours), type=Process) == ours
    other = described(sleeper)
    assert other.runs
    assert other.send(signal.SIGTERM)
    assert sleeper.wait() == -signal.SIGTERM
    assert not other.runs
    assert not other.send(signal.SIGTERM)


@pytest.mark.parametrize(
    "fields", [{"started": "1"}, {"started": ""}, {"machine": "another boot/1"}, {"machine": ""}]
)
def test_a_process_that_is_not_proven_gets_no_signal(
    sleeper: subprocess.Popen[bytes], fields: dict[str, str]
) -> None:
    """The number was reused, belongs to another machine, or has no identity."""
    meant = described(sleeper, **fields)
    assert not meant.runs
    assert not meant.send(signal.SIGTERM)
    assert sleeper.poll() is None


@pytest.mark.skipif(sys.platform != "linux", reason="zombies are told apart on Linux")
def test_an_ended_process_that_its_parent_has_not_waited_for_does_not_run() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        meant = described(process)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, and still in the table
        assert not meant.runs


@pytest.mark.parametrize(
    ("process", "words"),
    [
        (Process(pid=7, machine=machine()), "pid 7"),
        (Process(), "pid unknown"),
        (Process(pid=7, machine="another", host="node1"), "pid 7 on node1"),
        (Process(pid=7, machine="another", host=Process.current().host), "another container"),
    ],
)
def test_messages_say_where_a_process_runs(process: Process, words: str) -> None:
    assert words in str(process)
