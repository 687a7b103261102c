"""Homes that are shared by machines and containers, and accounts without a home or other folders.

`identity.machine()` identifies the container of a process. Here, a module that Python imports first
changes its result, so no test needs namespaces or root.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from llmsuggestd import discovery
from llmsuggestd.client import Client
from llmsuggestd.errors import ExitCode
from llmsuggestd.identity import Process
from llmsuggestd.paths import Paths
from tests.conftest import Home
from tests.support.errors import error_of

GOAL = "⊢ 2 = 2"

IN_A_CONTAINER = "from llmsuggestd import identity\nidentity.machine = lambda: 'a container/1'\n"
WITHOUT_AN_ACCOUNT = """
import pwd
def getpwuid(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")
pwd.getpwuid = getpwuid
"""
HOLD = """
import fcntl, sys, time
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
open(sys.argv[1] + ".json", "w").write(sys.argv[3])
lock.write(sys.argv[2])
lock.flush()
print(flush=True)
time.sleep(60)
"""


def running_first(code: str, home: Home, **env: str) -> Home:
    """The same home, for commands that run this code at their start."""
    folder = home.root / "first"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(code)
    return Home(home.root, home.env | {"PYTHONPATH": str(folder)} | env, home.processes)


@pytest.fixture
def account(home: Home) -> Home:
    """The home of an account, with the same folders but without `$LLMSUGGESTD_HOME`."""
    runtime = home.root / "session"
    runtime.mkdir(mode=0o700)
    for name in ("LLMSUGGESTD_HOME", *(n for n in home.env if n.startswith("XDG_"))):
        home.env.pop(name, None)
    home.env |= {"HOME": str(home.root), "XDG_RUNTIME_DIR": str(runtime), "PATH": "/usr/bin:/bin"}
    return home


def paths_of(account: Home, runtime: Path) -> Paths:
    """The paths of the files of an account's daemon."""
    state = account.root / ".local/state/llmsuggestd"
    return Paths(
        config=account.root / ".config/llmsuggestd",
        data=account.root / ".local/share/llmsuggestd",
        cache=account.root / ".cache/llmsuggestd",
        state=state,
        runtime=runtime,
    )


def test_a_daemon_in_a_container_that_shares_the_home_is_asked_to_stop(home: Home) -> None:
    home.install_starter()
    daemon = running_first(IN_A_CONTAINER, home).serve()
    assert home.run("status").returncode == 0
    assert home.run("stop").returncode == 0
    assert daemon.wait(10) == 0


def test_a_daemon_in_a_container_that_hangs_gets_no_signal(home: Home) -> None:
    """On this machine, another process may have its number."""
    home.install_starter()
    daemon = running_first(IN_A_CONTAINER, home).serve()
    daemon.send_signal(signal.SIGSTOP)
    try:
        stopped = home.run("stop")
        assert stopped.returncode == ExitCode.ERROR
        assert f"(pid {daemon.pid} in another container)" in error_of(stopped)
        assert "another container" in error_of(home.run("serve"))
        assert daemon.poll() is None
    finally:
        daemon.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("started", ["1", ""], ids=["given out again", "unknown"])
def test_another_process_with_the_daemons_number_gets_no_signal(home: Home, started: str) -> None:
    home.paths.runtime.mkdir(mode=0o700)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        record = {"pid": stranger.pid, "started": started, "machine": "", "host": ""}
        with subprocess.Popen(
            [
                sys.executable,
                "-c",
                HOLD,
                home.paths.lock_file,
                str(stranger.pid),
                json.dumps(record),
            ],
            stdout=subprocess.PIPE,
        ) as holder:
            assert holder.stdout is not None
            holder.stdout.readline()  # it has the lock
            stopped = home.run("stop")
            assert stopped.returncode == ExitCode.ERROR
            assert "nothing proves" in error_of(stopped)
            assert stranger.poll() is None
            holder.kill()
        stranger.kill()


def test_a_daemon_whose_socket_is_gone_still_counts_as_running(home: Home) -> None:
    """`status`, `start` and `stop` agree, and the remedy works."""
    home.install_starter()
    daemon = home.serve()
    home.paths.socket.unlink()
    home.paths.client_file.unlink()
    for command in ("status", "start"):
        assert f"pid {daemon.pid}" in error_of(home.run(command))
    assert home.run("restart").returncode == 0
    assert daemon.wait(10) == 0
    assert home.run("suggest", GOAL).returncode == 0


def test_a_program_on_the_port_of_a_dead_daemon_does_not_get_the_token(home: Home) -> None:
    home.paths.config.mkdir()
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        stranger.settimeout(0.2)
        dead = discovery.Record(
            **msgspec.structs.asdict(Process.current()) | {"started": "1"},
            socket=None,
            url=f"http://127.0.0.1:{stranger.getsockname()[1]}",
            token_file=str(home.paths.token_file),
        )
        home.paths.client_file.write_bytes(msgspec.json.encode(dead))
        home.paths.state.mkdir()
        home.paths.token_file.write_text("secret")
        assert home.run("suggest", GOAL).returncode == ExitCode.NOT_RUNNING
        with pytest.raises(TimeoutError):
            stranger.accept()


def test_two_machines_with_one_home_each_have_their_own_daemon(account: Home) -> None:
    here, there = account.root / "session", account.root / "there"
    there.mkdir(mode=0o700)
    container = running_first(IN_A_CONTAINER, account, XDG_RUNTIME_DIR=str(there))
    ours = paths_of(account, here / "llmsuggestd")
    theirs = paths_of(account, there / "llmsuggestd")
    first = account.serve(wait=False)
    mine = wait_for(Client(ours), first)
    other = container.serve(wait=False)
    wait_for(Client(theirs), other)
    record = ours.client_file.read_bytes()
    assert json.loads(record)["pid"] == other.pid
    # our daemon answers, although the discovery file names the other one
    for command in (["status", "--json"], ["suggest", GOAL, "--json"]):
        assert account.run(*command).returncode == 0
    assert json.loads(account.run("status", "--json").stdout)["pid"] == mine
    assert f"pid {mine}" in error_of(account.run("start"))
    assert account.run("stop").returncode == 0
    assert first.wait(10) == 0
    assert other.poll() is None
    assert ours.client_file.read_bytes() == record  # we must not remove the other machine's record
    assert account.run("stop").stdout == "llmsuggestd was not running\n"
    assert other.poll() is None


def test_a_machine_that_stops_its_daemon_leaves_the_others_findable(account: Home) -> None:
    here, there = account.root / "session", account.root / "there"
    there.mkdir(mode=0o700)
    container = running_first(IN_A_CONTAINER, account, XDG_RUNTIME_DIR=str(there))
    ours = paths_of(account, here / "llmsuggestd")
    first = account.serve(wait=False)
    mine = wait_for(Client(ours), first)
    record = ours.client_file.read_bytes()
    other = container.serve(wait=False)
    wait_for(Client(paths_of(account, there / "llmsuggestd")), other)
    other.terminate()
    assert other.wait(10) == 0
    assert ours.client_file.read_bytes() == record
    assert json.loads(account.run("status", "--json").stdout)["pid"] == mine


def wait_for(client: Client, process: subprocess.Popen[str]) -> int:
    """Wait until a process's daemon answers. Returns its process number."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        status = client.status()
        if status is not None and status["pid"] == process.pid:
            return process.pid
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    raise AssertionError("it does not answer")


def test_without_a_home_the_command_prints_one_line(account: Home) -> None:
    del account.env["HOME"]
    account = running_first(WITHOUT_AN_ACCOUNT, account)
    for command in ("status", "install", "start", "stop", "doctor", "uninstall", "logs"):
        result = account.run(command)
        assert result.returncode == ExitCode.CONFIG, command
        assert "there is no home" in error_of(result)


def test_with_llmsuggestd_home_no_other_home_is_needed(home: Home) -> None:
    home.env.pop("HOME", None)
    home = running_first(WITHOUT_AN_ACCOUNT, home)
    commands = ("install", "status", "start", "suggest", "stop", "lean", "uninstall")
    arguments = {"suggest": [GOAL], "lean": ["path"]}
    for command in commands:
        result = home.run(command, *arguments.get(command, []))
        assert result.returncode == (3 if command == "status" else 0), result.stderr
    doctor = home.run("doctor", "--json")
    assert doctor.stderr == ""
    assert json.loads(doctor.stdout)


@pytest.mark.parametrize("mode", [0o755, None], ids=["755", "missing"])
def test_without_a_valid_runtime_directory_the_socket_is_beside_the_state(
    account: Home, mode: int | None
) -> None:
    unfit = account.root / "unfit"
    if mode is not None:
        unfit.mkdir(mode)
    account.env["XDG_RUNTIME_DIR"] = str(unfit)
    started = account.run("start", "--json")
    try:
        assert (started.returncode, started.stderr) == (0, "")
        socket = Path(json.loads(started.stdout)["socket"])
        if not Path(f"/run/user/{os.getuid()}").exists():
            assert socket == account.root / ".local/state/llmsuggestd/run/daemon.sock"
        assert socket.parent.stat().st_mode & 0o777 == 0o700
        assert account.run("suggest", GOAL).returncode == 0
    finally:
        assert account.run("stop").returncode == 0
    assert not unfit.exists() or list(unfit.iterdir()) == []


def test_a_tilde_in_the_settings_is_the_home(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.install_starter()
    home.env["HOME"] = str(home.root)
    home.paths.config.mkdir(exist_ok=True)
    home.paths.config_file.write_text('socket = "~/mine/x.sock"\n')
    assert home.run("start").returncode == 0
    assert (home.root / "mine/x.sock").is_socket()
    assert home.run("suggest", GOAL, LLMSUGGESTD_SOCKET="~/mine/x.sock").returncode == 0
    home.paths.client_file.unlink()  # the settings name the socket, too
    assert home.run("suggest", GOAL).returncode == 0
    assert home.run("stop").returncode == 0
    assert not list(home.root.rglob("~*"))
    home.paths.config_file.write_text('socket = "~nobody-of-that-name/x.sock"\n')
    assert "config.toml:1: `socket`: there is no user" in error_of(home.run("serve"))


def test_a_home_whose_path_is_too_long_for_a_socket_has_the_port(home: Home) -> None:
    deep = Home(home.root / ("x" * 110), home.env)
    deep.env = home.env | {"LLMSUGGESTD_HOME": str(deep.root)}
    started = deep.run("start")
    try:
        assert started.returncode == 0, started.stderr
        assert "  port    http://127.0.0.1:" in started.stdout
        assert json.loads(deep.paths.client_file.read_text())["socket"] is None
        assert deep.run("suggest", GOAL).returncode == 0
    finally:
        assert "has stopped" in deep.run("stop").stdout
