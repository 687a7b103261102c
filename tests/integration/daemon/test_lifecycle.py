"""Starting and stopping a daemon, and the errors of both."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from llmsuggestd.cli import start
from llmsuggestd.config import DEFAULT_PORT
from llmsuggestd.daemon import server
from llmsuggestd.engine import kernels
from llmsuggestd.errors import ConfigError, ExitCode
from llmsuggestd.models import store
from tests.conftest import COMMAND, Home
from tests.support.errors import error_of

GOAL = "⊢ 2 = 2"


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    "arguments", [["instal"], ["install", "--foo"], ["suggest"], ["install", "--accelerator", "x"]]
)
def test_a_wrong_command_line_has_an_error_like_all_others(
    arguments: list[str], home: Home
) -> None:
    result = home.run(*arguments)
    assert result.returncode == ExitCode.USAGE
    error_of(result)
    assert "--help" in result.stderr


def test_without_a_command_the_help_is_printed(home: Home) -> None:
    assert "Usage: llmsuggestd" in home.run().stderr


def test_install_start_suggest_stop(home: Home) -> None:
    assert home.run("install").returncode == 0
    started = home.run("start", "--json")
    assert started.returncode == 0, started.stderr
    status = json.loads(started.stdout)
    assert status["state"] == "ready"
    assert home.run("suggest", GOAL).returncode == 0
    shown = home.run("status")
    assert shown.returncode == 0
    assert "ready" in shown.stdout
    assert home.run("stop").returncode == 0
    assert not is_running(status["pid"])
    assert not is_running(status["engine_pid"])
    assert not home.paths.socket.exists()
    assert not home.paths.client_file.exists()
    assert "not running" in home.run("stop").stdout


@pytest.mark.skipif(bool(kernels.why_not()), reason=kernels.why_not())
def test_the_instruction_set_is_limited_by_a_variable_and_shown(home: Home) -> None:
    started = home.run("start", "--json", LLMSUGGESTD_INSTRUCTIONS="avx2")
    assert json.loads(started.stdout)["instructions"] == "avx2"
    assert "kernels  own (avx2)\n" in home.run("status").stdout
    assert "our own (avx2) for Q4_K" in home.run("doctor", LLMSUGGESTD_INSTRUCTIONS="avx2").stdout
    assert home.run("stop").returncode == 0


def test_without_a_daemon_every_command_prints_the_same_error(home: Home) -> None:
    for arguments in (["status"], ["suggest", GOAL]):
        result = home.run(*arguments)
        assert result.returncode == ExitCode.NOT_RUNNING
        assert "does not run" in error_of(result)
        assert "llmsuggestd start" in result.stderr
    answer = json.loads(home.run("status", "--json").stdout)
    assert answer["state"] == "stopped"


@pytest.mark.parametrize("record", ["{}", "[]", '{"socket": 1, "url": 2, "token_file": 3}', "\xff"])
def test_an_invalid_discovery_file(home: Home, record: str) -> None:
    home.install_starter()
    home.paths.config.mkdir(exist_ok=True)
    home.paths.client_file.write_text(record, encoding="latin-1")
    result = home.run("status")
    assert result.returncode == ExitCode.NOT_RUNNING
    error_of(result)
    assert home.run("restart").returncode == 0
    assert home.run("status").returncode == 0
    home.run("stop")


@pytest.mark.parametrize("body", ["[]", "null", '{"error": "no"}', '{"error": {"code": 1}}', "<p>"])
def test_another_program_in_the_daemons_place(home: Home, body: str) -> None:
    path = home.root / "other.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(10_000)
                head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
                connection.sendall((head + body).encode())

        thread = threading.Thread(target=answer)
        thread.start()
        result = home.run("status", LLMSUGGESTD_SOCKET=str(path))
        thread.join()
    assert result.returncode == ExitCode.NOT_RUNNING
    error_of(result)


def test_relative_paths_start_at_the_callers_folder(home: Home) -> None:
    home.install_starter()
    name = home.root.name
    relative = Home(
        home.root,
        home.env | {"LLMSUGGESTD_HOME": name, "LLMSUGGESTD_SOCKET": f"{name}/s"},
    )
    with contextlib.chdir(home.root.parent):
        started = relative.run("start")
        try:
            assert started.returncode == 0, started.stderr
            assert relative.run("suggest", GOAL).returncode == 0
        finally:
            assert "has stopped" in relative.run("stop").stdout


def test_another_homes_daemon_is_not_stopped(home: Home) -> None:
    home.install_starter()
    home.serve()
    (home.root / "another").mkdir()
    other = Home(home.root / "another", home.env | {"LLMSUGGESTD_HOME": f"{home.root}/another"})
    other.install_starter()
    process = other.serve()
    socket_of_first = str(home.paths.socket)
    refused = other.run("start", LLMSUGGESTD_SOCKET=socket_of_first)
    assert refused.returncode == ExitCode.CONFIG
    assert "LLMSUGGESTD_SOCKET names the socket of another daemon" in error_of(refused)
    stopped = other.run("stop", LLMSUGGESTD_SOCKET=socket_of_first)
    assert stopped.returncode == 0
    assert "force" not in stopped.stdout
    assert process.wait(timeout=15) == 0
    other.paths.config_file.write_text(f'socket = "{socket_of_first}"\n')
    refused = other.run("start")
    assert refused.returncode == ExitCode.CONFIG
    assert "`socket` in config.toml names the socket of another daemon" in error_of(refused)
    assert home.curl("/health")[0] == 200


def test_the_log_is_shown(home: Home) -> None:
    no_log = home.run("logs")
    assert no_log.returncode == ExitCode.ERROR
    assert "there is no log yet" in error_of(no_log)
    home.paths.state.mkdir()
    home.paths.log_file.write_text("".join(f"line {n}\n" for n in range(100)))
    assert home.run("logs").stdout.splitlines() == [f"line {n}" for n in range(50, 100)]
    assert home.run("logs", "-n", "2").stdout == "line 98\nline 99\n"
    home.paths.log_file.unlink()
    home.paths.log_file.mkdir()
    in_its_place = home.run("logs")
    assert in_its_place.returncode == ExitCode.ERROR
    assert "is a folder" in error_of(in_its_place)


def test_the_log_is_followed(home: Home) -> None:
    home.paths.state.mkdir()
    home.paths.log_file.write_text("old\n")
    with subprocess.Popen(
        [*COMMAND, "logs", "--follow"], env=home.env, stdout=subprocess.PIPE, text=True
    ) as following:
        assert following.stdout is not None
        try:
            assert following.stdout.readline() == "old\n"
            with home.paths.log_file.open("a") as log:
                log.write("new\n")
            assert following.stdout.readline() == "new\n"
        finally:
            following.kill()


def test_a_slow_start_reports_the_daemons_state(capsys: pytest.CaptureFixture[str]) -> None:
    model = {"id": "big", "description": None}
    start.report(
        {"pid": 7, "state": "loading", "model": model, "device": None, "threads": None,
         "socket": "/s"},
        None, as_json=False,
    )  # fmt: skip
    shown = capsys.readouterr().out
    assert "big: still being loaded" in shown
    assert "None" not in shown


def test_a_second_daemon_is_refused(home: Home) -> None:
    home.install_starter()
    first = home.serve()
    result = home.run("serve")
    assert result.returncode == ExitCode.ALREADY_RUNNING
    assert str(first.pid) in error_of(result)
    assert home.run("start").returncode == ExitCode.ALREADY_RUNNING
    assert home.curl("/health")[0] == 200


def test_the_files_of_a_killed_daemon_are_replaced(home: Home) -> None:
    home.install_starter()
    first = home.serve()
    engine = home.client.request("GET", "/v1/status")["engine_pid"]
    first.kill()
    first.wait()
    deadline = time.monotonic() + 10
    while is_running(engine) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(engine)
    assert home.paths.socket.exists()
    result = home.run("status")
    assert result.returncode == ExitCode.NOT_RUNNING
    error_of(result)
    home.serve()
    assert home.curl("/v1/suggest", body={"goal": GOAL})[0] == 200


def test_the_socket_and_its_neighbours_are_private(home: Home) -> None:
    home.install_starter()
    home.paths.runtime.mkdir()
    home.paths.runtime.chmod(0o755)
    home.serve()
    for path, mode in [
        (home.paths.socket, 0o600),
        (home.paths.runtime, 0o700),
        (home.paths.token_file, 0o600),
        (home.paths.client_file, 0o600),
    ]:
        assert stat.S_IMODE(path.stat().st_mode) == mode, path
    record = json.loads(home.paths.client_file.read_text())
    assert record["socket"] == str(home.paths.socket)
    assert record["token_file"] == str(home.paths.token_file)
    assert record["url"].startswith("http://127.0.0.1:")


def test_a_restart_with_wrong_settings_stops_nothing(home: Home) -> None:
    home.install_starter()
    assert "ready" in home.run("restart", "--json").stdout  # it starts a daemon that does not run
    home.paths.config_file.write_text("thread = 2\n")
    result = home.run("restart")
    assert result.returncode == ExitCode.CONFIG
    assert "no setting `thread`" in error_of(result)
    assert home.run("suggest", GOAL).returncode == 0
    del home.env["LLMSUGGESTD_PORT"]  # it would overrule the file
    # settings of a valid form that the daemon cannot follow
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for line, words in {
            f"port = {port}": f"port {port} is used by another program",
            f'compat = ["llmstep:{port}"]': f"port {port} is used by another program",
            'socket = "/tmp/x.sock"': "the socket cannot be /tmp/x.sock: the directory /tmp",
        }.items():
            home.paths.config_file.write_text(f"{line}\n")
            result = home.run("restart")
            assert result.returncode == ExitCode.CONFIG
            assert words in error_of(result)
            assert home.run("suggest", GOAL).returncode == 0
    private = home.paths.runtime / "x.sock"
    private.write_text("not a socket")
    with socket.socket(socket.AF_UNIX) as another:
        another.bind(str(home.paths.runtime / "y.sock"))
        another.listen()
        for name, words in {"x": "is not a socket", "y": "another program listens on"}.items():
            home.paths.config_file.write_text(f'socket = "{home.paths.runtime / name}.sock"\n')
            result = home.run("restart")
            assert result.returncode == ExitCode.CONFIG
            assert words in error_of(result)
            home.paths.config_file.write_text("")
            assert home.run("suggest", GOAL).returncode == 0
    assert private.exists()
    # the port that the daemon has itself is no obstacle
    own = home.client.request("GET", "/v1/status")["url"].rpartition(":")[2]
    home.paths.config_file.write_text(f"port = {own}\n")
    assert home.run("restart").returncode == 0
    assert home.run("restart").returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGSTOP")
def test_a_daemon_that_hangs_with_its_port_is_restarted(home: Home) -> None:
    home.install_starter()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        home.env["LLMSUGGESTD_PORT"] = str(free.getsockname()[1])
    process = home.serve()
    process.send_signal(signal.SIGSTOP)
    result = home.run("restart", timeout=60)
    assert result.returncode == 0, result.stderr
    assert home.run("suggest", GOAL).returncode == 0


def test_a_port_that_is_taken(home: Home) -> None:
    home.install_starter()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for arguments in (["serve", "--port", port], ["start"]):
            result = home.run(*arguments, LLMSUGGESTD_PORT=port)
            assert result.returncode == ExitCode.CONFIG
            assert f"port {port} is used by another program" in error_of(result)
    assert not home.paths.socket.exists()


def test_if_the_default_port_is_taken_a_free_one_is_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(server, "DEFAULT_PORT", port)
        listener = server.own_port(port)
        assert listener is not None
        with listener:
            other = listener.getsockname()[1]
    assert other != port
    assert f"port {port} is used by another program: taking port {other}" in caplog.text


def test_in_a_sandbox_without_ports_the_socket_suffices(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*_: object) -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", refused)
    assert server.own_port(DEFAULT_PORT, needed=False) is None
    assert "clients use the socket" in caplog.text
    with pytest.raises(ConfigError, match="not supported"):
        server.own_port(DEFAULT_PORT)


def test_a_log_that_cannot_be_written(home: Home) -> None:
    home.install_starter()
    home.paths.log_file.mkdir(parents=True)
    result = home.run("start")
    assert result.returncode == ExitCode.CONFIG
    assert "cannot write the log" in error_of(result)


def test_a_socket_path_that_is_too_long(home: Home) -> None:
    path = str(home.root / ("x" * 120) / "daemon.sock")
    result = home.run("serve", "--socket", path)
    assert result.returncode == ExitCode.CONFIG
    assert "too long" in error_of(result)


def test_another_programs_live_socket_is_not_taken(home: Home) -> None:
    home.paths.runtime.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(home.paths.socket))
        other.listen()
        result = home.run("serve")
        assert result.returncode == ExitCode.CONFIG
        assert "another program listens" in error_of(result)
        assert home.paths.socket.exists()


def test_a_file_in_the_sockets_place_is_not_removed(home: Home) -> None:
    home.paths.runtime.mkdir(mode=0o700)
    home.paths.socket.write_text("precious")
    result = home.run("serve")
    assert result.returncode == ExitCode.CONFIG
    assert "is not a socket" in error_of(result)
    assert home.paths.socket.read_text() == "precious"


def test_a_socket_in_a_shared_directory_is_refused(home: Home) -> None:
    result = home.run("serve", "--socket", "/tmp/llmsuggestd-test.sock")
    assert result.returncode == ExitCode.CONFIG
    assert "the directory /tmp is open to other users" in error_of(result)


def test_a_socket_in_a_directory_open_to_others_is_refused(home: Home) -> None:
    shared = home.root / "shared"
    shared.mkdir()
    shared.chmod(0o755)
    result = home.run("serve", "--socket", str(shared / "s"))
    assert result.returncode == ExitCode.CONFIG
    assert "open to other users" in error_of(result)


def test_the_variable_moves_the_socket_for_daemon_and_clients(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.install_starter()
    path = home.root / "own.sock"
    home.root.chmod(0o700)
    home.env["LLMSUGGESTD_SOCKET"] = str(path)
    monkeypatch.setenv("LLMSUGGESTD_SOCKET", str(path))
    home.serve()
    assert path.exists()
    home.paths.client_file.unlink()
    assert home.run("suggest", GOAL).returncode == 0


def test_start_before_install(home: Home) -> None:
    asked = home.run("suggest", GOAL)
    assert asked.returncode == ExitCode.NOT_RUNNING
    assert asked.stderr.endswith("  → start it with `llmsuggestd start`\n")
    started = home.run("start")  # the remedy works
    assert started.returncode == 0, started.stderr
    assert home.run("suggest", GOAL).returncode == 0


def test_no_model_at_all(home: Home) -> None:
    home.paths.models.mkdir(parents=True)
    home.paths.config.mkdir()
    home.paths.config_file.write_text('model = "absent"\n')
    started = home.run("start")
    assert started.returncode == ExitCode.MODEL
    assert "'absent' is not installed" in started.stderr
    assert "llmsuggestd install" in started.stderr
    code, answer = home.curl("/v1/suggest", body={"goal": GOAL})
    assert code == 503
    assert "not installed" in answer["error"]["message"]
    assert home.curl("/ready")[0] == 503
    assert home.curl("/health")[0] == 200
    assert home.run("suggest", GOAL).returncode == ExitCode.MODEL
    assert home.run("status").returncode == ExitCode.MODEL
    # and the remedy that is named works
    assert home.run("install").returncode == 0
    assert home.run("models", "use", "starter").returncode == 0
    assert home.run("suggest", GOAL).returncode == 0


def test_a_truncated_model(home: Home) -> None:
    home.paths.models.mkdir(parents=True)
    data = store.SHIPPED.read_bytes()
    (home.paths.models / "starter.gguf").write_bytes(data[: len(data) // 2])
    home.serve()
    code, answer = home.curl("/v1/suggest", body={"goal": GOAL})
    assert code == 503
    assert answer["error"]["code"] == "model_failed"
    assert "corrupted or incomplete" in answer["error"]["message"]
    assert home.curl("/health")[0] == 200
    doctor = home.run("doctor", "--json")
    assert doctor.returncode == ExitCode.ERROR
    model = next(f for f in json.loads(doctor.stdout) if f["part"] == "model")
    assert model["level"] == "failed"
    # and the remedy that is named works
    said = home.run("install")
    assert said.returncode == 0, said.stderr
    assert "Next:\n  llmsuggestd status\n" in said.stdout
    assert home.curl("/v1/suggest", body={"goal": GOAL})[0] == 200


def test_a_file_that_is_no_model(home: Home) -> None:
    home.paths.models.mkdir(parents=True)
    (home.paths.models / "starter.gguf").write_text("not a GGUF file")
    home.serve()
    code, answer = home.curl("/v1/suggest", body={"goal": GOAL})
    assert code == 503
    assert answer["error"]["code"] == "model_failed"


def test_an_engine_that_is_killed_comes_back(home: Home) -> None:
    home.install_starter()
    home.serve()
    for _ in range(4):  # more than three crashes, but each after a good answer
        engine = home.client.request("GET", "/v1/status")["engine_pid"]
        os.kill(engine, signal.SIGKILL)
        # the death may be noticed before the request or during it
        code, answer = home.curl("/v1/suggest", body={"goal": GOAL, "mode": "sample"})
        if code == 503:
            assert "engine died" in answer["error"]["message"]
            code, answer = home.curl("/v1/suggest", body={"goal": GOAL, "mode": "sample"})
        assert code == 200, answer
        assert home.client.request("GET", "/v1/status")["engine_pid"] != engine


def test_ctrl_c_ends_the_daemon_cleanly(home: Home) -> None:
    home.install_starter()
    process = home.serve()
    engine = home.client.request("GET", "/v1/status")["engine_pid"]
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert not is_running(engine)
    assert not home.paths.socket.exists()


def test_the_daemon_is_small(home: Home) -> None:
    home.install_starter()
    process = home.serve()
    for n in range(1, 20):
        home.curl("/v1/suggest", body={"goal": GOAL, "n": n})
    status = Path(f"/proc/{process.pid}/status").read_text()
    kilobytes = int(next(x for x in status.splitlines() if x.startswith("VmHWM")).split()[1])
    assert kilobytes < 60_000  # docs/architecture.md says 50 MB; other systems may need more


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot change its program there")
def test_an_upgrade_under_a_running_daemon(home: Home, tmp_path: Path) -> None:
    """The process stays and runs the new version, and the Lean package is renewed."""
    home.run("install")
    record = tmp_path / "llmsuggestd-1.dist-info" / "RECORD"
    record.parent.mkdir()
    record.with_name("METADATA").write_text("Name: llmsuggestd\nVersion: 1\n")
    record.write_text("of the old version")
    (tmp_path / "sitecustomize.py").write_text(
        "import llmsuggestd.version\n"
        "from pathlib import Path\n"
        f"if Path({str(record)!r}).read_text() != 'of the old version':\n"
        "    llmsuggestd.version.__version__ = '99.0'\n"
        "from llmsuggestd.daemon import upgrade\n"
        "upgrade.INTERVAL = 0.2\n"
    )
    # a PYTHONPATH without our package is not used
    root = Path(__file__).parents[3]
    daemon = home.serve(PYTHONPATH=os.pathsep.join([str(tmp_path), str(root)]))
    before = home.client.request("GET", "/v1/status")
    package = home.paths.data / "lean" / "LlmSuggest.lean"
    package.write_text("of the old version")
    record.write_text("of the new version")
    after = home.wait_until(
        lambda status: status["version"] == "99.0" and status["state"] == "ready", daemon
    )
    assert after["pid"] == before["pid"] == daemon.pid
    assert home.run("suggest", GOAL).returncode == 0
    assert "import LlmSuggest.Tactic" in package.read_text()
    assert home.run("stop").returncode == 0
    assert daemon.wait(15) == 0
