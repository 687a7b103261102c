"""Concurrent starts, stops under load, full disks, and systemd."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from llmsuggestd import control
from llmsuggestd.daemon.listeners import MAX_CONNECTIONS
from llmsuggestd.errors import ExitCode
from tests.conftest import COMMAND, Home
from tests.support import raw

GOAL = {"goal": "⊢ 2 = 2"}


@pytest.mark.parametrize("command", [["serve"], ["start", "--json"]])
def test_ten_starts_at_once(home: Home, command: list[str]) -> None:
    home.install_starter()
    processes = [
        subprocess.Popen(
            [*COMMAND, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=home.env,
        )
        for _ in range(10)
    ]  # fmt: skip
    home.wait_until(lambda status: status["state"] == "ready")
    pid = home.client.request("GET", "/v1/status")["pid"]
    deadline = time.monotonic() + 30
    while sum(p.poll() is None for p in processes) > (command == ["serve"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    refused = [p for p in processes if p.poll() == ExitCode.ALREADY_RUNNING]
    (winner,) = [p for p in processes if p not in refused]
    for process in refused:
        message, hint = process.communicate()[1].splitlines()[-2:]
        assert message.endswith(f" daemon runs already (pid {pid})")
        assert hint.startswith("  → `llmsuggestd ")
    if command == ["serve"]:
        assert winner.pid == pid
        winner.terminate()
        winner.communicate(timeout=15)
    else:
        assert winner.returncode == 0
        assert json.loads(winner.communicate()[0])["pid"] == pid


def test_a_stop_under_load_truncates_no_answer(home: Home) -> None:
    """Each request gets a complete answer, 200 or 503, or was never accepted."""
    home.install_starter()
    process = home.serve()
    results: list[tuple[int, bytes]] = []
    began = threading.Barrier(13)

    def ask(number: int) -> None:
        sock = raw.connect(home, "socket")
        began.wait()
        for asked in range(100):
            body = {"goal": f"⊢ {number} = {asked}" + " ∧ p" * 200, "n": 16, "mode": "sample"}
            with sock:
                try:
                    sock.sendall(raw.post("/v1/suggest", body))
                    status, headers, content = raw.answer(sock)
                except OSError:
                    return  # the connection was no longer accepted
            if status == 0:
                return
            assert len(content) == int(headers["content-length"])
            json.loads(content)
            results.append((status, content))
            try:
                sock = raw.connect(home, "socket")
            except Exception:
                return

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    began.wait()
    home.wait_until(lambda status: status["queue"] >= 8)
    time.sleep(0.3)
    stopped = time.monotonic()
    process.terminate()
    assert process.wait(10) == 0
    assert time.monotonic() - stopped < control.STOP_TIMEOUT
    for thread in threads:
        thread.join()
    assert {status for status, _ in results} <= {200, 503}
    # every waiting request was answered
    assert len(results) >= 12
    assert all(
        json.loads(content)["error"]["code"] == "stopping"
        for status, content in results if status == 503
    )  # fmt: skip


@pytest.mark.parametrize("door", ["socket", "port"])
def test_a_burst_of_connections(home: Home, door: str) -> None:
    """The system hands them to the daemon before it has seen the first."""
    home.install_starter()
    home.serve()
    port = raw.port(home)
    with contextlib.ExitStack() as stack:
        burst = []
        for _ in range(2 * MAX_CONNECTIONS):
            kind = socket.AF_UNIX if door == "socket" else socket.AF_INET
            sock = stack.enter_context(socket.socket(kind))
            sock.connect(str(home.paths.socket) if door == "socket" else ("127.0.0.1", port))
            sock.settimeout(60)
            burst.append(sock)
        statuses = []
        for sock in burst:
            with contextlib.suppress(OSError):  # it was refused before it asked
                sock.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            statuses.append(raw.answer(sock)[0])
    assert statuses.count(200) == MAX_CONNECTIONS
    assert statuses.count(503) == MAX_CONNECTIONS
    assert home.curl("/health")[0] == 200


def test_requests_in_flight_finish(home: Home) -> None:
    home.install_starter()
    process = home.serve()
    answers: list[tuple[int, Any]] = []

    def ask() -> None:
        # some tenths of a second, of the 2.5 s that a stopping daemon allows
        body = {"goal": "⊢ p" + " ∧ p" * 100, "n": 8, "max_tokens": 32}
        answers.append(home.curl("/v1/suggest", body=body))

    thread = threading.Thread(target=ask)
    thread.start()
    home.wait_until(lambda status: status["queue"] == 1)
    process.terminate()
    thread.join()
    assert process.wait(10) == 0
    assert [code for code, _ in answers] == [200]


def test_a_stop_in_the_middle_of_a_switch(home: Home) -> None:
    home.install_starter()
    process = home.serve()
    (home.paths.models / "other.gguf").symlink_to(home.paths.models / "starter.gguf")
    answers: list[tuple[int, Any]] = []

    def switch() -> None:
        answers.append(home.curl("/v1/model", "-X", "PUT", body={"id": "other"}))

    thread = threading.Thread(target=switch)
    thread.start()
    home.wait_until(lambda status: status["switching_to"] or status["model"]["id"] == "other")
    began = time.monotonic()
    process.terminate()
    thread.join()
    assert process.wait(10) == 0
    assert time.monotonic() - began < control.STOP_TIMEOUT
    assert answers[0][0] in (200, 503)


def no_room() -> None:
    """Make every write to a file fail, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


def test_a_full_disk(home: Home) -> None:
    """No token, discovery file, log or lock's pid can be written, but suggestions continue."""
    home.install_starter()
    for directory in home.paths.directories():
        directory.mkdir(exist_ok=True, parents=True)
    with home.paths.log_file.open("wb") as log:
        process = subprocess.Popen(
            [*COMMAND, "serve"], stdout=log, stderr=log, env=home.env, preexec_fn=no_room
        )
    try:
        home.wait_until(lambda status: status["state"] == "ready")
        assert not home.paths.client_file.exists()
        assert not list(home.root.rglob("*.partial"))
        assert home.curl("/v1/suggest", body=GOAL)[0] == 200
        assert home.run("suggest", "⊢ 2 = 2").returncode == 0  # it tries the usual place
        assert home.run("serve").returncode == ExitCode.ALREADY_RUNNING
        assert home.run("stop").returncode == 0
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


def test_a_full_disk_keeps_the_settings(home: Home) -> None:
    home.install_starter()
    home.paths.config.mkdir()
    home.paths.config_file.write_text('threads = 1\nmodel = "old"\n')
    result = subprocess.run(
        [*COMMAND, "models", "use", "starter"], capture_output=True, text=True, check=False,
        env=home.env, preexec_fn=no_room, timeout=30,
    )  # fmt: skip
    assert result.returncode == ExitCode.CONFIG
    assert "cannot write" in result.stderr
    assert home.paths.config_file.read_text() == 'threads = 1\nmodel = "old"\n'
    assert [path.name for path in home.paths.config.iterdir()] == ["config.toml"]


def test_a_background_daemon_logs_to_its_own_private_file(home: Home) -> None:
    home.install_starter()
    assert home.run("start").returncode == 0
    assert "serving on" in home.run("logs").stdout
    assert home.paths.log_file.stat().st_mode & 0o077 == 0


class Manager:
    """The socket on which systemd gets its services' notifications."""

    def __init__(self, path: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.settimeout(20)
        self.sock.bind(path)

    def hear(self) -> str:
        return self.sock.recv(4096).decode()


@pytest.mark.skipif(sys.platform != "linux", reason="systemd")
@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_notified(home: Home, abstract: bool) -> None:
    home.install_starter()
    name = f"{home.root}/notify"
    manager = Manager(f"\0{name}" if abstract else name)
    with contextlib.closing(manager.sock):
        process = home.serve(NOTIFY_SOCKET=f"@{name}" if abstract else name)
        assert manager.hear().splitlines()[0] == "READY=1"
        process.send_signal(1)
        reloading = manager.hear().splitlines()
        assert reloading[0] == "RELOADING=1"
        assert reloading[1].startswith("MONOTONIC_USEC=")
        assert manager.hear() == "READY=1"
        process.terminate()
        assert manager.hear() == "STOPPING=1"
        assert process.wait(10) == 0


def activated(home: Home, listener: socket.socket) -> subprocess.Popen[str]:
    """Run a daemon with a listening socket from systemd: descriptor 3, and two variables."""
    script = (
        "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid()); os.execv(*eval(sys.argv[1]))"
    )
    command = repr((sys.executable, [*COMMAND, "serve"]))
    number = listener.fileno()

    def hand_over() -> None:
        os.dup2(number, 3)
        os.set_inheritable(3, True)

    process = subprocess.Popen(
        [sys.executable, "-c", script, command], env=home.env | {"LISTEN_FDS": "1"},
        stderr=subprocess.PIPE, text=True, preexec_fn=hand_over, close_fds=False,
    )  # fmt: skip
    home.processes.append(process)
    return process


@pytest.mark.skipif(sys.platform != "linux", reason="systemd")
def test_socket_activation(home: Home) -> None:
    home.install_starter()
    path = home.root / "activation" / "s"
    path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen()
        process = activated(home, listener)
        status = home.wait_until(lambda status: status["state"] == "ready", process)
        assert status["socket"] == str(path)
        assert json.loads(home.paths.client_file.read_text())["socket"] == str(path)
        assert not home.paths.socket.exists()
        engine = Path(f"/proc/{status['engine_pid']}/fd").iterdir()
        assert not [link for link in engine if str(link.readlink()).startswith("socket:")]
        process.terminate()
        assert process.wait(10) == 0
        assert path.exists()  # it belongs to systemd


@pytest.mark.skipif(sys.platform != "linux", reason="systemd")
def test_an_open_socket_from_systemd_is_refused(home: Home) -> None:
    path = home.root / "s"
    home.root.chmod(0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen()
        process = activated(home, listener)
        assert process.wait(20) == ExitCode.CONFIG
        assert "open to other users" in process.communicate()[1]
    with socket.create_server(("0.0.0.0", 0)) as listener:
        process = activated(home, listener)
        assert process.wait(20) == ExitCode.CONFIG
        assert "listens on 0.0.0.0" in process.communicate()[1]
