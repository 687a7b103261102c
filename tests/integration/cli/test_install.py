"""`install`, `uninstall` and `doctor`, in an empty home."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llmsuggestd.models import store
from tests.conftest import Home


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


def test_a_dry_run_names_everything_and_writes_nothing(home: Home) -> None:
    result = home.run("install", "--dry-run")
    assert result.returncode == 0, result.stderr
    assert list(home.root.iterdir()) == []
    for path in [*home.paths.directories(), store.starter_path(home.paths)]:
        assert str(path) in result.stdout


def test_install_prints_its_steps_and_the_next_command(home: Home) -> None:
    result = home.run("install")
    assert result.returncode == 0, result.stderr
    lean = home.paths.data / "lean"
    made = {str(home.root / name) for name in files(home.root)}
    others = {name for name in made if not name.startswith(f"{lean}/")}
    assert others == {str(store.starter_path(home.paths)), str(home.paths.data / "install.json")}
    assert all(name in result.stdout for name in {*others, str(lean)})
    assert store.starter_path(home.paths).read_bytes() == store.SHIPPED.read_bytes()
    assert "llmsuggestd start" in result.stdout
    assert "llmsuggestd lean add" in result.stdout
    assert home.run("lean", "path").stdout == f"{lean}\n"
    assert str(lean) in json.loads(home.run("install", "--json").stdout)["lean_require"]
    assert (lean / "lakefile.toml").is_file()
    assert (lean / "LlmSuggest.lean").is_file()


def test_a_second_install_changes_nothing(home: Home) -> None:
    home.run("install")
    before = store.starter_path(home.paths).stat().st_mtime_ns
    again = json.loads(home.run("install", "--json").stdout)
    assert not any(step["changed"] for step in again["steps"])
    assert store.starter_path(home.paths).stat().st_mtime_ns == before


def test_install_replaces_a_damaged_model(home: Home) -> None:
    home.run("install")
    target = store.starter_path(home.paths)
    data = bytearray(target.read_bytes())
    data[len(data) // 2] ^= 1
    target.write_bytes(data)
    home.run("install")
    assert target.read_bytes() == store.SHIPPED.read_bytes()


def test_install_where_nothing_can_be_written(home: Home) -> None:
    (home.root / "data").write_text("a file in the way")
    result = home.run("install")
    assert result.returncode == 4
    assert result.stderr.startswith("llmsuggestd: cannot make the directory")
    assert "Traceback" not in result.stderr


def test_uninstall_keeps_models_and_purge_keeps_nothing(home: Home) -> None:
    home.run("install")
    assert home.run("start").returncode == 0
    home.paths.config_file.write_text("threads = 1\n")
    own = home.paths.models / "own.gguf"
    own.write_bytes(b"mine")
    result = home.run("uninstall")
    assert result.returncode == 0, result.stderr
    assert files(home.root) == {
        "config/config.toml",
        "data/install.json",  # the directories that --purge may remove
        "data/models/own.gguf",
        "data/models/starter.gguf",
    }
    assert home.run("status").returncode == 3
    assert home.run("uninstall", "--purge").returncode == 0
    assert list(home.root.iterdir()) == []


def test_every_file_that_we_write_is_removed(home: Home) -> None:
    """All files in docs/reference/config.md, left by a killed daemon and a killed tray."""
    home.run("install")
    for name in [
        *("config/config.toml", "config/client.json", "data/models/own.gguf"),
        *("data/lean/LlmSuggest.lean", "data/downloads/owner--name/model.safetensors"),
        *("state/token", "state/tray.log", "state/tray.log.1", "state/build.log"),
        *("state/daemon.log", *(f"state/daemon.log.{n}" for n in (1, 2, 3)), "state/engine.json"),
        *("data/builds/vulkan-0.3.36/llama.so", "cache/of-a-command/answers.json"),
        *("runtime/daemon.sock", "runtime/daemon.lock", "runtime/tray.lock", "runtime/tray/i.png"),
    ]:
        (home.root / name).parent.mkdir(parents=True, exist_ok=True)
        (home.root / name).touch()
    assert home.run("uninstall").returncode == 0
    assert files(home.root) == {
        "cache/of-a-command/answers.json",
        "config/config.toml",
        "data/downloads/owner--name/model.safetensors",
        "data/install.json",
        "data/models/own.gguf",
        "data/models/starter.gguf",
    }
    assert home.run("uninstall", "--purge").returncode == 0
    assert list(home.root.iterdir()) == []


def test_the_tray_is_ended_before_its_files_are_removed(home: Home) -> None:
    home.run("install")
    holds = (
        "import sys, time; from pathlib import Path; from llmsuggestd.lock import only_one\n"
        "with only_one(Path(sys.argv[1]), Exception): print(flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holds, str(home.paths.tray_lock_file)], stdout=subprocess.PIPE
    ) as tray:
        assert tray.stdout is not None
        tray.stdout.readline()  # it has the lock
        assert home.run("uninstall", "--purge").returncode == 0
        assert tray.wait(10) == -signal.SIGTERM
    assert list(home.root.iterdir()) == []


def test_of_folders_that_are_links_only_the_links_are_removed(home: Home) -> None:
    home.run("install")
    disk = home.root / "big-disk"
    for folder in (home.paths.models, home.paths.cache):
        (disk / folder.name).parent.mkdir(exist_ok=True)
        folder.rename(disk / folder.name)
        folder.symlink_to(disk / folder.name)
    own = disk / "models" / "own.gguf"
    own.write_bytes(b"mine")
    result = home.run("uninstall", "--purge")
    assert result.returncode == 0, result.stderr
    assert files(home.root) == {"big-disk/models/own.gguf"}
    assert list(home.root.iterdir()) == [disk]


def test_a_file_that_cannot_be_removed_is_named_and_the_rest_is_removed(home: Home) -> None:
    home.run("install")
    home.paths.token_file.mkdir()  # a folder in place of the file
    result = home.run("uninstall", "--purge")
    assert result.returncode == 1
    message, hint = result.stderr.splitlines()
    assert message == f"llmsuggestd: could not remove {home.paths.token_file}"
    assert hint.startswith("  → ")
    assert f"removed {store.starter_path(home.paths)}" in result.stdout
    home.paths.token_file.rmdir()
    assert home.run("uninstall", "--purge").returncode == 0
    assert list(home.root.iterdir()) == []


def test_the_files_of_a_killed_daemon_are_removed(home: Home) -> None:
    home.run("install")
    path = home.paths.runtime / "of-my-own.sock"
    daemon = home.serve("--socket", str(path))
    daemon.kill()
    daemon.wait()
    assert path.is_socket()
    (home.paths.config / ".client.json.123.partial").write_text("{")
    (home.paths.config / ".config.toml.123.partial").write_text("th")
    assert home.run("uninstall", "--purge").returncode == 0
    assert list(home.root.iterdir()) == []


def test_a_newer_version_removes_the_files_of_an_older_one(home: Home) -> None:
    home.run("install")
    manifest = home.paths.data / "install.json"
    known = json.loads(manifest.read_bytes())
    old = home.paths.config / "llmsuggestd-of-old.conf"
    old.write_text("written by an older version")
    made = home.root / "old-layout"
    made.mkdir()
    known |= {
        "version": "0.0.1",
        "python": "/moved/away/python",
        "files": [*known["files"], str(old)],
        "directories": [*known["directories"], str(made)],
    }
    manifest.write_text(json.dumps(known))
    dry = home.run("install", "--dry-run")
    assert str(old) in dry.stdout
    assert old.exists()
    result = home.run("install")
    assert result.returncode == 0, result.stderr
    assert not old.exists()
    assert json.loads(manifest.read_bytes())["version"] != "0.0.1"
    assert home.run("uninstall", "--purge").returncode == 0
    assert list(home.root.iterdir()) == []  # the old layout's directory too


def test_install_and_purge_do_not_change_a_shared_models_folder(home: Home, tmp_path: Path) -> None:
    """Neither an install, a daemon nor a purge changes the folder to which `models` is a link."""
    home.run("install")
    shutil.rmtree(home.paths.models)
    team = tmp_path / "team"
    team.mkdir(mode=0o775)
    team.chmod(0o775)
    for name in ("starter", "big"):
        (team / f"{name}.gguf").write_bytes(b"of a colleague")
    home.paths.models.symlink_to(team)
    before = {path: path.stat() for path in [team, *team.iterdir()]}
    assert home.run("install").returncode == 0
    assert home.run("start").returncode == 0
    assert home.run("stop").returncode == 0
    assert home.run("uninstall", "--purge").returncode == 0
    assert {path: path.stat().st_mtime_ns for path in before} == {
        path: info.st_mtime_ns for path, info in before.items()
    }
    assert team.stat().st_mode & 0o777 == 0o775
    assert not home.paths.models.is_symlink()


def test_an_unreadable_manifest_is_replaced(home: Home) -> None:
    home.run("install")
    manifest = home.paths.data / "install.json"
    before = manifest.read_bytes()
    manifest.write_bytes(b"{")
    result = home.run("install")
    assert result.returncode == 0, result.stderr
    assert json.loads(manifest.read_bytes())["files"] == json.loads(before)["files"]


def test_a_daemon_of_another_version_is_restarted(home: Home, tmp_path: Path) -> None:
    home.run("install")
    # a daemon whose status says that it was started before the upgrade
    (tmp_path / "sitecustomize.py").write_text(
        "import llmsuggestd.version\nllmsuggestd.version.__version__ = '0.0.1'\n"
    )
    home.serve(PYTHONPATH=str(tmp_path))
    before = json.loads(home.run("status", "--json").stdout)
    assert before["version"] == "0.0.1"
    home.paths.config_file.write_text("thread = 2\n")  # it could not start again with that
    assert home.run("install").returncode == 4
    assert json.loads(home.run("status", "--json").stdout)["pid"] == before["pid"]
    home.paths.config_file.unlink()
    result = home.run("install")
    assert result.returncode == 0, result.stderr
    assert "restart the running daemon (version 0.0.1)" in result.stdout
    after = json.loads(home.run("status", "--json").stdout)
    assert after["version"] != "0.0.1"
    assert after["pid"] != before["pid"]
    assert "restart" not in home.run("install").stdout
    home.run("stop")


def test_doctor_finds_everything_in_order(home: Home) -> None:
    home.run("install")
    assert "Next:\n  llmsuggestd start\n" in home.run("install").stdout
    home.run("start")
    assert "Next:\n  llmsuggestd status\n" in home.run("install").stdout
    findings = {f["part"]: f for f in json.loads(home.run("doctor", "--json").stdout)}
    assert set(findings) >= {
        "python", "llama.cpp", "device", "settings", "model", "curl", "tactic", "socket",
        "engine", "lean", "package", "service",
    }  # fmt: skip
    failed = {part: f for part, f in findings.items() if f["level"] == "failed"}
    assert failed == {}
    assert all(f["remedy"] for f in findings.values() if f["level"] != "ok")


def test_doctor_names_the_remedy_for_missing_parts(home: Home) -> None:
    home.paths.config.mkdir()
    home.paths.config_file.write_text("port = 'many'\n")
    # no curl and no lean on an empty path
    result = home.run("doctor", PATH=str(home.root))
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    lines = result.stdout.splitlines()
    for part in ("settings", "socket", "curl"):
        index = next(i for i, line in enumerate(lines) if line.split()[:2] == ["failed", part])
        assert lines[index + 1].strip().startswith("→ ")
    assert result.stdout.count("`port`") == 1  # once only


def test_doctor_names_the_settings_file(home: Home) -> None:
    assert str(home.paths.config_file) in home.run("doctor").stdout


@contextmanager
def crowded(path: Path) -> Iterator[None]:
    """Hold all connections to a daemon's socket, and use them, since idle ones are closed."""
    full, done = threading.Event(), threading.Event()

    def hold() -> None:
        with contextlib.ExitStack() as stack:
            # the limit per door in docs/security.md
            held = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(128)]
            for connection in held:
                connection.connect(str(path))
            while not done.is_set():
                for connection in held:
                    connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    connection.recv(4096)
                full.set()
                done.wait(3)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert full.wait(30)
        yield
    finally:
        done.set()
        holder.join()


def test_doctor_checks_the_rest_if_the_daemon_is_too_busy_to_answer(home: Home) -> None:
    home.install_starter()
    home.serve()
    with crowded(home.paths.socket):
        result = home.run("doctor", "--json")
    findings = {f["part"]: f for f in json.loads(result.stdout)}
    # the daemon refuses, or has not yet accepted all these connections on a busy machine
    refused = findings.get("tactic") or findings["socket"]
    assert refused["level"] == "failed"
    assert "too many connections" in refused["message"] or "a daemon runs" in refused["message"]
    assert "curl" in findings
    assert "service" in findings
