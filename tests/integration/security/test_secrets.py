"""Leaks: goals into the log, secrets into the engine, files to other users."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from tests.conftest import Home
from tests.support import raw

ATTACKS = [
    raw.post("/v1/suggest", {"goal": "h : secretgoal\n⊢ secretgoal", "prefix": "exact secretgoal"}),
    raw.post("/v1/suggest", {"goal": "secretgoal", "n": 0}),
    raw.post("/v1/suggest", {"goal": "secretgoal", "mode": "secretgoal"}),
    raw.post("/v1/suggest", b'{"goal": "secretgoal'),
    raw.post("/v1/suggest", {"secretgoal": 1}),
    raw.post("/", {"tactic_state": "secretgoal", "prefix": "", "context": "secretgoal"}),
    raw.post("/generate", {"input": "secretgoal"}),
    raw.post("/api/generate", {"prompt": "[GOAL]secretgoal[PROOFSTEP]"}),
    raw.post("/v1/completions", {"prompt": "[PROOF]secretgoal"}),
    raw.head("GET", "/secretgoal"),
    b"secretgoal\r\n\r\n",
    b"GET /health HTTP/1.1\r\nsecretgoal\r\n\r\n",
    b"POST /v1/suggest HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nsecretgoal\r\n",
]


def log_after_attacks(home: Home, **env: str) -> str:
    home.env |= env
    process = home.serve()
    for request in ATTACKS:
        raw.ask(home, request, "socket")
    with raw.connect(home, "socket") as sock:  # disconnect in the middle
        sock.sendall(ATTACKS[0][:-5])
    assert "secretgoal" not in raw.text(home, "/metrics")
    process.terminate()
    return process.communicate(timeout=15)[1]


def test_goals_are_in_no_log_and_no_metric(home: Home) -> None:
    home.install_starter()
    log = log_after_attacks(home)
    assert "serving on" in log
    assert "secretgoal" not in log
    for file in home.root.rglob("*"):
        if file.is_file() and file.suffix != ".gguf":
            assert b"secretgoal" not in file.read_bytes()


def test_goals_are_logged_when_the_user_asks_for_it(home: Home) -> None:
    home.install_starter()
    assert "h : secretgoal" in log_after_attacks(home, LLMSUGGESTD_LOG_GOALS="true")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_engines_environment_is_scrubbed(home: Home) -> None:
    home.install_starter()
    home.serve(HF_TOKEN="secretvalue", AWS_SECRET_ACCESS_KEY="secretvalue", MY_KEY="secretvalue")
    status = home.client.request("GET", "/v1/status")
    own = Path(f"/proc/{status['pid']}/environ").read_bytes()
    engine = Path(f"/proc/{status['engine_pid']}/environ").read_bytes()
    assert b"secretvalue" in own
    assert b"secretvalue" not in engine
    assert b"LLMSUGGESTD" not in engine


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_engine_has_no_socket(home: Home) -> None:
    home.install_starter()
    home.serve()
    engine = home.client.request("GET", "/v1/status")["engine_pid"]
    links = [str(link.readlink()) for link in Path(f"/proc/{engine}/fd").iterdir()]
    assert not [link for link in links if link.startswith("socket:")]


def test_no_file_can_be_read_by_other_users(home: Home) -> None:
    """This holds for any umask of the user."""
    old = os.umask(0)
    try:
        home.serve(wait=False)
        home.wait_until(lambda status: True)
    finally:
        os.umask(old)
    for path in home.root.rglob("*"):
        assert not stat.S_IMODE(path.lstat().st_mode) & 0o077, path
