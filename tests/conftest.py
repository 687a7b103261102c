"""Fixtures for tests of every level: separate homes, and real daemons in them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from llmsuggestd.client import Client, Refused
from llmsuggestd.errors import NotRunningError
from llmsuggestd.lock import is_held
from llmsuggestd.models import store
from llmsuggestd.paths import Paths
from tests.support.skips import pytest_make_collect_report, pytest_runtest_makereport

__all__ = ["pytest_make_collect_report", "pytest_runtest_makereport"]

DATA = Path(__file__).parent / "data"
COMMAND = (sys.executable, "-P", "-m", "llmsuggestd")

# Undo what the shell may have set, since child processes inherit it: a background job ignores
# SIGINT, and `nohup` ignores SIGHUP.
signal.signal(signal.SIGINT, signal.default_int_handler)
if sys.platform != "win32":
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# a busy machine can stop a process for longer than Hypothesis' time limit per example
hypothesis.settings.register_profile("llmsuggestd", deadline=None)
hypothesis.settings.load_profile("llmsuggestd")


@dataclass
class Home:
    """A separate `$LLMSUGGESTD_HOME`, and the commands that run in it."""

    root: Path
    env: dict[str, str]
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def paths(self) -> Paths:
        """The paths below this home."""
        return Paths(*(self.root / n for n in ("config", "data", "cache", "state", "runtime")))

    @property
    def client(self) -> Client:
        """A client of this home's daemon."""
        return Client(self.paths)

    @property
    def lean_env(self) -> dict[str, str]:
        """The variables with which Lean finds this home's daemon."""
        return {"LLMSUGGESTD_HOME": str(self.root), "LLMSUGGESTD_SOCKET": ""}

    def run(
        self, *arguments: str, input_: str | bytes | None = None, timeout: float = 60, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `llmsuggestd` with these arguments, and wait until it ends."""
        result = subprocess.run(
            [*COMMAND, *arguments],
            input=input_.encode() if isinstance(input_, str) else input_,
            capture_output=True,
            timeout=timeout,
            env=self.env | env,
            check=False,
        )
        return subprocess.CompletedProcess(
            result.args, result.returncode, result.stdout.decode(), result.stderr.decode()
        )

    def install_starter(self) -> None:
        """Put the starter model in place, as `install` does."""
        store.place_starter(self.paths)

    def serve(self, *arguments: str, wait: bool = True, **env: str) -> subprocess.Popen[str]:
        """Run `llmsuggestd serve` in the background. By default, wait until its model is loaded."""
        process = subprocess.Popen(
            [*COMMAND, "serve", *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=self.env | env,
        )
        self.processes.append(process)
        if wait:
            self.wait_until(lambda status: status["state"] in ("ready", "failed"), process)
        return process

    def wait_until(
        self, condition: Any, process: subprocess.Popen[str] | None = None, timeout: float = 60
    ) -> dict[str, Any]:
        """Wait until the daemon's status meets a condition. Returns the status."""
        deadline = time.monotonic() + timeout
        status: dict[str, Any] | None = None
        while time.monotonic() < deadline:
            assert process is None or process.poll() is None, process.communicate()[1]
            try:
                status = self.client.request("GET", "/v1/status")
            except NotRunningError:
                pass
            except Refused as error:  # one daemon is replacing another
                if error.code != "stopping":
                    raise
            else:
                if condition(status):
                    return status
            time.sleep(0.05)
        raise AssertionError(f"the condition was not met; the last status is {status}")

    def curl(self, path: str, *arguments: str, body: object | None = None) -> tuple[int, Any]:
        """Ask the daemon with curl, as the tactic does. Returns the HTTP status and the answer."""
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            arguments = ("-H", "Content-Type: application/json", "--data-binary", "@-", *arguments)
        else:
            data = None
        result = subprocess.run(
            ["curl", "-q", "--silent", "--show-error", "--max-time", "60", "--noproxy", "*",
             "--write-out", "\n%{http_code}", "--unix-socket", str(self.paths.socket),
             *arguments, f"http://localhost{path}"],
            input=data, capture_output=True, check=True, timeout=90,
        )  # fmt: skip
        text, _, code = result.stdout.decode().rpartition("\n")
        return int(code), json.loads(text)

    def close(self) -> None:
        """End every process of this home."""
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
            try:
                process.communicate(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
        if any(is_held(lock) for lock in self.root.rglob("daemon.lock")):
            self.run("stop")


def make_home() -> Iterator[Home]:
    """A home with a short path, since a Unix socket's path must be short."""
    root = Path(tempfile.mkdtemp(prefix="llms-"))
    env = {name: value for name, value in os.environ.items() if not name.startswith("LLMSUGGESTD_")}
    env.pop("PYTHONUNBUFFERED", None)  # output must be buffered until the exit
    env |= {"LLMSUGGESTD_HOME": str(root), "LLMSUGGESTD_PORT": "0"}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    home = Home(root, env)
    try:
        yield home
    finally:
        try:
            home.close()
        finally:
            shutil.rmtree(root)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """An empty home."""
    monkeypatch.delenv("LLMSUGGESTD_SOCKET", raising=False)
    yield from make_home()


@pytest.fixture(scope="module")
def served() -> Iterator[Home]:
    """A home whose daemon serves the starter model, shared by a module's tests."""
    for home in make_home():
        home.install_starter()
        home.serve()
        yield home


@pytest.fixture(scope="module")
def exposed() -> Iterator[Home]:
    """Like `served`, with every compatibility listener."""
    for home in make_home():
        home.install_starter()
        names = ("llmstep", "tutorial", "leancopilot", "llmlean")
        home.serve(*(flag for name in names for flag in ("--compat", f"{name}:0")))
        yield home


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user can enter; `tmp_path` is closed to other users."""
    folder = Path(tempfile.mkdtemp(prefix="llms-public-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def runtime_cases() -> list[dict[str, str]]:
    """Goals and prefixes of real Mathlib proofs (tests/data/README.md)."""
    lines = (DATA / "llmstep-runtime-cases.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
